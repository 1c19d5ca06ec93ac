"""The one score that a set is judged by; importing it loads nothing else.

What the scores are called, and which way is better; importing it loads nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

# The one number that a set of scores is judged by, whatever the kind.
_HEADLINES = {"pearson": "Pearson", "f1": "F1", "dice": "Dice"}


def headline(scores: Mapping[str, float]) -> tuple[str, float]:
    """Return the name and value of the score that a set is judged by.

    Examples
    --------
    >>> headline({"dice": 0.9, "f1": 0.8})
    ('F1', 0.8)
    """
    key = next(key for key in _HEADLINES if key in scores)
    return _HEADLINES[key], scores[key]


class ScoreName(NamedTuple):
    """How a score is shown.

    Attributes
    ----------
    title : str
        With its unit.
    tip : str
        What it measures.
    better : {"higher", "lower"}
    """

    title: str
    tip: str
    better: Literal["higher", "lower"] = "higher"


_NAMES = {
    "l1": ScoreName("L1", "Mean absolute difference, in the image's unit", "lower"),
    "psnr": ScoreName("PSNR (dB)", "Peak signal to noise ratio"),
    "ssim": ScoreName("SSIM", "Structural similarity, 1 at best"),
    "pearson": ScoreName("Pearson", "Correlation, 1 at best"),
    "nrmse": ScoreName("NRMSE", "Root of the mean squared difference, over the range", "lower"),
    "ms_ssim": ScoreName("MS-SSIM", "Structural similarity at five scales, 1 at best"),
    "spectrum": ScoreName(
        "Spectrum (dB)", "Distance of the power spectra, which blur makes large", "lower"
    ),
    "frechet": ScoreName("Fréchet", "Distance of the features of all images", "lower"),
    "dice": ScoreName("Dice", "Overlap of pixels, 1 at best"),
    "iou": ScoreName("IoU", "Intersection over union of pixels, 1 at best"),
    "f1": ScoreName("F1", "Objects found at an IoU of 0.5, 1 at best"),
    "f1_mean": ScoreName("F1, mean", "Objects found, mean over IoU from 0.5 to 0.95"),
    "matched_iou": ScoreName("IoU of matches", "Mean IoU of the objects that were found"),
    "pq": ScoreName("PQ", "Panoptic quality, 1 at best"),
}


def name_of(key: str) -> ScoreName:
    """Return how the score of a key is shown.

    Examples
    --------
    >>> name_of("f1_75").title, name_of("dice_2").title, name_of("segmented_f1").title
    ('F1 at 0.75', 'Dice of class 2', 'F1 segmented')
    """
    if key in _NAMES:
        return _NAMES[key]
    kind, _, rest = key.partition("_")
    if kind == "segmented":
        title, tip, better = name_of(rest)
        return ScoreName(f"{title} segmented", f"{tip}; of what a segmenter finds", better)
    if kind == "f1":
        share = f"{int(rest) / 100:.2f}"
        return ScoreName(f"F1 at {share}", f"Objects found at an IoU of {share}, 1 at best")
    return ScoreName(f"Dice of class {rest}", "Overlap of the pixels of a class, 1 at best")
