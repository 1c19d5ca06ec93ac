"""What a prediction shares with its truth at each spatial frequency: power, and correlation."""
# Both images are transformed once, and what all scores need of them is averaged over rings of equal
# frequency. Pixels that do not count get the mean of those that do, and a Hann window fades the
# borders: where they do not fit each other, they would add power along the axes.

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, ndimage

from napari_pix2pix.errors import InputError

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]

SMALLEST_SPECTRUM_SIDE = 8  # pixels, for four frequencies
FRC_THRESHOLD = 1 / 7  # Rosenthal & Henderson (2003), as Nieuwenhuizen et al. (2013) use it

_NYQUIST = 0.5  # cycles per pixel
_POWER_FLOOR = 1e-12  # of the truth's strongest power: less is rounding
_SMOOTHED = 5  # rings that are averaged before a curve's first crossing is sought
_NOISE_PART = 0.2  # of the rings, the highest: their mean power is taken for noise


@dataclass(frozen=True, eq=False)
class RingMeans:
    """Power of a prediction and of its truth, and what both share, in N rings of frequencies."""

    frequencies: Plane  # (N,) cycles per pixel, up to 0.5; N is half the shorter side
    predicted: Plane  # (N,) mean power, in squared units of the image per pixel, like `true`
    true: Plane
    shared: Plane  # (N,) mean of the real part of the cross spectrum
    sizes: Plane  # (N,) frequencies in each ring

    @property
    def correlations(self) -> Plane:
        """Fourier ring correlation (N,); 0 where one of the images has no power."""
        both = np.sqrt(self.predicted * self.true)
        return np.divide(self.shared, both, out=np.zeros_like(both), where=both > 0)


def ring_means(prediction: Plane, truth: Plane, valid: Mask) -> RingMeans | None:
    """Average two images (H, W) over rings; None if one is constant or too small."""
    is_small = min(truth.shape) < SMALLEST_SPECTRUM_SIDE
    if is_small or not all(np.ptp(image[valid]) > 0 for image in (prediction, truth)):
        return None
    first, second = (_transform(image, valid) for image in (prediction, truth))
    rings = _Rings.of(truth.shape)
    return RingMeans(
        rings.frequencies,
        predicted=rings.mean(_power(first)),
        true=rings.mean(_power(second)),
        shared=rings.mean(first.real * second.real + first.imag * second.imag),
        sizes=rings.sizes,
    )


def radial_spectrum(image: Plane, valid: Mask) -> tuple[Plane, Plane]:
    """Average the power spectrum over all directions (Durall et al., 2020)."""
    # N frequencies in cycles per pixel, up to 0.5, and N powers in squared units of the image per
    # pixel; N is half the shorter side.
    rings = _Rings.of(image.shape)
    return rings.frequencies, rings.mean(_power(_transform(image, valid)))


