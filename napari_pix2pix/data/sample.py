"""Reads a seeded sample of blocks, for statistics and checks that can't read everything."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.class_codec import leave_out_unknown
from napari_pix2pix.data.codec_base import CodecBase, list_labels
from napari_pix2pix.data.kinds import Side
from napari_pix2pix.data.outliers import sum_by_side
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.split import Area
from napari_pix2pix.errors import InputError

# Statistics need so many blocks, however slow the reading is.
_FEWEST = 8


@dataclass(frozen=True, eq=False)
class SampleBlock:
    """A window of one frame of a pair, as in the arrays."""

    pair: int
    frame: int
    rows: slice
    columns: slice
    source: NDArray[Any]  # (C, h, w)
    target: NDArray[Any]  # (D, h, w)
    valid: NDArray[np.bool_]  # (1 or D, h, w): inside the mask, and finite in both


def sample_blocks(
    pairs: Sequence[OpenPair],
    areas: Sequence[Area],
    *,
    size: int,
    seed: int,
    most: int = 256,
    seconds: float | None = None,
    count: int | None = None,
) -> tuple[list[SampleBlock], str]:
    """Read blocks inside the areas, all or a seeded choice, and describe the choice (else "")."""
    # `count`, the number of blocks of an earlier call, reads the same ones, however long it takes.
    if not areas:
        raise InputError("There is nothing to sample; give at least one training image.")
    grids = [
        (_edges(box.top, box.bottom, size), _edges(box.left, box.right, size))
        for box in (area.box for area in areas)
    ]
    counts = [
        len(area.numbers(pairs[area.pair])) * (len(rows) - 1) * (len(columns) - 1)
        for area, (rows, columns) in zip(areas, grids, strict=True)
    ]
    conditions = [pairs[area.pair].condition for area in areas]
    order, fewest = _reading_order(conditions, counts, most, seed)
    wanted, total = order[:count], sum(counts)
    if seconds is None:
        wanted.sort()  # as the pixels lie, which is faster to read
    blocks: dict[int, SampleBlock] = {}
    for number in until(seconds, wanted, fewest):
        which, inside = locate(number, counts)
        blocks[number] = _read_block(pairs, areas[which], grids[which], inside)
    read = [blocks[number] for number in sorted(blocks)]
    if len(read) == total:
        return read, ""
    cut = f"; no more could be read in {seconds:.3g} s" if len(read) < len(wanted) else ""
    note = f"Statistics from {len(read)} of {total} blocks of up to {size} px (seed {seed}){cut}."
    return read, note


def leave_out_hot_pixels(
    pairs: Sequence[OpenPair], blocks: Sequence[SampleBlock]
) -> list[SampleBlock]:
    """Make hot pixels unlabelled in blocks that were read before it was known what is usual."""
    return [
        replace(b, valid=pairs[b.pair].without_hot(b.source, b.target, b.valid)) for b in blocks
    ]


def hot_pixel_notes(
    pairs: Sequence[OpenPair], blocks: Sequence[SampleBlock]
) -> tuple[list[str], list[str]]:
    """Say how many hot pixels blocks have that were read before it was known what is usual.

    Return notes, and warnings where there are so many that they may be structure.
    """
    found = sum_by_side(
        pairs[b.pair].count_hot(b.source, b.target, b.valid) for b in blocks
    ).items()
    notes = [hot.note(side) for side, hot in found if hot.count]
    return notes, [hot.note(side) for side, hot in found if hot.are_many]


def leave_out_of_blocks(
    blocks: Sequence[SampleBlock], source: CodecBase, target: CodecBase
) -> tuple[list[SampleBlock], list[str]]:
    """Make pixels of unknown classes unlabelled in held-out blocks; also say so in sentences."""
    remaining, sentences = list(blocks), []
    sides: tuple[tuple[Side, CodecBase], ...] = (("source", source), ("target", target))
    for side, codec in sides:
        values: set[int] = set()
        for index, block in enumerate(remaining):
            valid, unknown = leave_out_unknown(getattr(block, side), codec, block.valid, side)
            remaining[index] = block if valid is None else replace(block, valid=valid)
            values.update(unknown)
        if values:
            sentences.append(
                f"The held-out part of the {side} holds {list_labels(sorted(values))}, the "
                "training part does not: such pixels are unlabelled."
            )
    return remaining, sentences


def locate(number: int, counts: Sequence[int]) -> tuple[int, int]:
    """Return in which of several counted groups a running number lies, and where in the group."""
    ends = np.cumsum(counts)
    group = int(np.searchsorted(ends, number, side="right"))
    return group, number - int(ends[group]) + counts[group]


def until(seconds: float | None, numbers: Sequence[int], fewest: int = 0) -> Iterator[int]:
    """Yield numbers until the time is over, but at least `fewest`."""
    began = time.perf_counter()
    for index, number in enumerate(numbers):
        late = seconds is not None and time.perf_counter() - began > seconds
        if late and index >= fewest:
            return
        yield number


def _reading_order(
    conditions: Sequence[Hashable], counts: Sequence[int], most: int, seed: int
) -> tuple[list[int], int]:
    """Draw the numbers of the blocks to read; also return how many must be read."""
    rng = np.random.default_rng(seed)
    starts, total = np.cumsum(counts) - counts, sum(counts)
    drawn = rng.choice(total, min(most, total), replace=False)
    first = []
    for condition in dict.fromkeys(conditions):
        areas = [area for area, other in enumerate(conditions) if other == condition]
        within = [counts[area] for area in areas]
        which, inside = locate(int(rng.integers(sum(within))), within)
        first.append(int(starts[areas[which]]) + inside)
    # Any sample holds the only condition.
    first = first if len(first) > 1 else []
    order = list(dict.fromkeys([*first, *drawn.tolist()]))
    return order[: max(most, len(first))], max(_FEWEST, len(first))


def _edges(start: int, stop: int, size: int) -> NDArray[np.int64]:
    """Return the edges of equal pieces of at most `size` pixels."""
    pieces = -(-(stop - start) // size)
    return start + np.arange(pieces + 1) * (stop - start) // pieces


def _read_block(
    pairs: Sequence[OpenPair],
    area: Area,
    grid: tuple[NDArray[np.int64], NDArray[np.int64]],
    number: int,
) -> SampleBlock:
    row_edges, column_edges = grid
    pair, numbers = pairs[area.pair], area.numbers(pairs[area.pair])
    shape = (len(numbers), len(row_edges) - 1, len(column_edges) - 1)
    frame, i, j = (int(n) for n in np.unravel_index(number, shape))
    rows = slice(int(row_edges[i]), int(row_edges[i + 1]))
    columns = slice(int(column_edges[j]), int(column_edges[j + 1]))
    read = pair.read_with_mask(numbers[frame], rows, columns)
    return SampleBlock(area.pair, numbers[frame], rows, columns, *read)
