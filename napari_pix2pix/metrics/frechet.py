"""Fréchet distance of two sets of features, which the user's own network makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from napari_pix2pix.errors import InputError


def frechet_distance(features: ArrayLike, others: ArrayLike) -> float:
    """Return the squared Fréchet distance of normal distributions fitted to (N, D) and (M, D).

    A row is an image. With Inception's features it is the FID (Heusel et al., 2017). It is biased
    upwards for few rows, so compare only sets of the same size.

    >>> corners = np.array([[0, 0], [0, 2], [2, 0], [2, 2]])
    >>> round(frechet_distance(corners, corners + [3, 4]), 6)
    25.0
    """
    first, second = (np.asarray(table, np.float64) for table in (features, others))
    fits = first.ndim == second.ndim == 2 and first.shape[1] == second.shape[1] > 0
    if not fits or min(len(first), len(second)) < 2:
        raise InputError(
            f"The features have shapes {first.shape} and {second.shape}: give two tables with the "
            "same number of columns, and a row for each of 2 images or more."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("The features hold NaN or infinite values: check what makes them.")
    covariances = [np.atleast_2d(np.cov(table, rowvar=False)) for table in (first, second)]
    squared_shift = np.sum((first.mean(axis=0) - second.mean(axis=0)) ** 2)
    # The trace of the root of the product, by a symmetric matrix with the same eigenvalues.
    root = _matrix_root(covariances[0])
    shared = linalg.eigvalsh(root @ covariances[1] @ root).clip(min=0)
    traces = sum(np.trace(covariance) for covariance in covariances)
    return max(0.0, float(squared_shift + traces - 2 * np.sqrt(shared).sum()))


def _matrix_root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(values.clip(min=0))) @ vectors.T)
