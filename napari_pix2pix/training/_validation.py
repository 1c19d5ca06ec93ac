"""The baseline of each condition, fitted on sampled blocks.

Held-out data: predicted, scored, and put beside the baseline.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.inference.model import Model
from napari_pix2pix.metrics.baselines import Baseline, Baselines, Triple, fit_baseline
from napari_pix2pix.metrics.summary import pool, score
from napari_pix2pix.training.fine_tuning import Pretrained


def fit_baselines(
    opened: Sequence[OpenPair],
    blocks: Sequence[SampleBlock],
    conditions: Sequence[Hashable],
    source: Codec,
    target: Codec,
    start: Pretrained | None,
) -> Baselines:
    """Fit the map of each condition, or keep that of the model to start from.

    Parameters
    ----------
    opened : sequence of OpenPair
    blocks : sequence of Block
        Of the training part.
    conditions : sequence of hashable
        Empty without any: then there is one map.
    source, target : Codec
        Without a source there is no map.
    start : Start or None
        Its map stands for a condition of which there is no block.
    """
    if not source.channels:
        return Baselines(())
    maps: list[Baseline] = []
    for index, condition in enumerate(conditions or (None,)):
        triples = _triples(opened, blocks, condition)
        if start is not None and not triples:
            maps.append(start.info.baselines.maps[index])
            continue
        maps.append(
            fit_baseline(
                triples,
                kind=target.kind,
                rgb=source.layout.rgb,
                smallest=getattr(target, "smallest", 1),
            )
        )
    return Baselines(tuple(maps))


def _triples(
    opened: Sequence[OpenPair], blocks: Sequence[SampleBlock], condition: Hashable
) -> list[Triple]:
    """Return a condition's blocks, and for target channels that none of them shows all others."""
    its = [block for block in blocks if opened[block.pair].condition == condition]
    if not its:
        return []
    shown = np.any([np.broadcast_to(b.valid, b.target.shape).any(axis=(1, 2)) for b in its], axis=0)
    triples = [(block.source, block.target, block.valid) for block in its]
    if not shown.all():
        hidden = ~shown[:, np.newaxis, np.newaxis]
        triples += [(block.source, block.target, block.valid & hidden) for block in blocks]
    return triples


Scores = dict[str, float]


@dataclass(frozen=True)
class Validation:
    """Held-out blocks, and what the baseline scores on them.

    Attributes
    ----------
    blocks : tuple of Block
        Raw source and target windows.
    conditions : tuple of int
        Index of each block's condition.
    baseline : dict of str to float
        Scores of the baseline.
    """

    blocks: tuple[SampleBlock, ...]
    conditions: tuple[int, ...]
    baseline: Scores

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


def make_validation(
    opened: Sequence[OpenPair],
    windows: Sequence[SampleBlock],
    conditions: Sequence[Hashable],
    baseline: Baselines,
    codec: Codec,
) -> Validation | None:
    """Put the baseline beside held-out windows; None where no pixel of them counts."""
    blocks = tuple(block for block in windows if block.valid.any())
    if not blocks:
        return None
    indices = tuple(
        conditions.index(opened[block.pair].condition) if conditions else 0 for block in blocks
    )
    return Validation(blocks, indices, baseline_scores(baseline, blocks, indices, codec))


def score_blocks(
    predictions: Sequence[np.ndarray], blocks: Sequence[SampleBlock], codec: Codec
) -> Scores:
    """Score predictions of blocks, pooled over them."""
    return pool(
        [
            score(
                prediction,
                block.target,
                kind=codec.kind,
                valid=block.valid,
                data_range=codec.data_range,
            )
            for prediction, block in zip(predictions, blocks, strict=True)
        ]
    )


def baseline_scores(
    baseline: Baselines, blocks: Sequence[SampleBlock], conditions: Sequence[int], codec: Codec
) -> Scores:
    """Score the baseline on blocks, as a model would be scored."""
    # Through the codec, so that it is rounded and clipped as a model's output is.
    predictions = [
        codec.as_target(baseline.predict(block.source, condition))
        for block, condition in zip(blocks, conditions, strict=True)
    ]
    return score_blocks(predictions, blocks, codec)
