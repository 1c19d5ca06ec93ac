"""Scores of what is measured on objects: their brightness, their integrated intensity, their area.

Such measurements are what images are often made for, and a good correlation of pixels does not mean
that they are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_FEWEST = 3  # objects that have a correlation: that of two is 1 or -1


@dataclass(frozen=True, eq=False)
class ObjectIntensities:
    """Mean intensities of N objects in D channels, above the median outside all objects."""

    predicted: Values  # (D, N), like `true`; NaN where an object has no valid pixel
    true: Values
    areas: Values  # (D, N) valid pixels


def measure_objects(
    prediction: NDArray[np.generic],
    truth: NDArray[np.generic],
    labels: NDArray[Any],
    valid: NDArray[np.bool_],
) -> ObjectIntensities:
    """Measure the objects of a label image in a prediction and in its truth.

    Each image has its own background: the median of its valid pixels outside all objects, or 0 if
    there is none.

    Parameters
    ----------
    prediction, truth : ndarray
        Intensities of shape (D, H, W); finite in the truth where `valid`.
    labels : ndarray of int
        (1, H, W), positive in the objects.
    valid : ndarray of bool
        (1 or D, H, W): the pixels that count.

    Returns
    -------
    ObjectIntensities

    Examples
    --------
    >>> truth = np.array([[[5.0, 5.0, 1.0, 9.0]]])
    >>> labels = np.array([[[1, 1, 0, 2]]])
    >>> measured = measure_objects(truth / 2, truth, labels, np.ones((1, 1, 4), bool))
    >>> measured.true.tolist(), measured.predicted.tolist(), measured.areas.tolist()
    ([[4.0, 8.0]], [[2.0, 4.0]], [[2.0, 1.0]])
    """
    counted = np.broadcast_to(valid, truth.shape)
    # 0 is the background, even if there is none.
    objects = np.append(0, np.where(labels > 0, labels, 0))
    _, numbers = np.unique(objects, return_inverse=True)
    numbers = numbers[1:].reshape(labels.shape[1:])
    count = int(numbers.max(initial=0))
    areas = np.stack([_totals(numbers[inside], None, count) for inside in counted])
    predicted, true = (
        np.stack([_means(*parts, numbers, count) for parts in zip(image, counted, strict=True)])
        for image in (prediction, truth)
    )
    return ObjectIntensities(predicted, true, areas)


def object_scores(images: Sequence[ObjectIntensities]) -> dict[str, float]:
    """Score the objects of all images together; means over channels, without those that are NaN."""
    predicted, true, areas = (
        np.concatenate(parts, axis=1)
        for parts in zip(*((one.predicted, one.true, one.areas) for one in images), strict=True)
    )
    channels = list(zip(predicted, true, areas, strict=True))
    return {
        "object_mean_error": _mean([relative_error(p, t) for p, t, _ in channels]),
        "object_mean_pearson": _mean([correlation(p, t) for p, t, _ in channels]),
        "object_sum_error": _mean([relative_error(p * a, t * a) for p, t, a in channels]),
        "object_sum_pearson": _mean([correlation(p * a, t * a) for p, t, a in channels]),
    }


def relative_error(predicted: Values, true: Values) -> float:
    """Divide the sum of the absolute differences by that of the true values; NaN if it is 0.

    A mean of each object's relative error would be that of the faintest objects.
    """
    known = ~np.isnan(true)
    size = float(np.abs(true[known]).sum())
    return float(np.abs(predicted - true)[known].sum()) / size if size > 0 else math.nan


def correlation(predicted: Values, true: Values) -> float:
    """Correlate two measurements (N,); NaN below 3 objects, and if one does not vary."""
    known = ~np.isnan(true)
    predicted, true = predicted[known], true[known]
    if len(true) < _FEWEST or not np.isfinite(predicted).all():
        return math.nan
    if np.ptp(true) == 0 or np.ptp(predicted) == 0:
        return math.nan
    return float(np.corrcoef(predicted, true)[0, 1])


def _means(
    image: NDArray[np.generic], counted: NDArray[np.bool_], numbers: NDArray[np.intp], count: int
) -> Values:
    """Average the counted pixels of each object (N,), above the background of the image."""
    inside, pixels = numbers[counted], image[counted].astype(np.float64)
    outside = pixels[inside == 0]
    background = float(np.median(outside)) if outside.size else 0.0
    areas = _totals(inside, None, count)
    sums = _totals(inside, pixels - background, count)
    return np.divide(sums, areas, out=np.full(count, np.nan), where=areas > 0)


def _totals(inside: NDArray[np.intp], weights: Values | None, count: int) -> Values:
    """Add up pixels, or their weights, of each object but the background."""
    return np.bincount(inside, weights, minlength=count + 1)[1:].astype(np.float64)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
