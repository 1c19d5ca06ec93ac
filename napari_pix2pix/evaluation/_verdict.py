"""An evaluation in one sentence, and its objects in another one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from napari_pix2pix.errors import plural
from napari_pix2pix.evaluation.scoring import ImageScores
from napari_pix2pix.metrics.labels import LabelCounts
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.metrics.segmentation import OtsuBaseline


def verdict(pooled: Mapping[str, Mapping[str, float]], images: Sequence[ImageScores]) -> str:
    """Say the primary metric beside the baseline's, such as "Pearson 0.81, ... has 0.42."."""
    title, value = primary_metric(pooled["prediction"])
    if math.isnan(value):
        return f"{title} is not defined here: there is nothing to find, or all is the same."
    said = f"{title} {value:.2f}"
    if "baseline" not in pooled:
        return f"{said}. No baseline stands beside it: give the source, to have one."
    _, other = primary_metric(pooled["baseline"])
    name = _name_baseline(images)
    said = f"{said}, {name} has {other:.2f}."
    return f"{said} The prediction is no better than that." if value <= other else said


def count_objects(images: Sequence[ImageScores]) -> str:
    """Say how many objects were found, missed and are false; "" where no objects were counted."""
    counts = [_counts(image) for image in images]
    known = [count for count in counts if count is not None]
    if not known:
        return ""
    true = sum(count.true for count in known)
    found = sum(count.matched[0] for count in known if count.matched)
    false = sum(count.predicted for count in known) - found
    return f"{plural(true, 'true object')}: {found} found, {true - found} missed; {false} false."


def _counts(image: ImageScores) -> LabelCounts | None:
    scored = image.scored["prediction"]
    counts = scored.segmented or scored.counts
    return counts if counts is not None and counts.kind == "instances" else None


def _name_baseline(images: Sequence[ImageScores]) -> str:
    if isinstance(images[0].case.baseline, OtsuBaseline):
        return "Otsu's threshold"
    return "the best linear map"
