"""Means over the cells of an image, to compare a map with the error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.evaluation.scoring import Array

CELL = 16  # pixels: side of the squares whose values and errors are compared


def cell_means(planes: Array, valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the means of planes (D, H, W) over the valid pixels of each cell that has any."""
    sums, counts = (_cell_sums(array) for array in (np.where(valid, planes, 0), valid))
    counted = counts > 0
    return np.asarray(sums[counted] / counts[counted])


def _cell_sums(planes: Array) -> NDArray[np.float64]:
    _, height, width = planes.shape
    padded = np.pad(planes.astype(np.float64), ((0, 0), (0, -height % CELL), (0, -width % CELL)))
    rows, columns = padded.shape[1] // CELL, padded.shape[2] // CELL
    return padded.reshape(-1, rows, CELL, columns, CELL).sum(axis=(0, 2, 4))
