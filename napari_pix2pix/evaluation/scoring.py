"""Frames in, scores out: the one place where predictions are scored for Python, shell and docks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.evaluation.cases import Array, Exam, Frame
from napari_pix2pix.metrics.labels import LabelCounts, label_counts
from napari_pix2pix.metrics.segmentation import Segmenter, run_segmenter
from napari_pix2pix.metrics.summary import Scored, score, with_segmented

Features = Callable[[list[Array]], Any]


@dataclass(frozen=True)
class Measures:
    """What is measured beside the scores that each kind of target has.

    Attributes
    ----------
    segmenter : callable, optional
        Image, laid out as a target is, to integer labels (H, W).
    features : callable, optional
        List of such images to a table (N, D): a row for each.
    """

    segmenter: Segmenter | None = None
    features: Features | None = None

    def check(self, kind: str, *, has_labels: bool) -> None:
        """Refuse what has no meaning for a kind of target.

        Raises
        ------
        InputError
            When labels would be segmented, or nothing would look for the labels that are given.
        """
        if self.segmenter is not None and kind != "image":
            raise InputError("The target holds labels already: leave the segmenter out.")
        if has_labels and self.segmenter is None:
            raise InputError(
                "Labels are given to compare with what a segmenter finds, and there is no "
                "segmenter: give one."
            )


@dataclass(frozen=True, eq=False)
class Mark:
    """Scores of one image.

    Attributes
    ----------
    name : str
    exam, frame : int
        Which pair, and which of its images.
    sides : dict of str to Scored
        ``prediction``, and ``trivial`` where there is one.
    features : dict of str to array (1, D)
        Of the sides and of ``truth``; empty without.
    found : LabelCounts or None
        What a segmenter finds in the truth itself, where there are true labels: no prediction can
        be expected to do better.
    """

    name: str
    exam: int
    frame: int
    sides: dict[str, Scored]
    features: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    found: LabelCounts | None = None


def mark(
    exams: Sequence[Exam],
    measures: Measures,
    on_part: Callable[[float], None] | None = None,
) -> Iterator[tuple[Frame | None, Mark | None]]:
    """Score one image after the other.

    Parameters
    ----------
    exams : sequence of Exam
    measures : Measures
    on_part : callable, optional
        Called after each tile with the part of all images that is done, from 0 to 1.

    Yields
    ------
    frame : Frame or None
    mark : Mark or None
        Nothing where no pixel of an image counts.

    Raises
    ------
    InputError
        When shapes differ, or a segmenter or features return what they should not.
    """
    for number, exam in enumerate(exams):
        for index in range(exam.frames):
            before = (number + index / exam.frames) / len(exams)
            on_tile = on_part and _shares(on_part, before, 1 / (len(exams) * exam.frames))
            frame = exam.read(index, on_tile)
            if frame is None:
                yield None, None
                continue
            yield frame, _mark(frame, exam, measures, number, index)


def _shares(
    on_part: Callable[[float], None], before: float, share: float
) -> Callable[[int, int], None]:
    """Turn what is done of one frame into what is done of all."""
    return lambda done, every: on_part(before + share * done / every)


def _sides(frame: Frame) -> dict[str, Array]:
    sides = {"prediction": frame.prediction}
    return sides if frame.trivial is None else {**sides, "trivial": frame.trivial}


def _mark(frame: Frame, exam: Exam, measures: Measures, number: int, index: int) -> Mark:
    codec = exam.codec
    how: dict[str, Any] = {
        "kind": codec.kind,
        "valid": frame.valid,
        "data_range": codec.data_range,
        "full": True,
    }
    sides = {side: score(made, frame.truth, **how) for side, made in _sides(frame).items()}
    found = _segment_all(frame, exam, measures.segmenter) if measures.segmenter else {}
    sides = {
        side: with_segmented(scored, found[side]) if found else scored
        for side, scored in sides.items()
    }
    return Mark(
        exam.frame_name(index),
        number,
        index,
        sides,
        _features(frame, exam, measures),
        found.get("truth"),
    )


def _segment_all(frame: Frame, exam: Exam, segmenter: Segmenter) -> dict[str, LabelCounts]:
    """Compare what is found in each side with the true labels, or what is found in the truth."""
    images = {**_sides(frame), "truth": frame.truth}
    found = {side: _segment(segmenter, image, frame, exam) for side, image in images.items()}
    labels = found.pop("truth") if frame.labels is None else frame.labels
    valid = frame.valid.any(axis=0, keepdims=True)
    return {
        side: label_counts(one, labels, kind="instances", valid=valid)
        for side, one in found.items()
    }


def _segment(segmenter: Segmenter, image: Array, frame: Frame, exam: Exam) -> Array:
    return run_segmenter(segmenter, _laid_out(image, frame, exam), image.shape[-2:])


def _features(frame: Frame, exam: Exam, measures: Measures) -> dict[str, NDArray[np.float64]]:
    if measures.features is None:
        return {}
    images = {**_sides(frame), "truth": frame.truth}
    rows = {}
    for side, image in images.items():
        row = np.asarray(measures.features([_laid_out(image, frame, exam)]), np.float64)
        if row.ndim != 2 or len(row) != 1:
            raise InputError(
                f"The features of one image have shape {row.shape}: they must be a table with a "
                "row for each image."
            )
        rows[side] = row
    return rows


def _laid_out(image: Array, frame: Frame, exam: Exam) -> Array:
    """Lay an image out as a target; what does not count gets the median of what does."""
    valid = np.broadcast_to(frame.valid, image.shape)
    if not valid.all():
        image = np.where(valid, image, np.median(image[valid]).astype(image.dtype))
    return exam.codec.layout.assemble(image[np.newaxis])
