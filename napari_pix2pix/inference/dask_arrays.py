"""Dask arrays in, a dask array out; and the parts of large arrays that a region needs."""
# dask is imported inside functions only: a user who has a dask array has loaded it.

from __future__ import annotations

import itertools
import math
import sys
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box, overlap
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.object_parts import Numbering, ObjectPart, PackedNumbers
from napari_pix2pix.data.resampling import ResampledImage
from napari_pix2pix.data.volumes import VolumeImage
from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference.norm_statistics import Measured
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.inference.resampled import box_seen
from napari_pix2pix.inference.tiling import TileGrid

if TYPE_CHECKING:
    from dask.array import Array

_Spans = list[tuple[int, int]]  # first, and one past the last, of each chunk along an axis


def is_lazy(image: LazyImage) -> bool:
    """Tell whether an image is made of dask arrays, wholly or partly."""
    dask = sys.modules.get("dask.array")
    return dask is not None and any(
        isinstance(member.array, dask.Array) for member in image.members
    )


def predict_lazily(predictor: Predictor, image: LazyImage, options: PredictOptions) -> Array:
    """Return a dask array of one sample whose chunks are predicted when they are computed."""
    # Chunks hold one frame, or all planes of a volume, with all channels. In Y and X they are those
    # of the first source array, moved to the grid of the stride and joined until they are twice the
    # halo or more. Frames that are needed whole are one chunk, unless they are measured once for
    # all of their chunks. Chunks are of the image's own pixels, also where it is resampled. Objects
    # are found chunk by chunk, and numbered when all chunks of their frame are known: until then
    # their numbers are kept, packed.
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    computed = predictor.as_computed(image, options)
    pixel = predictor.part_like(computed, options.output)
    own, size = predictor.detached_copy(), (image.height, image.width)
    measured_parts: list[Box] = []
    has_objects = predictor.finds_objects
    whole = predictor.is_predicted_whole(options)
    if predictor.is_measured_apart(options):
        whole = own.fits(computed, options)
        measured_parts = [] if whole else _parts_read(own, computed, options)
    grid = TileGrid.of_network(predictor.generator, *size)
    arrays = [_as_dask(member.array) for member in image.members]
    reach = predictor.object_reach(image, options)
    cuts: list[_Spans] = [[(0, image.height)], [(0, image.width)]]
    if not whole:
        sizes = zip(size, (computed.height, computed.width), strict=True)
        halos = [math.ceil(grid.halo * before / after) + reach[0] for before, after in sizes]
        lengths = image.members[0].in_plane(arrays[0].chunks)
        cuts = [_joined(*axis, grid.stride) for axis in zip(lengths, halos, strict=True)]
    planes = [(image.depth,)] if isinstance(image, VolumeImage) else []  # in one chunk
    name = f"pix2pix-{uuid.uuid4().hex}"
    place = _Place(predictor.target_codec.layout, len(pixel), image.frame_shape, pixel.dtype)
    graph: dict[Any, Any] = {f"{name}-predict": _OneAtATime(own, options)}
    edges = [[[0, *itertools.accumulate(axis)] for axis in array.chunks] for array in arrays]
    shell = image.on([None] * len(arrays))
    for frame, index in enumerate(np.ndindex(*image.frame_shape)):
        frames = image.frames_seen(frame)
        measured = None
        if measured_parts:
            measured = f"{name}-measured-{frame}"
            shards = [
                find_chunks(
                    array,
                    axes,
                    [member.extent(frames, box.rows, box.columns) for box in measured_parts],
                )
                for member, array, axes in zip(image.members, arrays, edges, strict=True)
            ]
            task = _Frame(shell, frame, [part for part, _ in shards])
            graph[measured] = (task, f"{name}-predict", [keys for _, keys in shards])
        found = []
        for (i, rows), (j, columns) in itertools.product(*map(enumerate, cuts)):
            region = Box(*rows, *columns)
            around = region.grown(reach[-1], Box.of_size(*size))
            seen = box_seen(own, image, options, around)
            extents = [member.extent(frames, seen.rows, seen.columns) for member in image.members]
            excerpts = list(map(find_excerpt, arrays, edges, extents))
            chunk = _Chunk(shell, frame, region, place, [part for part, _ in excerpts])
            keys = [keys for _, keys in excerpts]
            key = (name, *place.axes([*index, *(0 for _ in planes), 0, i, j]))
            if not has_objects:
                graph[key] = (chunk, f"{name}-predict", keys, measured)
                continue
            numbers, parts = f"{name}-numbers-{frame}-{i}-{j}", f"{name}-parts-{frame}-{i}-{j}"
            graph[f"{numbers}-all"] = (chunk.find, f"{name}-predict", keys, measured)
            graph[numbers] = (itemgetter(0), f"{numbers}-all")
            graph[parts] = (itemgetter(1), f"{numbers}-all")
            found.append(parts)
            graph[key] = (chunk.renumber, numbers, f"{name}-numbering-{frame}")
        if has_objects:
            graph[f"{name}-numbering-{frame}"] = (_number, found)
    sides = [tuple(stop - start for start, stop in spans) for spans in cuts]
    each = [(1,) * length for length in image.frame_shape]
    chunks = place.axes([*each, *planes, (len(pixel),), *sides])
    sources: list[Any] = arrays
    layers = HighLevelGraph.from_collections(name, graph, dependencies=sources)
    return da.Array(layers, name, tuple(chunks), dtype=pixel.dtype)


