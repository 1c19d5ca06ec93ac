"""What several draws of one image have in common and how far they are apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError

Floats = NDArray[np.float32]


class Spread(NamedTuple):
    """Mean, standard deviation and quantiles of draws, pixel by pixel.

    Attributes
    ----------
    mean, std : numpy.ndarray or napari layer
        Laid out as the targets of the training were, in their unit. The deviation is that of a
        sample (n - 1): how much the model doubts.
    quantiles : numpy.ndarray or list of layers
        (Q, ...), in the order of the levels that were asked for.
    """

    mean: Any
    std: Any
    quantiles: Any


class Draws:
    """Takes draws one at a time, and keeps their mean and sum of squares alone (Welford 1962).

    Parameters
    ----------
    levels : sequence of float
        Quantiles, from 0 to 1; with any, all draws are kept.

    Examples
    --------
    >>> draws = Draws([0.5])
    >>> for value in (1.0, 2.0, 6.0):
    ...     draws.add(np.full((1, 1, 1), value, np.float32))
    >>> [float(one.item()) for one in draws.spread()]
    [3.0, 2.6457512378692627, 2.0]
    """

    def __init__(self, levels: Sequence[float] = ()) -> None:
        self._levels = levels
        self._kept: list[Floats] = []
        self._count = 0
        self._mean = self._squares = np.zeros((), np.float32)

    def add(self, draw: Floats) -> None:
        """Take one more draw."""
        self._count += 1
        off = draw - self._mean
        self._mean = self._mean + off / np.float32(self._count)
        self._squares = self._squares + off * (draw - self._mean)
        if self._levels:
            self._kept.append(draw)

    def spread(self) -> Spread:
        """Return what there is of two draws or more; arrays of float32."""
        std = np.sqrt(self._squares / np.float32(self._count - 1))
        quantiles = np.empty((0, *std.shape), np.float32)
        if self._levels:
            quantiles = np.quantile(self._kept, self._levels, axis=0).astype(np.float32)
        return Spread(self._mean, std, quantiles)


def spread_of(draw: Callable[[int], Floats], n: int, levels: Sequence[float] = ()) -> Spread:
    """Return the spread of ``draw(0)`` to ``draw(n - 1)``, each (C, h, w)."""
    draws = Draws(levels)
    for number in range(n):
        draws.add(draw(number))
    return draws.spread()


def draw_spread(
    translate: Callable[[int, int, int], Floats],
    n: int,
    layout: Layout,
    frame_shape: tuple[int, ...],
    levels: Sequence[float] = (),
) -> Spread:
    """Draw samples of all frames, a frame after the other.

    Parameters
    ----------
    translate : callable
        ``translate(number, frame, step)`` gives (C, H, W) of a sample; steps count from 0.
    n : int
        How many samples.
    layout : Layout
        Of the targets.
    frame_shape : tuple of int
    levels : sequence of float
        Quantiles.
    """
    found = []
    for frame in range(prod(frame_shape)):

        def draw(number: int, frame: int = frame) -> Floats:
            return translate(number, frame, frame * n + number)

        found.append(spread_of(draw, n, levels))
    mean, std = (
        layout.assemble(np.stack([one[k] for one in found]), frame_shape) for k in range(2)
    )
    quantiles = [
        layout.assemble(np.stack([one.quantiles[k] for one in found]), frame_shape)
        for k in range(len(levels))
    ]
    return Spread(mean, std, np.reshape(quantiles, (len(levels), *mean.shape)))


def check_spread(target: Codec, levels: Any = ()) -> tuple[float, ...]:
    """Return the levels of quantiles as numbers, of a model whose draws have a mean.

    Raises
    ------
    InputError
        When the model makes labels, or a level is no number from 0 to 1.
    """
    if target.kind != "image":
        raise InputError("The model makes labels, which have no mean: take the samples themselves.")
    try:
        numbers = tuple(float(one) for one in levels)
    except (TypeError, ValueError):
        numbers = (-1.0,)
    if not all(0 <= one <= 1 for one in numbers):
        raise InputError(f"quantiles must be numbers from 0 to 1, got {levels!r}.")
    return numbers


def parse_summary(text: str) -> list[str]:
    """Read what of several draws is wanted, such as ``mean,std,q5,q95``.

    Raises
    ------
    InputError
        When it names something else, or one thing twice.
    """
    names = text.split(",")
    known = all(name in ("mean", "std") or 0 <= _percent(name) <= 100 for name in names)
    if not known or len(set(names)) < len(names):
        raise InputError(
            "The summary is a list of mean, std and quantiles such as q5 (5 %), each once: "
            f"mean,std,q5,q95; got {text!r}."
        )
    return names


def summarise(draws: Callable[[Sequence[float]], Spread], names: Sequence[str]) -> dict[str, Any]:
    """Return by name what of several draws is wanted.

    Parameters
    ----------
    draws : callable
        ``draws(levels)`` draws, and gives these quantiles.
    names : sequence of str
        As `parse_summary` returns them.

    Examples
    --------
    >>> summarise(lambda levels: Spread(1, 2, levels), ["q5", "mean"])
    {'q5': 0.05, 'mean': 1}
    """
    levels = {name: _percent(name) / 100 for name in names if name not in ("mean", "std")}
    spread = draws(list(levels.values()))
    found = {"mean": spread.mean, "std": spread.std}
    found |= zip(levels, spread.quantiles, strict=True)
    return {name: found[name] for name in names}


def _percent(name: str) -> float:
    """Return 5 for q5, and -1 for what is no quantile."""
    try:
        return float(name.removeprefix("q")) if name.startswith("q") else -1.0
    except ValueError:
        return -1.0
