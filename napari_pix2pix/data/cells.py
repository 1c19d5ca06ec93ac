"""Sums over the square cells of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cell_sums(planes: NDArray[Any], side: int) -> NDArray[np.float64]:
    """Sum planes (D, H, W) over all of them and over cells, (h, w); the last ones may be smaller.

    Examples
    --------
    >>> cell_sums(np.ones((2, 3, 4)), side=2).tolist()
    [[8.0, 8.0], [4.0, 4.0]]
    """
    _, height, width = planes.shape
    padding = (0, 0), (0, -height % side), (0, -width % side)
    padded = np.pad(planes.astype(np.float64), padding)
    rows, columns = (length // side for length in padded.shape[1:])
    return np.asarray(padded.reshape(-1, rows, side, columns, side).sum(axis=(0, 2, 4)))
