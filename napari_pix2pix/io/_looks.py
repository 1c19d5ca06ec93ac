"""Colours and display ranges of channels, as TIFF and OME-Zarr write them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.channel_look import ChannelLook, Looks

WHITE = "#FFFFFF"
_RAMP = np.arange(256) / 255
_OFF = 2.0  # of 255: how far a colour table may be off a straight line


def limits_of(low: Any, high: Any) -> tuple[float, float] | None:
    """Return a display range; None for what is none."""
    try:
        ends = float(low), float(high)
    except (TypeError, ValueError):
        return None
    return ends if all(map(math.isfinite, ends)) and ends[0] < ends[1] else None


def colour_of_hex(text: Any) -> str:
    """Return OME-Zarr's colour, such as ``00FF00``, as ``#00FF00``; empty for what is none."""
    digits = str(text).removeprefix("#")[:6].upper()
    is_colour = len(digits) == 6 and not set(digits) - set("0123456789ABCDEF")
    return f"#{digits}" if is_colour else ""


def colour_of_ome(value: Any) -> str:
    """Return OME-TIFF's colour, red, green, blue and alpha in a signed number, as ``#RRGGBB``."""
    try:
        return f"#{(int(value) & 0xFFFFFFFF) >> 8:06X}"
    except (TypeError, ValueError):
        return ""


def ome_colour(look: ChannelLook) -> int:
    """Return a colour as OME-TIFF writes it; white where none is stated."""
    value = (int((look.colour or WHITE)[1:], 16) << 8) | 0xFF
    return value - 2**32 if value >= 2**31 else value


def looks_of_imagej(metadata: Mapping[str, Any]) -> Looks:
    """Read the looks of channels from ImageJ's colour tables and ranges."""
    tables = np.asarray(metadata.get("LUTs", ()), float).reshape(-1, 3, 256)
    ends = list(metadata.get("Ranges", ())) or [metadata.get("min"), metadata.get("max")]
    ranges = [limits_of(*ends[first : first + 2]) for first in range(0, len(ends) - 1, 2)]
    colours = list(map(_colour_of_table, tables)) or [""] * len(ranges)
    ranges = ranges if len(ranges) == len(colours) else [None] * len(colours)
    looks = [ChannelLook(c, limits=r) for c, r in zip(colours, ranges, strict=True)]
    return tuple(looks) if any(look != ChannelLook() for look in looks) else ()


def imagej_looks(looks: Sequence[ChannelLook]) -> dict[str, Any]:
    """Return colour tables and ranges for ImageJ's metadata; empty where nothing is stated."""
    metadata: dict[str, Any] = {}
    ranges = [look.limits for look in looks if look.limits is not None]
    if ranges and len(ranges) == len(looks):
        metadata["Ranges"] = tuple(end for ends in ranges for end in ends)
        metadata |= {"min": ranges[0][0], "max": ranges[0][1]}
    colours = [look.colour or WHITE for look in looks]
    if set(colours) - {WHITE}:
        metadata["LUTs"] = list(map(_table_of_colour, colours))
        metadata["mode"] = "composite" if len(looks) > 1 else "color"
    return metadata


def _colour_of_table(table: NDArray[np.float64]) -> str:
    """Return the colour of a table (3, 256) that goes from black straight to it; else empty."""
    brightest = table[:, -1:]
    if np.abs(table - brightest * _RAMP).max() > _OFF:
        return ""
    return "#" + "".join(f"{int(value):02X}" for value in brightest[:, 0])


def _table_of_colour(colour: str) -> NDArray[np.uint8]:
    rgb = [int(colour[first : first + 2], 16) for first in (1, 3, 5)]
    return np.rint(np.outer(rgb, _RAMP)).astype(np.uint8)
