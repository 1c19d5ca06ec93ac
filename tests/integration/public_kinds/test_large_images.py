"""Large images: objects keep their identity, memory is bounded, TIFF is small and has a pyramid."""

from __future__ import annotations

from functools import partial

import dask.array as da
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from helpers import TINY, gray_noise
from napari.layers import Image

from napari_pix2pix import train
from napari_pix2pix.cli import main
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import InstanceCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import EmptyImage
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.inference import devices
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.io import _contiguous, _tiff, _tiff_writing
from napari_pix2pix.io.image_file import ImageFile, ImageSpec
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.resumable import ResumableImage, with_dtype_for
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.large_images import needs_blocks, translate_file
from napari_pix2pix.napari_layers import snapshot
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.apply.work import Job, Progress, apply_model
from napari_pix2pix.widgets.common.known_models import ModelEntry


def squares(side: int) -> np.ndarray:
    """Label squares of 6 x 6 pixels, 2 pixels apart."""
    y, x = np.mgrid[:side, :side]
    return (y // 8 * (side // 8) + x // 8 + 1) * ((y % 8 > 1) & (x % 8 > 1))


def picture(side: int) -> np.ndarray:
    return np.uint8(200) * (squares(side) > 0).astype(np.uint8)


@pytest.fixture(scope="module", params=["uint8", "int8"])
def labeller(request):
    """Trained on few objects, which the dtype of its labels can number."""
    fields = TINY | {"steps": 80, "width": 8, "validation": 0.0, "smallest": 4}
    return train(picture(80), squares(80).astype(request.param), **fields)


@pytest.fixture
def many(labeller):
    """An image of more objects, and what is made of it in memory."""
    image = picture(144)
    labels = labeller(image)
    assert labels.max() == 18**2
    return image, labels


# --- objects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".zarr", ".tif", ".ome.tif", ".png", ".npy"])
def test_all_objects_of_a_file_keep_their_numbers(labeller, many, tmp_path, ending):
    image, labels = many
    write_image(tmp_path / "in.zarr", image, "YX")
    source, out = read_image(tmp_path / "in.zarr"), tmp_path / f"out{ending}"
    if ending == ".png" and labeller.target_codec.dtype == "int8":
        with pytest.raises(InputError, match="PNG can't hold int8"):
            translate_file(labeller, tmp_path / "in.zarr", source, out)
        return
    translate_file(labeller, tmp_path / "in.zarr", source, out)
    found = np.asarray(read_image(out).data)
    assert found.dtype == labels.dtype
    np.testing.assert_array_equal(found, labels)


def test_more_objects_than_a_format_can_number_are_refused_and_kept(tmp_path):
    spec = ImageSpec("YX", (300, 300), np.dtype("uint8"))
    codec = InstanceCodec("uint8", 1, Layout())
    kept = codec.dtype_of_parts(300, 300)
    image = ResumableImage(tmp_path / "out.png", spec, {}, kept=kept, resume=False)
    labels = np.arange(90_000).reshape(300, 300)
    image.write(0, (slice(None), slice(None)), labels, 1)
    with pytest.raises(InputError, match=r"PNG can't hold uint32 .* a name that ends in \.tif"):
        image.finish(with_dtype_for(codec.dtype_for))
    again = ResumableImage(tmp_path / "out.png", spec, {}, kept=kept, resume=True)
    assert [again.done[0].source, *again.done] == [1, 0]
    np.testing.assert_array_equal(again._pixels, labels)


@pytest.mark.parametrize("chunks", [64, 144])
def test_all_objects_of_a_dask_array_keep_their_numbers(labeller, many, chunks):
    image, labels = many
    stack = da.from_array(np.stack([image, np.zeros_like(image)]), chunks=(1, chunks, chunks))
    lazy = labeller(stack)
    computed = lazy.compute()
    assert lazy.dtype == computed.dtype
    np.testing.assert_array_equal(computed[0], labels)
    assert labeller(stack[:, :40, :40]).dtype == np.dtype("uint16")  # of 40 * 40 / 4 objects


@pytest.mark.parametrize("part", ["--region :", "--frames 0:2", ""])
@pytest.mark.parametrize("ending", [".zarr", ".tif"])
def test_all_objects_of_a_part_keep_their_numbers(labeller, many, tmp_path, part, ending):
    image, labels = many
    write_image(tmp_path / "in.tif", np.stack([np.zeros_like(image), image]), "TYX")
    labeller.save(tmp_path / "model.safetensors")
    words = ["apply", tmp_path / "model.safetensors", tmp_path / "in.tif", "-o"]
    part = part.replace("region :", "region 0:144,:")
    made = CliRunner().invoke(main, [*map(str, words), str(tmp_path / f"o{ending}"), *part.split()])
    assert made.exit_code == 0, made.stderr
    found = read_image(tmp_path / f"o{ending}").data
    np.testing.assert_array_equal(found[1], labels)


def test_objects_of_two_parts_of_a_layer_have_their_own_numbers(labeller, many):
    image, labels = many
    known = ModelEntry("labeller", labeller)
    layer, before = snapshot(Image(image)), {}
    for part in (Box(0, 72, 0, 144), Box(72, 144, 0, 144)):
        job = Job([layer], [0], part, before=before)
        events = list(apply_model(Control(), known, [job], PredictOptions(device="cpu")))
        painted = [event for event in events if isinstance(event, Progress)][-1].arrays[""]
        before = {(labeller.digest, ""): partial(np.asarray, painted)}
    pairs = np.unique(np.stack([painted[labels > 0], labels[labels > 0]]), axis=1)
    assert pairs.shape[1] == len(np.unique(pairs[0])) == 18**2


# --- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "whole"), [({}, False), ({"norm": "instance"}, True)], ids=["fixed", "measures"]
)
def test_tiles_take_no_more_memory_than_makes_them_fast(monkeypatch, config, whole):
    model = train(gray_noise(64, 64), gray_noise(64, 64, seed=1), **TINY | config | {"steps": 1})
    monkeypatch.setattr(devices, "free_memory", lambda _: 1 << 50)
    assert Predictor.fits(model, EmptyImage(1024, 1024), PredictOptions(device="cpu"))
    # An image that is measured comes out right only as a whole.
    assert Predictor.fits(model, EmptyImage(16384, 16384), PredictOptions(device="cpu")) == whole


