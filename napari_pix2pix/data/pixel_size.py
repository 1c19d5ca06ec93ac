"""The size of a pixel, where a layer or a file states one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PixelSize:
    """Side of a square pixel in a unit of length, such as 0.65 micrometer."""

    length: float
    unit: str

    @classmethod
    def of(cls, lengths: Sequence[float], units: Sequence[str]) -> PixelSize | None:
        """Take the lengths and units of Y and X; None if a pixel is no square or has no unit."""
        (height, width), known = lengths, set(units) - {"", "pixel"}
        if len(known) != 1 or len(set(units)) != 1 or not math.isclose(height, width):
            return None
        return cls(width, *known)
