"""A generator as it is run on the windows of one sample: condition, precision, norms, dropout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet, condition_planes, stack_planes
from napari_pix2pix.core.partial_forward import run_part
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.inputs import has_invalid_pixels
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.inference._acceleration import compiled, nearer, precisions
from napari_pix2pix.inference._run_tiles import FloatPlanes, kept_parts, to_device
from napari_pix2pix.inference._stochastic import Dropouts
from napari_pix2pix.inference.options import NormStatistics, PredictOptions
from napari_pix2pix.inference.tiling import Box, Tile, TileGrid


class GeneratorRun:
    """Runs a generator on windows; the `TileNetwork` of one sample of a frame.

    Parameters
    ----------
    generator : UNet or ResNet
        What is run.
    original : UNet or ResNet
        What that is a copy of; it is remembered of it whether half precision is near enough.
    options : PredictOptions
    condition, conditions : int
        Index of the condition, and how many there are.
    dropouts : Dropouts
        Layers that drop by position.
    """

    def __init__(
        self,
        generator: UNet | ResNet,
        original: UNet | ResNet,
        options: PredictOptions,
        *,
        condition: int,
        conditions: int,
        source_planes: int,
        dropouts: Dropouts,
    ) -> None:
        self._generator, self._original = generator, original
        self._precision = options.precision
        self._compiled = compiled(generator) if options.compile else None
        self._condition, self._conditions = condition, conditions
        self._source_planes, self._dropouts = source_planes, dropouts
        self.device = next(original.parameters()).device

    def __call__(self, windows: FloatPlanes, tiles: Sequence[Tile]) -> list[FloatPlanes]:
        """Map windows (B, P, h, w) to the kept part (K, h, w) of each."""
        self._dropouts.place(tiles)
        wanted = Box.around(tile.crop for tile in tiles)
        outputs = []
        with torch.inference_mode():
            planes = self._with_condition(to_device(windows, self.device))
            for half in precisions(self._original, planes, self._precision):
                context = (
                    torch.autocast(self.device.type, torch.bfloat16) if half else nullcontext()
                )
                with context:
                    if self._compiled is None:
                        y = run_part(self._generator, planes, wanted.rows, wanted.columns)
                    else:
                        # Compiled for all sizes once; parts would each be compiled anew.
                        y = self._compiled(planes)[..., wanted.rows, wanted.columns]
                outputs.append(y.float())
            return kept_parts(nearer(self._original, outputs), tiles, wanted)

    def _with_condition(self, planes: Tensor) -> Tensor:
        """Put the condition's planes between those of source and noise: (B, P + N, h, w)."""
        if not self._conditions:
            return planes
        size, _, height, width = planes.shape
        index = torch.full((size,), self._condition, device=planes.device)
        wanted = condition_planes(index, self._conditions, height, width)
        source, noise = planes.tensor_split([self._source_planes], dim=1)
        return stack_planes(source, wanted, noise)


def with_own_layers(generator: UNet | ResNet) -> UNet | ResNet:
    """Return a network with the same weights whose layers no other thread sees, to change them."""
    tensors = [*generator.parameters(), *generator.buffers()]
    return deepcopy(generator, {id(tensor): tensor for tensor in tensors})


@contextmanager
def applying(
    generator: nn.Module, *, norm_statistics: NormStatistics = "running"
) -> Iterator[None]:
    """Set a generator up for applying it, and put it back as it was."""
    training = {module: module.training for module in generator.modules()}
    generator.eval()
    running = {}
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d) and norm_statistics == "per-image":
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


class FrameRun(NamedTuple):
    """What `iter_tiles` is given for one sample of a frame."""

    network: GeneratorRun
    grid: TileGrid
    batch: int
    area: Box
    whole: bool
    before_cut: Callable[[TileGrid], None] | None


class FrameSource:
    """One sample of a frame, as the network is given it."""

    def __init__(
        self,
        image: LazyImage,
        frame: int,
        codec: Codec,
        noise: Callable[[slice, slice], FloatPlanes] | None,
        options: PredictOptions,
        condition: int,
    ) -> None:
        self.image, self.frame, self.options, self.condition = image, frame, options, condition
        self._codec, self._noise = codec, noise
        self.invalid = False  # whether a pixel that was read has no meaning for the model

    def read(self, rows: slice, columns: slice) -> FloatPlanes:
        """Read the planes (P, h, w) of a window that are not the condition's."""
        window = self.image.read(self.frame, rows, columns)
        self.invalid = self.invalid or has_invalid_pixels(self._codec, window)
        planes = self._codec.encode(window)
        if self._noise is None:
            return planes
        return np.concatenate([planes, self._noise(rows, columns)])