def test_a_large_image_in_memory_is_translated_in_blocks():
    image = ImageFile(data=np.broadcast_to(np.uint8(0), (8192, 8192)), axes="YX")
    assert not needs_blocks(image, 1)
    assert needs_blocks(image, 2)


@pytest.mark.parametrize(
    "layout",
    [
        {"imagej": True},
        {"photometric": "minisblack"},
        {"byteorder": ">"},
        {"rowsperstrip": 16},
        {"rowsperstrip": 16, "compression": "zlib"},
        {"tile": (32, 32)},
        {"tile": (32, 32), "compression": "zlib", "predictor": True},
        {"ome": True, "tile": (32, 32), "compression": "zlib"},
    ],
    ids=str,
)
def test_tiff_is_read_in_parts(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(_tiff, "_EAGER_BYTES", 100)
    array = gray_noise(80, 90, dtype="uint16")
    tifffile.imwrite(tmp_path / "a.tif", array, **layout)
    data = read_image(tmp_path / "a.tif").data
    assert not isinstance(data, np.ndarray)
    np.testing.assert_array_equal(data[30:70, 5:60], array[30:70, 5:60])
    if hasattr(data, "store"):
        data.store.close()


def test_npy_is_read_in_parts(tmp_path, monkeypatch):
    array = gray_noise(80, 90, dtype=">u2")
    np.save(tmp_path / "a.npy", array)
    assert isinstance(read_image(tmp_path / "a.npy").data, np.ndarray)
    monkeypatch.setattr(_contiguous, "EAGER_BYTES", 100)
    data = read_image(tmp_path / "a.npy").data
    assert not isinstance(data, np.ndarray)
    np.testing.assert_array_equal(data[30:70, 5:60], array[30:70, 5:60])
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy").data, array)


def test_a_compressed_page_in_one_piece_is_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr(_tiff, "_EAGER_BYTES", 100)
    array = gray_noise(80, 90)
    tifffile.imwrite(tmp_path / "a.tif", array, rowsperstrip=80, compression="zlib")
    data = read_image(tmp_path / "a.tif").data
    assert isinstance(data, np.ndarray)
    np.testing.assert_array_equal(data, array)


def test_a_large_tiff_that_was_cut_short_is_refused_when_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(_tiff, "_EAGER_BYTES", 100)
    tifffile.imwrite(tmp_path / "a.tif", gray_noise(80, 90))
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="can't be read"):
        read_image(tmp_path / "a.tif")


