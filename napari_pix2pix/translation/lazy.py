"""Dask arrays in, a dask array out: each chunk is translated where it is looked at.

dask is imported inside functions only: it is loaded by whoever has a dask array.
"""

from __future__ import annotations

import itertools
import sys
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import DeviceError
from napari_pix2pix.pairs.layouts import Layout
from napari_pix2pix.pairs.lazy import LazyArray
from napari_pix2pix.pairs.planes import Planes
from napari_pix2pix.translation.measuring import Measured
from napari_pix2pix.translation.tiles import Box, TileGrid

if TYPE_CHECKING:
    from dask.array import Array

Translate = Callable[..., NDArray[Any]]

_Spans = list[tuple[int, int]]  # first, and one past the last, of each chunk along an axis


class Measuring(NamedTuple):
    """How frames are measured before their chunks are translated.

    Attributes
    ----------
    measure : callable
        ``measure(planes, frame)``, with planes of which only `parts` can be read.
    parts : list of Box
        What it reads of a frame.
    """

    measure: Callable[[Planes, int], Measured]
    parts: list[Box]


def is_lazy(planes: Planes) -> bool:
    """Tell whether an image is made of dask arrays, wholly or partly."""
    dask = sys.modules.get("dask.array")
    return dask is not None and any(isinstance(one.array, dask.Array) for one in planes.members)


def read_part(planes: Planes, frame: int, box: Box) -> Planes:
    """Read what a part of a frame consists of, its neighbours in a stack too.

    Parameters
    ----------
    planes : Planes
    frame : int
    box : Box

    Returns
    -------
    Planes
        The same image, of which only this part can be read.
    """
    frames = planes.frames_seen(frame)
    spans = [one.extent(frames, box.rows, box.columns) for one in planes.members]
    read = (
        Part(one.shape, there, np.asarray(one.array[there]))
        for one, there in zip(planes.members, spans, strict=True)
    )
    return planes.on(read)


def translate_lazily(
    planes: Planes,
    translate: Translate,
    *,
    grid: TileGrid,
    layout: Layout,
    channels: int,
    dtype: np.dtype[Any],
    whole: bool,
    measuring: Measuring | None = None,
) -> Array:
    """Lay out an image whose chunks are translated when they are computed.

    Parameters
    ----------
    planes : Planes
        An image made of dask arrays.
    translate : callable
        ``translate(planes, frame, region, measured=measured)`` returns (C, h, w) of a region of a
        frame. It is called in the threads or processes of dask's scheduler, with planes that hold
        what `grid` says that the region is computed from.
    grid : TileGrid
        Of the image; its tile is not looked at.
    layout, channels, dtype
        Of what comes out.
    whole : bool
        Whether frames are translated in one piece.
    measuring : Measuring, optional
        Where all chunks of a frame share what is measured of it.

    Returns
    -------
    dask.array.Array
        One chunk a frame, with all channels, in Y and X chunked like the first array: chunks begin
        on the grid of the stride, and are joined until they are twice the halo or more.
    """
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    arrays = [_as_dask(one.array) for one in planes.members]
    cuts: list[_Spans] = [[(0, planes.height)], [(0, planes.width)]]
    if not whole:
        cuts = [_joined(lengths, grid) for lengths in planes.members[0].in_plane(arrays[0].chunks)]
    name, place = f"pix2pix-{uuid.uuid4().hex}", _Place(layout, channels, planes.frame_shape)
    graph: dict[Any, Any] = {f"{name}-translate": translate}
    edges = [[[0, *itertools.accumulate(axis)] for axis in array.chunks] for array in arrays]
    shell = planes.on([None] * len(arrays))
    for frame, index in enumerate(np.ndindex(*planes.frame_shape)):
        frames = planes.frames_seen(frame)
        measured = None
        if measuring is not None:
            measured = f"{name}-measured-{frame}"
            shards = [
                _shards(
                    array,
                    axes,
                    [one.extent(frames, box.rows, box.columns) for box in measuring.parts],
                )
                for one, array, axes in zip(planes.members, arrays, edges, strict=True)
            ]
            task = _Frame(shell, frame, measuring.measure, [part for part, _ in shards])
            graph[measured] = (task, [keys for _, keys in shards])
        for (i, rows), (j, columns) in itertools.product(*map(enumerate, cuts)):
            region = Box(*rows, *columns)
            seen = grid.seen(grid.rounded(region))
            extents = [one.extent(frames, seen.rows, seen.columns) for one in planes.members]
            found = [_excerpt(*one) for one in zip(arrays, edges, extents, strict=True)]
            chunk = _Chunk(shell, frame, region, place, [part for part, _ in found])
            keys = [keys for _, keys in found]
            key = (name, *place.axes([*index, 0, i, j]))
            graph[key] = (chunk, f"{name}-translate", keys, measured)
    lengths = [tuple(stop - start for start, stop in one) for one in cuts]
    chunks = place.axes([*((1,) * length for length in planes.frame_shape), (channels,), *lengths])
    sources: list[Any] = arrays
    layers = HighLevelGraph.from_collections(name, graph, dependencies=sources)
    return da.Array(layers, name, tuple(chunks), dtype=dtype)


