"""A seeded sample of blocks, for statistics, checks and whatever else can't read everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.pairs.pair import OpenPair
from napari_pix2pix.pairs.split import Area


@dataclass(frozen=True, eq=False)
class Block:
    """One window of one frame of a pair, as it is in the arrays.

    `source` is (C, h, w), `target` (D, h, w), `valid` a boolean (1 or D, h, w): inside the mask,
    and finite in target and source.
    """

    pair: int
    frame: int
    rows: slice
    columns: slice
    source: NDArray[Any]
    target: NDArray[Any]
    valid: NDArray[np.bool_]


def sample_blocks(
    pairs: Sequence[OpenPair], areas: Sequence[Area], *, size: int, seed: int, most: int = 256
) -> tuple[list[Block], str]:
    """Read blocks of a training set: all of them, or a seeded choice.

    Parameters
    ----------
    pairs : sequence of OpenPair
    areas : sequence of Area
        Nothing outside them is read.
    size : int
        Largest side of a block in pixels. An area is cut into equal blocks of at most that size.
    seed : int
    most : int
        Largest number of blocks.

    Returns
    -------
    blocks : list of Block
        In the order of areas, frames, rows and columns.
    note : str
        A sentence about what was read; empty where that is everything.

    Raises
    ------
    InputError
        If there is no area to read from.
    """
    if not areas:
        raise InputError("There is nothing to sample; give at least one training image.")
    grids = [
        (_edges(area.top, area.bottom, size), _edges(area.left, area.right, size)) for area in areas
    ]
    counts = [
        pairs[area.pair].frames * (len(rows) - 1) * (len(columns) - 1)
        for area, (rows, columns) in zip(areas, grids, strict=True)
    ]
    ends, total = np.cumsum(counts), sum(counts)
    if total <= most:
        chosen = np.arange(total)
    else:
        chosen = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    blocks = []
    for number in chosen.tolist():
        which = int(np.searchsorted(ends, number, side="right"))
        inside = number - int(ends[which]) + counts[which]
        blocks.append(_read_block(pairs, areas[which].pair, grids[which], inside))
    if total <= most:
        return blocks, ""
    return blocks, f"Statistics from {most} of {total} blocks of up to {size} px (seed {seed})."


def _edges(start: int, stop: int, size: int) -> NDArray[np.int64]:
    """Return the edges of equal pieces of at most `size` pixels."""
    pieces = -(-(stop - start) // size)
    return start + np.arange(pieces + 1) * (stop - start) // pieces


def _read_block(
    pairs: Sequence[OpenPair],
    index: int,
    grid: tuple[NDArray[np.int64], NDArray[np.int64]],
    number: int,
) -> Block:
    row_edges, column_edges = grid
    shape = (pairs[index].frames, len(row_edges) - 1, len(column_edges) - 1)
    frame, i, j = (int(n) for n in np.unravel_index(number, shape))
    rows = slice(int(row_edges[i]), int(row_edges[i + 1]))
    columns = slice(int(column_edges[j]), int(column_edges[j + 1]))
    source, target, valid = pairs[index].read(frame, rows, columns)
    if valid is None:
        valid = np.ones((1, *target.shape[1:]), bool)
    return Block(index, frame, rows, columns, source, target, valid)
