"""Finds images that show a part of the same field, such as tiles of one image that overlap."""
# Of every image some squares are chosen by a hash of their pixels, wherever they lie. So an image
# that shows the same pixels has chosen the same squares, and their places tell how the two are
# shifted (winnowing, as for copied texts: Schleimer, Wilkerson and Aiken 2003).

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box, middle
from napari_pix2pix.data.pair import OpenPair

_SQUARE = 8  # pixels
# One of so many squares is chosen, a power of 2.
_ONE_OF = 32
# A square in which fewer neighbours differ, of 56, may be empty ground that repeats.
_CHANGES = 14
# A square that so many images share is a pattern, such as a grid.
_MOST_IMAGES = 16
# Two images overlap if so many squares agree on one shift, and this part of those that should.
_FEWEST, _SHARE = 8, 0.5
# Pixels of an image that are looked at: of a larger one a cross of bands, at least so thick.
_MOST_PIXELS, _BAND = 2**17, 64
# Of the rows and of the columns of a square.
_POWERS = np.array(
    [
        [pow(base, n, 2**64) for n in range(_SQUARE)]
        for base in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
    ],
    np.uint64,
)


class Squares(NamedTuple):
    """The chosen squares of an image, each of which occurs once in it."""

    hashes: NDArray[np.uint64]  # (N,), rising
    places: NDArray[np.int64]  # (N, 2): row and column
    seen: tuple[Box, ...]  # what was looked at


def choose_squares(pair: OpenPair) -> Squares:
    """Choose squares of the source of a pair, in its middle frame."""
    seen = _parts(pair.height, pair.width)
    parts = [_choose(pair.source.read(pair.frames // 2, box.rows, box.columns)) for box in seen]
    hashes = np.concatenate([found for found, _ in parts])
    places = np.concatenate(
        [
            corners + np.array([box.top, box.left])
            for (_, corners), box in zip(parts, seen, strict=True)
        ]
    )
    _, once = np.unique(places, axis=0, return_index=True)  # bands cross
    hashes, first, counts = np.unique(hashes[once], return_index=True, return_counts=True)
    return Squares(hashes[counts == 1], places[once][first[counts == 1]], seen)


def _parts(height: int, width: int) -> tuple[Box, ...]:
    """Return all of a small image; of a larger one a band of rows and a band of columns."""
    if height * width <= _MOST_PIXELS:
        return (Box.of_size(height, width),)
    thickness = max(_BAND, _MOST_PIXELS // (height + width))
    rows, columns = (middle(slice(0, length), thickness) for length in (height, width))
    return Box(rows.start, rows.stop, 0, width), Box(0, height, columns.start, columns.stop)


def find_overlaps(
    pairs: Mapping[int, OpenPair],
    squares: Mapping[int, Squares],
    held_out: Collection[int],
    training: Collection[int],
) -> list[tuple[int, int]]:
    """Return which held-out image overlaps which training image of its condition, shifted."""
    known = [number for number in training if number in squares]
    if not known:
        return []
    hashes = np.concatenate([squares[number].hashes for number in known])
    owners = np.repeat(known, [len(squares[number].hashes) for number in known])
    places = np.concatenate([squares[number].places for number in known])
    order = np.argsort(hashes, kind="stable")
    hashes, owners, places = hashes[order], owners[order], places[order]
    found = []
    for index in sorted(set(held_out) & squares.keys()):
        own = squares[index]
        first, last = (np.searchsorted(hashes, own.hashes, side=side) for side in ("left", "right"))
        counts = np.where(last - first <= _MOST_IMAGES, last - first, 0)
        which = np.repeat(np.arange(len(counts)), counts)
        theirs = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
        shifts = own.places[which] - places[theirs]
        for other in np.unique(owners[theirs]).tolist():
            if other != index and pairs[other].condition == pairs[index].condition:
                agreeing = shifts[owners[theirs] == other]
                seen = squares[other].seen
                if _overlap(agreeing, own, seen, pairs[index], pairs[other]):
                    found.append((index, other))
                    break
    return found


def _choose(window: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hashes of chosen squares of a window (C, h, w), and their corners (N, 2)."""
    height, width = window.shape[1:]
    if min(height, width) < _SQUARE:
        return np.empty(0, np.uint64), np.empty((0, 2), np.int64)
    kind = np.float64 if window.dtype.kind == "f" else np.int64
    plane = np.zeros((height, width), np.uint64)
    for channel in window:  # modulo 2**64, as all sums here
        plane = plane * _POWERS[1, 1] + np.ascontiguousarray(channel, kind).view(np.uint64)
    hashes = sliding_window_view(plane, _SQUARE, axis=0) @ _POWERS[0]
    hashes = sliding_window_view(hashes, _SQUARE, axis=1) @ _POWERS[1]
    changed = plane[:, 1:] != plane[:, :-1]
    changes = sliding_window_view(changed, _SQUARE, axis=0).sum(axis=-1)
    changes = sliding_window_view(changes, _SQUARE - 1, axis=1).sum(axis=-1)
    hashes = (hashes ^ (hashes >> np.uint64(32))) * _POWERS[0, 1]
    chosen = (hashes >> np.uint64(40)) % np.uint64(_ONE_OF) == 0
    corners = np.argwhere(chosen & (changes >= _CHANGES))
    return hashes[corners[:, 0], corners[:, 1]], corners


def _overlap(
    shifts: NDArray[np.int64], own: Squares, seen: Sequence[Box], pair: OpenPair, other: OpenPair
) -> bool:
    """Say whether squares that two images share, of what was seen of one, agree on one shift."""
    if len(shifts) < _FEWEST:
        return False
    different, counts = np.unique(shifts, axis=0, return_counts=True)
    shift, count = different[np.argmax(counts)], int(counts.max())
    same_size = (pair.height, pair.width) == (other.height, other.width)
    if count < _FEWEST or (same_size and not shift.any()):
        return False  # what lies at one place of all images is a frame or a scale bar
    rows, columns = (own.places - shift).T
    expected = np.zeros(len(rows), bool)
    for box in seen:
        expected |= (
            (rows >= box.top)
            & (rows <= box.bottom - _SQUARE)
            & (columns >= box.left)
            & (columns <= box.right - _SQUARE)
        )
    return bool(count >= _SHARE * np.count_nonzero(expected))
