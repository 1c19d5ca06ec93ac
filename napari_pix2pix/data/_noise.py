"""Holes and noise: random, and yet the same in every window that shows the place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._degradations import (
    Degradation,
    cells,
    check_choice,
    check_positive,
    check_whole,
    finite_pixels,
    moments,
    on_grid,
)
from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.errors import InputError

# Side of the squares that each have a random generator of their own.
_NOISE_BLOCK = 64


@dataclass(kw_only=True)
class Holes(Degradation):
    """Rectangles filled with the mean."""

    place: Literal["random", "centre"] = "random"
    cell: int = 128
    _mean: NDArray[Any] = field(default_factory=lambda: np.zeros(1), init=False)

    def fit(self, planes: Planes, sample: Sequence[NDArray[Any]], seed: int) -> None:
        """Measure each channel's mean."""
        super().fit(planes, sample, seed)
        check_choice("place", self.place, ("random", "centre"))
        check_whole("cell", self.cell, 4)
        self._mean = self.to_dtype(moments(sample)[0])

    def read(self, planes: Planes, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the window with its holes, (C, h, w)."""
        window = planes.read(frame, rows, columns).copy()
        for hole in self._holes(planes, frame, rows, columns):
            top, bottom, left, right = hole
            inside = (
                slice(max(top - rows.start, 0), max(bottom - rows.start, 0)),
                slice(max(left - columns.start, 0), max(right - columns.start, 0)),
            )
            window[:, *inside] = self._mean[:, None, None]
        return window

    def _holes(
        self, planes: Planes, frame: int, rows: slice, columns: slice
    ) -> Iterator[tuple[int, int, int, int]]:
        """Yield top, bottom, left and right of the holes that may touch the window."""
        if self.place == "centre":
            height, width = planes.height, planes.width
            yield height // 4, height - height // 4, width // 4, width - width // 4
            return
        for i, j in cells(rows, columns, self.cell):
            rng = np.random.default_rng([self.seed, 3, frame, i, j])
            height, width = rng.integers(self.cell // 4, self.cell // 2 + 1, 2).tolist()
            top = i * self.cell + int(rng.integers(self.cell - height + 1))
            left = j * self.cell + int(rng.integers(self.cell - width + 1))
            yield top, top + height, left, left + width


@dataclass(kw_only=True)
class Noise(Degradation):
    """Noise of the detector or of the light."""

    model: Literal["gaussian", "poisson"] = "gaussian"
    strength: float | None = None
    photons: float | None = None
    _low: NDArray[Any] = field(default_factory=lambda: np.zeros(1), init=False)
    _scale: NDArray[Any] = field(default_factory=lambda: np.ones(1), init=False)

    def fit(self, planes: Planes, sample: Sequence[NDArray[Any]], seed: int) -> None:
        """Measure each channel's spread, or its darkest and brightest level."""
        super().fit(planes, sample, seed)
        check_choice("model", self.model, ("gaussian", "poisson"))
        foreign = "photons" if self.model == "gaussian" else "strength"
        if getattr(self, foreign) is not None:
            raise InputError(f"{self.model} noise has no {foreign}; leave it out.")
        if self.model == "gaussian":
            strength = 0.5 if self.strength is None else self.strength
            check_positive("strength", strength)
            self._scale = strength * moments(sample)[1]
            return
        photons = 30.0 if self.photons is None else self.photons
        check_positive("photons", photons)
        pixels = finite_pixels(sample)
        self._low = np.nan_to_num(np.nanquantile(pixels, 0.001, axis=1))
        high = np.nan_to_num(np.nanquantile(pixels, 0.999, axis=1))
        self._scale = np.where(high > self._low, high - self._low, 1) / photons

    def read(self, planes: Planes, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the noisy window, (C, h, w)."""
        # Whole blocks: what a random generator draws for a pixel depends on those before it.
        spans = (
            on_grid(rows, _NOISE_BLOCK, planes.height),
            on_grid(columns, _NOISE_BLOCK, planes.width),
        )
        values = planes.read(frame, *spans).astype(np.float64)
        for i, j in cells(*spans, _NOISE_BLOCK):
            top, left = i * _NOISE_BLOCK - spans[0].start, j * _NOISE_BLOCK - spans[1].start
            block = values[:, top : top + _NOISE_BLOCK, left : left + _NOISE_BLOCK]
            block[...] = self._disturb(block, np.random.default_rng([self.seed, 4, frame, i, j]))
        inner = tuple(
            slice(part.start - span.start, part.stop - span.start)
            for part, span in zip((rows, columns), spans, strict=True)
        )
        return self.to_dtype(values[:, *inner])

    def _disturb(self, block: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        scale, low = self._scale[:, None, None], self._low[0]
        if self.model == "gaussian":
            return block + scale * rng.standard_normal(block.shape)
        low = self._low[:, None, None]
        expected = np.clip(np.nan_to_num((block - low) / scale), 0, None)
        noisy = low + scale * rng.poisson(expected)
        return np.where(np.isfinite(block), noisy, block)
