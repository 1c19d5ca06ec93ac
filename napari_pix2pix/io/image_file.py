"""The geometry of an image file: axes, pixel sizes and units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_pix2pix.data.channel_look import Looks
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.lengths import convert_length
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import InputError

AXES = "TZCYXSQ"
_SMALLEST = 256  # pixels in Y and X of a pyramid's last level, at most
RECORD_KEY = "napari-pix2pix"  # under which a file says what its image was made of

# Full names, as napari's unit registry spells them, and the spellings that files use.
_UNITS = {
    "picometer": ("pm", "picometre"),
    "nanometer": ("nm", "nanometre", "nanometers"),
    "micrometer": ("µm", "μm", "um", "micron", "microns", "micrometre", "micrometers"),
    "millimeter": ("mm", "millimetre"),
    "centimeter": ("cm", "centimetre"),
    "meter": ("m", "metre"),
    "angstrom": ("å", "angstroms"),
    "inch": ("in", "inches"),
    "second": ("s", "sec", "seconds"),
    "nanosecond": ("ns", "nsec"),
    "microsecond": ("µs", "μs", "us", "usec"),
    "millisecond": ("ms", "msec"),
    "minute": ("min", "minutes"),
    "hour": ("h", "hours"),
    "day": ("d", "days"),
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in (unit, *words)}


def unit_symbol(unit: str) -> str:
    """Shorten a unit: "micrometer" is µm; an unknown one stays as it is."""
    return _UNITS[unit][0] if unit in _UNITS else unit


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """An image as `read_image` reads it."""

    # numpy, or (OME-Zarr, large TIFF and NPY) an array that is read when it is sliced; bool, int or
    # float
    data: Any = field(repr=False)
    axes: str  # one letter each: T time, Z depth, C channel, Y, X, S red-green-blue, Q other
    scale: Mapping[str, float] = field(default_factory=dict)  # pixel sizes that the file states
    units: Mapping[str, str] = field(default_factory=dict)  # of `scale`, such as "micrometer"
    origin: Mapping[str, float] = field(default_factory=dict)  # first pixel's position in `units`
    name: str = ""  # of the file, without folder and ending
    channel_names: tuple[str, ...] = ()  # one per channel, or empty
    looks: Looks = ()  # likewise
    labels: bool = False  # whether the file itself says that its values are labels
    notes: tuple[str, ...] = ()  # sentences for the user about what else the file holds

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one value."""
        return np.dtype(self.data.dtype)

    @property
    def channel_axis(self) -> int | None:
        """Index of the axis C or S; None if there is neither."""
        index = max(self.axes.find("C"), self.axes.find("S"))
        return None if index < 0 else index

    @property
    def pixel_size(self) -> PixelSize | None:
        """How large its pixels are; None unless height and width are stated, in one unit."""
        units = {self.units.get(axis) for axis in "YX"}
        if not {"Y", "X"} <= set(self.scale) or len(units) > 1:
            return None
        unit = units.pop()
        z = self.scale.get("Z")
        depth = None if z is None else convert_length(z, self.units.get("Z"), unit)
        return PixelSize(self.scale["Y"], self.scale["X"], depth, unit or "")

    def checked(self) -> ImageFile:
        """Keep of sizes, units and positions what is known, and one name and look a channel."""
        channel = self.channel_axis
        channels = 1 if channel is None else self.shape[channel]
        named, shown = (
            len(stated) == channels and "S" not in self.axes
            for stated in (self.channel_names, self.looks)
        )
        scale, origin = (
            {
                axis: float(value)
                for axis, value in values.items()
                if axis in set(self.axes) - {*"CSQ"}
            }
            for values in (self.scale, self.origin)
        )
        impossible = {axis: n for axis, n in scale.items() if not (n > 0 and math.isfinite(n))}
        scale = {axis: size for axis, size in scale.items() if axis not in impossible}
        notes = (
            f"{self.name} states a size of {size:g} along {axis}, which is left out."
            for axis, size in impossible.items()
            if size  # programs write 0 for what they do not know
        )
        return replace(
            self,
            scale=scale,
            units={axis: unit for axis, unit in self.units.items() if axis in scale},
            origin={axis: n for axis, n in origin.items() if n and math.isfinite(n)},
            channel_names=self.channel_names if named else (),
            looks=self.looks if shown else (),
            notes=(*self.notes, *notes),
        )


@dataclass(frozen=True)
class ImageSpec:
    """An image to be written, without its pixels; axes, scale and units as in `ImageFile`."""

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    channel_names: Sequence[str] = ()
    looks: Looks = ()  # one a channel, or empty
    origin: Mapping[str, float] = field(default_factory=dict)  # first pixel's position in `units`
    record: Mapping[str, Any] = field(default_factory=dict)  # JSON: what the image was made of
    name: str = ""
    kind: Kind = "image"
    rgb: bool = False  # whether the channels are red, green and blue

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def levels(self) -> int:
        """Number of levels of a pyramid, each half as high and wide as the one above."""
        sides = [n for axis, n in zip(self.axes, self.shape, strict=True) if axis in "YX"]
        return 1 + max(0, math.ceil(math.log2(max(sides) / _SMALLEST)))

    def level_shape(self, level: int) -> tuple[int, ...]:
        """Shape of a level, which keeps every `2**level`-th pixel; 0 is the full resolution."""
        sized = zip(self.axes, self.shape, strict=True)
        return tuple(-(-n // 2**level) if axis in "YX" else n for axis, n in sized)


def standard_unit(unit: object) -> str | None:
    """Return a unit's full name; None for pixels and for an unknown unit.

    >>> standard_unit("µm"), standard_unit("pixel")
    ('micrometer', None)
    """
    # ImageJ writes the micro sign as an escape into its ASCII description.
    text = str(unit).replace("\\u00B5", "µ").strip().lower()
    return _UNIT_OF.get(text)


def check_axes(axes: str, shape: tuple[int, ...], what: str) -> str:
    """Return `axes` in capitals; refuse axes that can't describe an image of `shape`."""
    letters = axes.upper()
    if len(letters) != len(shape):
        raise InputError(
            f"{what} has {len(shape)} axes of lengths {shape}, but axes={axes!r} names "
            f"{len(letters)}: give one letter per axis."
        )
    if not set(letters) <= set(AXES) or len(set(letters)) < len(letters):
        raise InputError(
            f"axes={axes!r} of {what} can't be used: give each axis its own letter, "
            "T time, Z depth, C channel, Y rows, X columns, S red-green-blue, Q any other."
        )
    if not letters.replace("C", "").replace("S", "").endswith("YX"):
        raise InputError(
            f"axes={axes!r} of {what} can't be used: rows and columns (YX) must be the last axes "
            "apart from the channels; transpose the image."
        )
    if {"C", "S"} <= set(letters):
        raise InputError(
            f"{what} has channels (C) and colours (S) in one image, axes {letters}: "
            "save it with one channel axis."
        )
    return letters


def guess_axes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str | None:
    """Guess the axes of an array that came without any: YX, YXS, or None if they are ambiguous.

    >>> guess_axes((64, 64, 3), np.dtype("uint8"))
    'YXS'
    """
    if len(shape) == 2:
        return "YX"
    # Four channels of more than 8 bits are hardly ever colours with alpha.
    kinds = {3: ("u1", "u2", "f2", "f4", "f8"), 4: ("u1",)}.get(shape[-1], ())
    if len(shape) == 3 and min(shape[:2]) > shape[2] and dtype in map(np.dtype, kinds):
        return "YXS"
    return None
