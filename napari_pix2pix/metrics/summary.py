"""One way to score images and labels, one at a time or pooled over a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from numpy.typing import NDArray

from napari_pix2pix.metrics.images import image_scores, mean_scores
from napari_pix2pix.metrics.labels import LabelCounts, label_counts, pool_label_scores

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
    """Score one prediction (C, H, W); ``valid`` is bool (1 or C, H, W).

    ``data_range`` is for intensities, see `channel_scores`; ``full`` adds the slow scores, and F1
    at each threshold.
    """
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
