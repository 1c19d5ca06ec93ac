"""Random changes of a source's intensities, so that training does not hang on one exposure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec

FloatPlanes = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class IntensityChanges:
    """Gain, offset and noise for source planes (P, h, w), in units of what each plane holds.

    A unit is the standard deviation of a plane over the training set, not its range: sparse spots
    fill little of theirs, and an offset by a tenth of it would bury them.
    """

    jitter: float  # largest change of the gain, and largest offset
    noise: float  # standard deviation of each pixel's noise
    mean: FloatPlanes  # (P, 1, 1), about which the gain turns
    deviation: FloatPlanes  # (P, 1, 1)

    @classmethod
    def measure(
        cls, codec: Codec, images: Iterable[NDArray[Any]], *, jitter: float, noise: float
    ) -> IntensityChanges | None:
        """Measure mean and deviation on raw images (C, h, w); None where nothing is changed."""
        if codec.kind != "image" or not (jitter or noise):
            return None
        encoded = [codec.encode(image).reshape(codec.planes, -1) for image in images]
        values = np.concatenate(encoded, axis=1)  # (P, N)
        statistics = (values.mean(axis=1), values.std(axis=1))
        mean, deviation = (each.astype(np.float32).reshape(-1, 1, 1) for each in statistics)
        return cls(jitter, noise, mean, deviation)

    def apply(self, planes: FloatPlanes, rng: np.random.Generator) -> FloatPlanes:
        """Return changed planes; gain and offset are the same in all of them."""
        gain, offset = (rng.uniform(-1, 1, 2) * self.jitter).astype(np.float32)
        axes = (-1, *(1,) * (planes.ndim - 1))  # volumes have one more
        mean, deviation = self.mean.reshape(axes), self.deviation.reshape(axes)
        changed = planes + gain * (planes - mean) + offset * deviation
        if self.noise:
            drawn = rng.standard_normal(planes.shape, np.float32)
            changed += np.float32(self.noise) * deviation * drawn
        return changed
