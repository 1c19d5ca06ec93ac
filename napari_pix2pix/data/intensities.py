"""What intensities a set of images has, and how another image differs from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.errors import FileError

Quantiles: TypeAlias = tuple[tuple[float, ...], ...]

LEVELS = (0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)
# The range is that from the first to the last level, and a tenth of it more on both sides.
_MARGIN = 0.1
# Values that are sorted in each channel: of all images, and of each of some alone.
_MOST_VALUES = 2**18
_MOST_IMAGES, _FEW_VALUES = 64, 2**12


@dataclass(frozen=True)
class Intensities:
    """Quantiles of each channel's finite values.

    Attributes
    ----------
    dtype : str
    quantiles : tuple of tuple of float
        For each channel the values at `LEVELS`; empty where no value is known.
    spread : float
        Largest `distance` of one image of the sample from all, in the images' unit.

    Examples
    --------
    >>> ramp = np.arange(1000.0).reshape(1, 20, 50)
    >>> known = Intensities.measure([ramp])
    >>> [round(value) for value in known.quantiles[0]]
    [1, 10, 100, 250, 500, 749, 899, 989, 998]
    >>> known.outside([2 * ramp])
    (0.451, 0)
    """

    dtype: str
    quantiles: Quantiles
    spread: float

    @classmethod
    def measure(
        cls, images: Sequence[NDArray[Any]], valid: Sequence[NDArray[np.bool_]] | None = None
    ) -> Intensities:
        """Measure a sample.

        Parameters
        ----------
        images : sequence of arrays (C, h, w)
        valid : sequence of bool arrays (1 or C, h, w), optional
            The pixels that count.
        """
        masks = [None] * len(images) if valid is None else list(valid)
        together = _quantiles(images, masks, _MOST_VALUES)
        step = -(-len(images) // _MOST_IMAGES)
        alone = [
            _quantiles([image], [mask], _FEW_VALUES)
            for image, mask in zip(images[::step], masks[::step], strict=True)
        ]
        apart = [_distance(one, together) for one in alone]
        spread = max((distance for distance in apart if np.isfinite(distance)), default=0.0)
        return cls(images[0].dtype.name, together, spread)

    def range(self, channel: int) -> tuple[float, float]:
        """Return what a channel's values lie in, with some margin."""
        low, high = self.quantiles[channel][0], self.quantiles[channel][-1]
        return low - _MARGIN * (high - low), high + _MARGIN * (high - low)

    @property
    def width(self) -> float:
        """Mean distance of a channel's last level from the first."""
        return float(np.mean([known[-1] - known[0] for known in self.quantiles if known] or [0]))

    def median(self, channel: int) -> float:
        """Return a channel's median; NaN where no value is known."""
        known = self.quantiles[channel]
        return known[LEVELS.index(0.5)] if known else float("nan")

    def outside(self, images: Sequence[NDArray[Any]]) -> tuple[float, int]:
        """Return the largest share of a channel's values outside its range, and which channel.

        Parameters
        ----------
        images : sequence of arrays (C, h, w)
        """
        worst = 0.0, 0
        for channel, known in enumerate(self.quantiles):
            values = _values(images, [None] * len(images), channel, _MOST_VALUES)
            if known and values.size:
                low, high = self.range(channel)
                share = round(float(((values < low) | (values > high)).mean()), 3)
                worst = max(worst, (share, channel), key=lambda one: one[0])
        return worst

    def distance(self, other: Intensities) -> float:
        """Return the mean distance of the quantiles, in the images' unit."""
        return _distance(self.quantiles, other.quantiles)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        quantiles = [list(channel) for channel in self.quantiles]
        return {"dtype": self.dtype, "quantiles": quantiles, "spread": self.spread}

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> Intensities:
        """Build the intensities whose `to_dict` returned ``parts``.

        Raises
        ------
        FileError
            If they are damaged.
        """
        try:
            dtype = np.dtype(parts["dtype"]).name
            quantiles = tuple(tuple(map(float, channel)) for channel in parts["quantiles"])
            spread = float(parts["spread"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"The intensities in the file are damaged: {error}.") from error
        if any(len(channel) not in (0, len(LEVELS)) for channel in quantiles):
            raise FileError("The intensities in the file are damaged: their number is wrong.")
        return cls(dtype, quantiles, spread)


def sample_windows(
    planes: Planes, *, most: int = 16, side: int = 128, seed: int = 0
) -> list[NDArray[Any]]:
    """Read a few windows of an image: a seeded choice from its grid, all of a small one.

    Parameters
    ----------
    planes : Planes
    most, side : int
        Number of windows and their largest side, in pixels.
    seed : int

    Returns
    -------
    list of arrays (C, h, w)
    """
    grid = planes.frames, -(-planes.height // side), -(-planes.width // side)
    total = int(np.prod(grid, dtype=np.int64))
    chosen = np.random.default_rng(seed).choice(total, min(most, total), replace=False)
    windows = []
    for frame, i, j in zip(*np.unravel_index(np.sort(chosen), grid), strict=True):
        rows = slice(int(i) * side, (int(i) + 1) * side)
        columns = slice(int(j) * side, (int(j) + 1) * side)
        windows.append(planes.read(int(frame), rows, columns))
    return windows


def _quantiles(
    images: Sequence[NDArray[Any]], masks: Sequence[NDArray[np.bool_] | None], most: int
) -> Quantiles:
    found = []
    for channel in range(len(images[0])):
        values = _values(images, masks, channel, most)
        known = np.quantile(values, LEVELS) if values.size else np.empty(0)
        found.append(tuple(float(value) for value in known))
    return tuple(found)


def _distance(one: Quantiles, other: Quantiles) -> float:
    apart = [np.abs(np.subtract(a, b)).mean() for a, b in zip(one, other, strict=True) if a and b]
    return float(np.mean(apart)) if apart else float("inf")


def _values(
    images: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[np.bool_] | None],
    channel: int,
    most: int,
) -> NDArray[np.float64]:
    """Return some of a channel's finite values, evenly picked."""
    step = max(1, -(-sum(image[channel].size for image in images) // most))
    parts = []
    for image, mask in zip(images, masks, strict=True):
        values = image[channel].ravel()[::step]
        keep = np.isfinite(values)
        if mask is not None:
            keep &= mask[channel % len(mask)].ravel()[::step]
        parts.append(values[keep])
    return np.concatenate(parts).astype(np.float64)
