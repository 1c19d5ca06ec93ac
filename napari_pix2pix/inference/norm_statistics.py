"""The norm statistics of a whole image: measured in windows, then fixed for all tiles."""
# What a norm is given depends on what the norms before it measured. Windows that go through the
# network together are measured together, norm by norm; if they cover the image and see their halo,
# the statistics are those of the whole. Where memory holds only groups of windows, the groups'
# statistics are combined: a second pass does not help, since in a ResNet small errors grow.

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_pix2pix.core.layers import BatchNorm, FixedNorm, InstanceNorm, Norm
from napari_pix2pix.data.box import Box
from napari_pix2pix.inference.options import NormStatistics
from napari_pix2pix.inference.tiling import Tile, TileGrid

_SIDE = 512  # pixels of a window that count along each axis
_PIXELS = 2**22  # that count; of a larger image they are a sample


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
        shift = other.mean - self.mean
        variance = self.variance + share * (other.variance - self.variance)
        spread = share * (1 - share) * shift.square()
        return Moments(count, self.mean + share * shift, variance + spread)


Measured = Mapping[str, Moments]  # by the name of the norm in its generator


def measured_to_json(measured: Measured) -> dict[str, Any]:
    """Return measured statistics as JSON; `measured_from_json` reads the same floats again."""
    return {
        name: [moments.count, moments.mean.tolist(), moments.variance.tolist()]
        for name, moments in measured.items()
    }


def measured_from_json(value: Mapping[str, Any]) -> Measured:
    """Read what `measured_to_json` made."""
    return {
        name: Moments(count, *(torch.tensor(values, dtype=torch.float64) for values in lists))
        for name, (count, *lists) in value.items()
    }


def norms_that_measure(
    generator: nn.Module, norm_statistics: NormStatistics = "running"
) -> dict[str, Norm]:
    """Return by name the norms that measure what they are given, so that tiles would differ."""
    per_image = norm_statistics == "per-image"
    return {
        name: module
        for name, module in generator.named_modules()
        if isinstance(module, InstanceNorm | nn.GroupNorm)
        or (per_image and isinstance(module, BatchNorm))
    }


def sample_windows(cut: TileGrid) -> TileGrid:
    """Return a grid of windows to measure an image in, no larger than those it is cut into."""
    height, width = cut.padded  # a norm that is given the whole image measures its padding, too
    return replace(cut, height=height, width=width, tile=min(_SIDE, cut.side))


def sample_tiles(windows: TileGrid) -> list[Tile]:
    """Return the tiles to measure: all of a small image, always the same sample of a larger one."""
    tiles, most = windows.tiles(), max(1, _PIXELS // windows.side**2)
    drawn = np.random.default_rng(0).permutation(len(tiles))[:most]
    return [tiles[index] for index in drawn]


def measure(
    generator: nn.Module,
    norms: Mapping[str, Norm],
    run: Callable[[Sequence[Tile]], bool],
    tiles: Sequence[Tile],
    batch: int,
) -> Measured | None:
    """Measure what norms are given on the kept parts of tiles; None where memory ran out."""
    # `run` runs the generator on up to `batch` windows, and says whether there was memory for them.
    probes = {name: _Probe(norm) for name, norm in norms.items()}
    with replaced(generator, probes):
        groups = -(-len(tiles) // batch)
        for number in range(groups):
            group = tiles[number::groups]
            for probe in probes.values():
                probe.tiles = group
            if not run(group):
                return None
    return {name: probe.moments for name, probe in probes.items() if probe.moments}


def fixed_norms(norms: Mapping[str, Norm], measured: Measured) -> dict[str, FixedNorm]:
    """Return by name norms whose statistics are those that were measured."""
    return {
        name: FixedNorm(norm, measured[name].mean, measured[name].variance)
        for name, norm in norms.items()
    }


@contextmanager
def replaced(generator: nn.Module, layers: Mapping[str, nn.Module]) -> Iterator[None]:
    """Put other layers, by name, into a network, and the old ones back in the end."""
    before = {name: generator.get_submodule(name) for name in layers}
    device = next((weight.device for weight in generator.parameters()), None)
    for name, layer in layers.items():
        generator.set_submodule(name, layer.to(device))
    try:
        yield
    finally:
        for name, layer in before.items():
            generator.set_submodule(name, layer)


class _Probe(nn.Module):
    """Stands in for a norm, and measures its input on the kept parts of tiles."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self._norm = norm
        self.tiles: Sequence[Tile] = ()
        self.moments: Moments | None = None

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for image, tile in zip(x, self.tiles, strict=True):
            factor = (tile.window.bottom - tile.window.top) // x.shape[-2]
            crop = Box(*(edge // factor for edge in tile.crop))
            kept.append(image[..., crop.rows, crop.columns].flatten(1))
        moments = Moments.of(torch.cat(kept, 1))
        self.moments = self.moments.joined(moments) if self.moments else moments
        norm = FixedNorm(self._norm, moments.mean, moments.variance).to(x.device)
        return norm(x)
