"""Whether a prediction is wrong where its image is unlike those of the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_pix2pix.evaluation._cells import cell_means
from napari_pix2pix.evaluation._uncertainty import choose, to_share
from napari_pix2pix.evaluation.scoring import ImageScores, OnPart, read_frame
from napari_pix2pix.metrics.ranking import ErrorRanking, rank_errors


@dataclass(frozen=True)
class UnlikenessCheck:
    """Unlikeness of cells against the error of the prediction."""

    ranking: ErrorRanking
    share: float  # of the cells: unlike the training
    images: int


def check_unlikeness(
    ranked: Sequence[ImageScores], on_part: OnPart | None = None
) -> UnlikenessCheck | None:
    """Compare some images, spread over the ranks; None if no model knows what is usual."""
    chosen = choose([image for image in ranked if image.case.unlikeness is not None])
    values, errors = [], []
    for done, image in enumerate(chosen, start=1):
        case, number = image.case, image.case.middle_frame(image.number)
        assert case.unlikeness is not None
        assert case.translate is not None
        _, truth, valid = read_frame(case.pair, number)
        valid = np.broadcast_to(valid, truth.shape)
        truth = np.where(valid, truth, 0)
        error = np.abs(to_share(case.translate(number, None), case) - to_share(truth, case))
        shown = np.broadcast_to(case.unlikeness(number), truth.shape)
        values.append(cell_means(shown, valid))
        errors.append(cell_means(error, valid))
        if on_part is not None:
            on_part(done / len(chosen))
    if not chosen:
        return None
    joined = np.concatenate(values)
    ranking = rank_errors(joined, np.concatenate(errors))
    return UnlikenessCheck(ranking, float((joined > 1).mean()), len(chosen))
