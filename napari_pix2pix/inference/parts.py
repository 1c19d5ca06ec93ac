"""Parts of frames as a model predicts them, and frames put together from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference.tiling import Box


class PredictedTile(NamedTuple):
    """One part of one sample of a frame."""

    frame: int
    sample: int
    box: Box  # where in the frame
    area: Box  # all that is predicted of this frame
    done: int  # pixels of the area that are done, these included
    invalid: bool  # whether the source had pixels so far that the model has no meaning for
    pixels: NDArray[Any] | None = None  # (C, h, w); None for labels before the last tile

    @property
    def is_last(self) -> bool:
        """Whether it completes its sample of the frame."""
        return self.done == self.area.pixels


class FrameCollector:
    """Puts tiles together, in the order in which they are predicted."""

    def __init__(self) -> None:
        self._frame: NDArray[Any] | None = None
        self.invalid = False  # whether any source pixel was invalid

    def add(self, tile: PredictedTile) -> NDArray[Any] | None:
        """Add a tile; return its area, (C, H, W), once that is complete."""
        self.invalid = self.invalid or tile.invalid
        if tile.pixels is not None:
            if self._frame is None:
                self._frame = _empty(len(tile.pixels), tile.area, tile.pixels.dtype)
            here = tile.box.within(tile.area)
            self._frame[:, here.rows, here.columns] = tile.pixels
        if not tile.is_last:
            return None
        frame, self._frame = self._frame, None
        return frame


def put_together(parts: Iterable[tuple[Box, NDArray[Any]]], area: Box) -> NDArray[Any]:
    """Put parts (C, h, w) together that cover an area, which is (C, H, W)."""
    result: NDArray[Any] | None = None
    for box, planes in parts:
        if result is None:
            result = _empty(len(planes), area, planes.dtype)
        here = box.within(area)
        result[:, here.rows, here.columns] = planes
    assert result is not None  # an area has at least one part
    return result


def mosaic(parts: Sequence[tuple[Box, NDArray[Any]]]) -> tuple[Box, NDArray[Any]]:
    """Put parts together that cover a rectangle; return where that is, and (C, h, w)."""
    area = Box.around(box for box, _ in parts)
    return area, put_together(parts, area)


def _empty(channels: int, area: Box, dtype: np.dtype[Any]) -> NDArray[Any]:
    height, width = area.size
    try:
        return np.empty((channels, height, width), dtype)
    except MemoryError:
        size = channels * height * width * dtype.itemsize / 2**30
        raise DeviceError(
            f"The result of {channels} x {height} x {width} pixels takes {size:.1f} GB, more than "
            "there is memory for: predict a part of the image at a time."
        ) from None
