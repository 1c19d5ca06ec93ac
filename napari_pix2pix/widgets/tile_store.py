"""An image that is there in parts only: tiles at all resolutions, and nothing elsewhere."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.pairs.layouts import Layout
from napari_pix2pix.pairs.lazy import LazyArray
from napari_pix2pix.translation.tiles import Box

_SMALLEST = 512  # pixels that the coarsest level fits into


class TileKey(NamedTuple):
    """Which tile: its frame, and its row and column among the tiles of a frame."""

    frame: int
    row: int
    column: int


class TileStore:
    """Tiles of an image by place, at each level of a pyramid; the oldest make room for new ones.

    Parameters
    ----------
    frame_shape : tuple of int
    height, width : int
        Of the image in pixels.
    layout : Layout
        Channels are shown on an axis in front, colours on one behind.
    channels : int
    dtype : numpy.dtype
        Booleans are kept as uint8, as Labels need them.
    side : int
        Of a tile in pixels, a power of two.
    most_bytes : int
        That tiles take; at least one is kept.

    Attributes
    ----------
    levels : list of LazyArray
        The image and its halves, quarters, ...; 0 where there is no tile. Reading never waits.
    """

    def __init__(
        self,
        frame_shape: tuple[int, ...],
        height: int,
        width: int,
        *,
        layout: Layout,
        channels: int,
        dtype: np.dtype[Any],
        side: int = 512,
        most_bytes: int = 1 << 30,
    ) -> None:
        self.side, self.size = side, (height, width)
        self._frame_shape, self._most = frame_shape, most_bytes
        self._in_front = layout.channel_axis is not None and not layout.rgb
        self._behind, self._channels = layout.rgb, channels
        self._dtype = np.dtype(np.uint8) if dtype == np.dtype(bool) else dtype
        self._tiles: dict[TileKey, list[NDArray[Any]]] = {}  # in the order of their last use
        self._bytes = 0
        self._lock = threading.Lock()
        self.levels: list[LazyArray] = [_Level(self, 0, self._shape(0), self._dtype)]
        while max(self._plane(len(self.levels) - 1)) > _SMALLEST and side >> len(self.levels):
            number = len(self.levels)
            self.levels.append(_Level(self, number, self._shape(number), self._dtype))

    def __contains__(self, key: TileKey) -> bool:
        return key in self._tiles

    def box(self, key: TileKey) -> Box:
        """Return where a tile lies in its frame."""
        (height, width), side = self.size, self.side
        top, left = key.row * side, key.column * side
        return Box(top, min(top + side, height), left, min(left + side, width))

    def around(self, frames: Sequence[int], view: Box) -> list[TileKey]:
        """List the tiles that a part of some frames lies in, those in its middle first."""
        if not view.pixels:
            return []
        side = self.side
        rows = range(view.top // side, -(-view.bottom // side))
        columns = range(view.left // side, -(-view.right // side))
        keys = [TileKey(*key) for key in itertools.product(frames, rows, columns)]
        return sorted(keys, key=lambda key: self.box(key).distance(view)[1])

    def use(self, keys: Sequence[TileKey]) -> None:
        """Mark tiles as used: others make room before them."""
        with self._lock:
            for key in reversed(keys):
                if key in self._tiles:
                    self._tiles[key] = self._tiles.pop(key)

    def put(self, key: TileKey, pixels: NDArray[Any]) -> None:
        """Keep a tile, (C, h, w)."""
        levels = range(len(self.levels))
        found = [np.array(pixels[:, :: 1 << n, :: 1 << n], self._dtype) for n in levels]
        with self._lock:
            self._tiles[key] = found
            self._bytes += sum(one.nbytes for one in found)
            while self._bytes > self._most and len(self._tiles) > 1:
                oldest = self._tiles.pop(next(iter(self._tiles)))
                self._bytes -= sum(one.nbytes for one in oldest)

    def read(self, level: int, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window of a level, along its axes."""
        axes = list(window)
        channels = axes.pop(0) if self._in_front else slice(None)
        channels = axes.pop() if self._behind else channels
        *frames, rows, columns = axes
        count = len(range(self._channels)[channels])
        data = np.zeros((count, *(span.stop - span.start for span in axes)), self._dtype)
        spans = [range(span.start, span.stop) for span in frames]
        for place in itertools.product(*spans):
            inner = tuple(index - span.start for index, span in zip(place, spans, strict=True))
            frame = int(np.ravel_multi_index(place, self._frame_shape)) if place else 0
            index: tuple[int | slice, ...] = (slice(None), *inner)
            plane = data[index]
            for here, piece in self._pieces(level, frame, rows, columns):
                plane[:, *here] = piece[channels]
        if self._behind:
            return np.moveaxis(data, 0, -1)
        return data if self._in_front else data[0]

    def _pieces(
        self, level: int, frame: int, rows: slice, columns: slice
    ) -> Iterator[tuple[tuple[slice, slice], NDArray[Any]]]:
        """List what there is of a window: where in it, and (C, h, w)."""
        step = self.side >> level
        for i in range(rows.start // step, -(-rows.stop // step)):
            for j in range(columns.start // step, -(-columns.stop // step)):
                tile = self._tiles.get(TileKey(frame, i, j))
                if tile is None:
                    continue
                piece = tile[level]
                down, inside_down = _meet(i * step, piece.shape[1], rows)
                over, inside_over = _meet(j * step, piece.shape[2], columns)
                yield (down, over), piece[:, inside_down, inside_over]

    def _plane(self, level: int) -> tuple[int, int]:
        height, width = (-(-size // (1 << level)) for size in self.size)
        return height, width

    def _shape(self, level: int) -> tuple[int, ...]:
        shape = (*self._frame_shape, *self._plane(level))
        if self._in_front:
            return (self._channels, *shape)
        return (*shape, self._channels) if self._behind else shape


class _Level(LazyArray):
    """One resolution of a store."""

    def __init__(
        self, store: TileStore, number: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        super().__init__(shape, dtype)
        self._store, self._number = store, number

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window of what is there."""
        return self._store.read(self._number, window)


def _meet(start: int, length: int, span: slice) -> tuple[slice, slice]:
    """Return where a piece and a span meet, counted in the span and in the piece."""
    first, last = max(start, span.start), max(start, span.start, min(start + length, span.stop))
    return slice(first - span.start, last - span.start), slice(first - start, last - start)
