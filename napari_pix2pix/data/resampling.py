"""Images read at another pixel size: linearly, without aliasing; labels by the nearest pixel."""
# A pixel of the result is a sum of the same pixels with the same weights in every window, so that
# windows of the result are equal to the same part of the whole.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.lazy_image import ImageView, LazyImage

Size = tuple[int, int]  # height and width in pixels
Read = Callable[[slice, slice], NDArray[np.generic]]  # a window (C, h, w) by rows and columns


@dataclass(frozen=True)
class Resampling:
    """From one size in pixels to another one of the same field.

    Pixels that are not finite are left out of the sums: a new pixel is NaN only if it is a sum of
    no others. An axis that keeps its length keeps its pixels.

    Examples
    --------
    >>> half = Resampling((4, 4), (2, 2))
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    >>> half.window(lambda rows, columns: image[:, rows, columns], Box.of_size(2, 2)).shape
    (1, 2, 2)
    """

    before: Size
    after: Size
    nearest: bool = False  # take the nearest pixel, as labels need, and mix none
    planes: Size | None = None  # of volumes: how many planes before and after

    def needs(self, box: Box) -> Box:
        """Return the box of pixels before that a box of pixels after is made of."""
        rows, columns = self._taps(box)
        return Box(rows.first, rows.last + 1, columns.first, columns.last + 1)

    def window(self, read: Read, box: Box) -> NDArray[np.generic]:
        """Return a box of the result, (C, h, w); `read` reads windows of the image before.

        Volumes are (C, Z, h, w), and all planes are read.
        """
        rows, columns = self._taps(box)
        window = read(slice(rows.first, rows.last + 1), slice(columns.first, columns.last + 1))
        taps = [rows, columns]
        if self.planes is not None:
            taps.insert(0, self._taps_between(0, self.planes[1], *self.planes))
        if all(along.weights is None for along in taps):
            return _mix(window, taps)
        mixed = _mix_finite(window, taps)
        if window.dtype.kind in "iu":
            mixed = np.rint(mixed)  # weights are positive, so it stays within the dtype
        return mixed.astype(window.dtype)

    def reversed(self, *, nearest: bool) -> Resampling:
        """Return the way back to the size before."""
        planes = None if self.planes is None else self.planes[::-1]
        return Resampling(self.after, self.before, nearest, planes)

    def _taps(self, box: Box) -> tuple[_Taps, _Taps]:
        return (
            self._taps_between(box.top, box.bottom, self.before[0], self.after[0]),
            self._taps_between(box.left, box.right, self.before[1], self.after[1]),
        )

    def _taps_between(self, start: int, stop: int, before: int, after: int) -> _Taps:
        make = _nearest_taps if self.nearest or before == after else _linear_taps
        return make(start, stop, before, after)


@dataclass(frozen=True, eq=False)
class _Taps:
    """Which pixels along an axis each new pixel is a weighted sum of."""

    indices: NDArray[np.intp]  # (n, taps)
    weights: NDArray[np.float64] | None  # the same shape; None for one tap each

    @property
    def first(self) -> int:
        return int(self.indices.min())

    @property
    def last(self) -> int:
        return int(self.indices.max())

    def mix(self, window: NDArray[np.generic], axis: int) -> NDArray[np.generic]:
        """Return the sums of a window that begins with the first pixel; `axis` is below 0."""
        indices = self.indices - self.first
        if self.weights is None:
            return np.take(window, indices[:, 0], axis)
        floating = np.result_type(window.dtype, np.float32)
        shape = (-1, *[1] * (-1 - axis))
        total: NDArray[np.generic] | None = None
        # One tap after another, so that a sum has the same order in every window.
        for tap in range(indices.shape[1]):
            weight = self.weights[:, tap].astype(floating).reshape(shape)
            part = np.take(window, indices[:, tap], axis) * weight
            total = part if total is None else total + part
        assert total is not None
        return total


def _mix(window: NDArray[Any], taps: Sequence[_Taps]) -> NDArray[Any]:
    """Return the sums of a window (C, ...) along its last axes, one after another."""
    for axis, along in enumerate(taps, -len(taps)):
        window = along.mix(window, axis)
    return window


def _mix_finite(window: NDArray[Any], taps: Sequence[_Taps]) -> NDArray[Any]:
    """Return the weighted means of the finite pixels of a window (C, h, w)."""
    finite = np.isfinite(window)
    if finite.all():
        return _mix(window, taps)
    total = _mix(np.where(finite, window, window.dtype.type(0)), taps)
    # Only where pixels are left out, so that all others are equal in every window.
    lacks = _mix(np.where(finite, window.dtype.type(0), window.dtype.type(1)), taps) > 0
    weights = _mix(finite.astype(window.dtype), taps)
    means = np.full_like(total, np.nan)
    np.divide(total, weights, out=means, where=weights > 0)
    return np.where(lacks, means, total)


def _nearest_taps(start: int, stop: int, before: int, after: int) -> _Taps:
    centres = (np.arange(start, stop) + 0.5) * before / after
    return _Taps(np.minimum(centres.astype(np.intp), before - 1)[:, np.newaxis], None)


def _linear_taps(start: int, stop: int, before: int, after: int) -> _Taps:
    """Weigh pixels by a triangle, two pixels wide: those of the smaller image."""
    centres = (np.arange(start, stop) + 0.5) * before / after - 0.5
    reach = max(1.0, before / after)
    first = np.floor(centres - reach).astype(np.intp) + 1
    indices = first[:, np.newaxis] + np.arange(int(np.ceil(2 * reach)))
    weights = np.maximum(0.0, 1 - np.abs(indices - centres[:, np.newaxis]) / reach)
    # Beyond the edge the image goes on as its outermost pixel.
    return _Taps(np.clip(indices, 0, before - 1), weights / weights.sum(1, keepdims=True))


class ResampledImage(ImageView):
    """An image that is read at another size in pixels; frames and channels stay.

    Of volumes the planes may be others, too: then `image` is one of volumes.
    """

    def __init__(self, image: LazyImage, resampling: Resampling) -> None:
        super().__init__(image)
        self.resampling = resampling
        self._resize(*resampling.after)
        if resampling.planes is not None:
            self.depth = resampling.planes[1]

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[np.generic]:
        """Read one window (C, h, w), or of a volume (C, Z, h, w)."""
        top, bottom, _ = rows.indices(self.height)
        left, right, _ = columns.indices(self.width)
        box = Box(top, bottom, left, right)
        return self.resampling.window(lambda y, x: self._image.read(frame, y, x), box)
