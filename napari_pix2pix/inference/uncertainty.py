"""Mean, standard deviation and quantiles of several samples of one image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.tiling import FrameCollector, PredictedTile

Floats = NDArray[np.float32]


class Spread(NamedTuple):
    """Mean, standard deviation (n - 1) and quantiles of several samples, pixel by pixel."""

    # Arrays (or napari layers) laid out as the targets of the training, in their unit.
    mean: Any
    std: Any
    quantiles: Any  # (Q, ...) in the order of the levels, or a list of layers


class Draws:
    """Mean and sum of squares of samples that are added one at a time (Welford 1962)."""

    # With quantile levels, from 0 to 1, all samples are kept in memory.

    def __init__(self, levels: Sequence[float] = ()) -> None:
        self._levels = levels
        self._kept: list[Floats] = []
        self._count = 0
        self._mean = self._squares = np.zeros((), np.float32)

    def add(self, draw: Floats) -> None:
        """Add one more sample."""
        self._count += 1
        off = draw - self._mean
        self._mean = self._mean + off / np.float32(self._count)
        self._squares = self._squares + off * (draw - self._mean)
        if self._levels:
            self._kept.append(draw)

    def spread(self) -> Spread:
        """Return the spread of two samples or more; arrays of float32."""
        std = np.sqrt(self._squares / np.float32(self._count - 1))
        quantiles = np.empty((0, *std.shape), np.float32)
        if self._levels:
            quantiles = np.quantile(self._kept, self._levels, axis=0).astype(np.float32)
        return Spread(self._mean, std, quantiles)


class SpreadCollector:
    """Puts tiles of several samples together, frame by frame, and returns the frames' spread."""

    def __init__(self, samples: int, layout: Layout, levels: Sequence[float] = ()) -> None:
        self._samples, self._layout, self._levels = samples, layout, levels
        self._collector, self._draws = FrameCollector(), Draws(levels)
        self._spreads: list[Spread] = []

    @property
    def invalid(self) -> bool:
        """Whether any source pixel was invalid."""
        return self._collector.invalid

    @property
    def cells(self) -> dict[int, Floats]:
        """How unlike the training each cell is, by the number of the frame where it is known."""
        return self._collector.cells

    def add(self, tile: PredictedTile) -> None:
        """Take one more tile."""
        pixels = self._collector.add(tile)
        if pixels is None:
            return
        self._draws.add(pixels)
        if tile.sample == self._samples - 1:
            self._spreads.append(self._draws.spread())
            self._draws = Draws(self._levels)

    def spread(self, frame_shape: tuple[int, ...]) -> Spread:
        """Return the spread of all frames, laid out as the targets are."""
        mean, std = (
            self._layout.assemble(np.stack([spread[k] for spread in self._spreads]), frame_shape)
            for k in range(2)
        )
        quantiles = [
            self._layout.assemble(
                np.stack([spread.quantiles[k] for spread in self._spreads]), frame_shape
            )
            for k in range(len(self._levels))
        ]
        return Spread(mean, std, np.reshape(quantiles, (len(self._levels), *mean.shape)))


def check_spread(target: Codec, levels: Any = ()) -> tuple[float, ...]:
    """Return quantile levels as numbers; raises `InputError` for a model that makes labels."""
    if target.kind != "image":
        raise InputError("The model makes labels, which have no mean: take the samples themselves.")
    try:
        numbers = tuple(float(level) for level in levels)
    except (TypeError, ValueError):
        numbers = (-1.0,)
    if not all(0 <= level <= 1 for level in numbers):
        raise InputError(f"quantiles must be numbers from 0 to 1, got {levels!r}.")
    return numbers


def parse_summary(text: str) -> list[str]:
    """Split a list such as ``mean,std,q5,q95``; raises `InputError` for other words."""
    names = text.split(",")
    valid = all(name in ("mean", "std") or 0 <= _percent(name) <= 100 for name in names)
    if not valid or len(set(names)) < len(names):
        raise InputError(
            "The summary is a list of mean, std and quantiles such as q5 (5 %), each once: "
            f"mean,std,q5,q95; got {text!r}."
        )
    return names


def parse_quantiles(text: str) -> tuple[float, ...]:
    """Return the levels of a list such as ``q5,q95``, which may be empty; raises `InputError`."""
    percents = [_percent(name.strip()) for name in text.split(",") if name.strip()]
    valid = all(0 <= percent <= 100 for percent in percents)
    if not valid or len(set(percents)) < len(percents):
        raise InputError(
            f"Quantiles are a list such as q5,q95 (5 % and 95 %), each once; got {text!r}."
        )
    return tuple(percent / 100 for percent in percents)


def shown_names(levels: Sequence[float]) -> list[str]:
    """Return what the layers of several samples show, by their quantile levels."""
    return ["mean", "deviation", *(f"quantile {level:g}" for level in levels)]


def summarise(draws: Callable[[Sequence[float]], Spread], names: Sequence[str]) -> dict[str, Any]:
    """Return by name what is wanted of several samples, whose spread `draws(levels)` gives."""
    levels = {name: _percent(name) / 100 for name in names if name not in ("mean", "std")}
    spread = draws(list(levels.values()))
    values = {"mean": spread.mean, "std": spread.std}
    values |= zip(levels, spread.quantiles, strict=True)
    return {name: values[name] for name in names}


def _percent(name: str) -> float:
    """Return 5 for q5, and -1 for any other word."""
    try:
        return float(name.removeprefix("q")) if name.startswith("q") else -1.0
    except ValueError:
        return -1.0