# --- TIFF ---------------------------------------------------------------------------------------

SIZES, MICRONS = {"Y": 0.5, "X": 0.25}, dict.fromkeys("YX", "micrometer")


@pytest.mark.parametrize("ending", [".tif", ".ome.tif"])
@pytest.mark.parametrize(
    ("dtype", "axes", "shape"),
    [
        ("uint8", "YX", (600, 300)),
        ("uint16", "ZYX", (2, 600, 300)),
        ("uint32", "YX", (600, 300)),
        ("int16", "CYX", (2, 600, 300)),
        ("float32", "YX", (600, 300)),
        ("uint8", "YXS", (600, 300, 3)),
        ("bool", "YX", (600, 300)),
    ],
)
def test_large_tiff_has_a_pyramid_of_its_pixels(tmp_path, monkeypatch, ending, dtype, axes, shape):
    monkeypatch.setattr(_tiff_writing, "_WHOLE_BYTES", 100)
    array = (gray_noise(*shape) > 128) if dtype == "bool" else gray_noise(*shape).astype(dtype)
    path = write_image(tmp_path / f"a{ending}", array, axes, SIZES, MICRONS)
    with tifffile.TiffFile(path) as tiff:
        (series,) = tiff.series
        assert [level.is_pyramidal for level in series.levels] == [True, False, False]
        for number, level in enumerate(series.levels):
            step = slice(None, None, 2**number)
            down, over = (axes.index(axis) for axis in "YX")
            index = tuple(step if i in (down, over) else slice(None) for i in range(len(axes)))
            np.testing.assert_array_equal(level.asarray(), array[index])
            assert level.keyframe.is_tiled
            assert level.keyframe.compression.name == "ADOBE_DEFLATE"
    found = read_image(path)
    assert (found.axes, found.scale, found.units) == (axes, SIZES, MICRONS)
    np.testing.assert_array_equal(found.data, array)
    assert not found.notes


@pytest.mark.parametrize(
    ("dtype", "axes"), [("int64", "ZYX"), ("float16", "ZYX"), ("uint8", "QYX"), ("uint8", "YXC")]
)
def test_large_tiff_that_ome_lacks_is_compressed_too(tmp_path, monkeypatch, dtype, axes):
    monkeypatch.setattr(_tiff_writing, "_WHOLE_BYTES", 100)
    array = np.zeros((2, 600, 300) if axes.endswith("YX") else (600, 300, 2), dtype)
    array[:, 100:140] = 7
    path = write_image(tmp_path / "a.tif", array, axes, SIZES, MICRONS)
    assert path.stat().st_size < array.nbytes / 10
    found = read_image(path)
    assert (found.axes, found.scale) == (axes, SIZES)
    np.testing.assert_array_equal(found.data, array)


def test_a_large_empty_image_stays_small(tmp_path):
    path = write_image(tmp_path / "a.tif", np.zeros((8192, 4096), np.uint8), "YX")
    assert path.stat().st_size < 1e6


def test_a_small_tiff_is_a_hyperstack_of_imagej(tmp_path):
    path = write_image(tmp_path / "a.tif", gray_noise(60, 70), "YX", SIZES, MICRONS)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej
        assert tiff.pages[0].compression == 1
