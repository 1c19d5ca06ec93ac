"""Units of length: their symbols, and conversions between them."""

from __future__ import annotations

from typing import NamedTuple


class Length(NamedTuple):
    """A unit of length."""

    symbol: str
    power: int  # of ten, in meters


LENGTHS = {
    "picometer": Length("pm", -12),
    "angstrom": Length("Å", -10),
    "nanometer": Length("nm", -9),
    "micrometer": Length("µm", -6),
    "millimeter": Length("mm", -3),
    "centimeter": Length("cm", -2),
    "meter": Length("m", 0),
}


def convert_length(value: float, given: str | None, wanted: str | None) -> float | None:
    """Convert a length between standard units; None if it can't be; without units it stays.

    >>> convert_length(0.5, "millimeter", "micrometer")
    500.0
    """
    if given == wanted:
        return value
    if given not in LENGTHS or wanted not in LENGTHS:
        return None
    power = LENGTHS[given].power - LENGTHS[wanted].power
    # A power of ten is exact, one of a tenth is not.
    return float(value * 10**power if power >= 0 else value / 10**-power)
