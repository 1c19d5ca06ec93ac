from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import io

from napari_pix2pix.data.intensities import LEVELS, Intensities, sample_windows
from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.errors import FileError

rng = np.random.default_rng(0)


def test_quantiles_are_those_of_the_finite_and_valid():
    image = rng.random((2, 40, 50)).astype(np.float32)
    expected = np.quantile(image[1].astype(np.float64), LEVELS)
    holed = np.concatenate([image, np.full((2, 40, 50), np.nan, np.float32)], axis=1)
    np.testing.assert_allclose(Intensities.measure([holed]).quantiles[1], expected)
    masked = np.concatenate([image, image + 9], axis=1)
    inside = np.arange(80)[np.newaxis, :, np.newaxis] < 40
    mask = np.broadcast_to(inside, (1, 80, 50))
    np.testing.assert_allclose(Intensities.measure([masked], [mask]).quantiles[1], expected)


def test_a_channel_without_values_says_nothing():
    image = np.stack([rng.random((9, 9)), np.full((9, 9), np.nan)])
    known = Intensities.measure([image])
    assert known.quantiles[1] == ()
    assert known.outside([image]) == (0.0, 0)
    assert known.distance(known) == 0
    assert np.isnan(known.median(1))


@settings(deadline=None, max_examples=40)
@given(
    dtype=st.sampled_from(["uint8", "int16", "uint16", "int64", "float16", "float64"]),
    low=st.integers(0, 50),
    span=st.integers(20, 70),
    seed=st.integers(0, 9),
)
def test_shares_and_distances_of_a_brighter_image(dtype, low, span, seed):
    image = (np.random.default_rng(seed).random((1, 64, 64)) * span + low).astype(dtype)
    known = Intensities.measure([image])
    assert known.outside([image])[0] == 0
    assert known.outside([image + np.asarray(2 * span, dtype)]) == (1.0, 0)
    brighter = Intensities.measure([image + np.asarray(span // 2, dtype)])
    assert known.distance(brighter) == pytest.approx(span // 2, rel=0.1)


def test_the_channel_that_lies_outside_is_named():
    image = rng.random((3, 32, 32))
    known = Intensities.measure([image])
    image[2, :16] += 5
    assert known.outside([image]) == (0.5, 2)


def test_the_spread_is_that_of_the_images():
    images = [rng.random((1, 64, 64)) + step for step in range(3)]
    assert Intensities.measure(images).spread == pytest.approx(1, abs=0.1)
    assert Intensities.measure(images[:1]).spread == pytest.approx(0, abs=1e-6)


def test_they_survive_json_and_damage_is_refused():
    known = Intensities.measure([rng.random((2, 20, 20)).astype(np.float32)])
    parts = json.loads(json.dumps(known.to_dict()))
    assert Intensities.from_dict(parts) == known
    for change in ({"dtype": "no"}, {"quantiles": [[1.0, 2.0]]}, {"spread": None}):
        with pytest.raises(FileError, match="intensities in the file are damaged"):
            Intensities.from_dict(parts | change)


def test_small_images_are_seen_whole_and_large_ones_in_part():
    image = rng.integers(0, 9, (2, 100, 300)).astype(np.uint8)
    windows = sample_windows(Planes(image), side=64)
    assert sum(window.size for window in windows) > 0.3 * image.size
    assert sum(window.size for window in sample_windows(Planes(image), side=256)) == image.size
    reads = []

    class Huge:
        shape, dtype = (7, 50_000, 60_000), np.dtype(np.uint16)

        def __getitem__(self, index):
            reads.append(index)
            size = [len(range(*part.indices(99_999_999))) for part in index[1:]]
            return np.zeros(size, np.uint16)

    assert len(sample_windows(Planes(Huge()))) == len(reads) == 16
    assert len({index[0] for index in reads}) > 2


@pytest.mark.parametrize("name", ["nuclei_fluorescence", "nuclei_histology"])
def test_real_test_images_lie_within_what_was_trained_on(real_data, name):
    def read(part):
        for path in sorted((real_data / name / part / "source").glob("*")):
            image = tifffile.imread(path) if path.suffix == ".tif" else io.imread(path)
            yield np.atleast_3d(image)[..., :3].transpose(2, 0, 1)

    known = Intensities.measure(list(read("train")))
    assert max(known.outside([image])[0] for image in read("test")) < 0.05
