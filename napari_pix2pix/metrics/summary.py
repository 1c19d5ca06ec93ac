"""One way to score images and labels, one at a time or pooled over a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics._images import image_scores, mean_scores
from napari_pix2pix.metrics.labels import LabelCounts, label_counts, pool_label_scores

Kind = Literal["image", "classes", "instances"]

_SEGMENTED = ("dice", "f1", "f1_mean", "pq")


@dataclass(frozen=True)
class Scored:
    """What one image contributes to the scores of a set.

    Attributes
    ----------
    scores : dict of str to float
        The image's own scores.
    weight : float
        Its labelled pixels, a mean over channels.
    counts : LabelCounts or None
        What pooled scores of labels are made of; None for intensities.
    segmented : LabelCounts or None
        The same of what a segmenter finds in the image, where there is one.
    full : bool
        Whether all scores are wanted, not the quick ones alone.
    """

    scores: dict[str, float]
    weight: float
    counts: LabelCounts | None = None
    segmented: LabelCounts | None = None
    full: bool = False


def score(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    *,
    kind: Kind,
    valid: NDArray[Any],
    data_range: Sequence[float] = (),
    full: bool = False,
) -> Scored:
    """Score one prediction, intensities or labels.

    Parameters
    ----------
    prediction, truth : array (C, H, W)
        In the target's dtype.
    kind : {"image", "classes", "instances"}
        What the values mean.
    valid : bool array (1 or C, H, W)
        The pixels that count; at least one.
    data_range : sequence of float
        For intensities, see `image_scores`.
    full : bool
        Add the scores that take longer, and F1 at each threshold.

    Raises
    ------
    InputError
        When shapes differ or no pixel counts.
    """
    weight = float(valid.sum()) / len(valid)
    if kind == "image":
        scores = image_scores(prediction, truth, data_range=data_range, valid=valid, full=full)
        return Scored(scores, weight, full=full)
    counts = label_counts(prediction, truth, kind=kind, valid=valid)
    return Scored(pool_label_scores([counts], full=full), weight, counts, full=full)


def with_segmented(scored: Scored, found: LabelCounts) -> Scored:
    """Add the scores of what a segmenter finds in the prediction."""
    return replace(scored, scores=scored.scores | segmented_scores([found]), segmented=found)


def pool(images: Sequence[Scored]) -> dict[str, float]:
    """Pool the scores of a set: objects are counted together, images weighted by their pixels."""
    counts = [image.counts for image in images if image.counts is not None]
    if counts:
        return pool_label_scores(counts, full=images[0].full)
    pooled = mean_scores([image.scores for image in images], weights=[i.weight for i in images])
    found = [image.segmented for image in images if image.segmented is not None]
    return pooled | segmented_scores(found) if found else pooled


def segmented_scores(counts: Sequence[LabelCounts]) -> dict[str, float]:
    """Pool the scores of what a segmenter finds; their keys begin with ``segmented_``."""
    scores = pool_label_scores(counts)
    return {f"segmented_{name}": scores[name] for name in _SEGMENTED}


def summarise(scored: Sequence[tuple[str, Mapping[str, Scored]]]) -> dict[str, Any]:
    """Put the scores of named images together.

    Parameters
    ----------
    scored : sequence of (str, mapping of str to Scored)
        Name of each image, and the scores of each side, such as ``prediction`` and ``trivial``.

    Returns
    -------
    dict
        Each side with its pooled scores, and ``images``: name and scores of each.

    Raises
    ------
    InputError
        When there is no image.
    """
    if not scored:
        raise InputError(
            "No pixel is left to score: the masks leave nothing where both images are finite."
        )
    images = [
        {"name": name} | {side: one.scores for side, one in sides.items()} for name, sides in scored
    ]
    pooled = {side: pool([sides[side] for _, sides in scored]) for side in scored[0][1]}
    return {**pooled, "images": images}