class _OneAtATime:
    """Predicts and measures for the threads of a scheduler, one at a time."""

    # A network's mode, layers and device are its own state, and two windows at once would need
    # twice the memory; a network uses all cores by itself. So all lazy arrays of a process share
    # one lock.

    def __init__(self, predictor: Predictor, options: PredictOptions) -> None:
        from dask.utils import SerializableLock

        self._predictor, self._options = predictor, options
        self._lock = SerializableLock("pix2pix")

    def predict(
        self, image: LazyImage, frame: int, region: Box, measured: Measured | None
    ) -> NDArray[Any]:
        """Predict a region of a frame, (C, h, w)."""
        with self._lock:
            return self._predictor.predict_region(
                image, frame, region, self._options, measured=measured
            )

    def find(
        self, image: LazyImage, frame: int, region: Box, measured: Measured | None
    ) -> tuple[PackedNumbers, list[ObjectPart]]:
        """Find the objects of a region of a frame."""
        with self._lock:
            found = self._predictor.find_objects(
                image, frame, region, self._options, measured=measured
            )
        return PackedNumbers.of(found.numbers), found.parts

    def measure(self, image: LazyImage, frame: int) -> Measured:
        """Measure the norm statistics of a frame."""
        with self._lock:
            return self._predictor.measure_frame(image, frame, self._options)


@dataclass(frozen=True)
class _Place:
    """How the axes of what comes out follow each other, and its dtype."""

    layout: Layout
    channels: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]

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

    shell: LazyImage = field(repr=False)
    frame: int
    region: Box
    place: _Place
    parts: list[Excerpt] = field(repr=False)

    def __call__(
        self,
        predictor: _OneAtATime,
        blocks: list[list[NDArray[Any]]],
        measured: Measured | None,
    ) -> NDArray[Any]:
        return self._laid_out(predictor.predict(*self._read(blocks), self.region, measured))

    def find(
        self,
        predictor: _OneAtATime,
        blocks: list[list[NDArray[Any]]],
        measured: Measured | None,
    ) -> tuple[PackedNumbers, list[ObjectPart]]:
        """Find the objects of the chunk."""
        return predictor.find(*self._read(blocks), self.region, measured)

    def renumber(self, numbers: PackedNumbers, numbering: Numbering) -> NDArray[Any]:
        """Return the chunk, once all objects of the frame are known."""
        dtype = self.place.dtype
        channels = enumerate(numbers.unpacked())
        return self._laid_out(np.stack([numbering.renumber(one, c, dtype) for c, one in channels]))

    def _read(self, blocks: list[list[NDArray[Any]]]) -> tuple[LazyImage, int]:
        read = (part.read(chunks) for part, chunks in zip(self.parts, blocks, strict=True))
        return self.shell.on(read), self.frame

    def _laid_out(self, pixels: NDArray[Any]) -> NDArray[Any]:
        frames = (1,) * len(self.place.frame_shape)
        typed = pixels[np.newaxis].astype(self.place.dtype, copy=False)
        return self.place.layout.assemble(typed, frames)


def _number(parts: list[list[ObjectPart]]) -> Numbering:
    return Numbering(list(itertools.chain.from_iterable(parts)))


@dataclass(frozen=True)
class _Frame:
    """The task of measuring a frame."""

    shell: LazyImage = field(repr=False)
    frame: int
    parts: list[tuple[tuple[int, ...], list[tuple[slice, ...]]]] = field(repr=False)

    def __call__(self, predictor: _OneAtATime, blocks: list[list[NDArray[Any]]]) -> Measured:
        read = (Scattered(*part, chunks) for part, chunks in zip(self.parts, blocks, strict=True))
        return predictor.measure(self.shell.on(read), self.frame)


def _as_dask(array: Any) -> Array:
    import dask.array as da

    return array if isinstance(array, da.Array) else da.from_array(array)


def _parts_read(predictor: Predictor, computed: LazyImage, options: PredictOptions) -> list[Box]:
    """Return the parts of an image's own pixels that are read when a frame is measured."""
    parts = predictor.measured_parts(computed, options)
    if isinstance(computed, ResampledImage):
        return [computed.resampling.needs(part) for part in parts]
    return parts


