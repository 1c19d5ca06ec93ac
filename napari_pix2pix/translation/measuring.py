"""What norms would measure over a whole image: measured window by window, then fixed for all tiles.

What a norm is given depends on what the norms before it measured. So the windows go through the
network several times: first each norm measures every window by itself, then all use what was
measured over all windows the time before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pix2pix.core.norms import FixedNorm, Norm
from napari_pix2pix.translation.options import Statistics
from napari_pix2pix.translation.tiles import Tile, TileGrid

_PASSES = 3
_SIDE = 512  # pixels of a window that count along each axis
_MOST = 16  # windows; of a larger image a sample


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and variance of each channel, (C,) float64 on the CPU, over ``count`` pixels."""

    count: int
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, pixels: Tensor) -> Moments:
        """Measure (C, N)."""
        variance, mean = torch.var_mean(pixels, dim=1, correction=0)
        return cls(pixels.shape[1], mean.cpu().double(), variance.cpu().double())

    def joined(self, other: Moments) -> Moments:
        """Return those of the pixels of both (Chan et al. 1979)."""
        count = self.count + other.count
        share = other.count / count
        apart = other.mean - self.mean
        variance = self.variance + share * (other.variance - self.variance)
        spread = share * (1 - share) * apart.square()
        return Moments(count, self.mean + share * apart, variance + spread)


Measured = Mapping[str, Moments]  # by the name of the norm in its generator


def norms_that_measure(generator: nn.Module, statistics: Statistics = "stored") -> dict[str, Norm]:
    """Return by name the norms that measure what they are given, so that tiles would differ.

    Parameters
    ----------
    generator : torch.nn.Module
    statistics : {"stored", "image"}
        Whether batch norm is among them.
    """
    batch = statistics == "image"
    return {
        name: module
        for name, module in generator.named_modules()
        if isinstance(module, nn.InstanceNorm2d | nn.GroupNorm)
        or (batch and isinstance(module, nn.BatchNorm2d))
    }


def sample_tiles(grid: TileGrid) -> list[Tile]:
    """Return windows of an image to measure: all of a small one, of a larger one the same always.

    Parameters
    ----------
    grid : TileGrid
        The image; windows are no larger than its own.
    """
    halo = 0
    side = min(_SIDE, max(grid.window) - 2 * halo)
    # The padding counts, since a norm that is given the whole image measures it, too.
    windows = replace(
        grid, height=grid.padded[0], width=grid.padded[1], tile=side, halo=halo, ramp=0
    )
    tiles = windows.tiles()
    if len(tiles) <= _MOST:
        return tiles
    drawn = np.random.default_rng(0).choice(len(tiles), _MOST, replace=False)
    return [tiles[index] for index in sorted(drawn)]


def measure(
    generator: nn.Module,
    norms: Mapping[str, Norm],
    run: Callable[[Tile], bool],
    tiles: Sequence[Tile],
) -> Measured | None:
    """Measure what norms are given.

    Parameters
    ----------
    generator : torch.nn.Module
        Where the norms are.
    norms : mapping
        See `norms_that_measure`.
    run : callable
        Runs the generator on the window of a tile, and says whether there was memory for it.
    tiles : sequence of Tile
        Windows, of which the kept parts count.

    Returns
    -------
    mapping of str to Moments, or None
        None where memory ran out.
    """
    measured: Measured = {}
    for _ in range(_PASSES if len(tiles) > 1 else 1):
        fixed = fixed_norms(norms, measured) if measured else {}
        probes = {name: _Probe(norm, fixed.get(name)) for name, norm in norms.items()}
        with replaced(generator, probes):
            for tile in tiles:
                for probe in probes.values():
                    probe.tile = tile
                if not run(tile):
                    return None
        measured = {name: probe.found for name, probe in probes.items() if probe.found}
    return measured


def fixed_norms(norms: Mapping[str, Norm], measured: Measured) -> dict[str, FixedNorm]:
    """Return norms that have for statistics what was measured, by name."""
    return {
        name: FixedNorm(norm, measured[name].mean, measured[name].variance)
        for name, norm in norms.items()
    }


@contextmanager
def replaced(generator: nn.Module, layers: Mapping[str, nn.Module]) -> Iterator[None]:
    """Put other layers, by name, into a network, and in the end those back that were there."""
    before = {name: generator.get_submodule(name) for name in layers}
    device = next(generator.parameters()).device
    for name, layer in layers.items():
        generator.set_submodule(name, layer.to(device))
    try:
        yield
    finally:
        for name, layer in before.items():
            generator.set_submodule(name, layer)


class _Probe(nn.Module):
    """Stands in for a norm and measures what of its input belongs to the kept part of a tile."""

    def __init__(self, norm: Norm, fixed: FixedNorm | None) -> None:
        super().__init__()
        self._norm, self._fixed = norm, fixed
        self.tile: Tile | None = None
        self.found: Moments | None = None

    def forward(self, x: Tensor) -> Tensor:
        assert self.tile is not None
        window, crop = self.tile.window, self.tile.crop
        smaller = (window.bottom - window.top) // x.shape[2]
        rows, columns = (slice(s.start // smaller, s.stop // smaller) for s in crop)
        found = Moments.of(x[0, :, rows, columns].flatten(1))
        self.found = self.found.joined(found) if self.found else found
        if self._fixed is not None:
            return self._fixed(x)  # type: ignore[no-any-return]
        if isinstance(self._norm, nn.GroupNorm):
            return self._norm(x)  # type: ignore[no-any-return]
        # What instance norm does, and batch norm with one image.
        weights = self._norm.weight, self._norm.bias
        return functional.instance_norm(x, None, None, *weights, eps=self._norm.eps)
