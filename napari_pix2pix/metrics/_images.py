"""Scores of a predicted image against the true one.

Every score is computed channel by channel in float64, over the valid pixels alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

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
from napari_pix2pix.metrics.frequencies import multiscale_similarity, spectrum_distance

_SSIM_WINDOW = 7  # pixels; the default of scikit-image and of Wang et al. (2004) without Gaussian

_QUICK = ("l1", "psnr", "ssim", "pearson", "nrmse")
_SLOW = ("ms_ssim", "spectrum")


def image_scores(
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    data_range: float | Sequence[float],
    valid: ArrayLike | None = None,
    full: bool = False,
) -> dict[str, float]:
    """Score one prediction: the means over its channels of `channel_scores`.

    A channel that has no value for a score (NaN) is left out of that score's mean.

    Parameters
    ----------
    prediction, truth : array_like
        (H, W) or (C, H, W), of the same shape; numbers or bool.
    data_range : float or sequence of C floats
        The distance between the smallest and the largest possible value, in the images' units.
    valid : array_like of bool, optional
        The pixels that count, broadcast to the images' shape. Pixels whose truth is NaN or
        infinite never count.
    full : bool
        Add the scores that take longer.

    Returns
    -------
    dict of str to float
        ``l1``, ``psnr`` (dB), ``ssim``, ``pearson`` and ``nrmse``; in full also ``ms_ssim`` and
        ``spectrum`` (dB); see `channel_scores`.

    Raises
    ------
    InputError
        If the shapes differ, no pixel is valid, or the data range is not a positive number.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.arange(64.0).reshape(8, 8)
    >>> scores = image_scores(truth + 1, truth, data_range=63)
    >>> scores["l1"], round(scores["psnr"], 2), round(scores["pearson"], 6)
    (1.0, 35.99, 1.0)
    """
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
    """Score each channel of one prediction.

    Parameters
    ----------
    prediction, truth, data_range, valid, full
        As for `image_scores`.

    Returns
    -------
    list of dict of str to float
        For each channel, over its valid pixels:

        - ``l1``: mean absolute error, in the images' units.
        - ``psnr``: peak signal-to-noise ratio in dB; infinite where the two are identical.
        - ``ssim``: structural similarity (Wang et al., 2004; uniform windows of 7 pixels, smaller
          in smaller images), the mean over the pixels whose whole window lies within the image
          and is valid, so that without invalid pixels it is scikit-image's own figure. NaN where
          there is no such pixel, as in images 1 or 2 pixels wide.
        - ``pearson``: correlation coefficient; NaN where the prediction or the truth is constant.
        - ``nrmse``: root mean squared error over the range of the true values; NaN where these
          are constant.
        - ``ms_ssim``: see `multiscale_similarity`; NaN in images smaller than 176 pixels.
        - ``spectrum``: see `spectrum_distance`, in dB.

        All are NaN where the prediction is not finite at a valid pixel.
    """
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
    channels = zip(predicted, true, counted, ranges, strict=True)
    return [_plane_scores(*channel, full) for channel in channels]


def mean_scores(
    scores: Iterable[Mapping[str, float]], weights: Iterable[float] | None = None
) -> dict[str, float]:
    """Pool the scores of several images, or of several channels, into one set.

    Parameters
    ----------
    scores : iterable of mappings
        Sets of scores with the same keys.
    weights : iterable of float, optional
        How much each set counts, for example its number of pixels; all the same by default.

    Returns
    -------
    dict of str to float
        For each key the weighted mean of the values that are not NaN; NaN where all are.

    Raises
    ------
    InputError
        If there are no scores, or not one weight for each.

    Examples
    --------
    >>> mean_scores([{"l1": 1.0, "ssim": 0.5}, {"l1": 4.0, "ssim": float("nan")}], [2, 1])
    {'l1': 2.0, 'ssim': 0.5}
    """
    sets = list(scores)
    shares = [1.0] * len(sets) if weights is None else [float(weight) for weight in weights]
    if not sets or len(shares) != len(sets):
        raise InputError(
            f"There are {len(sets)} sets of scores and {len(shares)} weights; give at least one "
            "set, and one weight for each."
        )
    return {key: _weighted_mean([s[key] for s in sets], shares) for key in sets[0]}


def _plane_scores(
    prediction: NDArray[np.float64],
    truth: NDArray[np.float64],
    valid: NDArray[np.bool_],
    data_range: float,
    full: bool,
) -> dict[str, float]:
    x, y = prediction[valid], truth[valid]
    if y.size == 0 or not np.isfinite(x).all():
        return dict.fromkeys(_QUICK + _SLOW * full, math.nan)
    constant = np.ptp(y) == 0
    identical = mean_squared_error(y, x) == 0
    scores = {
        "l1": float(np.abs(x - y).mean()),
        "psnr": math.inf
        if identical
        else float(peak_signal_noise_ratio(y, x, data_range=data_range)),
        "ssim": _ssim(prediction, truth, valid, data_range),
        "pearson": math.nan if constant or np.ptp(x) == 0 else _pearson(x, y),
        "nrmse": math.nan
        if constant
        else float(normalized_root_mse(y, x, normalization="min-max")),
    }
    if full:
        scores["ms_ssim"] = multiscale_similarity(prediction, truth, valid, data_range)
        scores["spectrum"] = spectrum_distance(prediction, truth, valid)
    return scores


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    # Differences too small to be squared leave a variance of 0: that is constant, not an error.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.corrcoef(x, y)[0, 1])


def _ssim(
    prediction: NDArray[np.float64],
    truth: NDArray[np.float64],
    valid: NDArray[np.bool_],
    data_range: float,
) -> float:
    side = min(_SSIM_WINDOW, *truth.shape)
    side -= 1 - side % 2  # a window has a middle
    if side < 3:
        return math.nan
    whole = ndimage.binary_erosion(valid, np.ones((side, side)), border_value=0)
    if not whole.any():
        return math.nan
    _, similarity = structural_similarity(
        np.where(valid, truth, 0.0),
        np.where(valid, prediction, 0.0),
        win_size=side,
        data_range=data_range,
        full=True,
    )
    return float(similarity[whole].mean())


def _weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    pairs = [(v, w) for v, w in zip(values, weights, strict=True) if w > 0 and not math.isnan(v)]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if pairs else math.nan


def _as_planes(image: ArrayLike, what: str) -> NDArray[np.float64]:
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


def _broadcast_mask(valid: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
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
            f"The data range is {data_range}; give one positive number, or one for each of the "
            f"{channels} channels."
        )
    return [float(value) for value in np.broadcast_to(ranges, (channels,))]
