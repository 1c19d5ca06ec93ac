"""Objects of an image that are told apart part by part, and get the numbers of the whole."""
# Each part sees a halo that the largest object of the training fits into, and a larger one where an
# object reaches farther. Until all parts are known, an object has the number of its first pixel in
# the frame: all parts that see it whole give it the same. What one part sees as another object than
# its neighbour does is joined where the two overlap.

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._instance_codec import (
    MARGIN,
    InstanceCodec,
    connected,
    first_pixels,
)
from napari_pix2pix.data.box import Box

Numbers = NDArray[np.unsignedinteger[Any]]

# Telling objects apart takes about 120 bytes a pixel, and planes 16 or 20.
_MOST_PIXELS = 5_000_000  # of a part with its halo
_PLANE_BYTES = 1 << 28  # of planes from which several parts are made


@dataclass(frozen=True, eq=False)
class ObjectPart:
    """What is known of the objects of a part, once a map (C, h, w)."""

    box: Box  # of the frame
    held: tuple[Numbers, ...]  # rising numbers of the objects in the box, or just beyond it
    seen: tuple[Numbers, ...]  # and of all that it was told apart by
    top: Numbers  # (C, w): the first row of the box
    left: Numbers  # (C, h): its first column
    below: Numbers | None  # the row after the last one, as this part sees it; None at the end
    right: Numbers | None


@dataclass(frozen=True, eq=False)
class FoundObjects:
    """The objects of a box: numbers of first pixels, (C, h, w) or (C, Z, h, w), and its parts."""

    numbers: Numbers
    parts: list[ObjectPart]
    cut: bool  # whether one of them reaches beyond what was seen


@dataclass(frozen=True)
class PackedNumbers:
    """Numbers that wait for their parts' neighbours; they take some hundredth of the room."""

    packed: bytes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, numbers: Numbers) -> Self:
        """Pack numbers."""
        packed = zlib.compress(np.ascontiguousarray(numbers).data, 1)
        return cls(packed, numbers.shape, numbers.dtype)

    def unpacked(self) -> Numbers:
        """Return the numbers."""
        return np.frombuffer(zlib.decompress(self.packed), self.dtype).reshape(self.shape)


def object_halos(codec: InstanceCodec, depth: int) -> list[int]:
    """Return halos in pixels, to tell the objects of a box apart by the first one that suffices."""
    most = _side(depth) // 3
    return sorted({min(times * codec.halo, most) for times in (1, 2, 4)})


def fits_one_part(area: Box, depth: int) -> bool:
    """Tell whether the objects of an area are told apart on all of it at once."""
    return area.pixels * depth <= _MOST_PIXELS


