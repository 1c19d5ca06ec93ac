"""An image as a file holds it: its array, what each axis is, and how large a pixel is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_pix2pix.errors import InputError

AXES = "TZCYXSQ"

# Full names, as napari's unit registry spells them, from what files write.
_UNITS = {
    "nanometer": ("nm", "nanometre", "nanometers"),
    "micrometer": ("µm", "μm", "um", "micron", "microns", "micrometre", "micrometers"),
    "millimeter": ("mm", "millimetre"),
    "centimeter": ("cm", "centimetre"),
    "meter": ("m", "metre"),
    "angstrom": ("å", "angstroms"),
    "inch": ("in", "inches"),
    "second": ("s", "sec", "seconds"),
    "millisecond": ("ms", "msec"),
    "minute": ("min", "minutes"),
    "hour": ("h", "hours"),
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in (unit, *words)}


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """What :func:`napari_pix2pix.io.reading.read_image` found in a file.

    Attributes
    ----------
    data : array
        The pixels: numpy, or (large TIFF, OME-Zarr) something read when it is sliced, with
        ``shape`` and ``dtype``. Never empty; bool, integer or real.
    axes : str
        One letter an axis: T time, Z depth, C channel, Y, X, S red-green-blue(-alpha), Q other.
    scale : dict of str to float
        Size of a pixel along each axis for which the file states it, in `units`.
    units : dict of str to str
        Unit of each `scale` that has one, spelled out ("micrometer", "second").
    name : str
        The file's name without folder and ending.
    channel_names : tuple of str
        One a channel, or empty.
    labels : bool
        True where the file itself says that its values are labels.
    notes : tuple of str
        Sentences on what the file holds beside this image, for the user to know.
    """

    data: Any = field(repr=False)
    axes: str
    scale: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    channel_names: tuple[str, ...] = ()
    labels: bool = False
    notes: tuple[str, ...] = ()

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
        """Index of the axis C or S; None where there is neither."""
        index = max(self.axes.find("C"), self.axes.find("S"))
        return None if index < 0 else index


def standard_unit(unit: object) -> str | None:
    """Return a unit's full name, or None for pixels and for what is no known unit.

    >>> standard_unit("µm"), standard_unit("pixel")
    ('micrometer', None)
    """
    # ImageJ writes the micro sign as an escape into its ASCII description.
    text = str(unit).replace("\\u00B5", "µ").strip().lower()
    return _UNIT_OF.get(text)


def check_axes(axes: str, shape: tuple[int, ...], what: str) -> str:
    """Return `axes` in capitals, or say why they can't describe an image of `shape`.

    Raises
    ------
    InputError
        Wrong number of letters, an unknown or repeated letter, rows and columns that are not
        the last two axes beside the channels, or two channel axes.
    """
    letters = axes.upper()
    if len(letters) != len(shape):
        raise InputError(
            f"{what} has {len(shape)} axes of lengths {shape}, but axes={axes!r} names "
            f"{len(letters)}: give one letter an axis."
        )
    if not set(letters) <= set(AXES) or len(set(letters)) < len(letters):
        raise InputError(
            f"axes={axes!r} of {what} can't be used: give each axis its own letter, "
            "T time, Z depth, C channel, Y rows, X columns, S red-green-blue, Q any other."
        )
    if not letters.replace("C", "").replace("S", "").endswith("YX"):
        raise InputError(
            f"axes={axes!r} of {what} can't be used: rows and columns (YX) must be the last axes "
            "beside the channels; transpose the image."
        )
    if {"C", "S"} <= set(letters):
        raise InputError(
            f"{what} has channels (C) and colours (S) in one image, axes {letters}: "
            "save it with one channel axis."
        )
    return letters


def guess_axes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str | None:
    """Return the axes of an array that came without any: YX, YXS, or None where it may be all.

    >>> guess_axes((64, 64, 3), np.dtype("uint8"))
    'YXS'
    """
    if len(shape) == 2:
        return "YX"
    colour = len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > shape[2]
    if colour and dtype in (np.dtype(kind) for kind in ("u1", "u2", "f2", "f4", "f8")):
        return "YXS"
    return None
