"""The range of values of each channel, measured over a sample of the training set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import ConfigError, InputError

Method = Literal["percentile", "minmax", "meanstd", "dtype"]
METHODS: tuple[Method, ...] = ("percentile", "minmax", "meanstd", "dtype")

# A percentile of a million values is known well enough; all of 256 blocks would take seconds.
_MOST_VALUES = 1_000_000
# What planes of float32 tell apart within a range.
_LEVELS = 2**24


def measure_ranges(
    images: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[np.bool_] | None],
    *,
    method: Method,
    percentiles: tuple[float, float],
    what: str,
) -> tuple[np.dtype[Any], tuple[float, ...], tuple[float, ...]]:
    """Measure what `ImageCodec.fit` needs; see there for parameters and errors.

    Returns
    -------
    dtype : numpy.dtype
        That of all images, in the machine's byte order.
    low, high : tuple of float
        For each channel the values that become -1 and +1; ``low < high``.
    """
    dtype = _common_dtype(images, what)
    measure = _range_finder(method, dtype, percentiles)
    low, high = [], []
    for channel in range(images[0].shape[0]):
        values = _finite_values(images, masks, channel)
        _check_values(values, channel, what)
        ends = measure(values)
        low.append(ends[0])
        high.append(ends[1])
    return dtype, tuple(low), tuple(high)


def _common_dtype(images: Sequence[NDArray[Any]], what: str) -> np.dtype[Any]:
    if not images:
        raise InputError(f"There is no block of the {what} to measure; give at least one.")
    dtypes = sorted({image.dtype.newbyteorder("=").name for image in images})
    if len(dtypes) > 1:
        raise InputError(
            f"The {what} has dtype {' here, '.join(dtypes)} there; one normalisation can't serve "
            "both, so convert all images to one dtype and range."
        )
    if len({image.shape[0] for image in images}) > 1:
        raise InputError(f"The {what} has different channel counts; give all images the same.")
    return np.dtype(dtypes[0])


def _finite_values(
    images: Sequence[NDArray[Any]], masks: Sequence[NDArray[np.bool_] | None], channel: int
) -> NDArray[Any]:
    """Return the values of a channel that count, in one dimension."""
    parts = []
    for image, mask in zip(images, masks, strict=True):
        values = image[channel]
        keep = np.isfinite(values) if values.dtype.kind == "f" else None
        if mask is not None:
            inside = mask[channel % mask.shape[0]]
            keep = inside if keep is None else keep & inside
        parts.append(values.ravel() if keep is None else values[keep])
    return np.concatenate(parts)


def _check_values(values: NDArray[Any], channel: int, what: str) -> None:
    if not values.size:
        raise InputError(
            f"Channel {channel} of the {what} has no finite pixel inside the mask; "
            "leave that channel out."
        )
    if values.min() == values.max():
        raise InputError(
            f"Channel {channel} of the {what} is constant ({values.min()}) in the whole sample; "
            "there is nothing to learn from it, so leave it out."
        )
    if values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        step = float(np.spacing(float(max(abs(low), abs(high)))))
        if step > max(1, (high - low) / _LEVELS):
            raise InputError(
                f"Channel {channel} of the {what} has integers from {low} to {high}, so large that "
                f"numbers less than {step:g} apart become the same: subtract an offset."
            )


def _range_finder(
    method: Method, dtype: np.dtype[Any], percentiles: tuple[float, float]
) -> Callable[[NDArray[Any]], tuple[float, float]]:
    """Return the function that measures one channel's low and high."""
    if method not in METHODS:
        raise ConfigError(f"Normalisation {method!r} is unknown; choose one of {METHODS}.")
    if dtype.kind == "b":
        return lambda values: (0.0, 1.0)
    if method == "minmax" or (method == "dtype" and dtype.kind == "f"):
        return _minmax
    if method == "meanstd":
        return _meanstd
    if method == "percentile":
        return lambda values: _percentiles(values, percentiles)
    limits = np.iinfo(dtype)
    return lambda values: (float(limits.min), float(limits.max))


def _minmax(values: NDArray[Any]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _meanstd(values: NDArray[Any]) -> tuple[float, float]:
    mean, spread = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    return mean - 3 * spread, mean + 3 * spread


def _percentiles(values: NDArray[Any], percentiles: tuple[float, float]) -> tuple[float, float]:
    step = -(-values.size // _MOST_VALUES)
    low, high = np.percentile(values[::step].astype(np.float64), percentiles)
    return (float(low), float(high)) if low < high else _minmax(values)
