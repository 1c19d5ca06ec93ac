"""Numbers the objects of an image that was translated block by block."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import InstanceCodec
from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.data.object_parts import Numbering, ObjectPart, parts_from_arrays
from napari_pix2pix.io.resumable import ResumableImage
from napari_pix2pix.large_images._job import Work

_Index = tuple[int, ...]  # one for each axis of frames in the output


def number_objects(work: Work, image: ResumableImage, pixels: Any) -> NumberedObjects:
    """Return the array of blocks with the dense numbers of each frame's objects."""
    codec = work.translator.target_codec
    assert isinstance(codec, InstanceCodec)
    frames: dict[_Index, list[ObjectPart]] = {}
    for block in work.job.plan.blocks():
        index = tuple(place for place in work.window(block) if isinstance(place, int))
        frames.setdefault(index, []).extend(parts_from_arrays(image.facts(block.number)))
    numbering = {index: Numbering(parts) for index, parts in frames.items()}
    dtype = codec.dtype_for(max(one.largest for one in numbering.values()))
    is_frame = [isinstance(place, int) for place in work.window(work.job.plan.blocks()[0])]
    return NumberedObjects(pixels, numbering, dtype, is_frame, work.job.axes.find("C"))


class NumberedObjects(LazyArray):
    """Objects that have the numbers of their first pixels, renumbered where they are read."""

    def __init__(
        self,
        pixels: Any,
        numbering: Mapping[_Index, Numbering],
        dtype: np.dtype[Any],
        is_frame: list[bool],  # whether each axis is one of frames
        channel_axis: int,  # -1 if there is none
    ) -> None:
        super().__init__(tuple(pixels.shape), dtype)
        self._pixels, self._numbering = pixels, numbering
        self._is_frame, self._channel_axis = is_frame, channel_axis

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window, frame by frame and channel by channel."""
        numbers = np.asarray(self._pixels[window])
        result = np.empty(numbers.shape, self.dtype)
        each: list[Sequence[int | slice]] = [
            range(length) if frame or axis == self._channel_axis else [slice(None)]
            for axis, (length, frame) in enumerate(zip(numbers.shape, self._is_frame, strict=True))
        ]
        for index in itertools.product(*each):
            places = [
                span.start + place if isinstance(place, int) else 0
                for span, place in zip(window, index, strict=True)
            ]
            frame = tuple(
                at for at, is_frame in zip(places, self._is_frame, strict=True) if is_frame
            )
            channel = 0 if self._channel_axis < 0 else places[self._channel_axis]
            result[index] = self._numbering[frame].renumber(numbers[index], channel, self.dtype)
        return result
