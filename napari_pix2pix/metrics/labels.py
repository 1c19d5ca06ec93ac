"""Scores of predicted labels: pixels for class maps, objects for instances."""
# Pixel scores of a set are means over its images, so that an image with much foreground does not
# hide the others. Object scores come from counts over all images, as segmentation challenges report
# them: F1 of an image with two objects is coarse. Where truth and prediction are empty nothing was
# to be found, so there is no score: a 1 for each would let empty images decide the mean.

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.objects import correlation, relative_error

if TYPE_CHECKING:
    from scipy import sparse

LabelKind = Literal["classes", "instances"]

# A match overlaps by more than the threshold: from a half on, an object then has one at most.
THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))

_BACKGROUND = 0


@dataclass(frozen=True)
class LabelCounts:
    """What `pool_label_scores` needs to know of one image."""

    kind: LabelKind
    # Of each class but the background, pixels of the intersection, of the prediction and of the
    # truth; instances are one class, 1.
    pixels: Mapping[int, tuple[int, int, int]]
    # Only of instances: how many there are, how many match at each of THRESHOLDS, the sum of the
    # IoU of those that match at 0.5, and their areas.
    predicted: int = 0
    true: int = 0
    matched: tuple[int, ...] = ()
    overlap: float = 0.0
    areas: tuple[tuple[int, int], ...] = ()  # of those that match at 0.5: predicted, true

    @property
    def empty(self) -> bool:
        """Whether neither the truth nor the prediction holds anything but background."""
        return not self.pixels


def label_counts(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    kind: LabelKind,
    valid: ArrayLike | None = None,
) -> LabelCounts:
    """Count in one image what scores need; all arrays have one shape, int or bool, 0 background."""
    predicted, true = _valid_labels(prediction, truth, valid)
    if kind == "classes":
        return LabelCounts("classes", _class_pixels(predicted, true))
    overlap, predicted_areas, true_areas = overlaps(predicted, true)
    pairs = overlap.tocoo()
    union = predicted_areas[pairs.col] + true_areas[pairs.row] - pairs.data
    ious = pairs.data / union
    match = ious > THRESHOLDS[0]
    areas = predicted_areas[pairs.col[match]], true_areas[pairs.row[match]]
    return LabelCounts(
        "instances",
        _class_pixels(predicted != _BACKGROUND, true != _BACKGROUND),
        predicted=len(predicted_areas),
        true=len(true_areas),
        matched=tuple(int(np.count_nonzero(ious > threshold)) for threshold in THRESHOLDS),
        overlap=float(ious[match].sum()),
        areas=tuple(zip(*(side.tolist() for side in areas), strict=True)),
    )


def pool_label_scores(counts: Iterable[LabelCounts], *, full: bool = False) -> dict[str, float]:
    """Score a set of images of one kind, without those in which truth and prediction are empty.

    Dice and IoU are means over images; an image with several classes has their mean. Dice of a
    class is the mean over the images that hold it in truth or prediction. Scores of objects are
    counted over all images. What has nothing to count is NaN.
    """
    images = list(counts)
    kinds = sorted({image.kind for image in images})
    if len(kinds) != 1:
        raise InputError(
            f"Scores of labels are of {' and '.join(kinds) or 'no image'}; give at least one "
            "image, and all of one kind."
        )
    dices = [list(_dices(image).values()) for image in images if not image.empty]
    scores = {
        "dice": _mean([_mean(image) for image in dices]),
        "iou": _mean([_mean([_iou(dice) for dice in image]) for image in dices]),
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
    f1 = [2 * int(number) / objects if objects else math.nan for number in matched]
    named = {f"f1_{round(100 * t)}": score for t, score in zip(THRESHOLDS, f1, strict=True)}
    shown = list(named)[1:] if full else ["f1_75"]
    scores = {
        "f1": f1[0],
        **{name: named[name] for name in shown},
        "f1_mean": sum(f1) / len(f1),
        "matched_iou": overlap / int(matched[0]) if matched[0] else math.nan,
        # Panoptic quality (Kirillov et al., 2019): F1 times the IoU of matches.
        "pq": 2 * overlap / objects if objects else math.nan,
    }
    return scores | _measured_scores(images) if full else scores


def _measured_scores(images: Sequence[LabelCounts]) -> dict[str, float]:
    """Score the number of objects, and the areas of those that match."""
    true = sum(image.true for image in images)
    # Image by image: too many in one do not make up for too few in another.
    wrong = sum(abs(image.predicted - image.true) for image in images)
    areas = np.array([pair for image in images for pair in image.areas], np.float64).reshape(-1, 2)
    return {
        "count_error": wrong / true if true else math.nan,
        "area_error": relative_error(*areas.T),
        "area_pearson": correlation(*areas.T),
    }


def _dices(image: LabelCounts) -> dict[int, float]:
    return {
        number: 2 * both / (predicted + true)
        for number, (both, predicted, true) in image.pixels.items()
    }


def _iou(dice: float) -> float:
    return dice / (2 - dice)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _class_pixels(predicted: NDArray[Any], true: NDArray[Any]) -> dict[int, tuple[int, int, int]]:
    """Count a class's pixels in the intersection, the prediction and the truth."""
    counts = [
        dict(zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True))
        for labels in (true[predicted == true], predicted, true)
    ]
    classes = sorted((counts[1].keys() | counts[2].keys()) - {_BACKGROUND})
    return {
        int(number): (counts[0].get(number, 0), counts[1].get(number, 0), counts[2].get(number, 0))
        for number in classes
    }


def overlaps(
    predicted: NDArray[Any], true: NDArray[Any]
) -> tuple[sparse.coo_array, NDArray[np.int64], NDArray[np.int64]]:
    """Return common pixels (true, predicted objects), predicted areas and true areas."""
    from scipy import sparse  # late: the info of a model needs this module, but not its scores

    rows, true_areas = number_objects(true)
    columns, predicted_areas = number_objects(predicted)
    both = (rows >= 0) & (columns >= 0)
    pairs = (np.ones(np.count_nonzero(both), np.int64), (rows[both], columns[both]))
    shape = (len(true_areas), len(predicted_areas))
    # The conversion to CSR adds up the entries of the same two objects.
    return sparse.coo_array(pairs, shape=shape).tocsr(), predicted_areas, true_areas


def number_objects(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each pixel's object, numbered from 0, -1 for the background, and the areas."""
    values, numbers, areas = np.unique(labels, return_inverse=True, return_counts=True)
    objects = values != _BACKGROUND
    lookup = np.where(objects, np.cumsum(objects) - 1, -1)
    return lookup[numbers], areas[objects]


def _valid_labels(
    prediction: ArrayLike, truth: ArrayLike, valid: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the valid pixels of both, (N,) each."""
    predicted, true = np.asarray(prediction), np.asarray(truth)
    for labels, what in ((predicted, "prediction"), (true, "truth")):
        if labels.dtype.kind not in "biu":
            raise InputError(
                f"The {what} holds {labels.dtype} values; labels are integers: convert it."
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
