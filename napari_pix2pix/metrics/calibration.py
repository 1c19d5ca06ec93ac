"""Whether the spread of several samples tells where their mean is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from napari_pix2pix.errors import InputError, rounded

_BINS = 10
_TELLS, _HINTS = 0.7, 0.3  # of the rank correlation that perfect samples would have
_EVEN = 0.1  # perfect samples stay below this correlation where their spread hardly varies
_FAR = 1.5  # error and spread may differ by this factor


@dataclass(frozen=True)
class Calibration:
    """Spread of samples against error of their mean (Levi et al., 2022)."""

    # Of bins of equally many pixels, from small to large spread: root mean variance of the samples
    # and root mean squared error of their mean, in the image's unit. Equal if calibrated.
    spreads: tuple[float, ...]
    errors: tuple[float, ...]
    correlation: float  # Spearman's, of spread and absolute error; NaN if either is constant
    possible: float  # the same if errors were normal with exactly this spread: well below 1
    ratio: float  # of error and spread over all pixels: above 1 the samples promise too much
    samples: int
    pixels: int

    @property
    def conclusion(self) -> str:
        """The finding, in sentences."""
        if not any(self.spreads):
            return "All samples are alike: they do not show where the error is."
        if math.isnan(self.correlation):
            return "The error is the same everywhere, so there is nothing for the spread to tell."
        ranks = f"rank correlation {self.correlation:.2f}; perfect samples: {self.possible:.2f}"
        if self.possible < _EVEN:
            where = f"The spread is nearly the same everywhere and cannot tell where ({ranks})."
        elif self.correlation >= _TELLS * self.possible:
            where = f"The spread tells where the error is ({ranks})."
        elif self.correlation >= _HINTS * self.possible:
            where = f"The spread only hints at where the error is ({ranks})."
        else:
            where = (
                f"The spread does not tell where the error is ({ranks}): do not read it as "
                "uncertainty."
            )
        if 1 / _FAR <= self.ratio <= _FAR:
            return f"{where} Its size fits: errors are {rounded(self.ratio)} times the spread."
        size = "too small" if self.ratio > 1 else "too large"
        return f"{where} Its size is {size}: errors are {rounded(self.ratio)} times the spread."


def calibrate(spread: NDArray[Any], error: NDArray[Any], *, samples: int) -> Calibration:
    """Compare the samples' standard deviation (N,) with their mean minus the truth (N,)."""
    spread, error = (np.asarray(values, np.float64).ravel() for values in (spread, error))
    if not spread.size or spread.size != error.size:
        raise InputError(
            f"The number of spreads is {spread.size} and the number of errors {error.size}: give "
            "as many of each, at least one."
        )
    ideal = np.random.default_rng(0).normal(0, spread)
    bins = np.array_split(np.argsort(spread, kind="stable"), min(_BINS, spread.size))
    whole = _root_mean_square(spread)
    return Calibration(
        spreads=tuple(_root_mean_square(spread[chosen]) for chosen in bins),
        errors=tuple(_root_mean_square(error[chosen]) for chosen in bins),
        correlation=_rank_correlation(spread, np.abs(error)),
        possible=_rank_correlation(spread, np.abs(ideal)),
        ratio=_root_mean_square(error) / whole if whole else math.inf,
        samples=samples,
        pixels=spread.size,
    )


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    varies = np.ptp(first) > 0 and np.ptp(second) > 0
    return float(spearmanr(first, second).statistic) if varies else math.nan


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
