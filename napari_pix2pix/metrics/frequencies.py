"""Multi-scale structural similarity of one channel.

Power over spatial frequency: where a prediction is blurred, it lacks power at high ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from skimage.metrics import structural_similarity
from skimage.transform import downscale_local_mean

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. (2003), finest scale first
_SIGMA = 1.5  # of the Gaussian window, in pixels
_WINDOW = 11  # its side
_LUMINANCE = 0.01  # scikit-image's default
_NO_LUMINANCE = 1e6  # a constant so large leaves contrast and structure of the similarity alone

SMALLEST_SIDE = _WINDOW * 2 ** (len(_WEIGHTS) - 1)  # 176: it must fit the coarsest scale


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
        images with a side below `SMALLEST_SIDE` pixels, and where no window is valid.
    """
    if min(truth.shape) < SMALLEST_SIDE:
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


SMALLEST = 8  # pixels, for four frequencies
_FLOOR = 1e-12  # of the truth's strongest power: less is rounding


def radial_spectrum(
    image: NDArray[np.float64], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average the power spectrum of a plane over all directions (Durall et al., 2020).

    Parameters
    ----------
    image, valid : arrays (H, W)
        The mean of the valid pixels is taken off, others count as 0, and a Hann window fades the
        borders out, which would otherwise add power along the axes.

    Returns
    -------
    frequencies, powers : arrays (N,)
        N is half the shorter side. In cycles per pixel, up to 0.5; and mean squared amplitude of
        the rings of frequencies nearest to each, in squared units of the image per pixel.

    Examples
    --------
    >>> waves = np.sin(2 * np.pi * np.arange(32) / 4) * np.ones((32, 1))
    >>> frequencies, powers = radial_spectrum(waves, np.ones((32, 32), bool))
    >>> float(frequencies[powers.argmax()])
    0.25
    """
    height, width = image.shape
    side = min(height, width)
    window = np.outer(np.hanning(height), np.hanning(width))
    centred = np.where(valid, image - image[valid].mean(), 0.0)
    power = np.abs(fft.fft2(centred * window)) ** 2 / (window**2).sum()
    radius = np.hypot(fft.fftfreq(height)[:, np.newaxis], fft.fftfreq(width))
    ring = np.rint(radius * side).astype(np.intp).ravel()
    count = side // 2
    totals = np.bincount(ring, power.ravel())[1 : count + 1]
    return np.arange(1, count + 1) / side, totals / np.bincount(ring)[1 : count + 1]


def spectrum_distance(
    prediction: NDArray[np.float64], truth: NDArray[np.float64], valid: NDArray[np.bool_]
) -> float:
    """Return how far two planes' radial power spectra lie apart.

    Parameters
    ----------
    prediction, truth, valid : arrays (H, W)
        Finite at valid pixels.

    Returns
    -------
    float
        In decibel, 0 at best: the log-spectral distance (Gray & Markel, 1976), the root over all
        frequencies of the mean squared difference of 10 log10 of the powers. NaN where prediction
        or truth is constant, or fewer than 8 pixels high or wide.
    """
    if min(truth.shape) < SMALLEST or not all(np.ptp(p[valid]) > 0 for p in (prediction, truth)):
        return math.nan
    powers = [radial_spectrum(plane, valid)[1] for plane in (prediction, truth)]
    floor = _FLOOR * powers[1].max()
    if floor == 0:
        return math.nan
    levels = [10 * np.log10(np.maximum(power, floor)) for power in powers]
    return float(np.sqrt(np.mean((levels[0] - levels[1]) ** 2)))
