"""Held-out data: predicted, scored, and put beside the best trivial map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_pix2pix.metrics.scores import image_scores, mean_scores
from napari_pix2pix.metrics.trivial import LinearMap
from napari_pix2pix.pairs.codecs import ImageCodec
from napari_pix2pix.pairs.sample import Block
from napari_pix2pix.translation.inference import Model

Scores = dict[str, float]


@dataclass(frozen=True)
class Validation:
    """Held-out blocks, and what the best trivial map scores on them.

    Attributes
    ----------
    blocks : tuple of Block
        Raw source and target windows.
    conditions : tuple of int
        Index of each block's condition.
    trivial : dict of str to float
        Scores of the best trivial map.
    """

    blocks: tuple[Block, ...]
    conditions: tuple[int, ...]
    trivial: Scores

    def predict(self, model: Model, position: int) -> np.ndarray:
        """Translate the source of one block: (C, h, w) in the target's dtype."""
        block = self.blocks[position]
        planes = model.translate(
            lambda rows, columns: block.source[:, rows, columns],
            *block.source.shape[-2:],
            condition=self.conditions[position],
            tile=0,
        )
        return model.target_codec.decode(planes)

    def scores(self, model: Model) -> tuple[Scores, np.ndarray]:
        """Score ``model`` on all blocks; return also the first prediction, for a preview."""
        predictions = [self.predict(model, position) for position in range(len(self.blocks))]
        return score_blocks(predictions, self.blocks, model.target_codec), predictions[0]


def score_blocks(
    predictions: Sequence[np.ndarray], blocks: Sequence[Block], codec: ImageCodec
) -> Scores:
    """Score predictions of blocks, each block weighted by its labelled pixels."""
    scores = [
        image_scores(prediction, block.target, data_range=codec.data_range, valid=block.valid)
        for prediction, block in zip(predictions, blocks, strict=True)
    ]
    return mean_scores(scores, weights=[int(block.valid.sum()) for block in blocks])


def trivial_scores(linear: LinearMap, blocks: Sequence[Block], codec: ImageCodec) -> Scores:
    """Score the best trivial map on blocks, as a model would be scored."""
    # Through the codec, so that it is rounded and clipped as a model's output is.
    predictions = [codec.as_target(linear.predict(block.source)) for block in blocks]
    return score_blocks(predictions, blocks, codec)
