"""Means over the cells of an image, to compare a map with the error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.cells import cell_sums
from napari_pix2pix.evaluation.scoring import Array

CELL = 16  # pixels: side of the squares whose values and errors are compared


def cell_means(planes: Array, valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the means of planes (D, H, W) over the valid pixels of each cell that has any."""
    sums, counts = (cell_sums(array, CELL) for array in (np.where(valid, planes, 0), valid))
    counted = counts > 0
    return np.asarray(sums[counted] / counts[counted])
