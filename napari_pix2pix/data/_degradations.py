"""What can be taken from an image, window by window: each window equals the crop of the whole.

What is drawn at random derives from the seed and the absolute position, never from the window.

Soft, thin edges, window by window.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.errors import InputError

# scipy's default: where a Gaussian is cut off, in standard deviations.
_TRUNCATE = 4.0
# As in ITU-R BT.709, which scikit-image uses too.
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721])

Spans = tuple[slice, slice]


@dataclass(kw_only=True)
class Degradation(ABC):
    """How a window of the source is made from a window of the target.

    Options are the fields of a subclass; `fit` checks them and measures levels on a sample.
    """

    keeps_channels: ClassVar[bool] = True
    seed: int = field(default=0, init=False)
    dtype: np.dtype[Any] = field(default=np.dtype(np.uint8), init=False)

    @classmethod
    def options(cls) -> list[str]:
        """Return the names of the options."""
        return [one.name for one in fields(cls) if one.init]

    def fit(self, planes: Planes, sample: Sequence[NDArray[Any]], seed: int) -> None:
        """Take dtype and seed, check the options, and measure levels on windows (C, h, w)."""
        self.seed, self.dtype = seed, planes.dtype

    @abstractmethod
    def read(self, planes: Planes, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the window (C, h, w) of a frame, in the source's dtype."""

    def to_dtype(self, values: NDArray[Any]) -> NDArray[Any]:
        """Round and clip to the source's dtype."""
        if self.dtype.kind == "f":
            return values.astype(self.dtype)
        if self.dtype.kind == "b":
            return values >= 0.5
        limits = np.iinfo(self.dtype)
        # float64 can't hold the last integers of 64 bits.
        high = np.nextafter(float(limits.max), 0) if self.dtype.itemsize == 8 else limits.max
        return np.clip(np.rint(values), limits.min, high).astype(self.dtype)


