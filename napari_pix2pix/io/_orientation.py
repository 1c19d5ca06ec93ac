"""Images that are stored turned or mirrored, as viewers show them."""

from __future__ import annotations

from typing import Any

import numpy as np

_MIRRORED = {2: "X", 3: "YX", 4: "Y", 6: "X", 7: "YX", 8: "Y"}  # after Y and X were exchanged
_FIRST_TURNED = 5


def as_shown(data: Any, axes: str, orientation: int) -> Any:
    """Return an array upright that is stored in one of the 8 orientations of TIFF and EXIF."""
    if not 1 < orientation <= 8:
        return data
    y, x = axes.index("Y"), axes.index("X")
    turned = np.swapaxes(data, y, x) if orientation >= _FIRST_TURNED else data
    step = [slice(None, None, -1 if axis in _MIRRORED.get(orientation, "") else 1) for axis in axes]
    return turned[tuple(step)]


def is_turned(orientation: int) -> bool:
    """Tell whether rows are stored as columns."""
    return _FIRST_TURNED <= orientation <= 8
