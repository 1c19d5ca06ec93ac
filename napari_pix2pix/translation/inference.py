"""A generator with its codecs: from source pixels to target planes, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet, condition_planes, stack_planes
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.translation.draws import NoiseKind, noise_reader
from napari_pix2pix.translation.memory import fit_to_memory
from napari_pix2pix.translation.options import Statistics
from napari_pix2pix.translation.tiles import Box, TileGrid
from napari_pix2pix.translation.translate import iter_tiles, put_together

ReadWindow = Callable[[slice, slice], np.ndarray]

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Model:
    """What it takes to translate: the generator and what its planes mean.

    Attributes
    ----------
    generator : torch.nn.Module
        Takes source, condition and noise planes, stacked in this order.
    source_codec, target_codec : Codec
        Pixels to planes, and planes to pixels.
    conditions : int
        Condition planes that the generator takes; 0 without any.
    noise_channels : int
        Noise planes that it takes.
    noise : {"image", "pixel"}
        What they hold, see `noise_reader`.
    """

    generator: UNet | ResNet
    source_codec: Codec
    target_codec: Codec
    conditions: int = 0
    noise_channels: int = 0
    noise: NoiseKind = "image"

    def translate(
        self,
        read: ReadWindow,
        height: int,
        width: int,
        *,
        on_tile: Callable[[int, int], None] | None = None,
        **how: Any,
    ) -> np.ndarray:
        """Translate one image.

        Parameters
        ----------
        read, height, width, **how
            See `iter_tiles`.
        on_tile : callable, optional
            Called with the number of pixels done and of all.

        Returns
        -------
        numpy.ndarray
            (Q, H, W) float32, network range.
        """
        pieces = self.iter_tiles(read, height, width, **how)
        return put_together(pieces, height, width, on_tile=on_tile)

    def iter_tiles(
        self,
        read: ReadWindow,
        height: int,
        width: int,
        *,
        condition: int = 0,
        seed: int = 0,
        tile: int | None = None,
        batch: int | None = None,
        dropout: bool = False,
        statistics: Statistics = "stored",
        region: Box | None = None,
        first: Box | None = None,
    ) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Translate one image and yield each part as soon as it is finished.

        Parameters
        ----------
        read : callable
            ``read(rows, columns)`` gives the raw source of a window, (C, h, w).
        height, width : int
            Size of the image in pixels.
        condition : int
            Index of the condition.
        seed : int
            Seed of noise planes and dropout.
        tile : int, optional
            Side of the tiles in pixels; 0 is the whole image, None chooses by memory. Networks
            that measure each image are given the whole, and so is dropout, whose mask would be
            another for each tile.
        batch : int, optional
            Tiles at once; None chooses by memory.
        dropout : bool
            Let dropout drop, as pix2pix does at test time (Isola et al. 2017, 3.2.1).
        statistics : {"stored", "image"}
            Batch norm with its running statistics, or with those of this image.
        region : Box, optional
            Only this part, widened to the grid of the stride. What is given the whole image
            yields the whole.
        first : Box, optional
            Parts in and near this part of the image come first.

        Yields
        ------
        rows, columns : slice
            Where the part lies in the image.
        planes : numpy.ndarray
            (Q, h, w) float32, network range.
        """
        generator = self.generator
        device = next(generator.parameters()).device
        whole = needs_whole(generator, dropout=dropout, statistics=statistics)
        network = network_grid(generator)
        grid = TileGrid(height, width, **network)
        planes_in = self.source_codec.planes + self.conditions + self.noise_channels
        tile, batch = fit_to_memory(
            generator, planes_in, grid, device=device, tile=0 if whole else tile, batch=batch
        )
        with (
            applying(generator, dropout=dropout, statistics=statistics),
            seeded(seed, device=device),
        ):
            yield from iter_tiles(
                self._function(condition),
                self._reader(read, seed),
                height=height,
                width=width,
                **network,
                tile=tile,
                batch=batch,
                may_cut=not whole,
                device=device,
                region=None if whole or region is None else grid.rounded(region),
                first=first,
            )

    def _function(self, condition: int) -> Callable[[Tensor], Tensor]:
        def function(read: Tensor) -> Tensor:
            planes = read
            if self.conditions:
                size, _, height, width = read.shape
                index = torch.full((size,), condition, device=read.device)
                wanted = condition_planes(index, self.conditions, height, width)
                source, noise = read.tensor_split([self.source_codec.planes], dim=1)
                planes = stack_planes(source, wanted, noise)
            return self.generator(planes).float()

        return function

    def _reader(self, read: ReadWindow, seed: int) -> ReadWindow:
        """Return what reads the planes of a window that are not the condition's."""
        encode = self.source_codec.encode
        if not self.noise_channels:
            return lambda rows, columns: encode(read(rows, columns))
        draw = noise_reader(self.noise, self.noise_channels, seed)
        return lambda rows, columns: np.concatenate(
            [encode(read(rows, columns)), draw(rows, columns)]
        )


def network_grid(generator: UNet | ResNet) -> dict[str, int]:
    """Return what a `TileGrid` is to know of a generator: stride, halo and least size."""
    return {"stride": generator.stride, "halo": generator.halo, "least": generator.least_size}


def needs_whole(generator: nn.Module, *, dropout: bool, statistics: Statistics) -> bool:
    """Whether a part of an image comes out right only where the whole is given."""
    return dropout or statistics == "image" or measures_its_input(generator)


def measures_its_input(generator: nn.Module) -> bool:
    """Whether ``generator`` has norms that measure what they are given, so that tiles differ."""
    norms = (nn.InstanceNorm2d, nn.GroupNorm)
    return any(isinstance(module, norms) for module in generator.modules())


@contextmanager
def seeded(*entropy: int, device: torch.device = _CPU) -> Iterator[None]:
    """Draw from torch's generators as seeded by ``entropy``, and leave them as they were.

    Parameters
    ----------
    *entropy : int
        The same numbers in the same order give the same draws.
    device : torch.device
        Where is drawn beside the CPU. Generators of other devices are not touched: each costs time
        at every step.
    """
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


@contextmanager
def applying(
    generator: nn.Module, *, dropout: bool = False, statistics: Statistics = "stored"
) -> Iterator[None]:
    """Set ``generator`` up for applying it, and put it back as it was.

    Parameters
    ----------
    generator : torch.nn.Module
        Changed within the context only.
    dropout : bool
        Let dropout drop.
    statistics : {"stored", "image"}
        Batch norm with its running statistics, or with those of what it is given.
    """
    training = {module: module.training for module in generator.modules()}
    generator.eval()
    running = {}
    for module in generator.modules():
        if isinstance(module, nn.Dropout) and dropout:
            module.train()
        elif isinstance(module, nn.BatchNorm2d) and statistics == "image":
            # Without running statistics a batch norm measures its input, also in eval mode.
            running[module] = (module.running_mean, module.running_var)
            module.running_mean = module.running_var = None
    try:
        yield
    finally:
        for module, (mean, variance) in running.items():
            module.running_mean, module.running_var = mean, variance
        for module, mode in training.items():
            module.training = mode
