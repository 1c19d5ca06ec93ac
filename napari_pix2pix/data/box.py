"""Rectangles of pixels, and spans along an axis."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, product
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

    def grown(self, pixels: int, inside: Box) -> Box:
        """Return this box with so many pixels more on each side, as far as they are inside."""
        wide = Box(self.top - pixels, self.bottom + pixels, self.left - pixels, self.right + pixels)
        return wide.shared(inside)

    def shared(self, other: Box) -> Box:
        """Return where two boxes meet; without any pixel if they don't."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Box(top, max(top, bottom), left, max(left, right))

    def pieces(self, most: int) -> list[Box]:
        """Cut it into boxes of about the same size, at most so many pixels high and wide."""
        rows, columns = _cut(self.top, self.bottom, most), _cut(self.left, self.right, most)
        return [Box(*down, *over) for down, over in product(rows, columns)]

    def distance(self, other: Box) -> tuple[float, float]:
        """How far it is from another box: between their edges, 0 if they touch, and centres."""
        rows = max(other.top - self.bottom, self.top - other.bottom, 0)
        columns = max(other.left - self.right, self.left - other.right, 0)
        down = self.top + self.bottom - other.top - other.bottom
        over = self.left + self.right - other.left - other.right
        return hypot(rows, columns), hypot(down, over) / 2


def _cut(start: int, stop: int, most: int) -> list[tuple[int, int]]:
    count = max(1, -(-(stop - start) // most))
    edges = [start + (stop - start) * number // count for number in range(count + 1)]
    return list(pairwise(edges))


def middle(span: slice, most: int) -> slice:
    """Return the middle of a span, at most so many pixels long."""
    start = span.start + max(0, (span.stop - span.start - most) // 2)
    return slice(start, min(span.stop, start + most))


def overlap(first: slice, second: slice) -> tuple[slice, slice]:
    """Return where two spans meet, counted from the start of each."""
    start, stop = max(first.start, second.start), min(first.stop, second.stop)
    inside = [slice(start - span.start, stop - span.start) for span in (first, second)]
    return inside[0], inside[1]