@dataclass(kw_only=True)
class Gray(Degradation):
    """Luminance of an RGB image."""

    keeps_channels: ClassVar[bool] = False

    def fit(self, planes: Planes, sample: Sequence[NDArray[Any]], seed: int) -> None:
        """Refuse what has no colours."""
        super().fit(planes, sample, seed)
        if planes.channels != 3:
            raise InputError(
                f"'gray' takes the colour from an RGB target; got {planes.channels} channel(s), so "
                "give a target with red, green and blue."
            )

    def read(self, planes: Planes, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the luminance, (1, h, w)."""
        red, green, blue = planes.read(frame, rows, columns).astype(np.float64)
        weights = _LUMINANCE
        luminance = weights[0] * red + weights[1] * green + weights[2] * blue
        return self.to_dtype(luminance)[np.newaxis]


@dataclass(kw_only=True)
class Blur(Degradation):
    """Gaussian blur."""

    sigma: float = 2.0

    def fit(self, planes: Planes, sample: Sequence[NDArray[Any]], seed: int) -> None:
        """Check sigma."""
        super().fit(planes, sample, seed)
        check_positive("sigma", self.sigma)

    def read(self, planes: Planes, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the blurred window, (C, h, w)."""
        wide, inner = widen(planes, (rows, columns), gaussian_radius(self.sigma))
        return self.to_dtype(gaussian(planes.read(frame, *wide), self.sigma)[:, *inner])


@dataclass(kw_only=True)
class Downsample(Degradation):
    """Mean of squares of pixels, brought back to size."""

    factor: int = 4
    interpolation: Literal["linear", "nearest"] = "linear"

    def fit(self, planes: Planes, sample: Sequence[NDArray[Any]], seed: int) -> None:
        """Check the factor and the interpolation."""
        super().fit(planes, sample, seed)
        check_whole("factor", self.factor, 2)
        check_choice("interpolation", self.interpolation, ("linear", "nearest"))

    def read(self, planes: Planes, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the window as it is after going down and up, (C, h, w)."""
        factor = self.factor
        wide, _ = widen(planes, (rows, columns), factor)
        wide = (on_grid(wide[0], factor, planes.height), on_grid(wide[1], factor, planes.width))
        small = _block_mean(planes.read(frame, *wide).astype(np.float64), factor)
        for axis, (part, whole) in enumerate(zip((rows, columns), wide, strict=True), start=1):
            small = self._enlarge(small, axis, part, whole.start // factor)
        return self.to_dtype(small)

    def _enlarge(
        self, small: NDArray[np.float64], axis: int, part: slice, first: int
    ) -> NDArray[np.float64]:
        position = np.arange(part.start, part.stop)
        if self.interpolation == "nearest":
            return np.take(small, position // self.factor - first, axis)
        centre = (position + 0.5) / self.factor - 0.5
        before = np.floor(centre).astype(np.int64)
        share = (centre - before).reshape([-1 if i == axis else 1 for i in range(small.ndim)])
        last = small.shape[axis] - 1
        one, other = (np.take(small, np.clip(before + i - first, 0, last), axis) for i in (0, 1))
        return one * (1 - share) + other * share


def check_positive(name: str, value: Any) -> None:
    """Refuse what is no finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"{name} must be a number above 0; got {value!r}.")


def check_whole(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number, at least {least}; got {value!r}.")


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse what is not one of the choices."""
    if value not in choices:
        raise InputError(f"{name} must be {' or '.join(map(repr, choices))}; got {value!r}.")


def gaussian_radius(sigma: float) -> int:
    """Return how many pixels a Gaussian reaches."""
    return int(_TRUNCATE * sigma + 0.5)


def gaussian(window: NDArray[Any], sigma: float) -> NDArray[np.float64]:
    """Blur each channel of a window (C, h, w), in float64."""
    return gaussian_filter(window.astype(np.float64), (0, sigma, sigma), truncate=_TRUNCATE)


def widen(planes: Planes, spans: Spans, margin: int) -> tuple[Spans, Spans]:
    """Return the spans with a margin, within the image, and where the old ones lie in it."""
    wide, inner = [], []
    for part, length in zip(spans, (planes.height, planes.width), strict=True):
        start, stop = max(part.start - margin, 0), min(part.stop + margin, length)
        wide.append(slice(start, stop))
        inner.append(slice(part.start - start, part.stop - start))
    return (wide[0], wide[1]), (inner[0], inner[1])


def on_grid(part: slice, side: int, length: int) -> slice:
    """Widen a span to whole blocks, of which the image's end may cut the last."""
    return slice(part.start // side * side, min(-(-part.stop // side) * side, length))


def cells(rows: slice, columns: slice, side: int) -> Iterator[tuple[int, int]]:
    """Yield row and column of the squares of a grid that a window touches."""
    for i in range(rows.start // side, -(-rows.stop // side)):
        for j in range(columns.start // side, -(-columns.stop // side)):
            yield i, j


def _block_mean(planes: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Return the mean of each square; pixel by pixel, so that no sum depends on the window."""
    _, height, width = planes.shape
    padding = ((0, 0), (0, -height % factor), (0, -width % factor))
    padded, ones = np.pad(planes, padding), np.pad(np.ones((1, height, width)), padding)
    parts = [
        (slice(i, None, factor), slice(j, None, factor)) for i, j in np.ndindex(factor, factor)
    ]
    total = sum(padded[:, *part] for part in parts)
    return np.asarray(total / sum(ones[:, *part] for part in parts))


def finite_pixels(sample: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Return the sample's pixels, (C, N), NaN where they are not finite."""
    flat = [window.reshape(len(window), -1).astype(np.float64) for window in sample]
    pixels = np.concatenate(flat, axis=1)
    pixels[~np.isfinite(pixels)] = np.nan
    # A channel without any finite pixel would make numpy warn about its mean.
    pixels[np.isnan(pixels).all(axis=1)] = 0
    return pixels


def moments(sample: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each channel."""
    pixels = finite_pixels(sample)
    return np.nanmean(pixels, axis=1), np.nanstd(pixels, axis=1)


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
