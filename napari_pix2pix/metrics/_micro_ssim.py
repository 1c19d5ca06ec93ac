"""MicroSSIM (Ashesh et al., 2024): SSIM of a set, blind to one gain and one offset of the set."""
# SSIM's constants belong to images that begin at 0 and fill their range. Micrographs have an offset
# and few bright pixels, and a prediction may have another gain than the truth: SSIM then measures
# that rather than structure. Here the set's background is subtracted from both sides, and one
# scale for the set's predictions is chosen that makes the mean SSIM as large as possible.
#
# Background, range and scale are known once all images were seen. So the moments of each image's
# windows are kept, instead of the image; of at most 4,096 windows, drawn by a fixed seed.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WINDOW = 7  # pixels, as of the plain SSIM
_MOST = 4096  # windows, and pixels for the background, of a channel
_BACKGROUND = 3  # percentile of the pixels
_K1, _K2 = 0.01, 0.03  # of Wang et al. (2004)
_EXPONENT_STEP = 0.25
_EXPONENTS = _EXPONENT_STEP * np.arange(-12, 13)  # of 2: scales that are tried first


@dataclass(frozen=True, eq=False)
class LocalMoments:
    """Moments of N windows of 7 x 7 pixels in one channel, and M of its pixels."""

    predicted_mean: Plane  # (N,), like all moments
    true_mean: Plane
    predicted_variance: Plane
    true_variance: Plane
    covariance: Plane
    predicted_pixels: Plane  # (M,) some of the pixels, to find the background
    true_pixels: Plane
    highest: float  # of the truth


def local_moments(prediction: Plane, truth: Plane, valid: Mask) -> LocalMoments | None:
    """Measure one channel, (H, W) each; None if no window is valid as a whole."""
    if min(truth.shape) < _WINDOW:
        return None
    whole = np.s_[_WINDOW // 2 : -(_WINDOW // 2)]
    corners = _draw(ndimage.minimum_filter(valid, _WINDOW)[whole, whole])
    if not len(corners[0]):
        return None
    first, second = (_windows(image, corners) for image in (prediction, truth))
    means = first.mean(axis=1), second.mean(axis=1)
    first, second = first - means[0][:, np.newaxis], second - means[1][:, np.newaxis]
    freedom = _WINDOW**2 - 1  # sample variances, as of the plain SSIM
    pixels = _draw(valid)
    return LocalMoments(
        predicted_mean=means[0],
        true_mean=means[1],
        predicted_variance=(first**2).sum(axis=1) / freedom,
        true_variance=(second**2).sum(axis=1) / freedom,
        covariance=(first * second).sum(axis=1) / freedom,
        predicted_pixels=prediction[pixels],
        true_pixels=truth[pixels],
        highest=float(truth[valid].max()),
    )


def micro_ssim(images: Sequence[LocalMoments], weights: Sequence[float]) -> list[float]:
    """Score the images of a set, at best 1 each, with one background, range and scale for all.

    The scale makes the mean of the scores, weighted by `weights`, as large as possible. A truth
    that is constant has no score (NaN).

    Examples
    --------
    >>> truth = np.random.default_rng(0).random((32, 48))
    >>> everywhere = np.ones(truth.shape, bool)
    >>> moments = local_moments(0.2 * truth + 30, truth, everywhere)
    >>> [round(score, 6) for score in micro_ssim([moments], weights=[1])]
    [1.0]
    """
    backgrounds = [
        float(np.percentile(np.concatenate(pixels), _BACKGROUND))
        for pixels in (
            [image.predicted_pixels for image in images],
            [image.true_pixels for image in images],
        )
    ]
    span = max(image.highest for image in images) - backgrounds[1]
    if not span > 0:
        return [math.nan] * len(images)
    windows = _Windows.of(images, (backgrounds[0], backgrounds[1]), span)
    counts = [len(image.covariance) for image in images]
    shares = np.repeat(np.divide(weights, counts), counts)
    scores = windows.similarity(_best_scale(windows, shares))
    return [float(part.mean()) for part in np.split(scores, np.cumsum(counts)[:-1])]


@dataclass(frozen=True, eq=False)
class _Windows:
    """The windows of all images of a set, without its backgrounds."""

    predicted_mean: Plane
    true_mean: Plane
    predicted_variance: Plane
    true_variance: Plane
    covariance: Plane
    constants: tuple[float, float]  # C1 and C2 of Wang et al. (2004)

    @classmethod
    def of(
        cls, images: Sequence[LocalMoments], backgrounds: tuple[float, float], span: float
    ) -> _Windows:
        return cls(
            np.concatenate([image.predicted_mean for image in images]) - backgrounds[0],
            np.concatenate([image.true_mean for image in images]) - backgrounds[1],
            np.concatenate([image.predicted_variance for image in images]),
            np.concatenate([image.true_variance for image in images]),
            np.concatenate([image.covariance for image in images]),
            ((_K1 * span) ** 2, (_K2 * span) ** 2),
        )

    @property
    def ratio(self) -> float:
        """Size of the truth over that of the prediction; 1 if the prediction has none."""
        sizes = [
            float(np.mean(mean**2 + variance))
            for mean, variance in (
                (self.true_mean, self.true_variance),
                (self.predicted_mean, self.predicted_variance),
            )
        ]
        return math.sqrt(sizes[0] / sizes[1]) if sizes[1] > 0 else 1.0

    def similarity(self, scale: float) -> Plane:
        """Return the SSIM of each window whose prediction is multiplied by a scale."""
        first, second = self.constants
        mean, variance = scale * self.predicted_mean, scale**2 * self.predicted_variance
        luminance = (2 * mean * self.true_mean + first) / (mean**2 + self.true_mean**2 + first)
        structure = (2 * scale * self.covariance + second) / (
            variance + self.true_variance + second
        )
        return np.asarray(luminance * structure)


def _best_scale(windows: _Windows, shares: Plane) -> float:
    """Try scales around the ratio of both sides, then search between the best one's neighbours."""

    def loss(exponent: float) -> float:
        return -float(shares @ windows.similarity(ratio * 2.0**exponent))

    ratio = windows.ratio
    best = min(_EXPONENTS, key=loss)
    around = best - _EXPONENT_STEP, best + _EXPONENT_STEP
    found = optimize.minimize_scalar(loss, bounds=around, method="bounded")
    return ratio * 2.0 ** min(best, float(found.x), key=loss)


def _draw(valid: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of valid pixels, at most 4,096 of them."""
    chosen = np.flatnonzero(valid)
    if len(chosen) > _MOST:
        chosen = np.random.default_rng(0).choice(chosen, _MOST, replace=False)
    rows, columns = np.unravel_index(chosen, valid.shape)
    return rows, columns


def _windows(image: Plane, corners: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Plane:
    """Return the pixels (N, 49) of the windows with these upper left corners."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (_WINDOW, _WINDOW))
    return windows[corners].reshape(-1, _WINDOW**2)
