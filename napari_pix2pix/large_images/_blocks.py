"""How a stack of images is cut into blocks that are translated and kept one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.tiling import Box


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

    Examples
    --------
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

    Examples
    --------
    >>> parse_frames("1:3", (5, 4))
    range(4, 12)
    """
    shape = tuple(frame_shape) or (1,)
    start, stop = (0, shape[0]) if text is None else _parse_span(text, shape[0], "frames")
    each = 1
    for length in shape[1:]:
        each *= length
    return range(start * each, stop * each)


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
