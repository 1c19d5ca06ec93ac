from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage import io

from napari_pix2pix.data.checks import saturation_note

rng = np.random.default_rng(0)


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


@pytest.mark.parametrize("levels", [1, 2, 8])
def test_few_levels_are_no_plateau(levels):
    image = rng.integers(0, levels, (1, 64, 64)).astype(np.uint8)
    assert saturation_note([image], "source") == ""


def test_a_highest_level_like_those_below_is_no_plateau():
    image = rng.integers(0, 60, (1, 64, 64)).astype(np.uint8)
    assert (image == 59).mean() > 0.01
    assert saturation_note([image], "source") == ""


def test_nothing_finite_and_no_channel_pass():
    assert saturation_note([np.full((1, 8, 8), np.nan)], "source") == ""
    assert saturation_note([np.zeros((0, 8, 8))], "source") == ""


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
