"""MS-SSIM (Wang, Simoncelli & Bovik, 2003): structural similarity at five scales."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity
from skimage.transform import downscale_local_mean

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. (2003), finest first
_MS_SSIM_SIGMA = 1.5  # of the Gaussian window, in pixels
_MS_SSIM_WINDOW = 11  # its side
_LUMINANCE = 0.01  # K1, scikit-image's default
_NO_LUMINANCE = 1e6  # so large a K1 leaves only contrast and structure of the similarity

# 176 pixels: the window must fit into the coarsest scale.
SMALLEST_MS_SSIM_SIDE = _MS_SSIM_WINDOW * 2 ** (len(_MS_SSIM_WEIGHTS) - 1)


def multiscale_similarity(prediction: Plane, truth: Plane, valid: Mask, data_range: float) -> float:
    """Return the MS-SSIM (Wang, Simoncelli & Bovik, 2003), 1 at best; NaN below 176 pixels."""
    if min(truth.shape) < SMALLEST_MS_SSIM_SIDE:
        return math.nan
    # At the coarsest scale a window is 176 pixels wide: a single invalid pixel must not cost it.
    planes = [_fill(plane, valid) for plane in (truth, prediction)]
    valid = ndimage.grey_closing(valid.astype(np.uint8), 3) > 0
    product = 1.0
    for scale, weight in enumerate(_MS_SSIM_WEIGHTS, start=1):
        is_last = scale == len(_MS_SSIM_WEIGHTS)
        whole = ndimage.minimum_filter(valid, _MS_SSIM_WINDOW, mode="constant", cval=False)
        if not whole.any():
            return math.nan
        _, similarity = structural_similarity(
            *planes,
            data_range=data_range,
            gaussian_weights=True,
            sigma=_MS_SSIM_SIGMA,
            use_sample_covariance=False,
            K1=_LUMINANCE if is_last else _NO_LUMINANCE,
            full=True,
        )
        product *= max(0.0, float(similarity[whole].mean())) ** weight
        if not is_last:
            planes = [_halve(plane) for plane in planes]
            valid = _halve(valid.astype(np.float64)) == 1
    return product


def _fill(plane: Plane, valid: Mask) -> Plane:
    """Fill single invalid pixels with the mean of their valid neighbours, all others with 0."""
    if valid.all():
        return plane
    inside = np.where(valid, plane, 0.0)
    share = ndimage.uniform_filter(valid.astype(np.float64), 3)
    around = ndimage.uniform_filter(inside, 3) / np.where(share > 0.01, share, np.inf)
    return np.where(valid, plane, around)


def _halve(plane: NDArray[Any]) -> Plane:
    """Average 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (length - length % 2 for length in plane.shape)
    return np.asarray(downscale_local_mean(plane[:height, :width], (2, 2)))
