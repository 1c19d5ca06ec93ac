"""Targets that lie elsewhere than their sources, by displacements that differ from place to place.

What a network learnt from many pairs, each warped in its own way, lies where the sources lie. So
each target is registered to what the network draws of its source, and then read through the
displacements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.lazy_image import ImageView, LazyImage

# Pixels between the places at which a displacement is kept.
_SPACING = 8
# Displacements are smooth, so they are found on pixels of twice the side, in a quarter of the time.
_BIN = 2
# Binned pixels around a place that are matched together, and the Gaussian that smooths the result.
_NEIGHBOURHOOD, _SMOOTHING = 8, 4.0
# Smaller areas than this hold too little to match.
_SMALLEST = 4 * _BIN * _NEIGHBOURHOOD
# Cubic splines are those of the whole image, to a millionth, this far from where it was cut.
_SPLINE_REACH = 12

# Down and right in pixels, at places `_SPACING` apart.
Displacements = NDArray[np.float32]


@dataclass(frozen=True)
class WarpedArea:
    """Displacements of a part of an image, by frame; frames without any lie where they should."""

    box: Box
    frames: Mapping[int, Displacements]


def find_displacements(
    drawn: NDArray[np.float32], target: NDArray[np.float32], reach: float
) -> Displacements | None:
    """Find where each place of a drawn image (C, H, W) lies in its target, both in [-1, 1].

    Returns displacements of at most `reach` pixels; None where the images are too small to match.
    """
    from skimage.registration import optical_flow_ilk

    height, width = drawn.shape[-2:]
    if min(height, width) < _SMALLEST:
        return None
    fixed, moving = (_binned(image.mean(axis=0)) for image in (drawn, target))
    flow = optical_flow_ilk(fixed, moving, radius=_NEIGHBOURHOOD, num_warp=10, gaussian=True)
    smooth = [ndimage.gaussian_filter(axis, _SMOOTHING, mode="nearest") for axis in flow]
    places = np.meshgrid(
        *(_centers(length) / _BIN - 0.5 + 0.5 / _BIN for length in (height, width)), indexing="ij"
    )
    kept = _BIN * np.stack(
        [ndimage.map_coordinates(axis, places, order=1, mode="nearest") for axis in smooth]
    )
    length = np.maximum(np.hypot(*kept), 1e-6)
    return (kept * np.minimum(1, reach / length)).astype(np.float32)


class UnwarpedImage(ImageView):
    """An image, parts of which are read from where their displacements say."""

    def __init__(self, image: LazyImage, areas: Sequence[WarpedArea]) -> None:
        super().__init__(image)
        self._areas = tuple(areas)

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[np.generic]:
        """Read one window (C, h, w)."""
        return self.read_with_finite(frame, rows, columns)[0]

    def read_with_finite(
        self, frame: int, rows: slice, columns: slice
    ) -> tuple[NDArray[np.generic], NDArray[np.bool_] | None]:
        """Read a window, and where it is finite. Nothing outside its area is read."""
        window = Box(*rows.indices(self.height)[:2], *columns.indices(self.width)[:2])
        for area in self._areas:
            displacements = area.frames.get(frame)
            if displacements is not None and area.box.holds(window):
                return self._read_through(displacements, frame, area.box, window)
        return self._image.read_with_finite(frame, rows, columns)

    def _read_through(
        self, displacements: Displacements, frame: int, area: Box, window: Box
    ) -> tuple[NDArray[np.generic], NDArray[np.bool_] | None]:
        places = _places(displacements, area, window)
        read = _around(places, area)
        values, finite = self._image.read_with_finite(frame, read.rows, read.columns)
        places = np.stack([places[0] - read.top, places[1] - read.left])
        known = values if finite is None else np.where(finite, values, 0)
        moved = np.stack([_sample(channel, places) for channel in known])
        if finite is None:
            return _as_dtype(moved, known), None
        # Where the nearest pixel is not finite, neither is what is read from there.
        nearest = np.stack(
            [
                ndimage.map_coordinates(channel, places, order=0, mode="nearest")
                for channel in finite
            ]
        )
        return np.where(nearest, _as_dtype(moved, known), np.nan), nearest


def displacements_shape(area: Box) -> tuple[int, int, int]:
    """Return the shape of the displacements of an area."""
    return 2, len(_centers(area.height)), len(_centers(area.width))


def _binned(image: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = (length // _BIN for length in image.shape)
    blocks = image[: height * _BIN, : width * _BIN].reshape(height, _BIN, width, _BIN)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _centers(length: int) -> NDArray[np.floating]:
    """Return the places along an axis at which displacements are kept."""
    return (np.arange(-(-length // _SPACING)) + 0.5) * _SPACING - 0.5


def _places(displacements: Displacements, area: Box, window: Box) -> NDArray[np.float64]:
    """Return the rows and columns (2, h, w) of the image that the pixels of a window come from."""
    rows = np.arange(window.top, window.bottom)
    columns = np.arange(window.left, window.right)
    nodes = np.meshgrid(
        (rows - area.top + 0.5) / _SPACING - 0.5,
        (columns - area.left + 0.5) / _SPACING - 0.5,
        indexing="ij",
    )
    down, right = (
        ndimage.map_coordinates(axis, nodes, order=1, mode="nearest") for axis in displacements
    )
    # Pixels beyond the area may be held out.
    return np.stack(
        [
            np.clip(rows[:, None] + down, area.top, area.bottom - 1),
            np.clip(columns[None, :] + right, area.left, area.right - 1),
        ]
    )


def _around(places: NDArray[np.float64], area: Box) -> Box:
    """Return the part of an area that interpolation at these places needs."""
    top, left = np.floor(places.min(axis=(1, 2))).astype(int).tolist()
    bottom, right = np.ceil(places.max(axis=(1, 2))).astype(int).tolist()
    return Box(top, bottom + 1, left, right + 1).grown(_SPLINE_REACH, area)


def _sample(channel: NDArray[np.generic], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate a channel by cubic splines, which blur nothing, within its values."""
    values = channel.astype(np.float64)
    moved = ndimage.map_coordinates(values, places, order=3, mode="nearest")
    return np.clip(moved, values.min(), values.max())


def _as_dtype(values: NDArray[np.float64], like: NDArray[np.generic]) -> NDArray[np.generic]:
    if like.dtype.kind != "f":
        values = np.rint(values)
    return values.astype(like.dtype)
