"""Scores images and labels, one at a time or pooled, and the Fréchet distance of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.images import image_scores, mean_scores
from napari_pix2pix.metrics.labels import LabelCounts, label_counts, pool_label_scores


def frechet_distance(features: ArrayLike, others: ArrayLike) -> float:
    """Return the squared Fréchet distance of normal distributions fitted to (N, D) and (M, D).

    A row is an image. With Inception's features it is the FID (Heusel et al., 2017). It is biased
    upwards for few rows, so compare only sets of the same size.

    >>> corners = np.array([[0, 0], [0, 2], [2, 0], [2, 2]])
    >>> round(frechet_distance(corners, corners + [3, 4]), 6)
    25.0
    """
    first, second = (np.asarray(table, np.float64) for table in (features, others))
    fits = first.ndim == second.ndim == 2 and first.shape[1] == second.shape[1] > 0
    if not fits or min(len(first), len(second)) < 2:
        raise InputError(
            f"The features have shapes {first.shape} and {second.shape}: give two tables with the "
            "same number of columns, and a row for each of 2 images or more."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("The features hold NaN or infinite values: check what makes them.")
    covariances = [np.atleast_2d(np.cov(table, rowvar=False)) for table in (first, second)]
    squared_shift = np.sum((first.mean(axis=0) - second.mean(axis=0)) ** 2)
    # The trace of the root of the product, by a symmetric matrix with the same eigenvalues.
    root = _matrix_root(covariances[0])
    shared = linalg.eigvalsh(root @ covariances[1] @ root).clip(min=0)
    traces = sum(np.trace(covariance) for covariance in covariances)
    return max(0.0, float(squared_shift + traces - 2 * np.sqrt(shared).sum()))


def _matrix_root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(values.clip(min=0))) @ vectors.T)


Kind = Literal["image", "classes", "instances"]

_SEGMENTED = ("dice", "f1", "f1_mean", "pq")


@dataclass(frozen=True)
class ScoredImage:
    """The scores of one image, and what the pooled scores of a set need to know of it."""

    scores: dict[str, float]
    weight: float  # number of valid pixels, a mean over channels
    counts: LabelCounts | None = None  # of labels; None for intensities
    segmented: LabelCounts | None = None  # of what a segmenter finds in the image
    full: bool = False  # whether the slow scores are wanted too

    def with_segmented(self, counts: LabelCounts) -> ScoredImage:
        """Add the scores of what a segmenter finds in the prediction."""
        scores = self.scores | segmented_scores([counts])
        return replace(self, scores=scores, segmented=counts)


def score_image(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    *,
    kind: Kind,
    valid: NDArray[Any],
    data_range: Sequence[float] = (),
    full: bool = False,
) -> ScoredImage:
    """Score a prediction (C, H, W); `valid` is bool (1 or C, H, W), the range for intensities."""
    weight = float(valid.sum()) / len(valid)
    if kind == "image":
        scores = image_scores(prediction, truth, data_range=data_range, valid=valid, full=full)
        return ScoredImage(scores, weight, full=full)
    counts = label_counts(prediction, truth, kind=kind, valid=valid)
    return ScoredImage(pool_label_scores([counts], full=full), weight, counts, full=full)


def pool_scores(images: Sequence[ScoredImage]) -> dict[str, float]:
    """Pool the scores of a set: objects are counted together, images weighted by their pixels."""
    counts = [image.counts for image in images if image.counts is not None]
    if counts:
        return pool_label_scores(counts, full=images[0].full)
    weights = [image.weight for image in images]
    pooled = mean_scores([image.scores for image in images], weights)
    segmented = [image.segmented for image in images if image.segmented is not None]
    return pooled | segmented_scores(segmented) if segmented else pooled


def segmented_scores(counts: Sequence[LabelCounts]) -> dict[str, float]:
    """Pool the scores of what a segmenter finds; their keys begin with ``segmented_``."""
    scores = pool_label_scores(counts)
    return {f"segmented_{name}": scores[name] for name in _SEGMENTED}
