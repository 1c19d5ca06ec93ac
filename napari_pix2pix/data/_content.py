"""Where a pair holds something to score: pixels that count, and of these those with content."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box, middle
from napari_pix2pix.data.kinds import infer_kind
from napari_pix2pix.data.pair import OpenPair

# Frames that are looked at, and their pixels altogether.
_MOST_FRAMES, _MOST_PIXELS = 32, 2**24
# A frame of more pixels is looked at in so many windows of this side.
_WHOLE, _MOST_WINDOWS, _SIDE = 2**22, 25, 64
# Frames that are looked at to find those in which the mask, or what is held out, holds something.
_MOST_LOOKS = 128
# Part of a target, from its middle, that its kind is inferred from.
_KIND_SIDE = 512
# Content of an image differs from its median by this part of its range: cells, not the ground.
_CONTRAST = 0.1
# Frames show different fields if their sources, in squares of so many pixels, correlate less.
_SQUARE, _ALIKE = 8, 0.5
_MOST_NEIGHBOURS = 4

Window = tuple[Box, NDArray[Any], NDArray[np.bool_]]  # where it is; target and valid (D, h, w)


@dataclass(frozen=True)
class Content:
    """How many pixels of each row and column count, and how many of them have content."""

    valid: tuple[NDArray[np.float64], NDArray[np.float64]]  # (H,) and (W,)
    filled: tuple[NDArray[np.float64], NDArray[np.float64]]

    @property
    def empty(self) -> bool:
        """Whether nothing was found that could be scored."""
        return not self.filled[0].any()


def survey(pair: OpenPair, frames: Sequence[int] | None = None) -> Content:
    """Look at some frames of a pair, or at windows of them if they are large."""
    numbers = range(pair.frames) if frames is None else frames
    most = max(1, min(_MOST_FRAMES, _MOST_PIXELS // (pair.height * pair.width)))
    windows = list(_windows(pair, _spread_evenly(_masked_in(pair, numbers), most)))
    sizes = pair.height, pair.width
    valid, filled = ([np.zeros(size) for size in sizes] for _ in range(2))
    for (box, _, counted), content in zip(windows, _find_content(windows), strict=True):
        for sums, plane in ((valid, counted.any(axis=0)), (filled, content)):
            sums[0][box.rows] += _spread(plane.mean(axis=1), box.height)
            sums[1][box.columns] += _spread(plane.mean(axis=0), box.width)
    return Content((valid[0], valid[1]), (filled[0], filled[1]))


def rare_frames(pair: OpenPair, box: Box) -> tuple[int, ...] | None:
    """Return the frames in which a box holds content, if that is less than half of them."""
    if pair.frames == 1 or box.pixels > _WHOLE:
        return None
    numbers = _masked_in(pair, range(pair.frames))
    most = max(1, min(_MOST_LOOKS, _MOST_PIXELS // box.pixels))
    numbers = _spread_evenly(numbers, most)
    windows = [(box, *pair.read_with_mask(n, box.rows, box.columns)[1:]) for n in numbers]
    joined = zip(numbers, _find_content(windows), strict=True)
    filled = tuple(frame for frame, content in joined if content.any())
    return filled if filled and 2 * len(filled) < pair.frames else None


def frames_differ(pair: OpenPair, *, volumes: bool = False) -> bool:
    """Say whether neighbouring frames, or volumes, along each axis show different fields."""
    shape = pair.target.frame_shape
    numbers = np.arange(pair.frames).reshape(shape)
    rows, columns = (middle(slice(0, n), 16 * _SIDE) for n in (pair.height, pair.width))
    for axis, length in enumerate(shape):
        if length == 1 or (volumes and axis == len(shape) - 1):
            continue
        firsts = np.delete(numbers, -1, axis=axis).ravel()
        step = math.prod(shape[axis + 1 :])
        for first in firsts[:: max(1, len(firsts) // _MOST_NEIGHBOURS)].tolist():
            thumbnails = [
                _thumbnail(pair.source.read(frame, rows, columns))
                for frame in (first, first + step)
            ]
            correlation = _correlate(*thumbnails)
            if math.isnan(correlation) or correlation > _ALIKE:
                return False
    return True


def _spread_evenly(numbers: Sequence[int], most: int) -> list[int]:
    count = min(most, len(numbers))
    return [numbers[i] for i in np.linspace(0, len(numbers) - 1, count, dtype=int)]


def _masked_in(pair: OpenPair, numbers: Sequence[int]) -> Sequence[int]:
    """Return the frames in which the mask leaves something, or all if it does so in none."""
    mask = pair.mask
    if mask is None or mask.frames == 1 or pair.height * pair.width > _WHOLE:
        return numbers
    rows, columns = slice(0, pair.height), slice(0, pair.width)
    some = _spread_evenly(numbers, _MOST_LOOKS)
    return [number for number in some if mask.read(number, rows, columns).any()] or numbers


def _windows(pair: OpenPair, frames: Sequence[int]) -> Iterator[Window]:
    """Read whole frames, band by band; of large ones a window in each cell of a grid."""
    whole = Box.of_size(pair.height, pair.width)
    if whole.pixels <= _WHOLE:
        for frame in frames:
            for top in range(0, pair.height, _SIDE):  # so that reading can be stopped
                band = Box(top, min(top + _SIDE, pair.height), 0, pair.width)
                yield band, *pair.read_with_mask(frame, band.rows, band.columns)[1:]
        return
    cells = int(math.sqrt(_MOST_WINDOWS))
    edges = [np.linspace(0, size, cells + 1, dtype=int).tolist() for size in whole.size]
    for i in range(cells):
        for j in range(cells):
            cell = Box(edges[0][i], edges[0][i + 1], edges[1][j], edges[1][j + 1])
            # From the middle on, not around it, which is where chunks often meet.
            top, left = cell.top + cell.height // 2, cell.left + cell.width // 2
            inner = Box(top, min(top + _SIDE, cell.bottom), left, min(left + _SIDE, cell.right))
            frame = frames[(i + j) % len(frames)]
            yield cell, *pair.read_with_mask(frame, inner.rows, inner.columns)[1:]


def _find_content(windows: Sequence[Window]) -> Iterator[NDArray[np.bool_]]:
    """Yield for each window where its target has content that counts, (h, w)."""
    targets, masks = [target for _, target, _ in windows], [valid for _, _, valid in windows]
    parts = [
        target[:, middle(slice(0, h), _KIND_SIDE), middle(slice(0, w), _KIND_SIDE)]
        for target in targets
        for h, w in [target.shape[1:]]
    ]
    is_labels = len(targets[0]) == 1 and infer_kind(parts) != "image"
    channels = range(len(targets[0]))
    ranges = [_range([target[channel] for target in targets]) for channel in channels]
    for target, valid in zip(targets, masks, strict=True):
        if is_labels:
            content = target != 0
        else:
            content = np.stack(
                [np.abs(target[c] - ranges[c][0]) > _CONTRAST * ranges[c][1] for c in channels]
            )
        yield (content & valid).any(axis=0)


def _range(planes: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the median and the range of some finite values; the range is NaN for a constant."""
    values = np.concatenate([plane.ravel()[:: max(1, plane.size // 2**14)] for plane in planes])
    values = values[np.isfinite(values)].astype(np.float64) if values.size else values
    if not values.size:
        return 0.0, math.nan
    low, centre, high = np.quantile(values, (0.001, 0.5, 0.999))
    return float(centre), float(high - low) or math.nan


def _spread(shares: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Stretch the shares along a window over the length of its cell."""
    if len(shares) == length:
        return shares
    return np.full(length, shares.mean())


def _thumbnail(window: NDArray[Any]) -> NDArray[np.float64]:
    """Average squares of pixels of (C, h, w)."""
    side = max(1, min(_SQUARE, *window.shape[1:]))
    rows, columns = window.shape[1] // side, window.shape[2] // side
    finite = np.nan_to_num(window.astype(np.float64), posinf=0.0, neginf=0.0)
    squares = finite[:, : rows * side, : columns * side].reshape(-1, rows, side, columns, side)
    return squares.mean(axis=(2, 4)).ravel()


def _correlate(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Pearson's correlation; NaN for a constant."""
    centred = first - first.mean(), second - second.mean()
    norm = math.sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / norm if norm else math.nan
