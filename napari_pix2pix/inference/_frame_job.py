"""One sample of a frame: what the network is given, how it is cut, measured and set up."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from napari_pix2pix.core import condition_planes, stack_planes
from napari_pix2pix.core.layers import BatchNorm
from napari_pix2pix.core.partial_forward import folded, run_part
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.inputs import has_unlabelled_pixels
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.volumes import encode
from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference._run_tiles import FloatPlanes, fits_in_memory, kept_parts, to_device
from napari_pix2pix.inference._stochastic import Dropouts, NoiseKind, dropping, noise_reader
from napari_pix2pix.inference._turns import TURNS
from napari_pix2pix.inference.depth import planes_at_once, run_volume
from napari_pix2pix.inference.devices import choose_device_of, cut_image, fit_to_memory
from napari_pix2pix.inference.networks import (
    ExternalNetwork,
    Network,
    device_of,
    measures_input,
)
from napari_pix2pix.inference.norm_statistics import (
    Measured,
    fixed_norms,
    measure,
    norms_that_measure,
    replaced,
    sample_tiles,
    sample_windows,
)
from napari_pix2pix.inference.options import NormStatistics, Precision, PredictOptions
from napari_pix2pix.inference.tiling import Tile, TileGrid
from napari_pix2pix.inference.unlikeness import Cells, FeatureWatch


class FrameRun(NamedTuple):
    """What `iter_tiles` is given for one sample of a frame."""

    network: GeneratorRun
    grid: TileGrid
    batch: int
    area: Box
    whole: bool
    before_cut: Callable[[TileGrid], None] | None
    watch: FeatureWatch | None

    def seen_cells(self, done: int) -> Cells | None:
        """Return what was watched, once the whole area is done."""
        return self.watch.cells if self.watch and done == self.area.pixels else None


class FrameJob:
    """One sample of a frame, with the generator that predicts it."""

    def __init__(
        self,
        generator: Network,
        codec: Codec,
        image: LazyImage,
        frame: int,
        options: PredictOptions,
        *,
        condition: int,
        conditions: int,
        noise_channels: int,
        noise: NoiseKind,
        usual: nn.Module | None,
    ) -> None:
        self._generator, self._codec, self._options = generator, codec, options
        self._usual = usual if _is_watched(options) else None
        self._image, self._frame = image, frame
        self._condition, self._conditions = condition, conditions
        self._seed = options.seed or 0
        depth = image.depth if generator.ndim == 3 else None
        self._noise = (
            noise_reader(noise, noise_channels, self._seed, depth) if noise_channels else None
        )
        self._norms = norms_that_measure(generator, options.norm_statistics)
        self.invalid = False  # whether a pixel that was read has no meaning for the model

    def read(self, rows: slice, columns: slice) -> FloatPlanes:
        """Read the planes (P, h, w) of a window that are not the condition's."""
        window = self._image.read(self._frame, rows, columns)
        self.invalid = self.invalid or has_unlabelled_pixels(self._codec, window)
        planes = encode(self._codec, window)
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
        if isinstance(own, ExternalNetwork):
            depth = (self._image.depth,) if own.ndim == 3 else ()
            own = own.fitted(self._read_whole, (*depth, grid.height, grid.width))
        whole = bool(self._norms) and grid.whole and measured is None
        is_one = isinstance(own, ExternalNetwork) and own.tile == 0
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

            area = Box.of_size(grid.height, grid.width) if region is None else grid.rounded(region)
            watch = None
            if self._usual is not None and not isinstance(own, ExternalNetwork):
                watch = FeatureWatch(own, self._usual, area, self._image.depth)
                stack.enter_context(watch.watching())
            network = self._run(stack, own, self._options, watch)
            can_cut = self._options.tile is None and not is_one
            before_cut = measure_first if can_cut else None
            yield FrameRun(network, grid, batch, area, whole or is_one, before_cut, watch)

    def measure(self, grid: TileGrid | None = None) -> Measured:
        """Measure the frame once for all its tiles, in windows no larger than the grid's."""
        grid = grid or self._cut()[0]
        own = with_own_layers(self._generator)
        device = device_of(own)
        # What is measured is run exactly, and is another network for each image.
        options = self._options.model_copy(update={"precision": "32-true", "compile": False})
        planes = planes_at_once(self._generator, self._image.depth, 0)
        fit = partial(
            fit_to_memory,
            self._generator,
            self._generator.in_channels,
            device=device,
            planes=planes,
        )
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

    def _run(
        self,
        stack: ExitStack,
        own: Network,
        options: PredictOptions,
        watch: FeatureWatch | None = None,
    ) -> GeneratorRun:
        return GeneratorRun(
            own,
            self._generator,
            options,
            condition=self._condition,
            conditions=self._conditions,
            source_planes=self._codec.planes,
            dropouts=stack.enter_context(dropping(own, self._seed if options.dropout else None)),
            depth_tile=_depth_tile(bool(self._norms), options),
            watch=watch,
        )

    def _read_whole(self) -> FloatPlanes:
        return self.read(slice(0, self._image.height), slice(0, self._image.width))

    def _cut(self) -> tuple[TileGrid, int]:
        return choose_grid(self._generator, self._image, self._options)


