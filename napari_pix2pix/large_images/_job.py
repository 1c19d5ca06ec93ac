"""An image file that is translated in blocks: the plan of the blocks, and how one is made."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.inputs import open_for_codec
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.object_parts import number_type, parts_to_arrays
from napari_pix2pix.data.volumes import VolumeImage, as_seen
from napari_pix2pix.errors import (
    FileError,
    InputError,
    Pix2PixError,
    Remedy,
    UnreadableError,
    is_out_of_memory,
)
from napari_pix2pix.inference.dask_arrays import read_part
from napari_pix2pix.inference.devices import free_at_once
from napari_pix2pix.inference.networks import measures_input
from napari_pix2pix.inference.norm_statistics import Measured
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.resampled import box_seen
from napari_pix2pix.inference.uncertainty import Draws, Spread, summarise
from napari_pix2pix.io.channels import take_channels
from napari_pix2pix.io.read_limits import read_limit, set_read_limit
from napari_pix2pix.io.reading import lazy_image_of_file, read_image
from napari_pix2pix.translator import Translator


@dataclass(frozen=True)
class Block:
    """One part of a frame of the source."""

    number: int  # from 0, in the order of the plan
    frame: int
    box: Box

    def __str__(self) -> str:
        box = self.box
        return (
            f"rows {box.top} to {box.bottom}, columns {box.left} to {box.right} of frame "
            f"{self.frame}"
        )


@dataclass(frozen=True)
class Plan:
    """Which part of a stack is translated, and in which blocks."""

    frames: range  # of the source, counted row-major over its frame axes
    region: Box  # of each frame
    side: int  # of the blocks in pixels, counted from the region's corner; 0: one block a frame

    def blocks(self) -> list[Block]:
        """List the blocks, frame by frame and row by row."""
        top, bottom, left, right = self.region
        rows, columns = self._spans(top, bottom), self._spans(left, right)
        boxes = [Box(*down, *over) for down, over in itertools.product(rows, columns)]
        pairs = itertools.product(self.frames, boxes)
        return [Block(number, frame, box) for number, (frame, box) in enumerate(pairs)]

    def place(self, block: Block) -> tuple[int, slice, slice]:
        """Return frame, rows and columns of a block in the output."""
        box = block.box.within(self.region)
        return self.frames.index(block.frame), box.rows, box.columns

    def _spans(self, start: int, stop: int) -> list[tuple[int, int]]:
        side = self.side or stop - start
        return [(first, min(first + side, stop)) for first in range(start, stop, side)]


def parse_region(text: str | None, height: int, width: int) -> Box:
    """Parse a region such as ``0:512,1024:2048``: rows, then columns; an end may be left out.

    >>> parse_region(":512,1024:", 2000, 3000)
    Box(top=0, bottom=512, left=1024, right=3000)
    """
    if text is None:
        return Box(0, height, 0, width)
    parts = text.split(",")
    if len(parts) != 2:
        raise InputError(
            f"The region is TOP:BOTTOM,LEFT:RIGHT in pixels, such as 0:512,1024:2048; got {text!r}."
        )
    rows = _parse_span(parts[0], height, "rows of the region")
    return Box(*rows, *_parse_span(parts[1], width, "columns of the region"))


def parse_frames(text: str | None, frame_shape: Sequence[int]) -> range:
    """Parse a range of frames such as ``0:10``, counted along the first frame axis.

    >>> parse_frames("1:3", (5, 4))
    range(4, 12)
    """
    shape = tuple(frame_shape) or (1,)
    start, stop = (0, shape[0]) if text is None else _parse_span(text, shape[0], "frames")
    planes = math.prod(shape[1:])
    return range(start * planes, stop * planes)


def _parse_span(text: str, size: int, what: str) -> tuple[int, int]:
    first, colon, last = text.strip().partition(":")
    try:
        start, stop = int(first or 0), int(last or size)
    except ValueError:
        colon = ""
    if not colon:
        raise InputError(f"The {what} are FIRST:END, such as 0:10; got {text!r}.")
    if not 0 <= start < stop <= size:
        raise InputError(
            f"The {what} {start}:{stop} are not within 0:{size}: the end comes after the first, "
            "and is itself left out."
        )
    return start, stop


Pixels = NDArray[Any]
Window = tuple[int | slice, ...]  # an index an axis


@dataclass(frozen=True)
class Job:
    """What is done to one image; it can be sent to another process."""

    source: Path  # absolute, like out
    out: Path
    source_axes: str  # of the channels that are taken
    read_axes: str | None  # that the user says the file has
    axes: str  # of out
    plan: Plan
    options: PredictOptions  # with the samples that are drawn
    summary: str | None = None  # of all samples: mean, std or a quantile such as q5
    channels: str | None = None  # of the source; by default those of the model
    read_limit: int = field(default_factory=read_limit)  # bytes, of the process that plans


@dataclass(frozen=True, eq=False)
class TranslatedBlock:
    """A translated block."""

    pixels: Pixels  # (C, h, w); of objects they are not numbered yet, but say where each begins
    facts: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # to number the objects by


class Work:
    """Makes the blocks of one image; `measures` tells whether each frame is measured before."""

    def __init__(self, translator: Translator, planes: LazyImage, job: Job) -> None:
        free_at_once()
        self.translator, self.planes, self.job = translator, planes, job
        options = job.options
        self._samples = [options.of_sample(number) for number in range(options.samples)]
        needs = measures_input(translator.generator, options.norm_statistics)
        self._reads_whole = needs and not job.plan.side
        self.measures = needs and not self._reads_whole
        self.finds_objects = translator.finds_objects

    @property
    def kept_type(self) -> np.dtype[Any]:
        """The dtype of what is written of blocks."""
        planes = self.planes
        if self.finds_objects:
            computed = as_seen(
                self.translator.as_computed(planes, self.job.options), self.translator.ndim
            )
            return number_type((computed.height, computed.width), computed.depth)
        return self.translator.part_like(planes, self.job.options.output).dtype

    @classmethod
    def open(cls, translator: Translator, job: Job) -> Work:
        """Open the image of a job."""
        if job.read_limit != read_limit():  # in another process
            set_read_limit(job.read_limit / 1e6)
        image = read_image(job.source, job.read_axes)
        image = take_channels(image, job.channels, translator.info.trained_channels[0])
        return cls(translator, open_planes(translator, lazy_image_of_file(image)), job)

    def measure(self, frame: int) -> list[Measured]:
        """Measure a frame once a sample; raises `FileError` if it can't be read."""
        try:
            return [
                self.translator.measure_frame(self.planes, frame, options)
                for options in self._samples
            ]
        except Exception as error:  # which errors these are is up to the format's library
            is_ours = isinstance(error, Pix2PixError) and not isinstance(error, UnreadableError)
            if is_ours or is_out_of_memory(error):
                raise
            raise FileError(
                f"Frame {frame} of {self.job.source} can't be measured, since a part of it can't "
                f"be read ({reason_of(error)}): repair it and resume.",
                remedies=(Remedy.RESUME,),
            ) from error

    def read(self, block: Block) -> LazyImage:
        """Read what a block is computed from."""
        if self._reads_whole:
            seen = Box(0, self.planes.height, 0, self.planes.width)
        else:
            box = block.box
            if self.finds_objects:
                reach = self.translator.object_reach(self.planes, self.job.options)[-1]
                box = box.grown(reach, self.job.plan.region)
            seen = box_seen(self.translator, self.planes, self.job.options, box)
        return read_part(self.planes, block.frame, seen)

    def translate(
        self, read: LazyImage, block: Block, measured: Sequence[Measured] = ()
    ) -> TranslatedBlock:
        """Translate a block with its frame's measured statistics for each sample."""
        if self.finds_objects:
            found = self.translator.find_objects(
                read,
                block.frame,
                block.box,
                self._samples[0],
                area=self.job.plan.region,
                measured=measured[0] if measured else None,
            )
            return TranslatedBlock(found.numbers, parts_to_arrays(found.parts))

        def draw(number: int) -> Pixels:
            return self.translator.predict_region(
                read,
                block.frame,
                block.box,
                self._samples[number],
                measured=measured[number] if measured else None,
            )

        def spread(levels: Sequence[float]) -> Spread:
            draws = Draws(levels)
            for number in range(len(self._samples)):
                draws.add(draw(number))
            return draws.spread()

        if self.job.summary is None:
            return TranslatedBlock(draw(0))
        return TranslatedBlock(summarise(spread, [self.job.summary])[self.job.summary])

    @property
    def _seen_together(self) -> str:
        """The axis whose planes are a volume; else ""."""
        is_volume = isinstance(self.planes, VolumeImage)
        return frame_axes(self.job.source_axes)[-1:] if is_volume else ""

    def window(self, block: Block) -> Window:
        """Return where a block lies in the output."""
        frame, rows, columns = self.job.plan.place(block)
        letters = frame_axes(self.job.source_axes)
        letters = letters.removesuffix(self._seen_together)
        shape = frame_shape(self.planes, self.job.plan.frames)[: len(letters)]
        indices = map(int, np.unravel_index(frame, shape))
        index: dict[str, int | slice] = dict(zip(letters, indices, strict=True))
        index |= {"Y": rows, "X": columns}
        index |= {axis: slice(None) for axis in f"CS{self._seen_together}"}
        return tuple(index[axis] for axis in self.job.axes)

    def lay_out(self, pixels: Pixels) -> Pixels:
        """Return a block's pixels with the output's axes."""
        inner = "".join(axis for axis in self.job.axes if axis in f"CSYX{self._seen_together}")
        channel_axis = max(inner.find("C"), inner.find("S"))
        return pixels[0] if channel_axis < 0 else np.moveaxis(pixels, 0, channel_axis)


def open_planes(translator: Translator, planes: LazyImage) -> LazyImage:
    """Open an image as a model takes it; raises `InputError` if it does not fit."""
    return open_for_codec(planes, translator.source_codec, translator.z_context, translator.ndim)


def frame_axes(axes: str) -> str:
    """Return the axes of frames, in their order."""
    return "".join(axis for axis in axes if axis not in "CSYX")


def frame_shape(planes: LazyImage, frames: range) -> tuple[int, ...]:
    """Return the lengths of the output's frame axes; the planes of volumes come last."""
    depth = (planes.depth,) if isinstance(planes, VolumeImage) else ()
    if not planes.frame_shape:
        return depth
    first, *rest = planes.frame_shape
    return (len(frames) * first // planes.frames, *rest, *depth)


def block_checksum(read: LazyImage) -> int:
    """Return a checksum of what a block was computed from."""
    checksum = 0
    for member in read.members:
        checksum = zlib.crc32(np.ascontiguousarray(member.array.data).data, checksum)
    return checksum


def reason_of(error: BaseException) -> str:
    """Return the first line of an error's message, of that which kept a part from being read."""
    if isinstance(error, UnreadableError):
        error = error.__cause__ or error
    return (str(error).strip() or type(error).__name__).splitlines()[0]
