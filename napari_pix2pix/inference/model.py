"""A generator with its codecs: from source pixels to target planes, window by window."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_pix2pix.core import DiscriminatorMap, ResNet, UNet, condition_planes, stack_planes
from napari_pix2pix.core.folding import folded
from napari_pix2pix.core.partial_forward import run_part
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference._run_tiles import Network, iter_tiles, put_together, run_tiles
from napari_pix2pix.inference.acceleration import compiled, run_network
from napari_pix2pix.inference.memory import cut_image, fit_to_memory
from napari_pix2pix.inference.norm_statistics import (
    Measured,
    fixed_norms,
    measure,
    norms_that_measure,
    replaced,
    sample_tiles,
    sample_windows,
)
from napari_pix2pix.inference.options import Precision, Statistics
from napari_pix2pix.inference.stochastic import NoiseKind, dropping, noise_reader
from napari_pix2pix.inference.tiling import Box, TileGrid

ReadWindow = Callable[[slice, slice], np.ndarray]


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
        precision: Precision = "32-true",
        compile: bool = False,
        measured: Measured | None = None,
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
            Side of the tiles in pixels; 0 is the whole image, None chooses by memory.
        batch : int, optional
            Tiles at once; None chooses by memory.
        dropout : bool
            Let dropout drop, as pix2pix does at test time (Isola et al. 2017, 3.2.1); by seed and
            place, so that tiles drop what the whole drops.
        statistics : {"stored", "image"}
            Batch norm with its running statistics, or with those of this image.
        precision : {"32-true", "bf16-mixed"}
            See `run_network`. What is measured is measured in full precision.
        compile : bool
            Let torch compile the network, see `check_can_be_compiled`.
        measured : mapping of str to Moments, optional
            What `measure` returned for this image, where its tiles are computed apart. Otherwise
            it is measured here when a network that measures each image is given tiles.
        region : Box, optional
            Only this part, widened to the grid of the stride.
        first : Box, optional
            Parts in and near this part of the image come first.

        Yields
        ------
        rows, columns : slice
            Where the part lies in the image.
        planes : numpy.ndarray
            (Q, h, w) float32, network range.
        """
        norms = norms_that_measure(self.generator, statistics)
        cut, batch = self._cut(height, width, tile, batch)
        wanted = None if region is None else cut.rounded(region)
        model = self if norms else replace(self, generator=folded(self.generator))
        # What is compiled measures and drops nothing, and stays the same for all images.
        own = _of_its_own(model.generator) if norms or dropout else model.generator
        run = partial(
            self._run,
            own,
            model._function(own, condition, precision, compile),
            self._reader(read, seed),
            seed=seed,
            statistics=statistics,
            dropout=dropout,
            batch=batch,
            first=first,
        )
        if not norms:
            yield from run(cut, {}, may_cut=True, region=wanted)
            return
        if cut.whole and measured is None:
            try:
                # What is measured is the image's, whatever part of it is wanted.
                yield from _cropped(run(cut, {}, may_cut=False), wanted)
                return
            except DeviceError:
                smaller = cut.smaller()
                if tile is not None or smaller is None:
                    raise
                warnings.warn(
                    "Memory ran out with the whole image; going on in tiles, with nearly the same "
                    "result. Give a tile next time.",
                    UserWarning,
                    stacklevel=2,
                )
                cut, batch = smaller, 1
        if measured is None:
            measured = self.measure(
                read,
                height,
                width,
                condition=condition,
                seed=seed,
                dropout=dropout,
                statistics=statistics,
                tile=cut.tile,
            )
        yield from run(cut, fixed_norms(norms, measured), may_cut=True, region=wanted)

    def _run(
        self,
        generator: nn.Module,
        function: Network,
        reader: ReadWindow,
        cut: TileGrid,
        layers: Mapping[str, nn.Module],
        *,
        seed: int,
        statistics: Statistics,
        dropout: bool,
        **how: Any,
    ) -> Iterator[tuple[slice, slice, np.ndarray]]:
        device = next(self.generator.parameters()).device
        with (
            applying(generator, statistics=statistics),
            replaced(generator, layers),
            dropping(generator, seed if dropout else None) as tell,
        ):
            yield from iter_tiles(function, reader, **asdict(cut), device=device, tell=tell, **how)

    def measure(
        self,
        read: ReadWindow,
        height: int,
        width: int,
        *,
        condition: int = 0,
        seed: int = 0,
        dropout: bool = False,
        statistics: Statistics = "stored",
        tile: int | None = None,
    ) -> Measured:
        """Measure an image once for all its tiles, wherever these are computed.

        Parameters
        ----------
        read, height, width, condition, seed, dropout, statistics, tile
            As for `iter_tiles`. The windows are no larger than those of the tiles.

        Returns
        -------
        mapping of str to Moments
            What norms are given, for `iter_tiles`; empty for a network of fixed statistics.
        """
        norms = norms_that_measure(self.generator, statistics)
        cut = self._cut(height, width, tile, 1)[0]
        device = next(self.generator.parameters()).device
        own = _of_its_own(self.generator)
        function, reader = self._function(own, condition), self._reader(read, seed)
        windows: TileGrid | None = sample_windows(cut)
        with applying(own, statistics=statistics):
            while norms and windows is not None:
                tiles = sample_tiles(windows)
                batch = self._batch(windows, most=len(tiles))
                while batch:
                    with dropping(own, seed if dropout else None) as tell:
                        run = partial(run_tiles, function, reader, cut, device, tell)
                        measured = measure(own, norms, run, tiles, batch)
                    if measured is not None:
                        return measured
                    batch //= 2
                windows = windows.smaller()
        if norms:
            raise DeviceError(f"{device} has not enough memory to measure the image.")
        return {}

    def measured_parts(self, height: int, width: int, *, tile: int | None = None) -> list[Box]:
        """Return which parts of an image `measure` reads, if memory does not run out."""
        cut = self._cut(height, width, tile, 1)[0]
        return [cut.shown(one.window) for one in sample_tiles(sample_windows(cut))]

    def fits(self, height: int, width: int, *, tile: int | None = None) -> bool:
        """Whether an image is given to the network whole."""
        return self._cut(height, width, tile, 1)[0].whole

    @property
    def _planes_in(self) -> int:
        return self.generator.in_channels

    def _batch(self, windows: TileGrid, most: int) -> int:
        device = next(self.generator.parameters()).device
        return fit_to_memory(
            self.generator, self._planes_in, windows, device=device, tile=windows.tile, most=most
        )[1]

    def _cut(
        self, height: int, width: int, tile: int | None, batch: int | None
    ) -> tuple[TileGrid, int]:
        generator = self.generator
        grid = TileGrid(height, width, **network_grid(generator))
        device = next(generator.parameters()).device
        return cut_image(generator, self._planes_in, grid, device=device, tile=tile, batch=batch)

    def _function(
        self,
        generator: UNet | ResNet,
        condition: int,
        precision: Precision = "32-true",
        compile: bool = False,
    ) -> Network:
        whole = compiled(generator) if compile else None

        def function(x: Tensor, rows: slice, columns: slice) -> Tensor:
            planes = x
            if self.conditions:
                size, _, height, width = x.shape
                index = torch.full((size,), condition, device=x.device)
                wanted = condition_planes(index, self.conditions, height, width)
                source, noise = x.tensor_split([self.source_codec.planes], dim=1)
                planes = stack_planes(source, wanted, noise)

            def run(planes: Tensor) -> Tensor:
                if whole is None:
                    return run_part(generator, planes, rows, columns)
                # Compiled for all sizes once; for parts it would be anew for each place of them.
                return whole(planes)[..., rows, columns]

            return run_network(self.generator, planes, precision, run)

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


