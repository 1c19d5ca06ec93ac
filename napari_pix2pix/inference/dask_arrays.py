"""Dask arrays in, a dask array out: each chunk is translated where it is looked at.

dask is imported inside functions only: it is loaded by whoever has a dask array.
"""

from __future__ import annotations

import itertools
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.inference.array_views import Excerpt, Scattered, find_chunks, find_excerpt
from napari_pix2pix.inference.norm_statistics import Measured
from napari_pix2pix.inference.tiling import Box, TileGrid

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
                find_chunks(
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
            found = [find_excerpt(*one) for one in zip(arrays, edges, extents, strict=True)]
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


@dataclass(frozen=True)
class _Chunk:
    """The task of one chunk."""

    shell: Planes = field(repr=False)
    frame: int
    region: Box
    place: _Place
    parts: list[Excerpt] = field(repr=False)

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


@dataclass(frozen=True)
class _Frame:
    """The task of measuring a frame."""

    shell: Planes = field(repr=False)
    frame: int
    measure: Callable[[Planes, int], Measured]
    parts: list[tuple[tuple[int, ...], list[tuple[slice, ...]]]] = field(repr=False)

    def __call__(self, blocks: list[list[NDArray[Any]]]) -> Measured:
        read = (Scattered(*part, these) for part, these in zip(self.parts, blocks, strict=True))
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
