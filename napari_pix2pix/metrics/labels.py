"""Scores of predicted labels against the true ones: pixels for class maps, objects for instances.

Pixel scores of a set are means over its images, object scores come from counts pooled over them,
as segmentation challenges report them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from napari_pix2pix.errors import InputError

LabelKind = Literal["classes", "instances"]

# A match overlaps by more than the threshold: from a half on, an object then has one at most.
THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))

_BACKGROUND = 0


@dataclass(frozen=True)
class LabelCounts:
    """What `pool_label_scores` needs to know of one image.

    Attributes
    ----------
    kind : {'classes', 'instances'}
    pixels : mapping of int to tuple of 3 int
        For each class but the background: pixels of the intersection, of the prediction, of the
        truth. Instances are one class, 1.
    predicted, true : int
        Number of objects; 0 for classes.
    matched : tuple of int
        Objects matched at each of `THRESHOLDS`; empty for classes.
    overlap : float
        Sum of the IoU of the objects matched at 0.5.
    """

    kind: LabelKind
    pixels: Mapping[int, tuple[int, int, int]]
    predicted: int = 0
    true: int = 0
    matched: tuple[int, ...] = ()
    overlap: float = 0.0


def label_counts(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    kind: LabelKind,
    valid: ArrayLike | None = None,
) -> LabelCounts:
    """Count in one image what the scores of a set are made of.

    Parameters
    ----------
    prediction, truth : array_like of int or bool
        Of the same shape, (H, W), (1, H, W) or any other. 0 is the background.
    kind : {'classes', 'instances'}
    valid : array_like of bool, optional
        The pixels that count, broadcast to the images' shape. Objects that lie partly outside
        are scored by what lies inside.

    Returns
    -------
    LabelCounts

    Raises
    ------
    InputError
        If the shapes differ, values are not integers, or no pixel is valid.
    """
    predicted, true = _counted(prediction, truth, valid)
    if kind == "classes":
        return LabelCounts("classes", _class_pixels(predicted, true))
    overlap, predicted_areas, true_areas = _overlaps(predicted, true)
    pairs = overlap.tocoo()
    union = predicted_areas[pairs.col] + true_areas[pairs.row] - pairs.data
    ious = pairs.data / union
    return LabelCounts(
        "instances",
        _class_pixels(predicted != _BACKGROUND, true != _BACKGROUND),
        predicted=len(predicted_areas),
        true=len(true_areas),
        matched=tuple(int(np.count_nonzero(ious > threshold)) for threshold in THRESHOLDS),
        overlap=float(ious[ious > THRESHOLDS[0]].sum()),
    )


def pool_label_scores(counts: Iterable[LabelCounts], *, full: bool = False) -> dict[str, float]:
    """Score a set of images.

    Parameters
    ----------
    counts : iterable of LabelCounts
        One for each image, all of one kind.
    full : bool
        Add F1 at each threshold.

    Returns
    -------
    dict of str to float
        Fractions, 1 being perfect. Pixel scores are means over the images, those of a class over
        the images that hold it; object scores are those of the counts of all images together:

        - ``dice``, ``iou``: overlap of the foregrounds; for several classes the mean over those,
          without the background, that either image holds.
        - ``dice_N``, for each class N that either image holds (classes only).
        - ``f1``, ``f1_75``, ``f1_mean``: F1 of objects that match by an IoU above 0.5, above
          0.75, and the mean over 0.5, 0.55, ... 0.95 (instances only); in full also ``f1_55``,
          ``f1_60``, ... ``f1_95``.
        - ``matched_iou``: mean IoU of the objects matched at 0.5; NaN without a match.
        - ``pq``: panoptic quality (Kirillov et al., 2019), F1 times matched IoU.

        Where there is neither anything to find nor anything found, the score is 1.

    Raises
    ------
    InputError
        If there is no image, or classes are mixed with instances.

    Examples
    --------
    >>> maps = np.array([[1, 1, 0]]), np.array([[1, 1, 2]])
    >>> few, all_ = (label_counts(one, maps[1], kind="instances") for one in maps)
    >>> round(pool_label_scores([few, all_])["f1"], 3)  # 3 of 4 objects found
    0.857
    """
    images = list(counts)
    if len({image.kind for image in images}) != 1:
        raise InputError(
            f"There are label scores of {len(images)} images, of classes and instances mixed or "
            "of none; give at least one image, and all of one kind."
        )
    scores = {
        "dice": _mean([_mean(list(_dices(image).values()), 1.0) for image in images]),
        "iou": _mean(
            [_mean([_iou(dice) for dice in _dices(image).values()], 1.0) for image in images]
        ),
    }
    if images[0].kind == "classes":
        return scores | _class_scores(images)
    return scores | _object_scores(images, full)


def _class_scores(images: Sequence[LabelCounts]) -> dict[str, float]:
    dices = [_dices(image) for image in images]
    classes = sorted({number for image in dices for number in image})
    return {
        f"dice_{number}": _mean([image[number] for image in dices if number in image])
        for number in classes
    }


def _object_scores(images: Sequence[LabelCounts], full: bool) -> dict[str, float]:
    matched = np.sum([image.matched for image in images], axis=0)
    objects = sum(image.predicted + image.true for image in images)
    overlap = sum(image.overlap for image in images)
    # F1 is 2 tp / (2 tp + fp + fn), and its denominator is the objects of both sides.
    f1 = [2 * int(number) / objects if objects else 1.0 for number in matched]
    named = {f"f1_{round(100 * t)}": score for t, score in zip(THRESHOLDS, f1, strict=True)}
    shown = list(named)[1:] if full else ["f1_75"]
    return {
        "f1": f1[0],
        **{name: named[name] for name in shown},
        "f1_mean": sum(f1) / len(f1),
        "matched_iou": overlap / int(matched[0]) if matched[0] else math.nan,
        "pq": 2 * overlap / objects if objects else 1.0,
    }


def _dices(image: LabelCounts) -> dict[int, float]:
    return {
        number: 2 * both / (predicted + true)
        for number, (both, predicted, true) in image.pixels.items()
    }


def _iou(dice: float) -> float:
    return dice / (2 - dice)


def _mean(values: Sequence[float], default: float = math.nan) -> float:
    return sum(values) / len(values) if values else default


def _class_pixels(predicted: NDArray[Any], true: NDArray[Any]) -> dict[int, tuple[int, int, int]]:
    """Count the pixels of each class that either holds: of both, the prediction, the truth."""
    counts = [
        dict(zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True))
        for labels in (true[predicted == true], predicted, true)
    ]
    classes = sorted((counts[1].keys() | counts[2].keys()) - {_BACKGROUND})
    return {
        int(number): (counts[0].get(number, 0), counts[1].get(number, 0), counts[2].get(number, 0))
        for number in classes
    }


def _overlaps(
    predicted: NDArray[Any], true: NDArray[Any]
) -> tuple[sparse.coo_array, NDArray[np.int64], NDArray[np.int64]]:
    """Return the common pixels of each true and each predicted object, and the areas of both."""
    rows, true_areas = _numbered(true)
    columns, predicted_areas = _numbered(predicted)
    both = (rows >= 0) & (columns >= 0)
    pairs = (np.ones(np.count_nonzero(both), np.int64), (rows[both], columns[both]))
    shape = (len(true_areas), len(predicted_areas))
    # Compressing adds the pixels of a pair up.
    return sparse.coo_array(pairs, shape=shape).tocsr(), predicted_areas, true_areas


def _numbered(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each pixel's object, from 0 on and -1 for the background, and the areas."""
    values, numbers, areas = np.unique(labels, return_inverse=True, return_counts=True)
    objects = values != _BACKGROUND
    lookup = np.where(objects, np.cumsum(objects) - 1, -1)
    return lookup[numbers], areas[objects]


def _counted(
    prediction: ArrayLike, truth: ArrayLike, valid: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the valid pixels of both in one dimension."""
    predicted, true = np.asarray(prediction), np.asarray(truth)
    for labels, what in ((predicted, "prediction"), (true, "truth")):
        if labels.dtype.kind not in "biu":
            raise InputError(
                f"The {what} holds {labels.dtype} values; labels are integers, so convert it."
            )
    if predicted.shape != true.shape:
        raise InputError(
            f"The prediction has shape {predicted.shape} and the truth {true.shape}; give two "
            "label images of the same shape."
        )
    inside = np.ones(true.shape, bool)
    if valid is not None:
        try:
            inside = np.broadcast_to(np.asarray(valid, bool), true.shape)
        except ValueError:
            raise InputError(
                f"The mask of valid pixels has shape {np.shape(valid)}, which does not fit labels "
                f"of shape {true.shape}; give one of the labels' height and width."
            ) from None
    if not inside.any():
        raise InputError("No pixel of the labels is valid; give a mask with at least one pixel.")
    return predicted[inside], true[inside]
