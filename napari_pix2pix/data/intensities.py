"""Intensities of images: ranges, quantiles, how another image differs, and saturation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codec_base import check_alike, read_parts
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.outliers import (
    RARE,
    HotPixels,
    Masks,
    Usual,
    content_range,
    find_hot,
    finite_values,
    leave_out_hot,
    some_values,
)
from napari_pix2pix.errors import ConfigError, InputError, rounded

Method = Literal["percentile", "minmax", "meanstd", "dtype"]
METHODS: tuple[Method, ...] = get_args(Method)
Quantiles: TypeAlias = tuple[tuple[float, ...], ...]

LEVELS = (0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)
# The expected range goes from the first to the last level, and a tenth of it further on both sides.
_MARGIN = 0.1
# Values that are sorted in each channel: of all images, and of each of some alone.
_MOST_VALUES = 2**18
_MOST_IMAGES, _FEW_VALUES = 64, 2**12
# Levels that float32 planes tell apart within a range.
_FLOAT32_LEVELS = 2**24
# Saturation is reported for a larger share of pixels at the highest value, if that is a plateau:
# it has so many times the pixels of any of the next levels.
_SATURATED, _PLATEAU, _NEXT = 0.01, 2, 8
# Fewer levels are labels, or light so dim that it is counted: their highest level is no plateau.
_FEWEST_LEVELS = 16
_MOST_PLATEAU_VALUES = 2**20


@dataclass(frozen=True)
class Intensities:
    """Quantiles of each channel's values at `LEVELS`; empty where there is no value.

    Neither what is not finite nor hot pixels are values.
    """

    dtype: str
    quantiles: Quantiles
    spread: float  # the largest `distance` of one image of the sample from all
    ranges: Quantiles = ()  # of each channel's content; empty in files of earlier versions

    def __post_init__(self) -> None:
        np.dtype(self.dtype)
        if any(len(channel) not in (0, len(LEVELS)) for channel in self.quantiles):
            raise ValueError("the number of quantiles is wrong")
        if any(len(ends) not in (0, 2) for ends in self.ranges):
            raise ValueError("the number of ends of a range is wrong")

    @classmethod
    def measure(
        cls, images: Sequence[NDArray[Any]], valid: Sequence[NDArray[np.bool_]] | None = None
    ) -> Intensities:
        """Measure images (C, h, w), inside masks (1 or C, h, w)."""
        masks = leave_out_hot(images, valid or [None] * len(images))
        together = _quantiles(images, masks, _MOST_VALUES)
        step = -(-len(images) // _MOST_IMAGES)
        distances = [
            _distance(_quantiles([image], [mask], _FEW_VALUES), together)
            for image, mask in zip(images[::step], masks[::step], strict=True)
        ]
        spread = max((distance for distance in distances if np.isfinite(distance)), default=0.0)
        ranges = tuple(
            content_range(images, masks, channel) if levels else ()
            for channel, levels in enumerate(together)
        )
        return cls(images[0].dtype.name, together, spread, ranges)

    def find_hot(self, image: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Mark the hot pixels of an image (C, h, w); None without any."""
        return find_hot(image, self._usual, most=RARE)

    def count_hot(self, image: NDArray[Any], valid: NDArray[np.bool_]) -> HotPixels:
        """Describe the hot pixels of an image (C, h, w) inside a mask (1 or C, h, w)."""
        hot = self.find_hot(image)
        return HotPixels.of(image, None if hot is None else hot & valid, self._usual)

    @property
    def _usual(self) -> Usual:
        ranges = self.ranges or tuple(levels[:1] + levels[-1:] for levels in self.quantiles)
        return [
            (ends[0], self.median(channel), ends[1]) if ends else ()
            for channel, ends in enumerate(ranges)
        ]

    def range(self, channel: int) -> tuple[float, float]:
        """Return the expected range of a channel, with some margin."""
        low, high = self.quantiles[channel][0], self.quantiles[channel][-1]
        return low - _MARGIN * (high - low), high + _MARGIN * (high - low)

    @property
    def width(self) -> float:
        """Mean distance of a channel's last level from the first."""
        return float(
            np.mean([levels[-1] - levels[0] for levels in self.quantiles if levels] or [0])
        )

    def median(self, channel: int) -> float:
        """Return a channel's median; NaN where there is no value."""
        levels = self.quantiles[channel]
        return levels[LEVELS.index(0.5)] if levels else float("nan")

    def outside(self, images: Sequence[NDArray[Any]]) -> tuple[float, int]:
        """Return the largest share of a channel's values outside its range, and the channel."""
        worst = 0.0, 0
        for channel, levels in enumerate(self.quantiles):
            values = some_values(images, [None] * len(images), channel, _MOST_VALUES)
            if levels and values.size:
                low, high = self.range(channel)
                share = round(float(((values < low) | (values > high)).mean()), 3)
                worst = max(worst, (share, channel), key=lambda pair: pair[0])
        return worst

    def distance(self, other: Intensities) -> float:
        """Return the mean distance of the quantiles, in the images' unit."""
        return _distance(self.quantiles, other.quantiles)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Intensities:
        """Build the intensities whose `to_dict` returned `parts`."""
        return read_parts(cls, parts, "The intensities in the file are")


