from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_pix2pix.metrics.frequencies import radial_spectrum, spectrum_distance


def noise(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (height, width))


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, bool)


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    image = 3 * noise(256, 256) + 100
    frequencies, powers = radial_spectrum(image, everywhere(image))
    assert len(frequencies) == 128
    assert frequencies[-1] == 0.5
    np.testing.assert_allclose(powers[16:], 9, rtol=0.35)
    assert powers.mean() == pytest.approx(9, rel=0.05)


def test_twice_the_amplitude_is_6_decibel() -> None:
    image = noise()
    found = spectrum_distance(2 * image + 7, image, everywhere(image))
    assert found == pytest.approx(20 * np.log10(2))


def test_blur_shows_and_a_shift_does_not() -> None:
    image = ndimage.gaussian_filter(noise(128, 128), 1)
    blurred = [ndimage.gaussian_filter(image, sigma) for sigma in (0.5, 1, 2)]
    apart = [spectrum_distance(one, image, everywhere(image)) for one in blurred]
    assert apart == sorted(apart)
    assert apart[0] > 3
    shifted = np.roll(image, (3, 5), axis=(0, 1))
    assert spectrum_distance(shifted, image, everywhere(image)) < 2


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 9))
def test_every_size_has_a_distance_or_none(height: int, width: int, seed: int) -> None:
    image = noise(height, width, seed)
    found = spectrum_distance(image, image, everywhere(image))
    assert found == 0 or (math.isnan(found) and min(height, width) < 8)


@pytest.mark.parametrize("which", [0, 1])
def test_constant_images_have_none(which: int) -> None:
    planes = [noise(), noise(seed=1)]
    planes[which][:] = 5
    assert math.isnan(spectrum_distance(*planes, everywhere(planes[0])))


def test_what_does_not_count_changes_nothing() -> None:
    prediction, truth = noise(), noise(seed=1)
    valid = everywhere(truth)
    valid[:, 70:] = False
    expected = spectrum_distance(prediction, truth, valid)
    prediction[:, 70:], truth[:, 70:] = np.nan, 1e9
    assert spectrum_distance(prediction, truth, valid) == expected
