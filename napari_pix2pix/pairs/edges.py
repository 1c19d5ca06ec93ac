"""Soft, thin edges, window by window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.pairs.degradations import (
    Degradation,
    check_positive,
    gaussian,
    gaussian_radius,
    widen,
)
from napari_pix2pix.pairs.planes import Planes


@dataclass(kw_only=True)
class Edges(Degradation):
    """Soft edges: Gaussian gradient magnitude, thinned to its ridges."""

    keeps_channels: ClassVar[bool] = False
    sigma: float = 1.5
    thin: bool = True
    _strongest: float = field(default=1.0, init=False)

    def fit(self, planes: Planes, sample: Sequence[NDArray[Any]], seed: int) -> None:
        """Find which gradient is shown as white: the 99.5th percentile of the sample's ridges."""
        super().fit(planes, sample, seed)
        check_positive("sigma", self.sigma)
        self.dtype = np.dtype(np.uint8)
        strengths = [self._ridges(window).ravel() for window in sample]
        ridges = np.concatenate([one[one > 0] for one in strengths])
        self._strongest = float(np.quantile(ridges, 0.995)) if ridges.size else 1.0

    def read(self, planes: Planes, frame: int, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """Return the edges, (1, h, w)."""
        # One pixel for the gradient, one for its neighbours.
        wide, inner = widen(planes, (rows, columns), gaussian_radius(self.sigma) + 2)
        ridges = self._ridges(planes.read(frame, *wide))[inner]
        levels = np.minimum(np.nan_to_num(ridges) / self._strongest, 1)
        return np.rint(255 * levels).astype(np.uint8)[np.newaxis]

    def _ridges(self, window: NDArray[Any]) -> NDArray[np.float64]:
        smooth = gaussian(window, self.sigma)
        down, right = _slope(smooth, 1), _slope(smooth, 2)
        strength = np.hypot(down, right)
        strongest = np.argmax(strength, axis=0)[np.newaxis]
        down, right, strength = (
            np.take_along_axis(one, strongest, 0)[0] for one in (down, right, strength)
        )
        return np.where(_is_ridge(strength, down, right), strength, 0) if self.thin else strength


def _slope(planes: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return half the difference of a pixel's neighbours; the image goes on at its border."""
    padding = [(1, 1) if i == axis else (0, 0) for i in range(planes.ndim)]
    padded = np.moveaxis(np.pad(planes, padding, mode="edge"), axis, 0)
    return np.moveaxis((padded[2:] - padded[:-2]) / 2, 0, axis)


def _is_ridge(
    strength: NDArray[np.float64], down: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether no neighbour along the gradient, in one of eight directions, is stronger."""
    height, width = strength.shape
    padded = np.pad(strength, 1)
    steep = np.abs(down) > math.tan(math.pi / 8) * np.abs(right)
    flat = np.abs(right) > math.tan(math.pi / 8) * np.abs(down)
    falling = np.sign(down) * np.sign(right) < 0
    ridge = np.zeros(strength.shape, bool)
    for chosen, (i, j) in (
        (steep & ~flat, (1, 0)),
        (flat & ~steep, (0, 1)),
        (steep & flat & ~falling, (1, 1)),
        (steep & flat & falling, (1, -1)),
    ):
        after = padded[1 + i : 1 + i + height, 1 + j : 1 + j + width]
        before = padded[1 - i : 1 - i + height, 1 - j : 1 - j + width]
        ridge |= chosen & (strength >= after) & (strength > before)
    return ridge