def fourier_ring_correlation(
    prediction: ArrayLike, truth: ArrayLike, valid: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlate a prediction with its truth, frequency by frequency.

    The Fourier ring correlation (Saxton & Baumeister, 1982; Nieuwenhuizen et al., 2013) of a
    frequency is the correlation of both images' Fourier coefficients of that length, in all
    directions: 1 where the detail of this size is the same, 0 where it has nothing in common. It
    is blind to gain, offset and any blur that leaves detail above the rounding.

    Parameters
    ----------
    prediction, truth : array_like
        Real numbers of shape (H, W), H and W at least 8 pixels and not necessarily equal.
    valid : array_like of bool, optional
        (H, W): the pixels that count, finite in both images. All others get the mean of these.

    Returns
    -------
    frequencies, correlations : ndarray of float64
        (N,) each, with N half the shorter side: cycles per pixel up to 0.5, and values from -1
        to 1.

    Raises
    ------
    InputError
        If the images have no common shape of two axes, a side is below 8 pixels, or the valid
        pixels of one of them are all equal or not finite.

    Examples
    --------
    >>> truth = np.random.default_rng(0).random((64, 48))
    >>> frequencies, correlations = fourier_ring_correlation(3 * truth + 100, truth)
    >>> bool(np.allclose(correlations, 1)), float(frequencies[-1])
    (True, 0.5)
    >>> cutoff_frequency(frequencies, correlations)
    0.5
    """
    planes = [np.asarray(image, np.float64) for image in (prediction, truth)]
    counted = np.ones(planes[1].shape, bool) if valid is None else np.asarray(valid, bool)
    if planes[0].ndim != 2 or not planes[0].shape == planes[1].shape == counted.shape:
        raise InputError(
            f"The prediction has shape {planes[0].shape}, the truth {planes[1].shape} and the mask "
            f"{counted.shape}; give one shape (height, width) for all."
        )
    if not counted.any() or not all(np.isfinite(plane[counted]).all() for plane in planes):
        raise InputError(
            "A Fourier ring correlation needs finite numbers at the pixels that count, and at "
            "least one of them: give a mask without the others."
        )
    means = ring_means(planes[0], planes[1], counted)
    if means is None:
        raise InputError(
            f"Images of {planes[1].shape} pixels have no Fourier ring correlation: a side is below "
            f"{SMALLEST_SPECTRUM_SIDE} pixels, or one of the images is constant."
        )
    return means.frequencies, means.correlations


def cutoff_frequency(
    frequencies: NDArray[np.float64],
    correlations: NDArray[np.float64],
    threshold: float = FRC_THRESHOLD,
) -> float:
    """Find where a Fourier ring correlation first falls below a threshold.

    The curve is first smoothed over five rings, since a ring of few frequencies falls below any
    threshold by chance. One over the cut-off is the size, in pixels, of the finest shared detail.

    Parameters
    ----------
    frequencies, correlations : ndarray of float64
        (N,) each, as `fourier_ring_correlation` returns them.
    threshold : float
        Between -1 and 1.

    Returns
    -------
    float
        Cycles per pixel: 0 if no detail is shared, 0.5 if all is.
    """
    smooth = ndimage.uniform_filter1d(correlations, _SMOOTHED, mode="nearest")
    below = np.flatnonzero(smooth < threshold)
    if not below.size:
        return _NYQUIST  # the last ring of an odd side lies a little below it
    first = int(below[0])
    if first == 0:
        return 0.0
    # Between the last ring above and the first below, the curve is taken for a straight line.
    pair = np.s_[first - 1 : first + 1]
    return float(np.interp(-threshold, -smooth[pair], frequencies[pair]))


def spectral_pearson(means: RingMeans) -> float:
    """Correlate over the frequencies at which the truth is more than noise (Kalinin et al., 2025).

    Each ring weighs as its power of the truth exceeds the noise, the mean power of the highest
    fifth of the rings. NaN if no ring exceeds it.
    """
    noise = means.true[-max(1, math.ceil(_NOISE_PART * len(means.true))) :].mean()
    weights = means.sizes * np.maximum(means.true - noise, 0)
    shared, predicted, true = (
        float(weights @ power) for power in (means.shared, means.predicted, means.true)
    )
    scale = math.sqrt(predicted * true)
    return shared / scale if scale > 0 else math.nan


def spectrum_distance(means: RingMeans) -> float:
    """Return the log-spectral distance (Gray & Markel, 1976) in dB."""
    floor = _POWER_FLOOR * means.true.max()
    if floor == 0:
        return math.nan
    levels = [10 * np.log10(np.maximum(power, floor)) for power in (means.predicted, means.true)]
    return float(np.sqrt(np.mean((levels[0] - levels[1]) ** 2)))


def _transform(image: Plane, valid: Mask) -> NDArray[np.complex128]:
    """Return the half of the Fourier transform that determines the other, per pixel."""
    height, width = image.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    centred = np.where(valid, image - image[valid].mean(), 0.0)
    return np.asarray(fft.rfft2(centred * window) / np.sqrt((window**2).sum()))


@dataclass(frozen=True, eq=False)
class _Rings:
    """The rings of the coefficients that `_transform` returns."""

    ring: NDArray[np.intp]  # of each coefficient, flat
    times: Plane  # 2 for coefficients that stand for their mirror image too, flat
    sizes: Plane  # (N,) coefficients of each ring
    frequencies: Plane  # (N,)

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> _Rings:
        height, width = shape
        side = min(height, width)
        radius = np.hypot(fft.fftfreq(height)[:, np.newaxis], fft.rfftfreq(width))
        ring = np.rint(radius * side).astype(np.intp).ravel()
        times = np.full(radius.shape, 2.0)
        times[:, 0] = 1
        if width % 2 == 0:
            times[:, -1] = 1
        numbers = np.arange(1, side // 2 + 1)
        sizes = np.bincount(ring, times.ravel())[numbers].astype(np.float64)
        return cls(ring, times.ravel(), sizes, numbers / side)

    def mean(self, values: Plane) -> Plane:
        """Average the coefficients of each ring."""
        totals = np.bincount(self.ring, self.times * values.ravel())
        return np.asarray(totals[1 : len(self.sizes) + 1] / self.sizes)


def _power(coefficients: NDArray[np.complex128]) -> Plane:
    return coefficients.real**2 + coefficients.imag**2