def _of_its_own(generator: UNet | ResNet) -> UNet | ResNet:
    """Return a network with the same weights whose layers no other thread sees, to change them."""
    tensors = [*generator.parameters(), *generator.buffers()]
    return deepcopy(generator, {id(one): one for one in tensors})


def network_grid(network: UNet | ResNet | DiscriminatorMap) -> dict[str, int]:
    """Return what a `TileGrid` is to know of a network: stride, exact halo and least size."""
    return {"stride": network.stride, "halo": network.halo, "least": network.least_size}


def needs_whole(generator: nn.Module, statistics: Statistics) -> bool:
    """Whether a part of an image comes out right only where the whole is given."""
    return bool(norms_that_measure(generator, statistics))


@contextmanager
def applying(generator: nn.Module, *, statistics: Statistics = "stored") -> Iterator[None]:
    """Set ``generator`` up for applying it, and put it back as it was.

    Parameters
    ----------
    generator : torch.nn.Module
        Changed within the context only.
    statistics : {"stored", "image"}
        Batch norm with its running statistics, or with those of what it is given.
    """
    training = {module: module.training for module in generator.modules()}
    generator.eval()
    running = {}
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d) and statistics == "image":
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


def _cropped(
    pieces: Iterator[tuple[slice, slice, np.ndarray]], region: Box | None
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Keep a region of what was translated in one piece."""
    for rows, columns, planes in pieces:
        if region is None:
            yield rows, columns, planes
        else:
            yield region.rows, region.columns, planes[:, region.rows, region.columns]
