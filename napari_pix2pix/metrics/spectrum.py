"""Power over spatial frequency: where a prediction is blurred, it lacks power at high ones."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

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
