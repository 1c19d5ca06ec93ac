"""The parts of large arrays that a region is computed from."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference.tiling import Box, overlap

if TYPE_CHECKING:
    from dask.array import Array


def read_part(planes: LazyImage, frame: int, box: Box) -> LazyImage:
    """Read what a box of a frame is computed from; only that part of the image can be read."""
    frames = planes.frames_seen(frame)
    spans = [one.extent(frames, box.rows, box.columns) for one in planes.members]
    read = (
        Cutout(one.shape, there, np.asarray(one.array[there]))
        for one, there in zip(planes.members, spans, strict=True)
    )
    return planes.on(read)


class Cutout(LazyArray):
    """An array of a shape of which only a part is there: ``data`` at ``spans``."""

    def __init__(
        self, shape: tuple[int, ...], spans: tuple[slice, ...], data: NDArray[Any]
    ) -> None:
        super().__init__(shape, data.dtype)
        self._spans, self.data = spans, data

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window that lies in what is there."""
        shifted = (
            slice(asked.start - there.start, asked.stop - there.start)
            for asked, there in zip(window, self._spans, strict=True)
        )
        return self.data[tuple(shifted)]


class Scattered(LazyArray):
    """An array of a shape of which some chunks are there, each at its place."""

    def __init__(
        self,
        shape: tuple[int, ...],
        places: list[tuple[slice, ...]],
        chunks: Sequence[NDArray[Any]],
    ) -> None:
        super().__init__(shape, np.asarray(chunks[0]).dtype)
        self._pieces = list(zip(places, chunks, strict=True))

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window that lies in what is there."""
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
