"""One channel of a prediction and of its truth, checked, and what scores need of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.micro_ssim import LocalMoments, local_moments
from napari_pix2pix.metrics.spectra import RingMeans, ring_means

Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]


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