def choose_grid(
    generator: Network, image: LazyImage, options: PredictOptions
) -> tuple[TileGrid, int]:
    """Choose tile and batch by the memory of the device, to which the generator is moved."""
    device = choose_device_of(generator, options.device)
    if isinstance(generator, ExternalNetwork):
        generator.use(device)
    else:
        generator.to(device)
    grid = TileGrid.of_network(generator, image.height, image.width)
    if isinstance(generator, ExternalNetwork) and generator.tile is not None:
        return replace(grid, tile=generator.tile), options.batch or 1
    measures = measures_input(generator, options.norm_statistics)
    return cut_image(
        generator,
        generator.in_channels,
        grid,
        device=device,
        tile=options.tile,
        batch=options.batch,
        whole=measures,
        planes=planes_at_once(generator, image.depth, _depth_tile(measures, options)),
    )


def _depth_tile(measures: bool, options: PredictOptions) -> int | None:
    """Return how many planes of a volume are kept of a window: all, where norms measure it."""
    return 0 if measures else options.tile


def _runner(
    generator: Network,
    options: PredictOptions,
    depth_tile: int | None,
    before: Callable[[Tile], None],
) -> Callable[[Tensor, slice, slice], Tensor]:
    """Return what runs a network and keeps rows and columns of its output."""
    # Layer by layer, only what a part needs is computed; others are run as a whole. What is
    # compiled is so for all sizes once: parts would each be compiled anew.
    whole = compiled(generator) if options.compile else None
    if generator.ndim == 3:
        return partial(run_volume, generator, tile=depth_tile, before=before, compiled=whole)
    if isinstance(generator, ExternalNetwork):
        return partial(_run_whole, generator)
    return partial(run_part, generator) if whole is None else partial(_run_whole, whole)


def _run_whole(
    network: Callable[[Tensor], Tensor], planes: Tensor, rows: slice, columns: slice
) -> Tensor:
    return network(planes)[..., rows, columns]


# Root mean square, where the network's range is 2: a PSNR of 46 dB.
BOUND = 0.01
_near: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


