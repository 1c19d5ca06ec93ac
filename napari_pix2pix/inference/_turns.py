"""The eight flips and quarter turns of an image, in which a generator may see it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from napari_pix2pix.data.box import Box


class Turn(NamedTuple):
    """One of the eight: rows and columns change places, then either or both run backwards."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    def turn(self, planes: Tensor) -> Tensor:
        """Turn (..., H, W); (..., W, H) comes out where rows and columns change places."""
        return self._reverse(planes.mT if self.transposed else planes)

    def turn_back(self, planes: Tensor) -> Tensor:
        """Undo `turn`."""
        planes = self._reverse(planes)
        return planes.mT if self.transposed else planes

    def turn_box(self, box: Box, size: tuple[int, int]) -> Box:
        """Return where a box of an image of this height and width lies in the turned image."""
        (top, bottom), (left, right) = box[:2], box[2:]
        height, width = size
        if self.transposed:
            (top, bottom), (left, right) = (left, right), (top, bottom)
            height, width = width, height
        if self.rows_reversed:
            top, bottom = height - bottom, height - top
        if self.columns_reversed:
            left, right = width - right, width - left
        return Box(top, bottom, left, right)

    def _reverse(self, planes: Tensor) -> Tensor:
        axes = [-2] * self.rows_reversed + [-1] * self.columns_reversed
        return planes.flip(axes) if axes else planes


# Upright first, then the other seven.
TURNS = tuple(
    Turn(transposed, rows, columns)
    for transposed in (False, True)
    for rows in (False, True)
    for columns in (False, True)
)
