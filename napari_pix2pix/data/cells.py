"""Sums over the cells of an image or a volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def cell_sums(planes: NDArray[Any], side: int | Sequence[int]) -> NDArray[np.float64]:
    """Sum planes (D, H, W) over all of them and over cells, (h, w); the last ones may be smaller.

    Cells are as long along each axis as `side` says; those of a volume have planes in front.

    Examples
    --------
    >>> cell_sums(np.ones((2, 3, 4)), side=2).tolist()
    [[8.0, 8.0], [4.0, 4.0]]
    >>> cell_sums(np.ones((1, 3, 4, 4)), side=(2, 4, 4)).ravel().tolist()
    [32.0, 16.0]
    """
    size = planes.shape[1:]
    sides = (side,) * len(size) if isinstance(side, int) else tuple(side)
    padding = [(0, -length % along) for length, along in zip(size, sides, strict=True)]
    padded = np.pad(planes.astype(np.float64), [(0, 0), *padding])
    # Each axis becomes two: that of the cells, and that within a cell.
    split = [n for k, along in enumerate(sides, 1) for n in (padded.shape[k] // along, along)]
    return np.asarray(padded.reshape(-1, *split).sum(axis=(0, *range(2, 2 * len(sides) + 1, 2))))
