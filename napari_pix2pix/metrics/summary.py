"""Scores images and labels, one at a time or pooled, and the Fréchet distance of features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics._micro_ssim import LocalMoments, micro_ssim
from napari_pix2pix.metrics.images import channels_of, mean_scores, score_channel
from napari_pix2pix.metrics.labels import LabelCounts, label_counts, pool_label_scores
from napari_pix2pix.metrics.objects import ObjectIntensities, object_scores


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

_SEGMENTED = ("dice", "f1", "f1_mean", "pq", "count_error", "area_error", "area_pearson")


@dataclass(frozen=True)
class ScoredImage:
    """The scores of one image, and what the pooled scores of a set need to know of it."""

    scores: dict[str, float]
    weight: float  # number of valid pixels, a mean over channels
    counts: LabelCounts | None = None  # of labels; None for intensities
    segmented: LabelCounts | None = None  # of what a segmenter finds in the image
    objects: ObjectIntensities | None = None  # of the true objects, if there is a segmenter
    moments: tuple[LocalMoments | None, ...] = ()  # of each channel, until `fit_micro_ssim`
    full: bool = False  # whether the slow scores are wanted too

    def with_segmented(self, counts: LabelCounts, objects: ObjectIntensities) -> ScoredImage:
        """Add the scores of what a segmenter finds, and of the intensities of true objects."""
        scores = self.scores | segmented_scores([counts]) | object_scores([objects])
        return replace(self, scores=scores, segmented=counts, objects=objects)


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
        channels = channels_of(prediction, truth, data_range=data_range, valid=valid)
        scores = mean_scores([score_channel(channel, full=full) for channel in channels])
        moments = tuple(channel.moments for channel in channels) if full else ()
        return ScoredImage(scores, weight, moments=moments, full=full)
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
    objects = [image.objects for image in images if image.objects is not None]
    if segmented:
        pooled |= segmented_scores(segmented) | object_scores(objects)
    return pooled


def fit_micro_ssim(images: Sequence[ScoredImage]) -> list[ScoredImage]:
    """Score a set by MicroSSIM with one background, range and scale for each channel of the set.

    Before, the score of each image is that of a set of its own. The moments are let go.
    """
    if not any(image.moments for image in images):
        return list(images)
    columns = zip(*(image.moments for image in images), strict=True)
    weights = [image.weight for image in images]
    channels = [_micro_ssim_of_channel(column, weights) for column in columns]
    return [
        replace(image, scores=image.scores | mean_scores(scores), moments=())
        for image, *scores in zip(images, *channels, strict=True)
    ]


def _micro_ssim_of_channel(
    moments: Sequence[LocalMoments | None], weights: Sequence[float]
) -> list[dict[str, float]]:
    known = [(one, weight) for one, weight in zip(moments, weights, strict=True) if one is not None]
    scores = iter(micro_ssim(*zip(*known, strict=True)) if known else [])
    return [{"micro_ssim": math.nan if one is None else next(scores)} for one in moments]


def segmented_scores(counts: Sequence[LabelCounts]) -> dict[str, float]:
    """Pool the scores of what a segmenter finds; their keys begin with ``segmented_``."""
    scores = pool_label_scores(counts, full=True)
    return {f"segmented_{name}": scores[name] for name in _SEGMENTED}
