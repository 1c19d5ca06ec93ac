"""Volumes of pairs: neighbouring planes of an area, read together, and a seeded sample of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import SampleBlock, until
from napari_pix2pix.data.split import Area


def plane_runs(pair: OpenPair, area: Area) -> list[range]:
    """Return the planes of an area as runs of neighbours, each within one volume."""
    depth = pair.target.frame_shape[-1]
    runs: list[range] = []
    for number in area.numbers(pair):
        last = runs[-1] if runs else range(0)
        if last and number == last.stop and number % depth:
            runs[-1] = range(last.start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs


def read_volume(
    pair: OpenPair, planes: range, rows: slice, columns: slice
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    """Read planes of a pair as `OpenPair.read` does: (C, Z, h, w), (D, Z, h, w), valid or None."""
    read = [pair.read(number, rows, columns) for number in planes]
    sources, targets, valids = zip(*read, strict=True)
    source, target = np.stack(sources, axis=1), np.stack(targets, axis=1)
    if all(valid is None for valid in valids):
        return source, target, None
    channels = max(len(valid) for valid in valids if valid is not None)
    joined = np.ones((channels, *target.shape[1:]), bool)
    for z, valid in enumerate(valids):
        if valid is not None:
            joined[:, z] = valid
    return source, target, joined


def sample_volumes(
    pairs: Sequence[OpenPair],
    areas: Sequence[Area],
    *,
    size: int,
    planes: int,
    seed: int,
    most: int,
    seconds: float | None = None,
    count: int | None = None,
) -> list[SampleBlock]:
    """Read blocks (C, Z, h, w) inside the areas, all or a seeded choice; see `sample_blocks`."""
    windows = [
        (area.pair, run, rows, columns)
        for area in areas
        for run in _cut_runs(plane_runs(pairs[area.pair], area), planes)
        for rows in _cut(area.box.rows, size)
        for columns in _cut(area.box.columns, size)
    ]
    order = np.random.default_rng(seed).permutation(len(windows))[:most].tolist()
    blocks = []
    for number in until(seconds, order[:count], 1):
        pair, run, rows, columns = windows[number]
        source, target, valid = read_volume(pairs[pair], run, rows, columns)
        if valid is None:
            valid = np.ones((1, *target.shape[1:]), bool)
        blocks.append(SampleBlock(pair, run.start, rows, columns, source, target, valid))
    return blocks


def _cut_runs(runs: Sequence[range], most: int) -> list[range]:
    return [
        range(part.start, part.stop)
        for run in runs
        for part in _cut(slice(run.start, run.stop), most)
    ]


def _cut(span: slice, most: int) -> list[slice]:
    """Cut a span into equal pieces of at most so many pixels."""
    length = span.stop - span.start
    pieces = -(-length // most)
    edges = [span.start + length * number // pieces for number in range(pieces + 1)]
    return [slice(first, last) for first, last in pairwise(edges)]
