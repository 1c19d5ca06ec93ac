"""Cut an image into tiles whose translations, put together, equal that of the whole."""
# A network with total stride s looks at its input through a grid of s pixels, and a pixel of its
# output depends on the input up to `halo` pixels away. So every window that is read starts on that
# grid and reaches beyond the part that is kept by the halo, unless the image ends there.

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box
from napari_pix2pix.errors import ConfigError, DeviceError, InputError, rounded

OnTile = Callable[[int, int], None]  # is told what is done, and of how much
_Span = tuple[int, int]  # first pixel, and one past the last, along one axis


class _Network(Protocol):
    """A generator or a discriminator map."""

    @property
    def stride(self) -> int: ...
    @property
    def halo(self) -> int: ...
    @property
    def least_size(self) -> int: ...


@dataclass(frozen=True)
class Tile:
    """A window that the network reads, and the part of its output that is kept."""

    window: Box  # in pixels of the padded image
    kept: Box  # in pixels of the image

    @property
    def crop(self) -> Box:
        """Where the kept part lies within the window."""
        return self.kept.within(self.window)


@dataclass(frozen=True)
class TileGrid:
    """How an image is cut: padded at bottom and right to the stride, in windows of one size."""

    # At the borders windows are shifted inwards, so that all can be stacked in batches. Those of a
    # region are smaller where the region with its halo is.

    height: int
    width: int
    stride: int  # of the network: windows begin on its multiples
    halo: int  # pixels around a kept part that the network sees; rounded up to the stride
    tile: int = 0  # side of the kept parts, rounded up to the stride; 0: the whole image
    least: int = 0  # smallest height and width that the network takes

    @classmethod
    def of_network(cls, network: _Network, height: int, width: int, tile: int = 0) -> TileGrid:
        """Return how an image is cut for a network."""
        return cls(height, width, network.stride, network.halo, tile, network.least_size)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise InputError(
                f"The image is {self.height} pixels high and {self.width} wide; give one with at "
                "least one pixel."
            )
        if self.tile < 0:
            raise ConfigError(
                f"tile is {self.tile}; give the side of a tile in pixels, or 0 for the whole image."
            )

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width in pixels of the image after padding."""
        height, width = (max(size, self.least) for size in (self.height, self.width))
        return self._on_grid(height), self._on_grid(width)

    @property
    def window(self) -> tuple[int, int]:
        """Height and width in pixels of every window."""
        side = self.side + 2 * self._on_grid(self.halo)
        height, width = self.padded
        return min(side, height), min(side, width)

    @property
    def whole(self) -> bool:
        """Whether every window is the whole image."""
        return self.window == self.padded

    def tiles(self, region: Box | None = None) -> list[Tile]:
        """List tiles, row by row, whose kept parts cover a region that starts on the stride."""
        top, bottom, left, right = region or Box.of_size(self.height, self.width)
        (rows, columns), (height, width) = self.padded, self.window
        across = list(self._spans(left, right, columns, width))
        return [
            Tile(window=Box(*down, *over), kept=Box(*kept_rows, *kept_columns))
            for down, kept_rows in self._spans(top, bottom, rows, height)
            for over, kept_columns in across
        ]

    def seen(self, region: Box) -> Box:
        """Return the pixels of the image that the tiles of a region are computed from."""
        rows, columns = self.padded
        down = self._reach(region.top, region.bottom, rows)
        return self.shown(Box(*down, *self._reach(region.left, region.right, columns)))

    def shown(self, box: Box) -> Box:
        """Return the pixels of the image that a box of the padded image shows."""
        down = _unmirrored((box.top, box.bottom), self.height)
        return Box(*down, *_unmirrored((box.left, box.right), self.width))

    def rounded(self, region: Box) -> Box:
        """Widen a region until it starts and ends on the grid of the stride or at the edge."""
        stride = self.stride
        return Box(
            max(0, region.top) // stride * stride,
            min(self.height, self._on_grid(region.bottom)),
            max(0, region.left) // stride * stride,
            min(self.width, self._on_grid(region.right)),
        )

    def smaller(self) -> TileGrid | None:
        """Halve the tile until the windows shrink; None where they can't."""
        side = self.side
        while side > self.stride:
            side = max(self.stride, side // 2 // self.stride * self.stride)
            halved = replace(self, tile=side)
            if halved.window != self.window and min(halved.window) >= self.least:
                return halved
        return None

    @property
    def side(self) -> int:
        """Height and width of a tile in pixels, on the grid of the stride."""
        return self._on_grid(self.tile) or max(self.padded)

    def _on_grid(self, pixels: int) -> int:
        return -(-pixels // self.stride) * self.stride

    def _spans(
        self, start: int, stop: int, padded: int, window: int
    ) -> Iterator[tuple[_Span, _Span]]:
        halo = self._on_grid(self.halo)
        low, high = self._reach(start, stop, padded)
        window = min(window, high - low)
        for first in range(start, stop, self.side):
            begin = min(max(first - halo, low), high - window)
            yield (begin, begin + window), (first, min(first + self.side, stop))

    def _reach(self, start: int, stop: int, padded: int) -> _Span:
        """Return what the windows of a span lie in: its halo too, and no less than `least`."""
        halo, least = self._on_grid(self.halo), self._on_grid(self.least)
        low = max(0, start - halo)
        high = min(padded, max(self._on_grid(stop) + halo, low + least))
        return max(0, min(low, high - least)), high


def _unmirrored(span: _Span, size: int) -> _Span:
    """Return the pixels of an image that a span of the padded image shows."""
    low, high = span
    if high <= size:
        return span
    return max(0, min(low, 2 * (size - 1) - (high - 1))), size


class PredictedTile(NamedTuple):
    """One part of one sample of a frame."""

    frame: int
    sample: int
    box: Box  # where in the frame
    area: Box  # all that is predicted of this frame
    done: int  # pixels of the area that are done, these included
    invalid: bool  # whether the source had pixels so far that the model has no meaning for
    pixels: NDArray[Any] | None = None  # (C, h, w); None for labels before the last tile
    # (1, h, w) of the area, with its last tile: how unlike the training each cell is, see
    # `UsualFeatures`. None if that is not known.
    cells: NDArray[np.float32] | None = None

    @property
    def is_last(self) -> bool:
        """Whether it completes its sample of the frame."""
        return self.done == self.area.pixels


class FrameCollector:
    """Puts tiles together, in the order in which they are predicted."""

    def __init__(self) -> None:
        self._frame: NDArray[Any] | None = None
        self.invalid = False  # whether any source pixel was invalid
        # By the number of the frame, where its unlikeness is known.
        self.cells: dict[int, NDArray[np.float32]] = {}

    def add(self, tile: PredictedTile) -> NDArray[Any] | None:
        """Add a tile; return its area, (C, H, W), once that is complete."""
        self.invalid = self.invalid or tile.invalid
        if tile.cells is not None:
            self.cells[tile.frame] = tile.cells
        if tile.pixels is not None:
            if self._frame is None:
                self._frame = _empty(tile.pixels, tile.area)
            here = tile.box.within(tile.area)
            self._frame[..., here.rows, here.columns] = tile.pixels
        if not tile.is_last:
            return None
        frame, self._frame = self._frame, None
        return frame


def put_together(parts: Iterable[tuple[Box, NDArray[Any]]], area: Box) -> NDArray[Any]:
    """Put parts (C, h, w) together that cover an area, which is (C, H, W); volumes likewise."""
    result: NDArray[Any] | None = None
    for box, planes in parts:
        if result is None:
            result = _empty(planes, area)
        here = box.within(area)
        result[..., here.rows, here.columns] = planes
    assert result is not None  # an area has at least one part
    return result


def mosaic(parts: Sequence[tuple[Box, NDArray[Any]]]) -> tuple[Box, NDArray[Any]]:
    """Put parts together that cover a rectangle; return where that is, and (C, h, w)."""
    area = Box.around(box for box, _ in parts)
    return area, put_together(parts, area)


def mosaic_region(parts: Sequence[tuple[Box, NDArray[Any]]], region: Box) -> NDArray[Any]:
    """Put parts together that cover more than a region, and return that, (C, h, w)."""
    area, pixels = mosaic(parts)
    wanted = region.within(area)
    return pixels[..., wanted.rows, wanted.columns]


def _empty(part: NDArray[Any], area: Box) -> NDArray[Any]:
    """Return an array of an area, (C, H, W), or of a volume's, for parts like this one."""
    shape = (*part.shape[:-2], *area.size)
    try:
        return np.empty(shape, part.dtype)
    except MemoryError:
        size = math.prod(shape) * part.dtype.itemsize
        raise DeviceError(
            f"The result of {' x '.join(map(str, shape))} pixels takes {rounded(size / 1e6)} MB, "
            "and so much memory is not free: predict a part of the image at a time."
        ) from None


def reflected(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Return the pixel of the image that each pixel of the padded image shows, along an axis."""
    period = max(1, 2 * (size - 1))  # there and back again, the last pixel once
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if size > 1 else np.zeros_like(index)
