"""An image of tiles at all resolutions, made where they are wanted; old ones move to a file."""

from __future__ import annotations

import itertools
import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from tempfile import TemporaryFile
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.memory_limits import available_memory
from napari_pix2pix.napari_layers.keep_responsive import ProgressReporter, run_responsive


class FiledArray(NamedTuple):
    """Where an array lies in a file, and its shape and dtype."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class TileFile:
    """A temporary file of arrays, deleted with this object; for one thread at a time."""

    def __init__(self) -> None:
        self._file: Any = None
        self._end = 0

    def keep(self, array: NDArray[Any]) -> FiledArray:
        """Append an array; raises `OSError` if the disk is full."""
        if self._file is None:
            self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as this lives
            weakref.finalize(self, self._file.close)
        filed = FiledArray(self._end, array.shape, array.dtype)
        self._file.seek(filed.offset)
        if self._file.write(np.ascontiguousarray(array).data) < array.nbytes:
            raise OSError("There is no room on the disk.")
        self._end += array.nbytes
        return filed

    def read(self, filed: FiledArray) -> NDArray[Any]:
        """Read an array again."""
        count = int(np.prod(filed.shape))
        self._file.seek(filed.offset)
        array: NDArray[Any] = np.fromfile(self._file, filed.dtype, count)
        return array.reshape(filed.shape)


_SMALLEST = 512  # pixels that the coarsest level fits into
# Modules that pass an index on for someone else.
_PASSING_ON = (__name__, LazyArray.__module__, "numpy", "napari.utils", "napari.layers._multiscale")


class TileKey(NamedTuple):
    """A tile's frame, and its row and column among the frame's tiles."""

    frame: int
    row: int
    column: int


class TileStore:
    """The tiles of an image at each level of a pyramid; the oldest move to a file.

    When napari reads the levels to draw them, missing tiles are 0 and it never waits. When anyone
    else reads them, to save or to measure, missing tiles are made first.
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
        make: Callable[[int, Box], NDArray[Any]],  # of a frame's box: (C, h, w)
        side: int = 512,  # of a tile in pixels, a power of two
        most_bytes: int = 1 << 30,  # of memory that tiles may take; at least one stays there
    ) -> None:
        self.side, self.size = side, (height, width)
        self._frame_shape, self._most = frame_shape, most_bytes
        self._in_front = layout.channel_axis is not None and not layout.rgb
        self._behind, self._channels = layout.rgb, channels
        # Labels take no booleans.
        self._dtype = np.dtype(np.uint8) if dtype == np.dtype(bool) else dtype
        self._make = make
        self._tiles: dict[TileKey, list[NDArray[Any]]] = {}  # in the order of their last use
        self._filed: dict[TileKey, list[FiledArray]] = {}
        self._file = TileFile()
        self._bytes = 0
        self._lock, self._making = threading.Lock(), threading.Lock()
        # The image and its halves, quarters, ...
        self.levels: list[LazyArray] = [_Level(self, 0, self._shape(0), self._dtype)]
        while max(self._plane(len(self.levels) - 1)) > _SMALLEST and side >> len(self.levels):
            number = len(self.levels)
            self.levels.append(_Level(self, number, self._shape(number), self._dtype))
        # napari reads the coarsest level of a plane once and for all, so it is updated in place.
        self._overview = np.zeros((channels, *self._plane(len(self.levels) - 1)), self._dtype)

    def __contains__(self, key: TileKey) -> bool:
        with self._lock:
            return key in self._tiles or key in self._filed

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
        """Mark tiles as used, so that others move to the file first."""
        with self._lock:
            for key in reversed(keys):
                if key in self._tiles:
                    self._tiles[key] = self._tiles.pop(key)

    def add(self, key: TileKey) -> list[NDArray[Any]]:
        """Make a tile and keep it; return it at each level, (C, h, w)."""
        with self._making:
            pixels = self._make(key.frame, self.box(key))
        count = len(self.levels)
        made = [np.array(pixels[:, :: 1 << n, :: 1 << n], self._dtype) for n in range(count)]
        with self._lock:
            if key not in self._tiles and key not in self._filed:
                self._tiles[key] = made
                self._bytes += sum(level.nbytes for level in made)
                self._make_room()
        if not self._frame_shape:
            side = self.side >> (count - 1)
            rows, columns = (slice(n * side, (n + 1) * side) for n in (key.row, key.column))
            self._overview[:, rows, columns] = made[-1]
        return made

    def read(
        self, level: int, window: tuple[slice, ...], report: ProgressReporter | None = None
    ) -> NDArray[Any]:
        """Read a window of a level; with a ``report``, make missing tiles, which are 0 without."""
        axes = list(window)
        channels = axes.pop(0) if self._in_front else slice(None)
        channels = axes.pop() if self._behind else channels
        *frames, rows, columns = axes
        if report is None and level == len(self.levels) - 1 and not frames:
            return self._laid_out(self._overview[channels, rows, columns])
        count = len(range(self._channels)[channels])
        data = np.zeros((count, *(span.stop - span.start for span in axes)), self._dtype)
        spans = [range(span.start, span.stop) for span in frames]
        for place in itertools.product(*spans):
            inner = tuple(index - span.start for index, span in zip(place, spans, strict=True))
            frame = int(np.ravel_multi_index(place, self._frame_shape)) if place else 0
            index: tuple[int | slice, ...] = (slice(None), *inner)
            plane = data[index]
            for here, piece in self._pieces(level, frame, rows, columns, report):
                plane[:, *here] = piece[channels]
        return self._laid_out(data)

    def _laid_out(self, data: NDArray[Any]) -> NDArray[Any]:
        """Move the channels of (C, ...) to the axis that layers show them on."""
        if self._behind:
            return np.moveaxis(data, 0, -1)
        return data if self._in_front else data[0]

    def _pieces(
        self, level: int, frame: int, rows: slice, columns: slice, report: ProgressReporter | None
    ) -> Iterator[tuple[tuple[slice, slice], NDArray[Any]]]:
        """Yield where each piece lies in a window, and its pixels (C, h, w)."""
        step = self.side >> level
        down = range(rows.start // step, -(-rows.stop // step))
        over = range(columns.start // step, -(-columns.stop // step))
        for number, (i, j) in enumerate(itertools.product(down, over)):
            key = TileKey(frame, i, j)
            piece = self._find(key, level)
            if piece is None and report is not None:
                report.show(number / (len(down) * len(over)), f"frame {frame}")
                piece = self.add(key)[level]
            if piece is None:
                continue
            there, inside_down = _meet(i * step, piece.shape[1], rows)
            across, inside_over = _meet(j * step, piece.shape[2], columns)
            yield (there, across), piece[:, inside_down, inside_over]

    def _find(self, key: TileKey, level: int) -> NDArray[Any] | None:
        with self._lock:
            if key in self._tiles:
                return self._tiles[key][level]
            return self._file.read(self._filed[key][level]) if key in self._filed else None

    def _make_room(self) -> None:
        while self._bytes > self._most and len(self._tiles) > 1:
            key = next(iter(self._tiles))
            oldest = self._tiles.pop(key)
            self._bytes -= sum(level.nbytes for level in oldest)
            try:
                self._filed[key] = [self._file.keep(level) for level in oldest]
            except OSError:  # the disk is full: it will be made again
                continue

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
        """Read a window; raises `InputError` if it exceeds the memory or the user cancels."""
        store, number = self._store, self._number
        if _is_drawn():
            return store.read(number, window)
        _check_room(math.prod(span.stop - span.start for span in window) * self.dtype.itemsize)
        title = "Translating what is read"
        try:
            return run_responsive(lambda report: store.read(number, window, report), title=title)
        except KeyboardInterrupt:  # which would close napari
            raise InputError(
                "Reading was cancelled before all tiles were translated: read or save a part of "
                "the layer, or translate all of it by napari-pix2pix apply."
            ) from None


def _is_drawn() -> bool:
    """Whether napari reads to draw, and nobody else to save or measure."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _module(frame).startswith(_PASSING_ON):
        frame = frame.f_back
    return _module(frame).startswith("napari.")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _check_room(size: int) -> None:
    """Raise `InputError` if there is less free memory than ``size`` bytes."""
    free = available_memory()
    if size > free:
        raise InputError(
            f"Reading it takes {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free: "
            "read or save a part of the layer, or translate all of it by napari-pix2pix apply."
        )


def _meet(start: int, length: int, span: slice) -> tuple[slice, slice]:
    """Return the overlap of a piece and a span, counted in the span and in the piece."""
    first, last = max(start, span.start), max(start, span.start, min(start + length, span.stop))
    return slice(first - span.start, last - span.start), slice(first - start, last - start)
