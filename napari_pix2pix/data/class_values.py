"""Which values the labels of a set hold, and pixels whose value is no class of a model."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.label_codec import distinct_values, listed
from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import Block
from napari_pix2pix.data.split import Area

Side = Literal["source", "target"]

# Pixels that are looked at at once.
_STRIP = 2**22
# Parts of images that are looked at as a whole, and their largest side.
_MOST_PARTS, _SIDE = 16, 2048


def held_values(
    pairs: Sequence[OpenPair], areas: Sequence[Area], side: Side
) -> NDArray[np.int64] | None:
    """Find every value that the labels of a training set hold, however rare.

    Parameters
    ----------
    pairs : sequence of OpenPair
    areas : sequence of Area
        Nothing outside them is looked at.
    side : {"source", "target"}

    Returns
    -------
    int64 array or None
        Sorted, inside the masks; None where an image or a mask is not in memory, so that looking
        at all of it could take long.
    """
    found: list[NDArray[Any]] = []
    for area in areas:
        planes, mask = getattr(pairs[area.pair], side), pairs[area.pair].mask
        if not (_in_memory(planes) and (mask is None or _in_memory(mask))):
            return None
        found += [np.unique(_ends_of_runs(part)) for part in _parts(planes, mask, area)]
    return distinct_values(found)


def large_parts(pairs: Sequence[OpenPair], areas: Sequence[Area], side: Side) -> list[NDArray[Any]]:
    """Read some parts of a training set that are as large as can be looked at quickly.

    Parameters
    ----------
    pairs, areas, side
        As for `held_values`.

    Returns
    -------
    list of arrays (C, h, w)
        Of at most 16 frames, evenly chosen, the middle of up to 2048 pixels a side; none of images
        that are not in memory.
    """
    frames = [
        (area, frame)
        for area in areas
        if _in_memory(getattr(pairs[area.pair], side))
        for frame in range(pairs[area.pair].frames)
    ]
    parts = []
    for area, frame in frames[:: max(1, -(-len(frames) // _MOST_PARTS))]:
        rows, columns = _middle(area.top, area.bottom), _middle(area.left, area.right)
        parts.append(getattr(pairs[area.pair], side).read(frame, rows, columns))
    return parts


def leave_out_unknown(
    raw: NDArray[Any], codec: Codec, valid: NDArray[np.bool_] | None, side: Side
) -> tuple[NDArray[np.bool_] | None, list[int]]:
    """Leave out pixels whose value is no class: they count as unlabelled.

    Parameters
    ----------
    raw : array (C, h, w)
    codec : Codec
        Of anything but classes, all pixels stay.
    valid : bool array (1 or D, h, w) or None
        The pixels of the target that count; None for all.
    side : {"source", "target"}
        A pixel of a source is left out in all channels of the target.

    Returns
    -------
    valid : bool array (1 or D, h, w) or None
        What is left.
    unknown : list of int
        The values that are no class, where they would have counted.
    """
    if not isinstance(codec, ClassCodec):
        return valid, []
    known = codec.known(raw)
    if known.all():
        return valid, []
    counted = known if valid is None else known | ~valid.any(axis=0)
    unknown = [int(value) for value in np.unique(raw[~counted])]
    inside = np.asarray(known.all(axis=0, keepdims=True) if side == "source" else known)
    return inside if valid is None else np.asarray(valid & inside), unknown


def unknown_note(unknown: Sequence[int], side: Side) -> str:
    """Say that training has met values that are no class."""
    remedy = "; state classes if labels are 0 to classes - 1" if side == "target" else ""
    return (
        f"The {side} holds {listed(unknown)}, which nothing that was read before training held: "
        f"such pixels count as unlabelled{remedy}."
    )


def leave_out_of_blocks(
    blocks: Sequence[Block], source: Codec, target: Codec
) -> tuple[list[Block], list[str]]:
    """Leave pixels whose value is no class out of blocks that are held out, and say so.

    Returns
    -------
    blocks : list of Block
    sentences : list of str
        One for the source, one for the target; none where all classes are known.
    """
    left: list[Block] = list(blocks)
    sentences = []
    sides: tuple[tuple[Side, Codec], ...] = (("source", source), ("target", target))
    for side, codec in sides:
        met: set[int] = set()
        for index, block in enumerate(left):
            valid, unknown = leave_out_unknown(getattr(block, side), codec, block.valid, side)
            left[index] = block if valid is None else replace(block, valid=valid)
            met.update(unknown)
        if met:
            sentences.append(
                f"The {side} holds {listed(sorted(met))} where it is held out, and not where it is "
                "trained on: such pixels count as unlabelled."
            )
    return left, sentences


def _in_memory(planes: Planes) -> bool:
    return all(_holds_its_values(member.array) for member in planes.members)


def _middle(start: int, stop: int) -> slice:
    before = max(0, (stop - start - _SIDE) // 2)
    return slice(start + before, min(stop, start + before + _SIDE))


def _holds_its_values(array: Any) -> bool:
    """Whether an array is numpy's, and neither it nor what it is a view of is mapped to a file."""
    if not isinstance(array, np.ndarray):
        return False
    while isinstance(array, np.ndarray):
        array = array.base
    return not isinstance(array, mmap.mmap)


def _parts(planes: Planes, mask: Planes | None, area: Area) -> Iterator[NDArray[Any]]:
    """Read what counts of an area, some rows at a time, in one dimension."""
    height = max(1, _STRIP // area.width)
    columns = slice(area.left, area.right)
    for frame in range(planes.frames):
        for top in range(area.top, area.bottom, height):
            rows = slice(top, min(top + height, area.bottom))
            values = planes.read(frame, rows, columns)
            if mask is None:
                yield values.ravel()
            else:
                inside = mask.read(frame % mask.frames, rows, columns) != 0
                yield values[np.broadcast_to(inside, values.shape)]


def _ends_of_runs(values: NDArray[Any]) -> NDArray[Any]:
    """Return the last of equal neighbours: labels have long runs, and few values are sorted."""
    return np.append(values[:-1][values[1:] != values[:-1]], values[-1:])
