"""How large the pixels of an image are, and how that compares with what a model was trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import log
from statistics import median
from typing import NamedTuple

from napari_pix2pix.data.lengths import LENGTHS, convert_length

# Pixels that are larger or smaller than the training's by more than this factor are reported.
_ALIKE = 1.2
RESAMPLE_ADVICE = "Turn resample on, and the model computes at its own pixel size."


class Factors(NamedTuple):
    """How large pixels are, along each axis, in pixels of another image."""

    y: float
    x: float
    z: float | None = None  # None where one of the two does not state it

    @property
    def alike(self) -> bool:
        """Whether the pixels of a plane differ by no more than 20 %."""
        return all(1 / _ALIKE <= factor <= _ALIKE for factor in (self.y, self.x))


@dataclass(frozen=True)
class PixelSize:
    """Height and width of a pixel, and the distance of two planes where there are any.

    Parameters
    ----------
    y, x : float
        Height and width in `unit`, above 0.
    z : float, optional
        Distance of two planes in `unit`, above 0.
    unit : str
        Full name of a unit of length, such as ``micrometer``; empty where it is not known.

    Examples
    --------
    >>> size = PixelSize(0.65, 0.65, 2.0)
    >>> print(size)
    0.65 µm per pixel, planes 2 µm apart
    >>> PixelSize(325.0, 325.0, unit="nanometer").factors(size)
    Factors(y=0.5, x=0.5, z=None)
    """

    y: float
    x: float
    z: float | None = None
    unit: str = "micrometer"

    def __str__(self) -> str:
        planes = "" if self.z is None else f", planes {self.of_planes}"
        return f"{self.of_plane}{planes}"

    @property
    def of_plane(self) -> str:
        """Height and width as text, such as "0.65 µm per pixel"."""
        height, width = f"{self.y:.4g}", f"{self.x:.4g}"
        sides = width if height == width else f"{height} x {width}"
        return f"{sides}{self._symbol} per pixel"

    @property
    def of_planes(self) -> str:
        """Distance of two planes as text, such as "2 µm apart"; empty where there is none."""
        return "" if self.z is None else f"{self.z:.4g}{self._symbol} apart"

    @property
    def _symbol(self) -> str:
        return f" {LENGTHS[self.unit].symbol}" if self.unit in LENGTHS else ""

    def in_unit(self, unit: str) -> PixelSize | None:
        """Return the same size in another unit; None if it can't be converted."""
        y, x = (convert_length(value, self.unit, unit) for value in (self.y, self.x))
        z = None if self.z is None else convert_length(self.z, self.unit, unit)
        return None if y is None or x is None else PixelSize(y, x, z, unit)

    def factors(self, other: PixelSize) -> Factors | None:
        """Return these sizes in pixels of another image; None if the units can't be compared."""
        own = self.in_unit(other.unit)
        if own is None:
            return None
        z = None if own.z is None or other.z is None else own.z / other.z
        return Factors(own.y / other.y, own.x / other.x, z)


def told_size(
    stated: PixelSize | None,
    pixel_size: float | None,
    plane_distance: float | None,
    unit: str = "micrometer",
) -> PixelSize | None:
    """Return the stated size, with what a user tells in this unit in its place.

    It is None where no pixel size is known: a distance of planes alone is not enough.
    """
    if pixel_size is None and plane_distance is None:
        return stated
    size = None if stated is None else stated.in_unit(unit)
    if pixel_size is not None:
        size = PixelSize(pixel_size, pixel_size, None if size is None else size.z, unit)
    return size if size is None or plane_distance is None else replace(size, z=plane_distance)


def median_size(sizes: Iterable[PixelSize | None]) -> PixelSize | None:
    """Return the median of the sizes that are known, in the unit of the first; None without any."""
    known = [size for size in sizes if size is not None]
    alike = [size for size in (one.in_unit(known[0].unit) for one in known) if size is not None]
    if not alike:
        return None
    depths = [size.z for size in alike if size.z is not None]
    return PixelSize(
        median(size.y for size in alike),
        median(size.x for size in alike),
        median(depths) if depths else None,
        alike[0].unit,
    )


def size_note(image: PixelSize | None, trained: PixelSize | None) -> str:
    """Say that an image's pixels are not as large as the training's; else, or if unknown, ""."""
    factors = None if image is None or trained is None else image.factors(trained)
    if image is None or trained is None or factors is None or factors.alike:
        return ""
    return (
        f"The image has {image.of_plane}, and the model was trained on {trained.of_plane}, so "
        f"{_looks(factors)} as in the training."
    )


def planes_note(
    image: PixelSize | None, trained: PixelSize | None, z_context: int, ndim: int = 2
) -> str:
    """Say that planes that are seen together are not as far apart as the training's; else ""."""
    factors = None if image is None or trained is None else image.factors(trained)
    if image is None or trained is None or factors is None or factors.z is None:
        return ""
    sees_planes = z_context or ndim == 3
    if not sees_planes or 1 / _ALIKE <= factors.z <= _ALIKE:
        return ""
    return (
        f"The image's planes are {image.of_planes}, and those of the training are "
        f"{trained.of_planes}: planes that the model sees beside each other differ "
        f"{'more' if factors.z > 1 else 'less'} than in the training"
        + (f". {RESAMPLE_ADVICE}" if ndim == 3 else ", and resampling does not change that.")
    )


def _looks(factors: Factors) -> str:
    """Say how large or small something looks by the side that is off the most."""
    side, worst = max(
        ("height", factors.y), ("width", factors.x), key=lambda known: abs(log(known[1]))
    )
    is_round = 1 / _ALIKE <= factors.y / factors.x <= _ALIKE
    what = "what it shows" if is_round else f"the {side} of what it shows"
    # What is small in pixels has large pixels.
    times, size = (worst, "small") if worst > 1 else (1 / worst, "large")
    return f"{what} looks {f'{times:.0f}' if times >= 10 else f'{times:.2g}'} times as {size}"
