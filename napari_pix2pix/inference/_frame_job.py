"""One sample of a frame: what the network is given, how it is cut, measured and set up."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.core.folding import folded
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.inputs import has_unlabelled_pixels
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference._generator_run import GeneratorRun, applying, with_own_layers
from napari_pix2pix.inference._run_tiles import FloatPlanes, fits_in_memory
from napari_pix2pix.inference._stochastic import NoiseKind, dropping, noise_reader
from napari_pix2pix.inference.devices import choose_device
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
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.tiling import Box, TileGrid


class FrameRun(NamedTuple):
    """What `iter_tiles` is given for one sample of a frame."""

    network: GeneratorRun
    grid: TileGrid
    batch: int
    area: Box
    whole: bool
    before_cut: Callable[[TileGrid], None] | None


class FrameJob:
    """One sample of a frame, with the generator that predicts it."""

    def __init__(
        self,
        generator: UNet | ResNet,
        codec: Codec,
        image: LazyImage,
        frame: int,
        options: PredictOptions,
        *,
        condition: int,
        conditions: int,
        noise_channels: int,
        noise: NoiseKind,
    ) -> None:
        self._generator, self._codec, self._options = generator, codec, options
        self._image, self._frame = image, frame
        self._condition, self._conditions = condition, conditions
        self._planes_in = codec.planes + conditions + noise_channels
        self._seed = options.seed or 0
        self._noise = noise_reader(noise, noise_channels, self._seed) if noise_channels else None
        self._norms = norms_that_measure(generator, options.norm_statistics)
        self.invalid = False  # whether a pixel that was read has no meaning for the model

    def read(self, rows: slice, columns: slice) -> FloatPlanes:
        """Read the planes (P, h, w) of a window that are not the condition's."""
        window = self._image.read(self._frame, rows, columns)
        self.invalid = self.invalid or has_unlabelled_pixels(self._codec, window)
        planes = self._codec.encode(window)
        if self._noise is None:
            return planes
        return np.concatenate([planes, self._noise(rows, columns)])

    @contextmanager
    def prepared(self, measured: Measured | None, region: Box | None) -> Iterator[FrameRun]:
        """Set the network up, and measure the frame if that is due and was not done before."""
        grid, batch = self._cut()
        generator = self._generator if self._norms else folded(self._generator)
        # What is compiled measures and drops nothing, and stays the same for all images.
        changes = bool(self._norms) or self._options.dropout
        own = with_own_layers(generator) if changes else generator
        whole = bool(self._norms) and grid.whole and measured is None
        if self._norms and measured is None and not whole:
            measured = self.measure(grid)
        with ExitStack() as stack:
            stack.enter_context(applying(own, norm_statistics=self._options.norm_statistics))
            if measured:
                stack.enter_context(replaced(own, fixed_norms(self._norms, measured)))

            def measure_first(smaller: TileGrid) -> None:
                warnings.warn(
                    "Memory ran out with the whole image; going on in tiles, with nearly the same "
                    "result. Give a tile next time.",
                    stacklevel=2,
                )
                fixed = fixed_norms(self._norms, self.measure(smaller))
                stack.enter_context(replaced(own, fixed))

            network = self._run(stack, own, self._options)
            area = Box.of_size(grid.height, grid.width) if region is None else grid.rounded(region)
            before_cut = measure_first if self._options.tile is None else None
            yield FrameRun(network, grid, batch, area, whole, before_cut)

    def measure(self, grid: TileGrid | None = None) -> Measured:
        """Measure the frame once for all its tiles, in windows no larger than the grid's."""
        grid = grid or self._cut()[0]
        own = with_own_layers(self._generator)
        device = next(own.parameters()).device
        # What is measured is run exactly, and is another network for each image.
        options = self._options.model_copy(update={"precision": "32-true", "compile": False})
        fit = partial(fit_to_memory, self._generator, self._planes_in, device=device)
        windows: TileGrid | None = sample_windows(grid)
        with applying(own, norm_statistics=options.norm_statistics):
            while self._norms and windows is not None:
                tiles = sample_tiles(windows)
                batch = fit(windows, tile=windows.tile, most=len(tiles))[1]
                while batch:
                    with ExitStack() as stack:
                        network = self._run(stack, own, options)
                        run = partial(fits_in_memory, network, self.read, grid)
                        measured = measure(own, self._norms, run, tiles, batch)
                    if measured is not None:
                        return measured
                    batch //= 2
                windows = windows.smaller()
        if self._norms:
            raise DeviceError(f"{device} has not enough memory to measure the image.")
        return {}

    def _run(self, stack: ExitStack, own: UNet | ResNet, options: PredictOptions) -> GeneratorRun:
        return GeneratorRun(
            own,
            self._generator,
            options,
            condition=self._condition,
            conditions=self._conditions,
            source_planes=self._codec.planes,
            dropouts=stack.enter_context(dropping(own, self._seed if options.dropout else None)),
        )

    def _cut(self) -> tuple[TileGrid, int]:
        size = self._image.height, self._image.width
        return choose_grid(self._generator, self._planes_in, *size, self._options)


def choose_grid(
    generator: UNet | ResNet, planes_in: int, height: int, width: int, options: PredictOptions
) -> tuple[TileGrid, int]:
    """Choose tile and batch by the memory of the device, to which the generator is moved."""
    device = choose_device(options.device or "auto")
    generator.to(device)
    grid = TileGrid.of_network(generator, height, width)
    tile, batch = options.tile, options.batch
    return cut_image(generator, planes_in, grid, device=device, tile=tile, batch=batch)