class GeneratorRun:
    """Runs a generator on windows; the `TileNetwork` of one sample of a frame."""

    # `generator` may be a copy of `original`, which is what `_near` remembers.

    def __init__(
        self,
        generator: Network,
        original: Network,
        options: PredictOptions,
        *,
        condition: int,
        conditions: int,
        source_planes: int,
        dropouts: Dropouts,
        depth_tile: int | None = None,  # planes of a volume that are kept of a window
        watch: FeatureWatch | None = None,
    ) -> None:
        self._generator, self._original = generator, original
        self._precision = options.precision
        self._run = _runner(generator, options, depth_tile, self._see_planes)
        self._condition, self._conditions = condition, conditions
        self._source_planes, self._dropouts = source_planes, dropouts
        self._watch = watch
        self._turns = [TURNS[number] for number in options.own_turns]
        self.device = device_of(original)

    def __call__(self, windows: FloatPlanes, tiles: Sequence[Tile]) -> list[FloatPlanes]:
        """Map windows (B, P, h, w) to the kept part (K, h, w) of each."""
        wanted = Box.around(tile.crop for tile in tiles)
        if self._watch is not None:
            self._watch.expect(tiles)  # and the first turn, which turns nothing
        outputs = []
        with torch.inference_mode():
            planes = self._with_condition(to_device(windows, self.device))
            size = planes.shape[-2], planes.shape[-1]
            for half in precisions(self._original, planes, self._precision):
                context = (
                    torch.autocast(self.device.type, torch.bfloat16) if half else nullcontext()
                )
                turns = []
                with context:
                    # A turned window lies on the grid of the network's stride as it did before.
                    for turn in self._turns:
                        self._dropouts.place(tiles, turn)
                        turned, part = turn.turn(planes), turn.turn_box(wanted, size)
                        y = self._run(turned, part.rows, part.columns)
                        turns.append(turn.turn_back(y).float())
                outputs.append(torch.stack(turns).mean(0))
            return kept_parts(nearer(self._original, outputs), tiles, wanted)

    def _see_planes(self, cut: Tile) -> None:
        """Prepare for a window along Z of a volume, whose rows are planes."""
        self._dropouts.place_planes(cut.window.rows)
        if self._watch is not None:
            self._watch.expect_planes(cut)

    def _with_condition(self, planes: Tensor) -> Tensor:
        """Put the condition's planes between those of source and noise: (B, P + N, h, w)."""
        if not self._conditions:
            return planes
        index = torch.full((len(planes),), self._condition, device=planes.device)
        wanted = condition_planes(index, self._conditions, *planes.shape[2:])
        source, noise = planes.tensor_split([self._source_planes], dim=1)
        return stack_planes(source, wanted, noise)


def _is_watched(options: PredictOptions) -> bool:
    """Tell whether a run sees the features of an image as the training's were measured."""
    return options.norm_statistics == "running" and not options.compile and 0 in options.own_turns


def with_own_layers(generator: Network) -> Network:
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
        if isinstance(module, BatchNorm) and norm_statistics == "per-image":
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


def precisions(network: Network, planes: Tensor, precision: Precision) -> tuple[bool, ...]:
    """Say in which precisions planes (B, P, h, w) are run: half (True), full (False), or both."""
    # With AMX, oneDNN gets convolutions of stride 2 wrong that give a single column (torch 2.13).
    narrow = planes.shape[-1] == network.stride or planes.ndim == 5  # volumes were not tried
    narrow = narrow and planes.device.type == "cpu"
    if precision == "32-true" or narrow or _near.get(network) is False:
        return (False,)
    return (True,) if network in _near else (True, False)


def nearer(network: Network, outputs: Sequence[Tensor]) -> Tensor:
    """Return the one output, or of half and full precision the half where it is near enough."""
    if len(outputs) == 1:
        return outputs[0]
    half, full = outputs
    error = float((half - full).square().mean().sqrt())
    _near[network] = error <= BOUND
    if _near[network]:
        return half
    warnings.warn(
        f"In half precision this model is off by {error:.2g} (root mean square, of a range of 2; "
        f"{BOUND} is allowed): going on in full precision.",
        UserWarning,
        stacklevel=2,
    )
    return full


_COMPILERS = {"win32": "cl", "darwin": "clang++"}  # that torch.compile calls; elsewhere g++


def compiled(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a network that is compiled when it is first run, once for windows of any size."""
    check_compiler(device_of(network))
    run: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=True)
    return run


def check_compiler(device: torch.device) -> None:
    """Raise `DeviceError` without a C++ compiler (CPU) or Triton (CUDA), or on other devices."""
    if device.type == "cpu":
        name = os.environ.get("CXX") or _COMPILERS.get(sys.platform, "g++")
        if shutil.which(name) is None:
            raise DeviceError(
                f"Compiling needs a C++ compiler, and there is no {name} here: install it, name "
                "another one in the variable CXX, or turn compile off."
            )
    elif device.type == "cuda":
        if find_spec("triton") is None:
            raise DeviceError(
                "Compiling needs Triton on a GPU, and it is not installed: install it "
                "(pip install triton; on Windows triton-windows), or turn compile off."
            )
    else:
        raise DeviceError(f"Compiling is for a CPU or CUDA, not for {device}: turn compile off.")
