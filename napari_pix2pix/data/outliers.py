"""Tells hot pixels from structure, where both lie beyond the values that an image usually holds.

Optics spread a spot, however small, over several pixels; a hot or a dead pixel stands alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import rounded

# Low end, median and high end of what each channel holds; empty where it has no value.
Usual: TypeAlias = Sequence[tuple[float, ...]]
Masks: TypeAlias = Sequence[NDArray[np.bool_] | None]

PERCENTILES = 0.1, 99.9

# A hot pixel lies more than so many widths of the usual range beyond it.
_FAR = 1.0
# So many of the eight neighbours reach this part of a pixel's height where it belongs to structure:
# a line of one pixel has two, and so has a spot of 1.4 pixels (full width at half maximum).
_NEIGHBOURS, _ALIKE = 2, 0.25
# Hot pixels are sought beyond these percentiles, which up to 2 % of them can't move.
_SURE = 2, 50, 98
# Where more than this part of a window lies so far out, the whole image has other intensities.
RARE = 0.02
# Cameras have fewer hot pixels than this part: more may be structure.
_MANY_HOT = 0.001
# Structure that carries more of the variance than this beyond the percentiles is the content of the
# image, and the range ends at its percentile: sparse spots are less than 0.1 % of the pixels.
_CONTENT = 0.03
# Percentiles of so many values are known well enough: for a search, and for a range.
_SOME, _MANY = 2**18, 1_000_000
_AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


class PixelsBeyond(NamedTuple):
    """The finite pixels of a plane that lie beyond a range, (N,) each."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: NDArray[np.float64]
    alone: NDArray[np.bool_]  # whether no structure carries them