def _joined(lengths: Sequence[int], halo: int, stride: int) -> _Spans:
    """Move the edges of chunks to the grid of the stride, and join those that are too small."""
    size, least = sum(lengths), max(stride, 2 * halo)
    edges = [0]
    for edge in itertools.accumulate(lengths[:-1]):
        edge = round(edge / stride) * stride
        if edge - edges[-1] >= least and size - edge >= min(least, lengths[-1]):
            edges.append(edge)
    return list(itertools.pairwise([*edges, size]))


def read_part(planes: LazyImage, frame: int, box: Box) -> LazyImage:
    """Read what a box of a frame is computed from; only that part of the image can be read."""
    frames = planes.frames_seen(frame)
    spans = [member.extent(frames, box.rows, box.columns) for member in planes.members]
    read = (
        Cutout(member.shape, extent, member.read_window(extent))
        for member, extent in zip(planes.members, spans, strict=True)
    )
    return planes.on(read)


class Cutout(LazyArray):
    """An array of which only the part at ``spans`` is held, as ``data``."""

    def __init__(
        self, shape: tuple[int, ...], spans: tuple[slice, ...], data: NDArray[Any]
    ) -> None:
        super().__init__(shape, data.dtype)
        self._spans, self.data = spans, data

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window that lies in what is held."""
        shifted = (
            slice(asked.start - held.start, asked.stop - held.start)
            for asked, held in zip(window, self._spans, strict=True)
        )
        return self.data[tuple(shifted)]


class Scattered(LazyArray):
    """An array of which only some chunks are held, each at its place."""

    def __init__(
        self,
        shape: tuple[int, ...],
        places: list[tuple[slice, ...]],
        chunks: Sequence[NDArray[Any]],
    ) -> None:
        super().__init__(shape, np.asarray(chunks[0]).dtype)
        self._pieces = list(zip(places, chunks, strict=True))

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window that lies in what is held."""
        data = np.empty(tuple(span.stop - span.start for span in window), self.dtype)
        filled = 0
        for place, chunk in self._pieces:
            both = list(map(overlap, place, window))
            inside, here = zip(*both, strict=True)
            if all(span.start < span.stop for span in here):
                data[here] = chunk[inside]
                filled += data[here].size
        if filled < data.size:  # windows that were made smaller lie elsewhere
            raise DeviceError(
                "Memory ran out while the image was measured: close other programs, or choose "
                "another device."
            )
        return data


@dataclass(frozen=True)
class Excerpt:
    """Which part of an array a chunk is computed from, and where its chunks lie in that part."""

    shape: tuple[int, ...]
    spans: tuple[slice, ...]
    places: list[tuple[slice, ...]] = field(repr=False)  # of each chunk in the array

    def read(self, blocks: Sequence[NDArray[Any]]) -> Cutout:
        """Put the chunks together, as far as they are needed."""
        if len(blocks) == 1:
            return Cutout(self.shape, self.places[0], np.asarray(blocks[0]))
        size = tuple(span.stop - span.start for span in self.spans)
        data = np.empty(size, np.asarray(blocks[0]).dtype)
        for place, block in zip(self.places, blocks, strict=True):
            both = list(map(overlap, place, self.spans))
            inside, here = zip(*both, strict=True)
            data[here] = block[inside]
        return Cutout(self.shape, self.spans, data)


def find_excerpt(
    array: Array, edges: list[list[int]], spans: tuple[slice, ...]
) -> tuple[Excerpt, list[Any]]:
    """Return which part of an array is needed, and the keys of the chunks that it lies in."""
    along = [_chunks_in(*axis) for axis in zip(edges, spans, strict=True)]
    keys, places = [], []
    for chunks in itertools.product(*along):
        keys.append((array.name, *(number for number, _ in chunks)))
        places.append(tuple(place for _, place in chunks))
    return Excerpt(array.shape, spans, places), keys


def find_chunks(
    array: Array, edges: list[list[int]], parts: list[tuple[slice, ...]]
) -> tuple[tuple[tuple[int, ...], list[tuple[slice, ...]]], list[Any]]:
    """Return shape and places of the chunks that some parts of an array lie in, and their keys."""
    places: dict[Any, tuple[slice, ...]] = {}
    for spans in parts:
        excerpt, keys = find_excerpt(array, edges, spans)
        places |= zip(keys, excerpt.places, strict=True)
    return (array.shape, list(places.values())), list(places)


def _chunks_in(edges: list[int], span: slice) -> list[tuple[int, slice]]:
    """List the chunks along an axis that a span meets: their numbers, and where they are."""
    first, last = bisect_right(edges, span.start) - 1, bisect_left(edges, span.stop)
    return [(number, slice(edges[number], edges[number + 1])) for number in range(first, last)]
