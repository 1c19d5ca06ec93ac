"""Several samples of images, and whether their spread tells where the prediction is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.evaluation.cases import Array, Exam, read_whole
from napari_pix2pix.evaluation.scoring import Mark
from napari_pix2pix.inference.uncertainty import Draws
from napari_pix2pix.metrics.calibration import Calibration, calibrate

_IMAGES = 8  # at most
_PIXELS = 200_000  # that are compared: ranks of more tell nothing new
_DRAWN = 2**24  # pixels that are drawn of all images, for it is done many times


@dataclass(frozen=True, eq=False)
class Doubt:
    """What the samples of some images say.

    Attributes
    ----------
    calibration : Calibration
        Spread and error in parts of the target's range; of labels the share of samples that see
        an object.
    spread, error : array (H, W)
        Of an image in the middle of the ranks, and its first channel with pixels that count; NaN
        where none counts.
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
    """Draw samples of some images; None where no model has any.

    Parameters
    ----------
    exams : sequence of Exam
    marks : sequence of Mark
        Images to choose from, in the order of their ranks; of many, 8 spread evenly are taken, or
        as many as have 16 million pixels.
    samples : int
        2 or more.
    on_part : callable, optional
        Told the part that is done.
    """
    few = _choose(exams, marks)
    maps, spreads, errors = [], [], []
    random = np.random.default_rng(0)
    for done, mark in enumerate(few, start=1):
        spread, error, valid = _spread_and_error(exams[mark.exam], mark.frame, samples)
        channel = valid.any(axis=(1, 2)).argmax()
        maps.append([np.where(valid, one, np.nan)[channel] for one in (spread, error)])
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


def _choose(exams: Sequence[Exam], marks: Sequence[Mark]) -> list[Mark]:
    drawn = [mark for mark in marks if exams[mark.exam].draw is not None]
    if not drawn:
        return []
    pairs = [exams[mark.exam].pair for mark in drawn]
    largest = max(pair.height * pair.width for pair in pairs)
    count = min(len(drawn), _IMAGES, max(1, _DRAWN // largest))
    # One alone is the median.
    places = np.linspace(0, len(drawn) - 1, count) if count > 1 else [(len(drawn) - 1) / 2]
    return [drawn[round(place)] for place in places]


def _spread_and_error(exam: Exam, frame: int, samples: int) -> tuple[Array, Array, Array]:
    """Return the samples' standard deviation, their mean minus the truth, and what counts."""
    assert exam.draw is not None
    draws = Draws()
    for number in range(samples):
        draws.add(_numbers(exam.draw(frame, number), exam))
    _, truth, valid = read_whole(exam.pair, frame)
    found = draws.spread()
    counted = np.broadcast_to(valid, truth.shape)
    # What does not count may be NaN, which is no label.
    known = truth if exam.codec.kind == "image" else np.where(counted, truth, 0)
    return found.std, found.mean - _numbers(known, exam), counted


def _numbers(image: Array, exam: Exam) -> NDArray[np.float32]:
    if exam.codec.kind != "image":
        return (image != 0).astype(np.float32)
    ranges = np.asarray(exam.codec.data_range, dtype=np.float64)
    return (image / ranges[:, np.newaxis, np.newaxis]).astype(np.float32)


def describe(doubt: Doubt, kind: Any) -> str:
    """Say what was compared with what."""
    found = doubt.calibration
    of = "the samples' share of foreground" if kind != "image" else "the samples"
    return (
        f"{found.samples} samples of {doubt.images} image{'s' if doubt.images > 1 else ''}, "
        f"{found.pixels:,} pixels: standard deviation of {of} against the error of their mean."
    )
