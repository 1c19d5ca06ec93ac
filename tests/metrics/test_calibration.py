import math

import numpy as np
import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.calibration import calibrate


def test_calibrated_samples_lie_on_the_diagonal():
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.5, 5, 40_000)
    found = calibrate(spread, rng.normal(0, spread), samples=8)
    np.testing.assert_allclose(found.errors, found.spreads, rtol=0.1)
    assert list(found.spreads) == sorted(found.spreads)
    assert found.ratio == pytest.approx(1, rel=0.03)
    assert found.correlation == pytest.approx(found.possible, abs=0.03)
    assert found.conclusion.startswith("The spread tells where the error is")
    assert "Its size fits" in found.conclusion
    assert found.pixels == 40_000


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (lambda spread, rng: 4 * spread * rng.choice([-1, 1], 999), "tells where the error is"),
        (lambda spread, rng: 4 * spread, "too small: errors are 4 times the spread"),
        (lambda spread, rng: 0.1 * spread, "too large: errors are 0.1 times the spread"),
        (lambda spread, rng: rng.normal(0, 1, 999), "does not tell where the error is"),
        (lambda spread, rng: rng.normal(0, 1 + spread), "hints at where the error is"),
        (lambda spread, rng: np.full(999, 2.0), "nothing for the spread to tell"),
    ],
)
def test_the_conclusion_is_a_sentence(error, words):
    rng = np.random.default_rng(1)
    spread = rng.uniform(0.2, 3, 999)
    assert words in calibrate(spread, error(spread, rng), samples=4).conclusion


def test_samples_that_are_alike_tell_nothing():
    found = calibrate(np.zeros(50), np.arange(50.0), samples=4)
    assert math.isnan(found.correlation)
    assert math.isinf(found.ratio)
    assert "All samples are alike" in found.conclusion


def test_an_even_spread_cannot_tell():
    rng = np.random.default_rng(0)
    spread = rng.uniform(1, 1.05, 5000)
    conclusion = calibrate(spread, rng.normal(0, spread), samples=4).conclusion
    assert "nearly the same everywhere" in conclusion


def test_few_pixels_make_few_bins():
    assert len(calibrate(np.arange(3.0), np.arange(3.0), samples=2).spreads) == 3
    with pytest.raises(InputError, match="number of spreads is 0"):
        calibrate(np.empty(0), np.empty(0), samples=2)
