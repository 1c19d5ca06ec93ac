"""What scores are called, and which way is better; quick to import, for docks and commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

# The primary metric is the first of these that a set of scores has.
_PRIMARY = {"pearson": "Pearson", "f1": "F1", "dice": "Dice"}


class ScoreDescription(NamedTuple):
    """How a score is shown: its title with the unit, what it measures, and which way is better."""

    title: str
    tip: str
    better: Literal["higher", "lower"] = "higher"
    pooled: str = "mean over images, by their pixels"  # how the images of a set make one score


_OVER_IMAGES = "mean over images"
_OVER_OBJECTS = "all objects counted together"

_DESCRIPTIONS = {
    "l1": ScoreDescription("L1", "Mean absolute difference, in the image's unit", "lower"),
    "psnr": ScoreDescription("PSNR (dB)", "Peak signal to noise ratio"),
    "ssim": ScoreDescription("SSIM", "Structural similarity, 1 at best"),
    "pearson": ScoreDescription("Pearson", "Correlation, 1 at best"),
    "nrmse": ScoreDescription(
        "NRMSE", "Root of the mean squared difference, over the range", "lower"
    ),
    "ms_ssim": ScoreDescription("MS-SSIM", "Structural similarity at five scales, 1 at best"),
    "spectrum": ScoreDescription(
        "Spectrum (dB)", "Distance of the power spectra; blur makes it large", "lower"
    ),
    "micro_ssim": ScoreDescription(
        "MicroSSIM",
        "Structural similarity after one gain and one offset for the whole set, 1 at best",
    ),
    "frc_cutoff": ScoreDescription(
        "FRC cut-off (1/px)",
        "Frequency up to which detail is the true one (Fourier ring correlation above 1/7), 0.5 at "
        "best; 1 over it is the finest shared detail in pixels",
    ),
    "spectral_pearson": ScoreDescription(
        "Spectral Pearson", "Correlation of the frequencies where the truth is no noise, 1 at best"
    ),
    "object_mean_error": ScoreDescription(
        "Object brightness error",
        "Relative error of the mean intensity of the true objects, above the background",
        "lower",
        _OVER_OBJECTS,
    ),
    "object_mean_pearson": ScoreDescription(
        "Object brightness Pearson",
        "Correlation, over the true objects, of their mean intensities, 1 at best",
        pooled=_OVER_OBJECTS,
    ),
    "object_sum_error": ScoreDescription(
        "Object total error",
        "Relative error of the integrated intensity of the true objects, above the background",
        "lower",
        _OVER_OBJECTS,
    ),
    "object_sum_pearson": ScoreDescription(
        "Object total Pearson",
        "Correlation, over the true objects, of their integrated intensities, 1 at best",
        pooled=_OVER_OBJECTS,
    ),
    "frechet": ScoreDescription(
        "Fréchet", "Distance of the features of all images", "lower", "one distance for all"
    ),
    "dice": ScoreDescription("Dice", "Overlap of pixels, 1 at best", pooled=_OVER_IMAGES),
    "iou": ScoreDescription(
        "IoU", "Intersection over union of pixels, 1 at best", pooled=_OVER_IMAGES
    ),
    "f1": ScoreDescription("F1", "Objects found at an IoU of 0.5, 1 at best", pooled=_OVER_OBJECTS),
    "f1_mean": ScoreDescription(
        "F1, mean", "Objects found, mean over IoU from 0.5 to 0.95", pooled=_OVER_OBJECTS
    ),
    "matched_iou": ScoreDescription(
        "IoU of matches", "Mean IoU of the objects that were found", pooled=_OVER_OBJECTS
    ),
    "pq": ScoreDescription("PQ", "Panoptic quality, 1 at best", pooled=_OVER_OBJECTS),
    "count_error": ScoreDescription(
        "Count error",
        "Objects too many or too few, as a part of the true ones; 0 at best",
        "lower",
        "differences of all images added up, over all true objects",
    ),
    "area_error": ScoreDescription(
        "Area error",
        "Relative error of the areas of the objects that were found",
        "lower",
        _OVER_OBJECTS,
    ),
    "area_pearson": ScoreDescription(
        "Area Pearson",
        "Correlation of the areas of the objects that were found, 1 at best",
        pooled=_OVER_OBJECTS,
    ),
}


def has_primary_metric(scores: Mapping[str, float]) -> bool:
    """Tell whether there is a score that can be shown first."""
    return any(key in scores for key in _PRIMARY)


def primary_metric(scores: Mapping[str, float]) -> tuple[str, float]:
    """Return the title and value of the one score that is shown first."""
    key = next(key for key in _PRIMARY if key in scores)
    return _PRIMARY[key], scores[key]


def describe_score(key: str) -> ScoreDescription:
    """Describe a score; its key may have a threshold, a class or ``segmented_`` in it."""
    if key in _DESCRIPTIONS:
        return _DESCRIPTIONS[key]
    kind, _, rest = key.partition("_")
    if kind == "segmented":
        found = describe_score(rest)
        tip = f"{found.tip}; of what a segmenter finds"
        return found._replace(title=f"{found.title} segmented", tip=tip)
    if kind == "f1":
        iou = f"{int(rest) / 100:.2f}"
        tip = f"Objects found at an IoU of {iou}, 1 at best"
        return ScoreDescription(f"F1 at {iou}", tip, pooled=_OVER_OBJECTS)
    if kind == "dice":
        tip = "Overlap of the pixels of a class, 1 at best"
        pooled = "mean over the images that hold the class"
        return ScoreDescription(f"Dice of class {rest}", tip, pooled=pooled)
    raise KeyError(f"{key!r} has no description: add one to _DESCRIPTIONS.")
