"""Several samples of images, and whether their spread tells where the prediction is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import plural
from napari_pix2pix.evaluation._cells import CELL, cell_means
from napari_pix2pix.evaluation.scoring import (
    Array,
    EvaluationCase,
    ImageScores,
    OnPart,
    read_frame,
)
from napari_pix2pix.inference.uncertainty import Draws
from napari_pix2pix.metrics.calibration import Calibration, calibrate
from napari_pix2pix.metrics.ranking import ErrorRanking, rank_errors
from napari_pix2pix.metrics.summary import Kind

_MOST_IMAGES = 8
_MOST_COMPARED = 200_000  # pixels: ranks of more tell nothing new
_MOST_DRAWN = 2**24  # pixels of all images, since each is drawn many times


@dataclass(frozen=True, eq=False)
class UncertaintyCheck:
    """Spread of the samples and error of their mean, in parts of the target's range."""

    calibration: Calibration
    ranking: ErrorRanking  # of the same by cells
    # (H, W) of an image in the middle of the ranks; NaN where a pixel does not count.
    spread: NDArray[np.float64]
    error: NDArray[np.float64]
    name: str  # of that image
    images: int  # that were drawn
    kind: Kind

    @property
    def description(self) -> str:
        """What was compared with what, in a sentence."""
        drawn = "the samples" if self.kind == "image" else "the samples' share of foreground"
        return (
            f"{self.calibration.samples} samples of {plural(self.images, 'image')}, "
            f"{self.calibration.pixels:,} pixels: standard deviation of {drawn} against the error "
            "of their mean. "
            f"By cells of {CELL} pixels: {self.ranking.ranks}."
        )


def check_uncertainty(
    ranked: Sequence[ImageScores], samples: int, on_part: OnPart | None = None
) -> UncertaintyCheck | None:
    """Draw 2 or more samples of some images, spread over the ranks; None if no model has any.

    There are no more than differ.
    """
    chosen = choose([image for image in ranked if image.case.draw is not None])
    if not chosen:
        return None
    samples = min([samples, *(image.case.most_samples or samples for image in chosen)])
    maps, spreads, errors, cells = [], [], [], []
    random = np.random.default_rng(0)
    for done, image in enumerate(chosen, start=1):
        frame = image.case.middle_frame(image.number)
        spread, error, valid = _spread_and_error(image.case, frame, samples)
        channel = valid.any(axis=(1, 2)).argmax()
        maps.append([np.where(valid, plane, np.nan)[channel] for plane in (spread, error)])
        cells.append([cell_means(plane, valid) for plane in (spread, np.abs(error))])
        inside = np.flatnonzero(valid)
        if len(inside) > _MOST_COMPARED // len(chosen):
            inside = random.choice(inside, _MOST_COMPARED // len(chosen), replace=False)
        spreads.append(spread.ravel()[inside])
        errors.append(error.ravel()[inside])
        if on_part is not None:
            on_part(done / len(chosen))
    calibration = calibrate(np.concatenate(spreads), np.concatenate(errors), samples=samples)
    ranking = rank_errors(*map(np.concatenate, zip(*cells, strict=True)))
    middle = len(chosen) // 2
    spread, error = maps[middle]
    kind = chosen[middle].case.codec.kind
    name, count = chosen[middle].name, len(chosen)
    return UncertaintyCheck(calibration, ranking, spread, error, name, count, kind)


def choose(ranked: Sequence[ImageScores]) -> list[ImageScores]:
    """Choose up to 8 images, spread evenly; fewer if they are large."""
    if not ranked:
        return []
    largest = max(image.case.pair.height * image.case.pair.width for image in ranked)
    count = min(len(ranked), _MOST_IMAGES, max(1, _MOST_DRAWN // largest))
    # One alone is the median.
    places = np.linspace(0, len(ranked) - 1, count) if count > 1 else [(len(ranked) - 1) / 2]
    return [ranked[round(place)] for place in places]


def _spread_and_error(case: EvaluationCase, frame: int, samples: int) -> tuple[Array, Array, Array]:
    """Return the samples' standard deviation, their mean minus the truth, and the valid pixels."""
    assert case.draw is not None
    draws = Draws()
    for number in range(samples):
        draws.add(to_share(case.draw(frame, number), case))
    _, truth, valid = read_frame(case.pair, frame)
    spread = draws.spread()
    counted = np.broadcast_to(valid, truth.shape)
    if case.codec.kind != "image":  # a pixel that does not count may be NaN, which is no label
        truth = np.where(counted, truth, 0)
    return spread.std, spread.mean - to_share(truth, case), counted


def to_share(image: Array, case: EvaluationCase) -> NDArray[np.float32]:
    """Return intensities in parts of the range; of labels 1 for foreground and 0 for background."""
    if case.codec.kind != "image":
        return (image != 0).astype(np.float32)
    ranges = np.asarray(case.codec.data_range, dtype=np.float64)
    return (image / ranges[:, np.newaxis, np.newaxis]).astype(np.float32)