def sample_windows(
    image: LazyImage, *, most: int = 16, side: int = 128, seed: int = 0
) -> list[NDArray[Any]]:
    """Read a seeded choice of windows (C, h, w) of an image, all of a small one."""
    grid = image.frames, -(-image.height // side), -(-image.width // side)
    total = int(np.prod(grid, dtype=np.int64))
    chosen = np.random.default_rng(seed).choice(total, min(most, total), replace=False)
    windows = []
    for frame, i, j in zip(*np.unravel_index(np.sort(chosen), grid), strict=True):
        rows = slice(int(i) * side, (int(i) + 1) * side)
        columns = slice(int(j) * side, (int(j) + 1) * side)
        windows.append(image.read(int(frame), rows, columns))
    return windows


def measure_ranges(
    images: Sequence[NDArray[Any]],
    masks: Masks,
    *,
    method: Method,
    percentiles: tuple[float, float],
    what: str,
) -> tuple[np.dtype[Any], tuple[float, ...], tuple[float, ...]]:
    """Measure dtype, and low < high of each channel, for `ImageCodec.fit`."""
    if method not in METHODS:
        raise ConfigError(f"Normalisation {method!r} is unknown; choose one of {METHODS}.")
    remedy = "one normalisation can't serve both, so convert all images to one dtype and range"
    dtype = check_alike(images, what, remedy)
    masks = leave_out_hot(images, masks)
    ranges = []
    for channel in range(len(images[0])):
        values = finite_values(images, masks, channel, step=1)
        _check_values(values, channel, what)
        if method == "percentile" and dtype.kind != "b":
            ranges.append(content_range(images, masks, channel, percentiles))
        else:
            ranges.append(_measure_range(values, method, dtype))
    return dtype, tuple(low for low, _ in ranges), tuple(high for _, high in ranges)


def saturation_note(
    images: Sequence[NDArray[Any]], what: str, valid: Sequence[NDArray[np.bool_]] | None = None
) -> str:
    """Say which channels of images (C, h, w) are saturated inside masks (1 or C, h, w); else ""."""
    plateaus: dict[int, tuple[float, float]] = {}
    for channel in range(len(images[0])):
        plateau = _find_plateau(images, valid or [None] * len(images), channel)
        if plateau:
            plateaus[channel] = plateau
    if not plateaus:
        return ""
    share, top = max(plateaus.values())
    numbers = ", ".join(map(str, plateaus))
    channels = f"channel {numbers}" if len(plateaus) == 1 else f"each of channels {numbers}"
    where = f"the {what}" if len(images[0]) == 1 else f"{channels} of the {what}"
    most = "Up to " if len(plateaus) > 1 else ""
    return (
        f"{most}{rounded(100 * share)} % of {where}'s values are {top:g}, the highest: saturated, "
        "so what is brighter can't be told apart there."
    )


def _find_plateau(
    images: Sequence[NDArray[Any]], masks: Masks, channel: int
) -> tuple[float, float] | None:
    """Return the share of values at the highest, and that value, if it is a plateau."""
    values = some_values(images, masks, channel, _MOST_PLATEAU_VALUES)
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) < _FEWEST_LEVELS:
        return None
    share = counts[-1] / counts.sum()
    if share <= _SATURATED or counts[-1] < _PLATEAU * counts[-1 - _NEXT : -1].max():
        return None
    return float(share), float(levels[-1])


def _quantiles(images: Sequence[NDArray[Any]], masks: Masks, most: int) -> Quantiles:
    channels = [some_values(images, masks, channel, most) for channel in range(len(images[0]))]
    return tuple(
        tuple(np.quantile(values, LEVELS).tolist()) if values.size else () for values in channels
    )


def _distance(first: Quantiles, second: Quantiles) -> float:
    channels = zip(first, second, strict=True)
    distances = [np.abs(np.subtract(a, b)).mean() for a, b in channels if a and b]
    return float(np.mean(distances)) if distances else float("inf")


def _check_values(values: NDArray[Any], channel: int, what: str) -> None:
    if not values.size:
        raise InputError(
            f"Channel {channel} of the {what} has no finite pixel inside the mask; "
            "leave that channel out."
        )
    if values.min() == values.max():
        raise InputError(
            f"Channel {channel} of the {what} is constant ({values.min()}) in the whole sample; "
            "there is nothing to learn from it, so leave it out."
        )
    if values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        step = float(np.spacing(float(max(abs(low), abs(high)))))
        if step > max(1, (high - low) / _FLOAT32_LEVELS):
            raise InputError(
                f"Channel {channel} of the {what} has integers from {low} to {high}, so large that "
                f"numbers less than {step:g} apart become the same: subtract an offset."
            )


def _measure_range(
    values: NDArray[Any], method: Method, dtype: np.dtype[Any]
) -> tuple[float, float]:
    """Return the values of one channel that become -1 and +1."""
    if dtype.kind == "b":
        return 0.0, 1.0
    if method == "dtype" and dtype.kind != "f":
        return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    if method == "meanstd":  # a tanh output then reaches nearly all values
        mean, sd = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        return mean - 3 * sd, mean + 3 * sd
    return float(values.min()), float(values.max())
