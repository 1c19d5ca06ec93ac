from dataclasses import replace

import helpers
import numpy as np
import pytest
from helpers import as_if_trained, noise

from napari_pix2pix import train
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.data.resampling import ResampledImage, Resampling
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.checks import warn_of_pixel_size
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.resampled import box_seen, resample_image

SIZE = PixelSize(1.0, 1.0)
ON = PredictOptions(resample=True)


def learn(target, **fields):
    """Train a model that knows a pixel size of 1 µm."""
    quick = {"steps": 1, "validation": 0.0, "adversarial_weight": 0.0, "dropout": 0.0}
    model = train(noise(48, 48), target, **{**helpers.TINY, **quick, **fields})
    as_if_trained(model.generator)
    model.pixel_size = SIZE
    return model


@pytest.fixture(scope="module")
def gray():
    return learn(noise(48, 48, seed=1), norm="batch")


def image_of(height: int, width: int, size: float | None) -> LazyImage:
    stated = None if size is None else PixelSize(size, size)
    return LazyImage(noise(height, width)).stating(stated, ())


@pytest.mark.parametrize(("size", "shape"), [(0.4, (90, 71)), (2.3, (31, 40))])
def test_tiles_and_regions_equal_the_whole(gray, size, shape):
    image = image_of(*shape, size)
    whole = gray.predict_frame(image, 0, PredictOptions(resample=True, tile=0))
    assert whole.shape == (1, *shape)
    tiles = gray.predict_frame(image, 0, PredictOptions(resample=True, tile=8))
    np.testing.assert_allclose(tiles, whole, atol=1e-5)
    region = Box(5, 27, 9, 30)
    seen = box_seen(gray, image, ON, region)
    hidden = noise(*shape, seed=9)
    hidden[seen.rows, seen.columns] = noise(*shape)[seen.rows, seen.columns]
    part = gray.predict_region(LazyImage(hidden).stating(image.pixel_size, ()), 0, region, ON)
    np.testing.assert_allclose(part, whole[:, region.rows, region.columns], atol=1e-5)


def test_it_is_the_translation_at_the_models_pixel_size(gray):
    image = image_of(64, 50, 0.5)
    there = ResampledImage(image, Resampling((64, 50), (32, 25)))
    small = gray(there.read(0, slice(0, 32), slice(0, 25))[0])
    back = ResampledImage(LazyImage(small), Resampling((32, 25), (64, 50)))
    np.testing.assert_allclose(
        gray(image, resample=True), back.read(0, slice(0, 64), slice(0, 50))[0], atol=1e-5
    )


def test_same_size_is_the_plain_translation(gray):
    np.testing.assert_array_equal(
        gray(noise(33, 20), resample=True, pixel_size=1.0), gray(noise(33, 20))
    )


def test_instances_come_back_with_their_numbers():
    y, x = np.mgrid[:48, :48]
    labels = ((y // 16) * 3 + x // 16 + 1) * ((y % 16 > 3) & (x % 16 > 3))
    model = learn(labels.astype(np.uint16), target_kind="instances", steps=2)
    image = np.kron(noise(40, 40), np.ones((2, 2), np.float32))
    small = model(noise(40, 40))
    there = ResampledImage(LazyImage(image), Resampling((80, 80), (40, 40)))
    small = model(there.read(0, slice(0, 40), slice(0, 40))[0])
    made = model(image, resample=True, pixel_size=0.5)
    assert made.dtype == small.dtype
    np.testing.assert_array_equal(made, np.kron(small, np.ones((2, 2), small.dtype)))


def test_what_is_missing_is_said(gray):
    codec = gray.source_codec
    cases = [
        (image_of(9, 9, 1.0), None, "does not know the pixel size"),
        (image_of(9, 9, None), SIZE, "does not state its pixel size"),
        (image_of(9, 9, 1.0), replace(SIZE, unit=""), "can't be compared"),
        (image_of(9, 9, 20.0), SIZE, "16 times as large"),
    ]
    for image, model, words in cases:
        with pytest.raises(InputError, match=words):
            resample_image(image, ON, model, codec)


@pytest.mark.parametrize(
    ("size", "norm", "tile", "blocks"),
    [
        (0.4, "batch", 0, (2, 3, 2)),
        (2.3, "batch", 0, (2, 3, 3)),
        (0.4, "instance", 0, (2, 1, 1)),
        (0.4, "instance", 8, (2, 3, 2)),  # measured once for all chunks
    ],
)
def test_dask_arrays_are_resampled_chunk_by_chunk(size, norm, tile, blocks, gray):
    da = pytest.importorskip("dask.array")
    model = gray if norm == "batch" else learn(noise(48, 48, seed=1), norm=norm)
    image = noise(2, 110, 97)
    options = {"resample": True, "pixel_size": size, "tile": tile}
    lazy = model(da.from_array(image, chunks=(1, 40, 33)), **options)
    assert lazy.numblocks == blocks
    np.testing.assert_allclose(lazy.compute(), model(image, **options), atol=1e-5)


def test_a_chunk_of_a_dask_array_reads_its_own_surroundings_alone(gray):
    da = pytest.importorskip("dask.array")
    read = []

    def block(block_info):
        read.append(block_info[None]["chunk-location"])
        return np.zeros((16, 16), np.float32)

    image = da.map_blocks(
        block, chunks=((16,) * 20, (16,) * 2), dtype=np.float32, meta=np.zeros((0, 0), np.float32)
    )
    lazy = gray(image, resample=True, pixel_size=0.5)
    lazy[:8, :8].compute()
    assert 0 < len(set(read)) < 20


def test_a_dask_array_that_cannot_be_resampled_is_refused_before_it_is_read(gray):
    da = pytest.importorskip("dask.array")
    with pytest.raises(InputError, match="does not state its pixel size"):
        gray(da.zeros((40, 40)), resample=True)


def test_another_size_is_warned_of_unless_resampled(gray):
    with pytest.warns(UserWarning, match="2 times as small.*Turn resample on"):
        gray(noise(20, 20), pixel_size=2.0)
    gray(noise(20, 20), pixel_size=2.0, resample=True)  # warnings are errors
    gray(noise(20, 20))


@pytest.mark.parametrize("options", [ON, PredictOptions()])
def test_planes_that_are_apart_are_warned_of_without_advice_to_resample(gray, monkeypatch, options):
    monkeypatch.setattr(gray, "z_context", 1)
    monkeypatch.setattr(gray, "pixel_size", replace(SIZE, z=1.0))
    image = LazyImage(noise(20, 20)).stating(replace(SIZE, z=3.0), ())
    with pytest.warns(UserWarning, match="planes are 3 µm apart") as caught:
        warn_of_pixel_size(image, options, gray)
    assert not any("Turn resample on" in str(warning.message) for warning in caught)
