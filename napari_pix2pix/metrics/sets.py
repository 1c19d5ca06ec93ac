"""One way to score images and labels, one at a time or pooled over a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.labels import LabelCounts, label_counts, pool_label_scores
from napari_pix2pix.metrics.scores import image_scores, mean_scores

Kind = Literal["image", "classes", "instances"]


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
    """

    scores: dict[str, float]
    weight: float
    counts: LabelCounts | None = None


def score(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    *,
    kind: Kind,
    valid: NDArray[Any],
    data_range: Sequence[float] = (),
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

    Raises
    ------
    InputError
        When shapes differ or no pixel counts.
    """
    weight = float(valid.sum()) / len(valid)
    if kind == "image":
        scores = image_scores(prediction, truth, data_range=data_range, valid=valid)
        return Scored(scores, weight)
    counts = label_counts(prediction, truth, kind=kind, valid=valid)
    return Scored(pool_label_scores([counts]), weight, counts)


def pool(images: Sequence[Scored]) -> dict[str, float]:
    """Pool the scores of a set: objects are counted together, images weighted by their pixels."""
    counts = [image.counts for image in images if image.counts is not None]
    if counts:
        return pool_label_scores(counts)
    return mean_scores([image.scores for image in images], weights=[i.weight for i in images])


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
