import json

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage import io

from napari_pix2pix.data.intensities import LEVELS, Intensities, sample_windows, saturation_note
from napari_pix2pix.data.lazy_image import LazyImage
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
    windows = sample_windows(LazyImage(image), side=64)
    assert sum(window.size for window in windows) > 0.3 * image.size
    assert sum(window.size for window in sample_windows(LazyImage(image), side=256)) == image.size
    reads = []

    class Huge:
        shape, dtype = (7, 50_000, 60_000), np.dtype(np.uint16)

        def __getitem__(self, index):
            reads.append(index)
            size = [len(range(*part.indices(99_999_999))) for part in index[1:]]
            return np.zeros(size, np.uint16)

    assert len(sample_windows(LazyImage(Huge()))) == len(reads) == 16
    assert len({index[0] for index in reads}) > 2


@pytest.mark.parametrize("name", ["nuclei_fluorescence", "nuclei_histology"])
def test_real_test_images_lie_within_what_was_trained_on(real_data, name):
    def read(part):
        for path in sorted((real_data / name / part / "source").glob("*")):
            image = tifffile.imread(path) if path.suffix == ".tif" else io.imread(path)
            yield np.atleast_3d(image)[..., :3].transpose(2, 0, 1)

    known = Intensities.measure(list(read("train")))
    assert max(known.outside([image])[0] for image in read("test")) < 0.05


def spots(side=128):
    """Bright spots on a dark ground, between 0 and 1."""
    smooth = gaussian_filter((rng.random((side, side)) < 0.01).astype(float), 4)
    return smooth / smooth.max()


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 4095), ("float32", 1.0)])
def test_a_clipped_image_is_said_with_its_share(dtype, top):
    image = spots()
    clipped = (np.minimum(image / np.quantile(image, 0.93), 1) * top).astype(dtype)[np.newaxis]
    note = saturation_note([clipped], "target")
    assert note.startswith(f"7 % of the target's values are {top:g}, the highest: saturated")
    assert saturation_note([(image * top).astype(dtype)[np.newaxis]], "target") == ""


def test_a_channel_is_named_and_nan_is_no_value():
    image = np.stack([spots(), np.minimum(spots(), 0.2), spots()]).astype(np.float32)
    image[1, :30] = np.nan
    note = saturation_note([image, image[:, 5:]], "source")
    assert "of channel 1 of the source's values are 0.2" in note


def test_several_channels_are_said_in_one_sentence():
    image = np.stack([np.minimum(spots(), top) for top in (0.2, 1.0, 0.1)])
    note = saturation_note([image], "source")
    assert note.startswith("Up to ")
    assert "of each of channels 0, 2 of the source's values are 0.1, the highest" in note


@settings(deadline=None, max_examples=60)
@given(
    photons=st.sampled_from([1, 5, 30, 2000]),
    offset=st.sampled_from([0, 100]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    seed=st.integers(0, 99),
)
def test_dark_dim_and_noisy_images_are_not_saturated(photons, offset, dtype, seed):
    seen = np.random.default_rng(seed).poisson(spots(64) * photons) + offset
    image = (seen if dtype != "uint8" else seen * (255 // seen.max())).astype(dtype)
    assert saturation_note([image[np.newaxis]], "source") == ""


FEW_LEVELS = [rng.integers(0, levels, (1, 64, 64)).astype(np.uint8) for levels in (1, 2, 8)]


@pytest.mark.parametrize(
    "image",
    [*FEW_LEVELS, np.full((1, 8, 8), np.nan), np.zeros((0, 8, 8))],
    ids=["one level", "two levels", "eight levels", "nothing finite", "no channel"],
)
def test_few_levels_are_no_plateau_nor_is_nothing(image):
    assert saturation_note([image], "source") == ""


def test_a_highest_level_like_those_below_is_no_plateau():
    image = rng.integers(0, 60, (1, 64, 64)).astype(np.uint8)
    assert (image == 59).mean() > 0.01
    assert saturation_note([image], "source") == ""


@pytest.mark.parametrize("name", ["nuclei_fluorescence", "nuclei_histology"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_no_false_alarm_on_real_sets(real_data, name, part):
    images = []
    for path in sorted((real_data / name / part / "source").glob("*")):
        image = tifffile.imread(path) if path.suffix == ".tif" else io.imread(path)
        images.append(np.atleast_3d(image)[..., :3].transpose(2, 0, 1))
    assert len(images) >= 16
    assert saturation_note(images, "source") == ""
    brighter = [np.clip(image * 6.0, 0, 255).astype(np.uint8) for image in images]
    assert saturation_note(brighter, "source")


def test_what_is_masked_is_not_looked_at():
    image = np.arange(1000).reshape(1, 20, 50)
    spoilt = np.concatenate([image, np.full((1, 20, 50), 9999)], axis=1)
    valid = [np.arange(40)[np.newaxis, :, np.newaxis] < np.full((1, 40, 50), 20)]
    assert saturation_note([spoilt], "source")
    assert saturation_note([spoilt], "source", valid) == ""
