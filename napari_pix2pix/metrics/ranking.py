"""Whether a map is high where the error is: unlikeness, or the spread of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from napari_pix2pix.errors import InputError

_WORST = 0.1  # of the cells, by their error
_TELLS, _HINTS = 0.8, 0.65  # of the area under the curve; 0.5 is chance


@dataclass(frozen=True)
class ErrorRanking:
    """How well the values of cells rank their errors."""

    correlation: float  # Spearman's; NaN if values or errors are all the same
    auroc: float  # chance that one of the worst cells has a higher value than another one
    cells: int

    @property
    def ranks(self) -> str:
        """Both numbers, in words."""
        return (
            f"rank correlation {self.correlation:.2f}, AUROC of the worst tenth {self.auroc:.2f} "
            "(0.5 is chance)"
        )

    @property
    def conclusion(self) -> str:
        """Whether the values tell where the error is: the end of a sentence."""
        if math.isnan(self.auroc):
            return "is the same everywhere, or the error is: there is nothing to tell."
        if self.auroc >= _TELLS:
            return f"tells where the error is ({self.ranks})."
        if self.auroc >= _HINTS:
            return f"only hints at where the error is ({self.ranks})."
        return f"does not tell where the error is ({self.ranks})."


def rank_errors(values: NDArray[Any], errors: NDArray[Any]) -> ErrorRanking:
    """Compare the values (N,) of cells with their errors (N,), 0 or more.

    The worst cells are the worst tenth, or all that are wrong where they are fewer. Cells with the
    same error are all among the worst, or none of them is.

    Raises
    ------
    InputError
        If there are none, or not as many of each.

    Examples
    --------
    >>> rank_errors(np.arange(20), np.arange(20)).auroc
    1.0
    """
    values, errors = (np.asarray(array, np.float64).ravel() for array in (values, errors))
    if not values.size or values.size != errors.size:
        raise InputError(
            f"The number of values is {values.size} and the number of errors {errors.size}: give "
            "as many of each, at least one."
        )
    if not (np.ptp(values) and np.ptp(errors)):
        return ErrorRanking(math.nan, math.nan, values.size)
    worst = _worst(errors)
    correlation = float(spearmanr(values, errors).statistic)
    return ErrorRanking(correlation, _area_under_curve(values, worst), values.size)


def _worst(errors: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the worst cells of errors (N,) that are not all the same."""
    least = np.sort(errors)[-max(1, round(_WORST * errors.size))]
    fewest = errors.min()
    return np.asarray(errors >= least if least > fewest else errors > fewest)


def _area_under_curve(values: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    count = int(positive.sum())
    ranks = rankdata(values)[positive].sum()
    return float((ranks - count * (count + 1) / 2) / (count * (values.size - count)))
