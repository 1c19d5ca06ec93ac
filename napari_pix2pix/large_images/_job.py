"""What is to be done to one image: which blocks there are, and how one of them is made."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import takes_gray
from napari_pix2pix.data.inputs import open_source_image
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import FileError, Pix2PixError
from napari_pix2pix.inference.array_views import read_part
from napari_pix2pix.inference.memory import free_at_once
from napari_pix2pix.inference.model import needs_whole, network_grid
from napari_pix2pix.inference.norm_statistics import Measured
from napari_pix2pix.inference.stochastic import sample_seed
from napari_pix2pix.inference.tiling import Box, TileGrid
from napari_pix2pix.inference.uncertainty import spread_of, summarise
from napari_pix2pix.io.reading import image_planes, read_image
from napari_pix2pix.large_images._blocks import Block, Plan
from napari_pix2pix.translator import Translator

Pixels = NDArray[Any]
Window = tuple[int | slice, ...]  # an index an axis


@dataclass(frozen=True)
class Job:
    """What is to be done to one image, in words that another process understands.

    Attributes
    ----------
    source, out : Path
        The file of the image, and the one that is wanted; absolute.
    source_axes, axes : str
        Their axes.
    plan : Plan
    options : tuple of pairs
        Name and value of what a translator is told.
    summary : str or None
        What of several samples is wanted in place of one: "mean", "std" or such as "q5".
    samples : int
        How many.
    """

    source: Path
    out: Path
    source_axes: str
    axes: str
    plan: Plan
    options: tuple[tuple[str, Hashable], ...]
    summary: str | None = None
    samples: int = 1


class Work:
    """How the blocks of one image are made.

    Parameters
    ----------
    translator : Translator
    planes : Planes
        The image.
    job : Job

    Attributes
    ----------
    measures : bool
        Whether each frame is measured before its blocks are made.
    """

    def __init__(self, translator: Translator, planes: LazyImage, job: Job) -> None:
        free_at_once()
        self.translator, self.planes, self.job = translator, planes, job
        self._how: dict[str, Any] = dict(job.options)
        numbers = range(1 if job.summary is None else job.samples)
        self._seeds = [sample_seed(self._how["seed"], number) for number in numbers]
        self._grid = TileGrid(planes.height, planes.width, **network_grid(translator.generator))
        needs = needs_whole(translator.generator, self._how["statistics"])
        self._reads_whole = needs and not job.plan.side
        self.measures = needs and not self._reads_whole

    @classmethod
    def open(cls, translator: Translator, job: Job) -> Work:
        """Open the image by its file's name."""
        image = read_image(job.source, job.source_axes)
        return cls(translator, open_planes(translator, image_planes(image)), job)

    def measure(self, frame: int) -> list[Measured]:
        """Measure a frame once a draw; raises `FileError` where it can't be read."""
        names = ("condition", "dropout", "statistics", "tile", "device")
        how: dict[str, Any] = {name: self._how[name] for name in names}
        try:
            return [
                self.translator.measure_frame(self.planes, frame, seed=seed, **how)
                for seed in self._seeds
            ]
        except (Pix2PixError, MemoryError):
            raise
        except Exception as error:  # which errors these are is up to the format's library
            raise FileError(
                f"Frame {frame} of {self.job.source} can't be measured, since a part of it can't "
                f"be read ({reason_of(error)}): mend it and go on with --resume."
            ) from error

    def read(self, block: Block) -> LazyImage:
        """Read what a block is computed from."""
        whole = Box(0, self.planes.height, 0, self.planes.width)
        part = self._grid.seen(self._grid.rounded(block.box))
        seen = whole if self._reads_whole else part
        return read_part(self.planes, block.frame, seen)

    def translate(self, read: LazyImage, block: Block, measured: Sequence[Measured] = ()) -> Pixels:
        """Translate a block, (C, h, w), with what was measured of its frame for each draw."""

        def draw(number: int) -> Pixels:
            own = {"seed": self._seeds[number], "measured": measured[number] if measured else None}
            return self.translator.translate_region(
                read, block.frame, block.box, **{**self._how, **own}
            )

        if self.job.summary is None:
            return draw(0)
        spread = partial(spread_of, draw, len(self._seeds))
        pixels: Pixels = summarise(spread, [self.job.summary])[self.job.summary]
        return pixels

    def lay_out(self, block: Block, pixels: Pixels) -> tuple[Window, Pixels]:
        """Return where a block lies in what comes out, and its pixels with the axes of that."""
        frame, rows, columns = self.job.plan.place(block)
        shape = frame_shape(self.planes, self.job.plan.frames)
        places = map(int, np.unravel_index(frame, shape))
        letters = frame_axes(self.job.source_axes)
        index: dict[str, int | slice] = dict(zip(letters, places, strict=True))
        index |= {"Y": rows, "X": columns, "C": slice(None), "S": slice(None)}
        inner = "".join(axis for axis in self.job.axes if axis in "CSYX")
        place = max(inner.find("C"), inner.find("S"))
        laid_out = pixels[0] if place < 0 else np.moveaxis(pixels, 0, place)
        return tuple(index[axis] for axis in self.job.axes), laid_out


def open_planes(translator: Translator, planes: LazyImage) -> LazyImage:
    """Lay an image out as a model takes it; raises `InputError` where it does not fit."""
    codec, z_context = translator.source_codec, translator.config.z_context
    gray = takes_gray(codec)
    return open_source_image(planes, codec.layout, codec.channels, z_context, gray=gray)


def frame_axes(axes: str) -> str:
    """Return the axes of frames, in their order."""
    return "".join(axis for axis in axes if axis not in "CSYX")


def frame_shape(planes: LazyImage, frames: range) -> tuple[int, ...]:
    """Return the lengths of the frame axes of what comes out."""
    if not planes.frame_shape:
        return ()
    first, *rest = planes.frame_shape
    return (len(frames) * first // planes.frames, *rest)


def block_checksum(read: LazyImage) -> int:
    """Return a checksum of what a block was computed from."""
    mark = 0
    for member in read.members:
        mark = zlib.crc32(np.ascontiguousarray(member.array.data).data, mark)
    return mark


def reason_of(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def options_of(how: Mapping[str, Any]) -> tuple[tuple[str, Hashable], ...]:
    """Return what a translator is told as a `Job` holds it."""
    return tuple(sorted(how.items()))