def object_blocks(area: Box, codec: InstanceCodec, depth: int) -> list[Box]:
    """Cut an area into blocks whose planes are held at once."""
    if fits_one_part(area, depth):
        return [area]
    halo = object_halos(codec, depth)[0]
    side = isqrt(_PLANE_BYTES // (4 * codec.planes * depth))
    return area.pieces(max(side, 3 * halo) - 2 * halo)


def number_type(size: tuple[int, int], depth: int) -> np.dtype[Any]:
    """Return the dtype that holds the number of each pixel of a frame."""
    return np.min_scalar_type(size[0] * size[1] * depth)


def find_objects(
    planes: NDArray[Any],
    seen: Box,
    box: Box,
    *,
    area: Box,
    size: tuple[int, int],
    codec: InstanceCodec,
    halo: int,
    beyond: int = 0,
) -> FoundObjects:
    """Tell the objects of a box apart, by the planes (P, h, w) of the box with its halo, `seen`.

    Objects end where `area` ends. `size` is height and width of the frame. Also numbered are so
    many pixels `beyond` the lower and the right edge, fewer than the halo, which other boxes hold.
    """
    depth = planes.shape[1] if planes.ndim == 4 else 1
    pieces = [box] if fits_one_part(seen, depth) else box.pieces(_side(depth) - 2 * halo)
    shown = Box(box.top, box.bottom + beyond, box.left, box.right + beyond).shared(area)
    shape = (codec.channels, *planes.shape[1:-2], *shown.size)
    numbers = np.zeros(shape, number_type(size, depth))
    parts, cut_off = [], False
    for piece in pieces:
        window = piece.grown(halo, area)
        cut = window.within(seen)
        labels = codec.split(planes[..., cut.rows, cut.columns])
        maps = [_by_first_pixel(one, window, size, numbers.dtype) for one in labels]
        whole = np.stack(maps)
        bottom = shown.bottom if piece.bottom == box.bottom else piece.bottom
        right = shown.right if piece.right == box.right else piece.right
        filled = Box(piece.top, bottom, piece.left, right)
        here, place = filled.within(window), filled.within(shown)
        inner = whole[..., here.rows, here.columns]
        numbers[..., place.rows, place.columns] = inner
        parts.append(_describe(whole, piece, piece.within(window), inner))
        cut_off = cut_off or _cuts(whole, window, area, parts[-1])
    return FoundObjects(numbers, parts, cut_off)


class Numbering:
    """The dense numbers of a frame's objects, in the order of their first pixels."""

    def __init__(self, parts: Sequence[ObjectPart]) -> None:
        self._held: list[Numbers] = []
        self._numbers: list[NDArray[np.int64]] = []
        for channel in range(len(parts[0].held)):
            held = np.unique(np.concatenate([part.held[channel] for part in parts]))
            joins = np.array([*_joins(parts, channel)], held.dtype).reshape(-1, 2)
            joins = joins[np.isin(joins, held).all(axis=1)]
            ends = np.searchsorted(held, joins).astype(np.int32)
            # In the order of the first of those that are one.
            objects = connected(len(held), ends[:, 0], ends[:, 1])
            self._held.append(np.concatenate([np.zeros(1, held.dtype), held]))
            self._numbers.append(np.concatenate([[0], objects.astype(np.int64) + 1]))

    @property
    def largest(self) -> int:
        """The number of the last object."""
        return max(int(numbers.max()) for numbers in self._numbers)

    def renumber(self, numbers: Numbers, channel: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the dense numbers of a map's objects."""
        result = np.zeros(numbers.shape, dtype)
        inside = numbers != 0
        places = np.searchsorted(self._held[channel], numbers[inside])
        result[inside] = self._numbers[channel].astype(dtype)[places]
        return result


def parts_to_arrays(parts: Sequence[ObjectPart]) -> dict[str, NDArray[Any]]:
    """Return arrays by name, for a file."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, part in enumerate(parts):
        named: dict[str, Any] = {"box": np.array(part.box), "top": part.top, "left": part.left}
        named |= {"below": part.below, "right": part.right}
        for name, maps in (("held", part.held), ("seen", part.seen)):
            named |= {f"{name}_{channel}": values for channel, values in enumerate(maps)}
        arrays |= {f"{number}_{name}": value for name, value in named.items() if value is not None}
    return arrays


def parts_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> list[ObjectPart]:
    """Return what `parts_to_arrays` made arrays of."""
    parts: list[ObjectPart] = []
    while (number := f"{len(parts)}_") + "box" in arrays:
        box = Box(*map(int, arrays[number + "box"]))
        top, left = arrays[number + "top"], arrays[number + "left"]
        held, seen = (
            tuple(arrays[f"{number}{name}_{channel}"] for channel in range(len(top)))
            for name in ("held", "seen")
        )
        below, right = arrays.get(number + "below"), arrays.get(number + "right")
        parts.append(ObjectPart(box, held, seen, top, left, below, right))
    return parts


def _side(depth: int) -> int:
    """Return the height and width of the largest part with its halo."""
    return isqrt(_MOST_PIXELS // depth)


def _by_first_pixel(
    labels: NDArray[np.int32], window: Box, size: tuple[int, int], dtype: np.dtype[Any]
) -> Numbers:
    """Give each object of a window the number of its first pixel in the frame, from 1 on."""
    *planes, rows, columns = np.unravel_index(first_pixels(labels), labels.shape)
    place = (rows + window.top) * size[1] + columns + window.left
    if planes:
        place += planes[0] * size[0] * size[1]
    return np.concatenate([[0], place + 1]).astype(dtype)[labels]


def _describe(whole: Numbers, box: Box, here: Box, shown: Numbers) -> ObjectPart:
    """Describe a part, which lies at `here` in the numbers of its window; `shown` are used."""
    inner = whole[..., here.rows, here.columns]
    height, width = whole.shape[-2:]
    below = whole[..., here.bottom, here.columns] if here.bottom < height else None
    right = whole[..., here.rows, here.right] if here.right < width else None
    return ObjectPart(
        box,
        tuple(map(_distinct, shown)),
        tuple(map(_distinct, whole)),
        inner[..., 0, :].copy(),
        inner[..., 0].copy(),
        None if below is None else below.copy(),
        None if right is None else right.copy(),
    )


def _cuts(whole: Numbers, window: Box, area: Box, part: ObjectPart) -> bool:
    """Tell whether an object of a part comes near the edge of its window, where more may be."""
    edges = [
        (window.top > area.top, whole[..., :MARGIN, :]),
        (window.bottom < area.bottom, whole[..., -MARGIN:, :]),
        (window.left > area.left, whole[..., :MARGIN]),
        (window.right < area.right, whole[..., -MARGIN:]),
    ]
    bands = [band for goes_on, band in edges if goes_on]
    return any(
        bool(np.isin(part.held[channel], _distinct(band[channel])).any())
        for band in bands
        for channel in range(len(whole))
    )


def _distinct(numbers: Numbers) -> Numbers:
    """Return the rising numbers of objects, without the background."""
    flat = numbers.ravel()
    starts = np.ones(flat.shape, bool)  # of what is the same along a row
    np.not_equal(flat[1:], flat[:-1], out=starts[1:])
    found = np.unique(flat[starts])
    return found[found != 0]


def _joins(parts: Sequence[ObjectPart], channel: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of numbers that are one object, where parts see it differently."""
    tops, lefts = _by(parts, "top"), _by(parts, "left")
    for part in parts:
        if part.below is not None:
            for other in tops.get(part.box.bottom, ()):
                mine, its = part.box.columns, other.box.columns
                yield from _joins_along(part, other, channel, mine, its, part.below, other.top)
        if part.right is not None:
            for other in lefts.get(part.box.right, ()):
                mine, its = part.box.rows, other.box.rows
                yield from _joins_along(part, other, channel, mine, its, part.right, other.left)


def _by(parts: Iterable[ObjectPart], side: str) -> dict[int, list[ObjectPart]]:
    """Return the parts that begin at each row or column."""
    found: dict[int, list[ObjectPart]] = {}
    for part in parts:
        found.setdefault(getattr(part.box, side), []).append(part)
    return found


def _joins_along(
    part: ObjectPart,
    other: ObjectPart,
    channel: int,
    mine: slice,
    its: slice,
    line: Numbers,
    same_line: Numbers,
) -> Iterator[tuple[int, int]]:
    """Yield what is one object by a line of pixels that two parts saw, each its own span of it."""
    start, stop = max(mine.start, its.start), min(mine.stop, its.stop)
    if start >= stop:
        return
    one = line[channel][..., start - mine.start : stop - mine.start].ravel()
    two = same_line[channel][..., start - its.start : stop - its.start].ravel()
    ones, ones_at, ones_count = np.unique(one, return_inverse=True, return_counts=True)
    twos, twos_at, twos_count = np.unique(two, return_inverse=True, return_counts=True)
    pairs, counts = np.unique(ones_at * len(twos) + twos_at, return_counts=True)
    first, second = pairs // len(twos), pairs % len(twos)
    a, b = ones[first], twos[second]
    overlap = 2 * counts >= np.minimum(ones_count[first], twos_count[second])
    # Objects that both parts see are known apart already.
    known = np.isin(a, other.seen[channel]) & np.isin(b, part.seen[channel])
    chosen = (a != b) & (a != 0) & (b != 0) & overlap & ~known
    yield from zip(a[chosen].tolist(), b[chosen].tolist(), strict=True)
