"""Scores of a predicted image against the true one, channel by channel in float64."""
# A new score is a function of a `Channel` and a line in `_QUICK` or `_SLOW` at the end, its words
# in names.py, and its row in docs/scores.md.

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.metrics import (
    mean_squared_error,
    normalized_root_mse,
    peak_signal_noise_ratio,
    structural_similarity,
)

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics._micro_ssim import LocalMoments, local_moments, micro_ssim
from napari_pix2pix.metrics._ms_ssim import multiscale_similarity
from napari_pix2pix.metrics.spectra import (
    RingMeans,
    cutoff_frequency,
    ring_means,
    spectral_pearson,
    spectrum_distance,
)

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SSIM_WINDOW = 7  # pixels; the default of scikit-image and of Wang et al. (2004) without Gaussian


@dataclass(frozen=True, eq=False)
class Channel:
    """One channel of a prediction and of its truth, (H, W) each; finite where `valid`."""

    prediction: Plane
    truth: Plane
    valid: Mask
    data_range: float

    @cached_property
    def pixels(self) -> tuple[Plane, Plane]:
        """The valid pixels of the prediction and of the truth, (N,) each."""
        return self.prediction[self.valid], self.truth[self.valid]

    @property
    def scorable(self) -> bool:
        """Whether any pixel is valid, and the prediction is finite at all of them."""
        predicted, _ = self.pixels
        return predicted.size > 0 and bool(np.isfinite(predicted).all())

    @cached_property
    def rings(self) -> RingMeans | None:
        """What spectral scores need; None for constant and small images."""
        return ring_means(self.prediction, self.truth, self.valid)

    @cached_property
    def moments(self) -> LocalMoments | None:
        """What MicroSSIM needs of the channel; None if no window is valid as a whole."""
        return local_moments(self.prediction, self.truth, self.valid) if self.scorable else None


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


def channels_of(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    data_range: float | Sequence[float],
    valid: ArrayLike | None = None,
) -> list[Channel]:
    """Check two images, and split them into channels; see `channel_scores`."""
    predicted, true = _as_planes(prediction, "prediction"), _as_planes(truth, "truth")
    if np.shape(prediction) != np.shape(truth):
        raise InputError(
            f"The prediction has shape {np.shape(prediction)} and the truth {np.shape(truth)}; "
            "give two images of the same shape."
        )
    ranges = _checked_ranges(data_range, len(true))
    counted = np.isfinite(true)
    if valid is not None:
        counted &= _broadcast_mask(valid, true.shape)
    if not counted.any():
        raise InputError(
            "The truth has no valid pixel to score against; give a mask with at least one pixel "
            "where the truth is a number."
        )
    return [Channel(*parts) for parts in zip(predicted, true, counted, ranges, strict=True)]


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


def _ms_ssim(channel: Channel) -> float:
    planes = channel.prediction, channel.truth
    return multiscale_similarity(*planes, channel.valid, channel.data_range)


def _of_rings(measure: Callable[[RingMeans], float]) -> Callable[[Channel], float]:
    """Make a score of what is measured on the rings of frequencies; NaN without any."""
    return lambda channel: math.nan if channel.rings is None else measure(channel.rings)


def _frc_cutoff(rings: RingMeans) -> float:
    return cutoff_frequency(rings.frequencies, rings.correlations)


def _micro_ssim(channel: Channel) -> float:
    """Take the image for a set of its own; `summary.fit_micro_ssim` scores many images."""
    return math.nan if channel.moments is None else micro_ssim([channel.moments], [1])[0]


def _as_planes(image: ArrayLike, what: str) -> Plane:
    array = np.asarray(image)
    if array.dtype.kind not in "biuf":
        raise InputError(f"The {what} holds {array.dtype} values; give numbers.")
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError(
            f"The {what} has shape {array.shape}; give an image of (height, width) or "
            "(channels, height, width) with at least one pixel."
        )
    planes = array if array.ndim == 3 else array[np.newaxis]
    return planes.astype(np.float64)


def _broadcast_mask(valid: ArrayLike, shape: tuple[int, ...]) -> Mask:
    try:
        return np.broadcast_to(np.asarray(valid, dtype=bool), shape)
    except ValueError:
        raise InputError(
            f"The mask of valid pixels has shape {np.shape(valid)}, which does not fit images of "
            f"shape {shape}; give one of the images' height and width."
        ) from None


def _checked_ranges(data_range: float | Sequence[float], channels: int) -> list[float]:
    ranges = np.asarray(data_range, dtype=np.float64)
    if ranges.shape not in ((), (channels,)) or not (np.isfinite(ranges) & (ranges > 0)).all():
        raise InputError(
            f"The data range is {data_range}; give one positive number, or one for each channel "
            f"(channels: {channels})."
        )
    return [float(value) for value in np.broadcast_to(ranges, (channels,))]


_QUICK: dict[str, Callable[[Channel], float]] = {
    "l1": _mean_absolute_error,
    "psnr": _psnr,
    "ssim": _ssim,
    "pearson": _pearson,
    "nrmse": _nrmse,
}
_SLOW: dict[str, Callable[[Channel], float]] = {
    "ms_ssim": _ms_ssim,
    "micro_ssim": _micro_ssim,
    "spectrum": _of_rings(spectrum_distance),
    "frc_cutoff": _of_rings(_frc_cutoff),
    "spectral_pearson": _of_rings(spectral_pearson),
}
