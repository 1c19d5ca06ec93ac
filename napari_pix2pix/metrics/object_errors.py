"""Which objects were missed, and which are false, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.metrics.labels import THRESHOLDS, number_objects, overlaps


@dataclass(frozen=True)
class ObjectError:
    """An object that has no match: none of the other side overlaps it by an IoU above 0.5."""

    kind: Literal["missed", "false"]  # only in the truth, or only in the prediction
    row: float  # of its centre, in pixels
    column: float
    area: int  # pixels, or voxels
    plane: float | None = None  # of its centre, in a volume


def find_object_errors(
    prediction: NDArray[Any], truth: NDArray[Any], valid: NDArray[np.bool_]
) -> tuple[ObjectError, ...]:
    """List the objects (H, W) without a match, large ones first; `valid` (H, W) pixels count.

    All three may be volumes (Z, H, W).

    Examples
    --------
    >>> truth = np.zeros((8, 8), int)
    >>> truth[1:3, 1:3], truth[5:7, 4:8] = 1, 2
    >>> find_object_errors(np.where(truth == 1, 1, 0), truth, np.ones((8, 8), bool))
    (ObjectError(kind='missed', row=5.5, column=5.5, area=8, plane=None),)
    """
    places = np.nonzero(valid)
    predicted, true = prediction[places], truth[places]
    common, predicted_areas, true_areas = overlaps(predicted, true)
    pairs = common.tocoo()
    union = predicted_areas[pairs.col] + true_areas[pairs.row] - pairs.data
    match = pairs.data / union > THRESHOLDS[0]
    errors = [
        *_unmatched("missed", true, true_areas, pairs.row[match], places),
        *_unmatched("false", predicted, predicted_areas, pairs.col[match], places),
    ]
    return tuple(sorted(errors, key=lambda error: -error.area))


def _unmatched(
    kind: Literal["missed", "false"],
    labels: NDArray[Any],
    areas: NDArray[np.int64],
    matched: NDArray[Any],
    places: tuple[NDArray[Any], ...],
) -> list[ObjectError]:
    """List the objects of one side whose number is not among those that match."""
    objects, _ = number_objects(labels)
    inside = objects >= 0
    *planes, row, column = (
        np.bincount(objects[inside], weights=axis[inside], minlength=len(areas)) / areas
        for axis in places
    )
    alone = np.setdiff1d(np.arange(len(areas)), matched)
    return [
        ObjectError(
            kind,
            float(row[n]),
            float(column[n]),
            int(areas[n]),
            float(planes[0][n]) if planes else None,
        )
        for n in alone
    ]
