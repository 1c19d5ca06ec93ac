"""Several samples of images, and whether their spread tells where the prediction is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.metrics.calibration import Calibration, calibrate, spread_and_mean
from napari_pix2pix.scoring.exams import Array, Exam, read_whole
from napari_pix2pix.scoring.marks import Mark

_IMAGES = 8  # at most
_PIXELS = 200_000  # in all: ranks of more tell nothing new
_LARGEST = 2**22  # pixels of an image: dropout needs the whole at once


@dataclass(frozen=True, eq=False)
class Doubt:
    """What the samples of some images say.

    Attributes
    ----------
    calibration : Calibration
        Spread and error in parts of the target's range; of labels the share of samples that see
        an object.
    spread, error : array (H, W)
        Of the first channel of an image in the middle of the ranks; NaN where no pixel counts.
    name : str
        Of that image.
    images : int
        How many there were.
    """

    calibration: Calibration
    spread: NDArray[np.float64]
    error: NDArray[np.float64]
    name: str
    images: int


def draw_doubt(
    exams: Sequence[Exam],
    marks: Sequence[Mark],
    samples: int,
    on_part: Callable[[float], None] | None = None,
) -> Doubt | None:
    """Draw samples of some images; None where no model has any, or all images are too large.

    Parameters
    ----------
    exams : sequence of Exam
    marks : sequence of Mark
        Images to choose from, in the order of their ranks; of many, 8 spread evenly are taken.
    samples : int
        2 or more.
    on_part : callable, optional
        Told the part that is done.
    """
    chosen = [mark for mark in marks if _can_draw(exams[mark.exam])]
    few = [chosen[i] for i in _spread_evenly(len(chosen), _IMAGES)]
    maps, spreads, errors = [], [], []
    random = np.random.default_rng(0)
    for done, mark in enumerate(few, start=1):
        spread, error, valid = _spread_and_error(exams[mark.exam], mark.frame, samples)
        maps.append([np.where(valid, one, np.nan)[0] for one in (spread, error)])
        inside = np.flatnonzero(valid)
        if len(inside) > _PIXELS // len(few):
            inside = random.choice(inside, _PIXELS // len(few), replace=False)
        spreads.append(spread.ravel()[inside])
        errors.append(error.ravel()[inside])
        if on_part is not None:
            on_part(done / len(few))
    if not few:
        return None
    found = calibrate(np.concatenate(spreads), np.concatenate(errors), samples=samples)
    middle = len(few) // 2
    spread, error = maps[middle]
    return Doubt(found, spread, error, few[middle].name, len(few))


def _can_draw(exam: Exam) -> bool:
    return exam.draw is not None and exam.pair.height * exam.pair.width <= _LARGEST


def _spread_and_error(exam: Exam, frame: int, samples: int) -> tuple[Array, Array, Array]:
    """Return the samples' standard deviation, their mean minus the truth, and what counts."""
    assert exam.draw is not None
    draw = exam.draw
    _, truth, valid = read_whole(exam.pair, frame)
    spread, mean = spread_and_mean(_numbers(draw(frame, i), exam) for i in range(samples))
    counted = np.broadcast_to(valid, truth.shape)
    # What does not count may be NaN, which is no label.
    known = truth if exam.codec.kind == "image" else np.where(counted, truth, 0)
    return spread, mean - _numbers(known, exam), counted


def _numbers(image: Array, exam: Exam) -> NDArray[np.float64]:
    if exam.codec.kind != "image":
        return (image != 0).astype(np.float64)
    ranges = np.asarray(exam.codec.data_range, dtype=np.float64)
    return image.astype(np.float64) / ranges[:, np.newaxis, np.newaxis]


def _spread_evenly(count: int, most: int) -> list[int]:
    return [int(i) for i in np.linspace(0, count - 1, min(count, most)).round()] if count else []


def describe(doubt: Doubt, kind: Any) -> str:
    """Say what was compared with what."""
    found = doubt.calibration
    of = "the samples' share of foreground" if kind != "image" else "the samples"
    return (
        f"{found.samples} samples of {doubt.images} image{'s' if doubt.images > 1 else ''}, "
        f"{found.pixels:,} pixels: standard deviation of {of} against the error of their mean."
    )