class InTurn:
    """Translates or measures for the threads of a scheduler, one at a time.

    A network's mode, layers and device are its own state,
    and two windows at once would need twice the memory; a network uses all cores by itself. So all
    lazy arrays of a process share one lock.

    Parameters
    ----------
    work : callable
        See `translate_lazily` and `Measuring`.
    """

    def __init__(self, work: Callable[..., Any]) -> None:
        from dask.utils import SerializableLock

        self._work, self._lock = work, SerializableLock("pix2pix")

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Do it once no other is at work."""
        with self._lock:
            return self._work(*arguments, **more)


@dataclass(frozen=True)
class _Place:
    """How the axes of what comes out follow each other."""

    layout: Layout
    channels: int
    frame_shape: tuple[int, ...]

    def axes(self, values: list[Any]) -> list[Any]:
        """Order values of frame axes, channels, Y and X as `Layout.assemble` orders these axes."""
        axis = self.layout.channel_axis
        channels = values.pop(-3)
        if axis is not None:
            length = len(values) + 1
            values.insert(max(axis, -length) % length, channels)
        return values


class Part(LazyArray):
    """An array of which only a part is there.

    Parameters
    ----------
    shape : tuple of int
        Of the whole array.
    spans : tuple of slice
        Where the part lies in it.
    data : numpy.ndarray
        The part.
    """

    def __init__(
        self, shape: tuple[int, ...], spans: tuple[slice, ...], data: NDArray[Any]
    ) -> None:
        super().__init__(shape, data.dtype)
        self._spans, self.data = spans, data

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window of what is there."""
        shifted = (
            slice(asked.start - there.start, asked.stop - there.start)
            for asked, there in zip(window, self._spans, strict=True)
        )
        return self.data[tuple(shifted)]


@dataclass(frozen=True)
class _Excerpt:
    """Which part of an array a chunk is computed from, and where its chunks lie in that part."""

    shape: tuple[int, ...]
    spans: tuple[slice, ...]
    places: list[tuple[slice, ...]] = field(repr=False)  # of each chunk in the array

    def read(self, blocks: Sequence[NDArray[Any]]) -> Part:
        """Put the chunks together, as far as they are needed."""
        if len(blocks) == 1:
            return Part(self.shape, self.places[0], np.asarray(blocks[0]))
        size = tuple(span.stop - span.start for span in self.spans)
        data = np.empty(size, np.asarray(blocks[0]).dtype)
        for place, block in zip(self.places, blocks, strict=True):
            both = list(map(_overlap, place, self.spans))
            inside, here = zip(*both, strict=True)
            data[here] = block[inside]
        return Part(self.shape, self.spans, data)


@dataclass(frozen=True)
class _Chunk:
    """The task of one chunk."""

    shell: Planes = field(repr=False)
    frame: int
    region: Box
    place: _Place
    parts: list[_Excerpt] = field(repr=False)

    def __call__(
        self,
        translate: Translate,
        blocks: list[list[NDArray[Any]]],
        measured: Measured | None,
    ) -> NDArray[Any]:
        read = (part.read(these) for part, these in zip(self.parts, blocks, strict=True))
        pixels = translate(self.shell.on(read), self.frame, self.region, measured=measured)
        frames = (1,) * len(self.place.frame_shape)
        return self.place.layout.assemble(pixels[np.newaxis], frames)


