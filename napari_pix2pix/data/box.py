"""Rectangles of pixels, and spans along an axis."""

from __future__ import annotations

from collections.abc import Iterable
from math import hypot
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle of pixels; bottom and right lie one past the last."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def rows(self) -> slice:
        """The rows, to index an image with."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """The columns, to index an image with."""
        return slice(self.left, self.right)

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """How many pixels there are in it."""
        return self.height * self.width

    def holds(self, other: Box) -> bool:
        """Tell whether another box lies in this one."""
        rows = self.top <= other.top and other.bottom <= self.bottom
        return rows and self.left <= other.left and other.right <= self.right

    def within(self, other: Box) -> Box:
        """Return this box, counted from another one's corner."""
        top, left = other.top, other.left
        return Box(self.top - top, self.bottom - top, self.left - left, self.right - left)

    @classmethod
    def of_size(cls, height: int, width: int) -> Box:
        """Return the box of a whole image."""
        return cls(0, height, 0, width)

    @classmethod
    def around(cls, boxes: Iterable[Box]) -> Box:
        """Return the smallest box that others lie in."""
        tops, bottoms, lefts, rights = zip(*boxes, strict=True)
        return cls(min(tops), max(bottoms), min(lefts), max(rights))

    def distance(self, other: Box) -> tuple[float, float]:
        """How far it is from another box: between their edges, 0 if they touch, and centres."""
        rows = max(other.top - self.bottom, self.top - other.bottom, 0)
        columns = max(other.left - self.right, self.left - other.right, 0)
        down = self.top + self.bottom - other.top - other.bottom
        over = self.left + self.right - other.left - other.right
        return hypot(rows, columns), hypot(down, over) / 2


def middle(span: slice, most: int) -> slice:
    """Return the middle of a span, at most so many pixels long."""
    start = span.start + max(0, (span.stop - span.start - most) // 2)
    return slice(start, min(span.stop, start + most))


def overlap(first: slice, second: slice) -> tuple[slice, slice]:
    """Return where two spans meet, counted from the start of each."""
    start, stop = max(first.start, second.start), min(first.stop, second.stop)
    inside = [slice(start - span.start, stop - span.start) for span in (first, second)]
    return inside[0], inside[1]
