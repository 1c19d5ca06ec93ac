"""Multi-scale structural similarity of one channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity
from skimage.transform import downscale_local_mean

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. (2003), finest scale first
_SIGMA = 1.5  # of the Gaussian window, in pixels
_WINDOW = 11  # its side
_LUMINANCE = 0.01  # scikit-image's default
_NO_LUMINANCE = 1e6  # a constant so large leaves contrast and structure of the similarity alone

SMALLEST = _WINDOW * 2 ** (len(_WEIGHTS) - 1)  # 176: the window must fit into the coarsest scale


def multiscale_similarity(
    prediction: NDArray[np.float64],
    truth: NDArray[np.float64],
    valid: NDArray[np.bool_],
    data_range: float,
) -> float:
    """Return the MS-SSIM (Wang, Simoncelli & Bovik, 2003) of two planes (H, W).

    Parameters
    ----------
    prediction, truth : array (H, W)
        Finite at valid pixels.
    valid : bool array (H, W)
        Windows that hold any other pixel don't count.
    data_range : float

    Returns
    -------
    float
        The product over five scales of contrast and structure, each to the power of its weight,
        and of the luminance at the coarsest; 1 at best. A negative mean counts as 0. NaN for
        images of fewer than `SMALLEST` pixels in height or width, and where no window is valid.
    """
    if min(truth.shape) < SMALLEST:
        return math.nan
    planes = [np.where(valid, plane, 0.0) for plane in (truth, prediction)]
    product = 1.0
    for scale, weight in enumerate(_WEIGHTS, start=1):
        is_last = scale == len(_WEIGHTS)
        whole = ndimage.minimum_filter(valid, _WINDOW, mode="constant", cval=False)
        if not whole.any():
            return math.nan
        _, similarity = structural_similarity(
            *planes,
            data_range=data_range,
            gaussian_weights=True,
            sigma=_SIGMA,
            use_sample_covariance=False,
            K1=_LUMINANCE if is_last else _NO_LUMINANCE,
            full=True,
        )
        product *= max(0.0, float(similarity[whole].mean())) ** weight
        if not is_last:
            planes = [_halved(plane) for plane in planes]
            valid = _halved(valid.astype(np.float64)) == 1
    return product


def _halved(plane: NDArray[Any]) -> NDArray[np.float64]:
    """Return the means of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (length - length % 2 for length in plane.shape)
    return np.asarray(downscale_local_mean(plane[:height, :width], (2, 2)))