class Shards(LazyArray):
    """An array of which some chunks are there.

    Parameters
    ----------
    shape : tuple of int
        Of the whole array.
    places : list of tuple of slice
        Where the chunks lie in it.
    chunks : sequence of numpy.ndarray
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        places: list[tuple[slice, ...]],
        chunks: Sequence[NDArray[Any]],
    ) -> None:
        super().__init__(shape, np.asarray(chunks[0]).dtype)
        self._pieces = list(zip(places, chunks, strict=True))

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window of what is there."""
        data = np.empty(tuple(span.stop - span.start for span in window), self.dtype)
        found = 0
        for place, chunk in self._pieces:
            both = list(map(_overlap, place, window))
            inside, here = zip(*both, strict=True)
            if all(span.start < span.stop for span in here):
                data[here] = chunk[inside]
                found += data[here].size
        if found < data.size:  # smaller windows lie elsewhere
            raise DeviceError(
                "Memory ran out while the image was measured: close other programs, or choose "
                "another device."
            )
        return data


@dataclass(frozen=True)
class _Frame:
    """The task of measuring a frame."""

    shell: Planes = field(repr=False)
    frame: int
    measure: Callable[[Planes, int], Measured]
    parts: list[tuple[tuple[int, ...], list[tuple[slice, ...]]]] = field(repr=False)

    def __call__(self, blocks: list[list[NDArray[Any]]]) -> Measured:
        read = (Shards(*part, these) for part, these in zip(self.parts, blocks, strict=True))
        return self.measure(self.shell.on(read), self.frame)


def _as_dask(array: Any) -> Array:
    import dask.array as da

    return array if isinstance(array, da.Array) else da.from_array(array)


def _joined(lengths: Sequence[int], grid: TileGrid) -> _Spans:
    """Move the edges of chunks to the grid of the stride, and join those that are too small."""
    size, stride = sum(lengths), grid.stride
    least = max(stride, 2 * grid.halo)
    edges = [0]
    for edge in itertools.accumulate(lengths[:-1]):
        edge = round(edge / stride) * stride
        if edge - edges[-1] >= least and size - edge >= min(least, lengths[-1]):
            edges.append(edge)
    return list(itertools.pairwise([*edges, size]))


def _excerpt(
    array: Array, edges: list[list[int]], spans: tuple[slice, ...]
) -> tuple[_Excerpt, list[Any]]:
    """Return which part of an array is needed, and the keys of the chunks that it lies in."""
    along = [_chunks_in(*axis) for axis in zip(edges, spans, strict=True)]
    keys, places = [], []
    for chunks in itertools.product(*along):
        keys.append((array.name, *(number for number, _ in chunks)))
        places.append(tuple(place for _, place in chunks))
    return _Excerpt(array.shape, spans, places), keys


def _shards(
    array: Array, edges: list[list[int]], parts: list[tuple[slice, ...]]
) -> tuple[tuple[tuple[int, ...], list[tuple[slice, ...]]], list[Any]]:
    """Return shape and places of the chunks that some parts of an array lie in, and their keys."""
    places: dict[Any, tuple[slice, ...]] = {}
    for spans in parts:
        found, keys = _excerpt(array, edges, spans)
        places |= zip(keys, found.places, strict=True)
    return (array.shape, list(places.values())), list(places)


def _chunks_in(edges: list[int], span: slice) -> list[tuple[int, slice]]:
    """List the chunks along an axis that a span meets: their numbers, and where they are."""
    first, last = bisect_right(edges, span.start) - 1, bisect_left(edges, span.stop)
    return [(number, slice(edges[number], edges[number + 1])) for number in range(first, last)]


def _overlap(chunk: slice, span: slice) -> tuple[slice, slice]:
    """Return where a chunk and a span meet, counted in the chunk and in the span."""
    start, stop = max(chunk.start, span.start), min(chunk.stop, span.stop)
    return slice(start - chunk.start, stop - chunk.start), slice(
        start - span.start, stop - span.start
    )
