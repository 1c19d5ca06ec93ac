import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.spectra import (
    cutoff_frequency,
    fourier_ring_correlation,
    radial_spectrum,
    ring_means,
    spectral_pearson,
    spectrum_distance,
)


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, bool)


def spectrum(prediction, truth, valid=None) -> float:
    rings = ring_means(prediction, truth, everywhere(truth) if valid is None else valid)
    return math.nan if rings is None else spectrum_distance(rings)


def noise(height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (height, width))


def test_white_noise_has_its_variance_at_every_frequency():
    image = 3 * noise(256, 256) + 100
    frequencies, powers = radial_spectrum(image, everywhere(image))
    assert len(frequencies) == 128
    assert frequencies[-1] == 0.5
    np.testing.assert_allclose(powers[16:], 9, rtol=0.35)
    assert powers.mean() == pytest.approx(9, rel=0.05)


def test_twice_the_amplitude_is_6_decibel():
    image = noise()
    found = spectrum(2 * image + 7, image)
    assert found == pytest.approx(20 * np.log10(2))


def test_blur_shows_and_a_shift_does_not():
    image = ndimage.gaussian_filter(noise(128, 128), 1)
    blurred = [ndimage.gaussian_filter(image, sigma) for sigma in (0.5, 1, 2)]
    apart = [spectrum(one, image) for one in blurred]
    assert apart == sorted(apart)
    assert apart[0] > 3
    shifted = np.roll(image, (3, 5), axis=(0, 1))
    assert spectrum(shifted, image) < 2


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 9))
def test_every_size_has_a_distance_or_none(height, width, seed):
    image = noise(height, width, seed)
    found = spectrum(image, image)
    assert found == 0 or (math.isnan(found) and min(height, width) < 8)


@pytest.mark.parametrize("which", [0, 1])
def test_constant_images_have_no_spectrum(which):
    planes = [noise(), noise(seed=1)]
    planes[which][:] = 5
    assert math.isnan(spectrum(*planes))


def test_invalid_pixels_do_not_change_the_spectrum():
    prediction, truth = noise(), noise(seed=1)
    valid = everywhere(truth)
    valid[:, 70:] = False
    expected = spectrum(prediction, truth, valid)
    prediction[:, 70:], truth[:, 70:] = np.nan, 1e9
    assert spectrum(prediction, truth, valid) == expected


def test_waves_of_four_pixels_have_a_frequency_of_a_quarter():
    waves = np.sin(2 * np.pi * np.arange(32) / 4) * np.ones((32, 1))
    frequencies, powers = radial_spectrum(waves, np.ones((32, 32), bool))
    assert frequencies[powers.argmax()] == 0.25


# --- Fourier ring correlation --------------------------------------------------------------------


def cutoff(prediction, truth, valid=None) -> float:
    return cutoff_frequency(*fourier_ring_correlation(prediction, truth, valid))


@settings(deadline=None, max_examples=30)
@given(
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    gain=st.floats(0.01, 100),
    offset=st.floats(-1000, 1000),
)
def test_gain_and_offset_leave_every_frequency_as_it_is(height, width, gain, offset):
    truth = noise(height, width)
    frequencies, correlations = fourier_ring_correlation(gain * truth + offset, truth)
    np.testing.assert_allclose(correlations, 1)
    assert len(frequencies) == min(height, width) // 2
    assert frequencies[-1] <= 0.5
    assert cutoff(gain * truth + offset, truth) == 0.5  # of odd sides, too
    np.testing.assert_allclose(fourier_ring_correlation(-truth, truth)[1], -1)


def test_what_is_shared_up_to_a_frequency_is_found_there():
    truth, other = noise(129, 200), noise(129, 200, seed=1)
    radius = np.hypot(np.fft.fftfreq(129)[:, None], np.fft.fftfreq(200))
    for edge in (0.1, 0.2, 0.35):
        parts = [np.fft.fft2(image) * mask for image, mask in
                 ((truth, radius < edge), (other, radius >= edge))]  # fmt: skip
        made = np.fft.ifft2(sum(parts)).real
        assert cutoff(made, truth) == pytest.approx(edge, abs=0.03)
    assert cutoff(other, truth) < 0.05


def test_noise_of_the_truths_power_gives_the_correlation_that_theory_gives():
    truth = noise(200, 200)
    _, correlations = fourier_ring_correlation(truth + noise(200, 200, seed=1), truth)
    assert correlations[20:].mean() == pytest.approx(0.5**0.5, abs=0.02)  # of few: chance


def test_a_cutoff_is_where_a_smooth_line_crosses():
    frequencies = np.arange(1, 101) / 200
    line = 1 - 2 * frequencies
    assert cutoff_frequency(frequencies, line) == pytest.approx((1 - 1 / 7) / 2)
    assert cutoff_frequency(frequencies, line, threshold=0.5) == pytest.approx(0.25)
    assert cutoff_frequency(frequencies, 0 * line) == 0
    dip = np.where(np.arange(100) == 20, 0, 1.0)  # one ring alone is chance
    assert cutoff_frequency(frequencies, dip) == 0.5


def test_pixels_that_do_not_count_are_filled_with_the_mean():
    prediction, truth = noise(), noise(seed=1)
    valid = everywhere(truth)
    valid[20:30, :50] = False
    filled = [np.where(valid, image, image[valid].mean()) for image in (prediction, truth)]
    expected = fourier_ring_correlation(*filled)[1]
    prediction[~valid], truth[~valid] = np.nan, 1e9
    found = fourier_ring_correlation(prediction, truth, valid)[1]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(
    ("prediction", "truth", "valid", "words"),
    [
        (np.eye(7), np.eye(7), None, "side is below 8 pixels"),
        (np.ones((9, 9)), np.eye(9), None, "one of the images is constant"),
        (np.eye(9), np.eye(10), None, r"\(9, 9\), the truth \(10, 10\)"),
        (np.full((9, 9), np.nan), np.eye(9), None, "finite numbers"),
        (np.eye(9), np.eye(9), np.zeros((9, 9)), "at least one"),
    ],
)
def test_what_has_no_ring_correlation_is_refused(prediction, truth, valid, words):
    with pytest.raises(InputError, match=words):
        fourier_ring_correlation(prediction, truth, valid)


def test_spectral_pearson_leaves_out_the_frequencies_of_noise():
    clean = 20 * ndimage.gaussian_filter(noise(128, 128), 3)
    truth = clean + noise(128, 128, seed=1)
    rings = ring_means(clean, truth, everywhere(truth))
    plain = np.corrcoef(clean.ravel(), truth.ravel())[0, 1]
    assert plain < 0.9 < 0.97 < spectral_pearson(rings) < 1
    assert spectral_pearson(ring_means(truth, truth, everywhere(truth))) == pytest.approx(1)
    assert spectral_pearson(ring_means(-truth, truth, everywhere(truth))) == pytest.approx(-1)
