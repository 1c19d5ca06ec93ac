"""Frechet distance of two sets of features, for those who bring a network that makes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from napari_pix2pix.errors import InputError


def frechet_distance(features: ArrayLike, others: ArrayLike) -> float:
    """Return the squared Frechet distance of the normal distributions fitted to two sets.

    With the features of an Inception network this is the FID (Heusel et al., 2017).

    Parameters
    ----------
    features, others : array_like (N, D) and (M, D)
        A row for each image. With fewer rows than some multiples of D it is biased upwards, so
        compare sets of the same size only.

    Returns
    -------
    float
        0 at best, in squared units of the features.

    Raises
    ------
    InputError
        If these are not two tables of finite numbers of the same width, with 2 rows or more.

    Examples
    --------
    >>> corners = [[0, 0], [0, 2], [2, 0], [2, 2]]
    >>> round(frechet_distance(corners, np.array(corners) + [3, 4]), 6)
    25.0
    """
    first, second = (np.asarray(one, np.float64) for one in (features, others))
    fits = first.ndim == second.ndim == 2 and first.shape[1] == second.shape[1] > 0
    if not fits or min(len(first), len(second)) < 2:
        raise InputError(
            f"The features have shapes {first.shape} and {second.shape}: give two tables with the "
            "same number of columns, and a row for each of 2 images or more."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("The features hold NaN or infinite values: look at what makes them.")
    covariances = [np.atleast_2d(np.cov(one, rowvar=False)) for one in (first, second)]
    apart = np.sum((first.mean(axis=0) - second.mean(axis=0)) ** 2)
    root = _root(covariances[0])
    # The trace of the root of the product, by a symmetric matrix with the same eigenvalues.
    shared = linalg.eigvalsh(root @ covariances[1] @ root).clip(min=0)
    traces = sum(np.trace(one) for one in covariances)
    return max(0.0, float(apart + traces - 2 * np.sqrt(shared).sum()))


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(values.clip(min=0))) @ vectors.T)