def pixels_beyond(
    plane: NDArray[Any], low: float, middle: float, high: float, *, far: float = 0.0
) -> PixelsBeyond | None:
    """Find the pixels of (h, w) more than `far` widths of a range beyond it; None without any."""
    lowest, highest = low - far * (high - low), high + far * (high - low)
    # The extremes are known far sooner than the places; with NaN this says nothing.
    if not plane.size or (plane.min() >= lowest and plane.max() <= highest):
        return None
    rows, columns = np.nonzero((plane < lowest) | (plane > highest))
    values = plane[rows, columns].astype(np.float64)
    finite = np.isfinite(values)
    rows, columns, values = rows[finite], columns[finite], values[finite]
    is_bright = values > high

    def heights(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(is_bright, numbers - middle, middle - numbers)

    needed, neighbours = _ALIKE * heights(values), np.zeros(len(rows), np.int8)
    height, width = plane.shape
    for down, right in _AROUND:
        near = plane[_mirrored(rows + down, height), _mirrored(columns + right, width)]
        neighbours += heights(near.astype(np.float64)) >= needed
    return PixelsBeyond(rows, columns, values, neighbours < _NEIGHBOURS)


def _mirrored(places: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Move places that are one outside an axis back inside, so that edges have neighbours too."""
    inside = np.abs(places)
    return np.clip(np.where(inside < length, inside, 2 * length - 2 - inside), 0, length - 1)


@dataclass(frozen=True)
class HotPixels:
    """How many values are hot, and how far beyond the usual range the farthest of them lies."""

    count: int = 0
    values: int = 0  # among so many
    widths: float = 0.0  # of the usual range
    farthest: float = 0.0  # a value
    usual: tuple[float, ...] = ()  # of its channel

    @classmethod
    def of(cls, image: NDArray[Any], hot: NDArray[np.bool_] | None, usual: Usual) -> HotPixels:
        """Describe what `find_hot` found in an image (C, h, w)."""
        found = cls(0, image.size)
        if hot is None:
            return found
        for channel in np.flatnonzero(hot.reshape(len(hot), -1).any(axis=1)).tolist():
            low, _, high = usual[channel]
            values = image[channel][hot[channel]].astype(np.float64)
            beyond = np.maximum(low - values, values - high)
            farthest = int(beyond.argmax())
            widths = float(beyond[farthest]) / ((high - low) or 1.0)
            found += cls(len(values), 0, widths, float(values[farthest]), (low, high))
        return found

    def __add__(self, other: HotPixels) -> HotPixels:
        farther = max(self, other, key=lambda hot: hot.widths)
        count, values = self.count + other.count, self.values + other.values
        return HotPixels(count, values, farther.widths, farther.farthest, farther.usual)

    @property
    def are_many(self) -> bool:
        """Whether they are more than a camera has, so that they may be structure."""
        return self.count > _MANY_HOT * self.values

    def note(self, what: str) -> str:
        """Say it in a sentence; else ""."""
        if not self.count:
            return ""
        low, high = self.usual
        share = rounded(100 * self.count / self.values)
        return (
            f"{self.count:,} of {self.values:,} values of the {what} ({share} %) are hot pixels, "
            f"which stand alone far beyond the rest: the farthest is {self.farthest:.6g}, "
            f"{rounded(self.widths)} times the usual range ({low:.6g} to {high:.6g}) beyond it. "
            f"They count in no loss and no score.{_DOUBT if self.are_many else ''}"
        )


def sum_by_side(counts: Iterable[tuple[HotPixels, HotPixels]]) -> dict[str, HotPixels]:
    """Add up the hot pixels of sources and targets."""
    sums = [sum(side, HotPixels()) for side in zip(*counts, strict=True)]
    return dict(zip(("source", "target"), sums, strict=True))


_DOUBT = " No camera has so many: if they are what the image shows, blur it a little or bin it."


def find_hot(image: NDArray[Any], usual: Usual, *, most: float = 1.0) -> NDArray[np.bool_] | None:
    """Mark the hot pixels of (C, h, w), far beyond what their channel holds; None without any.

    The planes of a volume, (C, Z, h, w), are looked at one by one.

    If more than the part `most` of a channel lies far beyond, it is no pixel that is hot: the whole
    image has other intensities.
    """
    if image.ndim == 4:  # below each other
        flat = find_hot(image.reshape(len(image), -1, image.shape[-1]), usual, most=most)
        return None if flat is None else flat.reshape(image.shape)
    hot = None
    for channel, (plane, ends) in enumerate(zip(image, usual, strict=True)):
        beyond = pixels_beyond(plane, *ends, far=_FAR) if ends else None
        if beyond is None or len(beyond.rows) > most * plane.size:
            continue
        if beyond.alone.any():
            hot = np.zeros(image.shape, bool) if hot is None else hot
            hot[channel, beyond.rows[beyond.alone], beyond.columns[beyond.alone]] = True
    return hot


def leave_out_hot(images: Sequence[NDArray[Any]], masks: Masks) -> Masks:
    """Return masks without the hot pixels of images (C, h, w), before their ranges are known."""
    usual: list[tuple[float, ...]] = []
    for channel in range(len(images[0])):
        values = some_values(images, masks, channel, _SOME)
        usual.append(tuple(np.percentile(values, _SURE).tolist()) if values.size else ())
    found = [find_hot(image, usual) for image in images]
    if all(hot is None for hot in found):
        return masks
    kept = _without(masks, found)
    lost = [channel for channel in range(len(usual)) if _is_constant(images, kept, channel)]
    if lost:  # where nothing else is left, single pixels are what a channel holds
        usual = [() if channel in lost else ends for channel, ends in enumerate(usual)]
        kept = _without(masks, [find_hot(image, usual) for image in images])
    return kept


def _without(masks: Masks, found: Sequence[NDArray[np.bool_] | None]) -> Masks:
    """Return masks without what was found."""
    return [
        mask if hot is None else ~hot if mask is None else mask & ~hot
        for mask, hot in zip(masks, found, strict=True)
    ]


def _is_constant(images: Sequence[NDArray[Any]], masks: Masks, channel: int) -> bool:
    values = finite_values(images, masks, channel, step=1)
    return not values.size or bool(values.min() == values.max())


def content_range(
    images: Sequence[NDArray[Any]],
    masks: Masks,
    channel: int,
    percentiles: tuple[float, float] = PERCENTILES,
) -> tuple[float, float]:
    """Return the range of a channel's content: its percentiles, or those of sparse structure."""
    values = finite_values(images, masks, channel, step=1)
    step = -(-values.size // _MANY)
    some = values[::step].astype(np.float64)
    first, last = percentiles
    low, middle, high = np.percentile(some, (first, 50, last)).tolist()
    if low >= high:
        return float(values.min()), float(values.max())
    beyond = _structure_beyond(images, masks, channel, (low, middle, high))
    most = _CONTENT * values.size * float(some.var())
    bright, dark = beyond[beyond > high], beyond[beyond < low]
    if ((bright - high) ** 2).sum() > most:
        high = float(np.percentile(bright, last))
    if ((dark - low) ** 2).sum() > most:
        low = float(np.percentile(dark, first))
    return low, high


def _structure_beyond(
    images: Sequence[NDArray[Any]], masks: Masks, channel: int, usual: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return the values beyond a range that do not stand alone, (N,)."""
    parts = [np.empty(0)]
    for image, mask in zip(images, masks, strict=True):
        found = pixels_beyond(image[channel], *usual)
        if found is not None:
            kept = ~found.alone
            if mask is not None:
                kept &= mask[channel % len(mask)][found.rows, found.columns]
            parts.append(found.values[kept])
    return np.concatenate(parts)


def some_values(
    images: Sequence[NDArray[Any]], masks: Masks, channel: int, most: int
) -> NDArray[np.float64]:
    """Return about `most` of a channel's finite values, evenly picked."""
    step = max(1, -(-sum(image[channel].size for image in images) // most))
    return finite_values(images, masks, channel, step).astype(np.float64)


def finite_values(
    images: Sequence[NDArray[Any]], masks: Masks, channel: int, step: int
) -> NDArray[Any]:
    """Return every step-th value of a channel that is finite and inside the mask."""
    parts = []
    for image, mask in zip(images, masks, strict=True):
        values = image[channel].ravel()[::step]
        keep = np.isfinite(values) if values.dtype.kind == "f" else None
        if mask is not None:
            inside = mask[channel % len(mask)].ravel()[::step]
            keep = inside if keep is None else keep & inside
        parts.append(values if keep is None else values[keep])
    return np.concatenate(parts)
