import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.metrics import structural_similarity

from napari_pix2pix.metrics._micro_ssim import local_moments, micro_ssim


def cells(height: int = 60, width: int = 47, seed: int = 0) -> np.ndarray:
    """A few bright objects on a dark, slightly noisy ground with an offset."""
    rng = np.random.default_rng(seed)
    return (
        500
        + 3000 * ndimage.gaussian_filter((rng.random((height, width)) > 0.99) * 1.0, 2)
        + (rng.normal(0, 2, (height, width)))
    )


def moments(prediction, truth, valid=None):
    return local_moments(prediction, truth, np.ones(truth.shape, bool) if valid is None else valid)


def score(prediction, truth, valid=None) -> float:
    return micro_ssim([moments(prediction, truth, valid)], [1])[0]


@settings(deadline=None, max_examples=20)
@given(gain=st.floats(1e-4, 1e4), offset=st.floats(-1000, 1000))
def test_any_gain_and_offset_score_1_where_plain_ssim_does_not(gain, offset):
    truth = cells()
    assert score(gain * truth + offset, truth) == pytest.approx(1, abs=1e-6)


def test_plain_ssim_falls_with_gain_and_offset():
    truth = cells()
    plain = structural_similarity(truth, 0.2 * truth + 5000, data_range=np.ptp(truth))
    assert plain < 0.2
    assert score(0.2 * truth + 5000, truth) == pytest.approx(1)


def test_it_is_the_ssim_of_what_was_subtracted_and_scaled():
    truth = cells()
    prediction = ndimage.gaussian_filter(0.3 * truth, 1) + 90
    own, other = (image - np.percentile(image, 3) for image in (prediction, truth))
    best = max(
        structural_similarity(other, scale * own, data_range=other.max(), full=True)[1][
            3:-3, 3:-3
        ].mean()
        for scale in np.linspace(2.5, 4.5, 81)
    )
    assert best < 0.98
    assert score(prediction, truth) == pytest.approx(best, abs=1e-4)


def test_one_scale_serves_the_whole_set():
    truths = [cells(seed=seed) for seed in range(2)]
    alike = [moments(0.5 * truth, truth) for truth in truths]
    assert micro_ssim(alike, [1, 1]) == pytest.approx([1, 1])
    unlike = [moments(gain * truth, truth) for gain, truth in zip((0.2, 1), truths, strict=True)]
    both = micro_ssim(unlike, [1, 1])
    assert max(both) < 0.99
    # The image that weighs more is fitted better.
    assert micro_ssim(unlike, [1, 1000])[1] > both[1]


def test_noise_lowers_it_and_windows_are_drawn_from_large_images():
    truth = cells(300, 300)
    noisy = [truth + np.random.default_rng(1).normal(0, by, truth.shape) for by in (5, 50, 500)]
    scores = [score(one, truth) for one in noisy]
    assert scores == sorted(scores, reverse=True)
    assert len(moments(truth, truth).covariance) == 4096


def test_pixels_that_do_not_count_are_in_no_window():
    truth = cells()
    prediction = 2 * ndimage.gaussian_filter(truth, 1)
    valid = np.ones(truth.shape, bool)
    valid[:, 30:] = False
    expected = score(prediction[:, :30], truth[:, :30])
    prediction[:, 30:], truth[:, 30:] = np.nan, 1e9
    assert score(prediction, truth, valid) == pytest.approx(expected)


def test_constant_and_small_images():
    truth = cells()
    assert math.isnan(score(truth, np.full(truth.shape, 3.0)))
    assert 0 < score(np.full(truth.shape, 3.0), truth) < 0.9
    assert moments(truth[:6], truth[:6]) is None
    assert moments(truth, truth, np.indices(truth.shape).sum(0) % 2 == 0) is None
