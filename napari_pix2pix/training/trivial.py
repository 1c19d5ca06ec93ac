"""The best trivial map of each condition, fitted on sampled blocks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from napari_pix2pix.metrics.maps import Triple, TrivialMap, TrivialMaps, fit_trivial
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.pair import OpenPair
from napari_pix2pix.pairs.sample import Block
from napari_pix2pix.training.start import Start


def fit_trivial_maps(
    opened: Sequence[OpenPair],
    blocks: Sequence[Block],
    conditions: Sequence[Hashable],
    source: Codec,
    target: Codec,
    start: Start | None,
) -> TrivialMaps:
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
        return TrivialMaps(())
    maps: list[TrivialMap] = []
    for index, condition in enumerate(conditions or (None,)):
        triples = _triples(opened, blocks, condition)
        if start is not None and not triples:
            maps.append(start.trivial.maps[index])
            continue
        maps.append(
            fit_trivial(
                triples,
                kind=target.kind,
                rgb=source.layout.rgb,
                smallest=getattr(target, "smallest", 1),
            )
        )
    return TrivialMaps(tuple(maps))


def _triples(
    opened: Sequence[OpenPair], blocks: Sequence[Block], condition: Hashable
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
