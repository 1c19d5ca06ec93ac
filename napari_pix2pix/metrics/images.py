"""Scores of a predicted image against the true one, channel by channel in float64."""
# A new score is a function of a `Channel` and a line in `_QUICK` or `_SLOW` at the end, its words
# in names.py, and its row in docs/scores.md.

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.metrics import (
    mean_squared_error,
    normalized_root_mse,
    peak_signal_noise_ratio,
    structural_similarity,
)
from skimage.transform import downscale_local_mean

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.channel import Channel, Mask, Plane, channels_of
from napari_pix2pix.metrics.micro_ssim import micro_ssim
from napari_pix2pix.metrics.spectra import (
    RingMeans,
    cutoff_frequency,
    spectral_pearson,
    spectrum_distance,
)

_SSIM_WINDOW = 7  # pixels; the default of scikit-image and of Wang et al. (2004) without Gaussian

_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. (2003), finest first
_MS_SSIM_SIGMA = 1.5  # of the Gaussian window, in pixels
_MS_SSIM_WINDOW = 11  # its side
_LUMINANCE = 0.01  # K1, scikit-image's default
_NO_LUMINANCE = 1e6  # so large a K1 leaves only contrast and structure of the similarity

# 176 pixels: the window must fit into the coarsest scale.
SMALLEST_MS_SSIM_SIDE = _MS_SSIM_WINDOW * 2 ** (len(_MS_SSIM_WEIGHTS) - 1)


def image_scores(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    data_range: float | Sequence[float],
    valid: ArrayLike | None = None,
    full: bool = False,
) -> dict[str, float]:
    """Score one prediction: the means of `channel_scores`, without the channels that are NaN."""
    return mean_scores(
        channel_scores(prediction, truth, data_range=data_range, valid=valid, full=full)
    )


def channel_scores(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    data_range: float | Sequence[float],
    valid: ArrayLike | None = None,
    full: bool = False,
) -> list[dict[str, float]]:
    """Score each channel of (H, W) or (C, H, W); NaN if the prediction is not finite."""
    # `data_range` is the largest minus the smallest possible value. Pixels whose truth is NaN or
    # infinite never count. `full` adds the slow scores.
    channels = channels_of(prediction, truth, data_range=data_range, valid=valid)
    return [score_channel(channel, full=full) for channel in channels]


def mean_scores(
    scores: Iterable[Mapping[str, float]], weights: Iterable[float] | None = None
) -> dict[str, float]:
    """Average sets of scores with the same keys; NaN does not count, unless all are NaN."""
    sets = list(scores)
    shares = [1.0] * len(sets) if weights is None else [float(weight) for weight in weights]
    if not sets or len(shares) != len(sets):
        raise InputError(
            f"The number of score sets is {len(sets)} and the number of weights {len(shares)}; "
            "give at least one set, and one weight for each."
        )
    return {key: _weighted_mean([s[key] for s in sets], shares) for key in sets[0]}


def _weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    pairs = [(v, w) for v, w in zip(values, weights, strict=True) if w > 0 and not math.isnan(v)]
    total = sum(weight for _, weight in pairs)
    # Shares first: one value alone stays what it is, to the last digit.
    return sum(value * (weight / total) for value, weight in pairs) if pairs else math.nan


def score_channel(channel: Channel, *, full: bool = False) -> dict[str, float]:
    """Score one channel; NaN if the prediction is not finite."""
    measures = _QUICK | _SLOW if full else _QUICK
    if not channel.scorable:
        return dict.fromkeys(measures, math.nan)
    return {key: measure(channel) for key, measure in measures.items()}


def _mean_absolute_error(channel: Channel) -> float:
    predicted, true = channel.pixels
    return float(np.abs(predicted - true).mean())


def _psnr(channel: Channel) -> float:
    predicted, true = channel.pixels
    if mean_squared_error(true, predicted) == 0:
        return math.inf
    return float(peak_signal_noise_ratio(true, predicted, data_range=channel.data_range))


def _ssim(channel: Channel) -> float:
    """Average over the windows that are valid as a whole; without a mask as scikit-image does."""
    side = min(_SSIM_WINDOW, *channel.truth.shape)
    side -= 1 - side % 2  # a window has a middle
    if side < 3:
        return math.nan
    whole = ndimage.binary_erosion(channel.valid, np.ones((side, side)), border_value=0)
    if not whole.any():
        return math.nan
    _, similarity = structural_similarity(
        np.where(channel.valid, channel.truth, 0.0),
        np.where(channel.valid, channel.prediction, 0.0),
        win_size=side,
        data_range=channel.data_range,
        full=True,
    )
    return float(similarity[whole].mean())


def _pearson(channel: Channel) -> float:
    predicted, true = channel.pixels
    if np.ptp(true) == 0 or np.ptp(predicted) == 0:
        return math.nan
    # Differences too small to be squared leave a variance of 0: that is constant, not an error.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.corrcoef(predicted, true)[0, 1])


def _nrmse(channel: Channel) -> float:
    predicted, true = channel.pixels
    if np.ptp(true) == 0:
        return math.nan
    return float(normalized_root_mse(true, predicted, normalization="min-max"))


def multiscale_similarity(channel: Channel) -> float:
    """Return the MS-SSIM (Wang, Simoncelli & Bovik, 2003), 1 at best; NaN below 176 pixels."""
    if min(channel.truth.shape) < SMALLEST_MS_SSIM_SIDE:
        return math.nan
    # At the coarsest scale a window is 176 pixels wide: a single invalid pixel must not cost it.
    valid = ndimage.grey_closing(channel.valid.astype(np.uint8), 3) > 0
    planes = [_fill(plane, channel.valid) for plane in (channel.truth, channel.prediction)]
    product = 1.0
    for scale, weight in enumerate(_MS_SSIM_WEIGHTS, start=1):
        is_last = scale == len(_MS_SSIM_WEIGHTS)
        whole = ndimage.minimum_filter(valid, _MS_SSIM_WINDOW, mode="constant", cval=False)
        if not whole.any():
            return math.nan
        _, similarity = structural_similarity(
            *planes,
            data_range=channel.data_range,
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


def _of_rings(measure: Callable[[RingMeans], float]) -> Callable[[Channel], float]:
    """Make a score of what is measured on the rings of frequencies; NaN without any."""
    return lambda channel: math.nan if channel.rings is None else measure(channel.rings)


def _frc_cutoff(rings: RingMeans) -> float:
    return cutoff_frequency(rings.frequencies, rings.correlations)


def _micro_ssim(channel: Channel) -> float:
    """Take the image for a set of its own; `summary.pool_scores` has that of many images."""
    return math.nan if channel.moments is None else micro_ssim([channel.moments], [1])[0]


_QUICK: dict[str, Callable[[Channel], float]] = {
    "l1": _mean_absolute_error,
    "psnr": _psnr,
    "ssim": _ssim,
    "pearson": _pearson,
    "nrmse": _nrmse,
}
_SLOW: dict[str, Callable[[Channel], float]] = {
    "ms_ssim": multiscale_similarity,
    "micro_ssim": _micro_ssim,
    "spectrum": _of_rings(spectrum_distance),
    "frc_cutoff": _of_rings(_frc_cutoff),
    "spectral_pearson": _of_rings(spectral_pearson),
}
