"""A generator with its codecs, and the one driver that predicts: an iterator of tiles."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy, deepcopy
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.core.folding import folded
from napari_pix2pix.data.codecs import Codec, Output
from napari_pix2pix.data.dtype_range import codecs_for_dtypes
from napari_pix2pix.data.inputs import check_channels, invalid_pixels_note
from napari_pix2pix.data.lazy_image import EmptyImage, LazyImage
from napari_pix2pix.errors import DeviceError, InputError
from napari_pix2pix.inference._generator_run import (
    FrameRun,
    FrameSource,
    GeneratorRun,
    applying,
    with_own_layers,
)
from napari_pix2pix.inference._run_tiles import FloatPlanes, fits_in_memory, iter_tiles
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
from napari_pix2pix.inference.options import NormStatistics, PredictOptions
from napari_pix2pix.inference.parts import FrameCollector, PredictedTile, mosaic
from napari_pix2pix.inference.tiling import Box, TileGrid

OnTile = Callable[[int, int], None]  # pixels done, and pixels of the frame


class Predictor:
    """A generator with its codecs and the names of its conditions.

    Parameters
    ----------
    generator : UNet or ResNet
        Takes source, condition and noise planes, stacked in this order.
    source_codec, target_codec : Codec
        How intensities become planes and back.
    conditions : tuple of hashable
        Names of the conditions to choose from; empty without any.
    z_context : int
        Neighbouring frames on either side that each frame is given.
    noise_channels : int
        Noise planes that the generator takes.
    noise : {"image", "pixel"}
        What they hold, see `noise_reader`.
    """

    def __init__(
        self,
        generator: UNet | ResNet,
        source_codec: Codec,
        target_codec: Codec,
        *,
        conditions: tuple[Hashable, ...] = (),
        z_context: int = 0,
        noise_channels: int = 0,
        noise: NoiseKind = "image",
    ) -> None:
        self.generator = generator
        self.source_codec = source_codec
        self.target_codec = target_codec
        self.conditions = conditions
        self.z_context = z_context
        self.noise_channels = noise_channels
        self.noise = noise

    def predict(
        self,
        image: LazyImage,
        options: PredictOptions,
        *,
        frames: Iterable[int] | None = None,
        region: Box | None = None,
        first: Box | None = None,
        measured: Sequence[Measured] = (),
        decoded: bool = True,
    ) -> Iterator[PredictedTile]:
        """Predict frames of an image, and yield each tile as soon as it is finished.

        Parameters
        ----------
        image : LazyImage
            The source, with its z-context where the model has one.
        options : PredictOptions
        frames : iterable of int, optional
            Which frames; all by default.
        region : Box, optional
            Only this part of each frame, widened to the grid of the stride.
        first : Box, optional
            Tiles in and near this part of a frame come first.
        measured : sequence of mapping, optional
            What `measure_frame` returned for each sample, where regions are predicted apart.
        decoded : bool
            Yield intensities or labels; otherwise the network's planes in [-1, 1].

        Yields
        ------
        PredictedTile
            Frame by frame, sample by sample. Labels come with the last tile, all at once, since
            where objects end is seen on the whole only.
        """
        check_channels(image, self.source_codec.channels, self.z_context)
        codecs = self.for_dtypes(image.dtype)
        at_once = decoded and self.target_codec.kind != "image"
        decode = partial(codecs.target_codec.decode, output=options.output)
        for frame in range(image.frames) if frames is None else frames:
            for sample in range(options.samples):
                source = codecs._source(image, frame, options.of_sample(sample))
                known = measured[sample] if measured else None
                held: list[tuple[Box, FloatPlanes]] = []
                done = 0
                with codecs._prepared(source, known, region) as run:
                    tile = partial(PredictedTile, frame, sample, area=run.area)
                    for box, planes in iter_tiles(
                        run.network,
                        source.read,
                        run.grid,
                        batch=run.batch,
                        region=run.area,
                        first=first,
                        whole=run.whole,
                        before_cut=run.before_cut,
                    ):
                        if held:
                            yield tile(box=held[-1][0], done=done, invalid=source.invalid)
                        done += box.pixels
                        if at_once:
                            held.append((box, planes))
                            continue
                        pixels = decode(planes) if decoded else planes
                        yield tile(box=box, done=done, invalid=source.invalid, pixels=pixels)
                if held:
                    area, planes = mosaic(held)
                    pixels = decode(planes)
                    yield tile(box=area, done=done, invalid=source.invalid, pixels=pixels)

    def predict_frame(
        self,
        image: LazyImage,
        frame: int,
        options: PredictOptions,
        *,
        on_tile: OnTile | None = None,
    ) -> NDArray[Any]:
        """Predict one sample of a frame, (C, H, W)."""
        collector = FrameCollector()
        pixels = None
        for tile in self.predict(image, options.of_sample(0), frames=[frame]):
            pixels = collector.add(tile)
            if on_tile is not None:
                on_tile(tile.done, tile.area.pixels)
        assert pixels is not None  # there is a last tile
        if collector.invalid:
            warn_of_invalid(self.source_codec)
        return pixels

    def predict_region(
        self,
        image: LazyImage,
        frame: int,
        region: Box,
        options: PredictOptions,
        *,
        measured: Measured | None = None,
    ) -> NDArray[Any]:
        """Predict any rectangle of a frame, (C, h, w); it equals that part of the whole.

        What needs the whole frame is given it, but objects are told apart on the region alone.
        """
        tiles = list(
            self.predict(
                image,
                options.of_sample(0),
                frames=[frame],
                region=region,
                measured=[] if measured is None else [measured],
            )
        )
        if tiles[-1].invalid:
            warn_of_invalid(self.source_codec)
        box, pixels = mosaic([(tile.box, tile.pixels) for tile in tiles if tile.pixels is not None])
        wanted = region.within(box)
        return pixels[:, wanted.rows, wanted.columns]

    def predict_window(
        self,
        window: NDArray[Any],
        condition: int = 0,
        *,
        tile: int | None = None,
        decoded: bool = True,
    ) -> NDArray[Any]:
        """Predict a raw source window (C, h, w), under a condition by its index, for training."""
        image = LazyImage(window, channel_axis=0) if len(window) else EmptyImage(*window.shape[1:])
        options = PredictOptions(
            condition=self.conditions[condition] if self.conditions else None,
            tile=tile,
            device=str(next(self.generator.parameters()).device),  # where it is trained
        )
        tiles = self.predict(image, options, decoded=decoded)
        return mosaic([(tile.box, tile.pixels) for tile in tiles if tile.pixels is not None])[1]

    def measure_frame(self, image: LazyImage, frame: int, options: PredictOptions) -> Measured:
        """Measure norm statistics of a frame whose regions are predicted apart, by norm's name."""
        source = self.for_dtypes(image.dtype)._source(image, frame, options.of_sample(0))
        return self._measure(source, self._cut(source)[0])

    def measured_parts(self, height: int, width: int, options: PredictOptions) -> list[Box]:
        """Return which parts of a frame `measure_frame` reads, if memory does not run out."""
        grid = self._cut_size(height, width, options)[0]
        return [grid.shown(tile.window) for tile in sample_tiles(sample_windows(grid))]

    def fits(self, height: int, width: int, options: PredictOptions) -> bool:
        """Whether a frame of this size is given to the network whole."""
        return self._cut_size(height, width, options)[0].whole

    def is_predicted_whole(self, norm_statistics: NormStatistics = "running") -> bool:
        """Whether frames come out right only in one piece."""
        measures = bool(norms_that_measure(self.generator, norm_statistics))
        return measures or self.target_codec.kind == "instances"

    @property
    def planes_in(self) -> int:
        """How many planes the network is given: source, condition and noise."""
        return self.source_codec.planes + len(self.conditions) + self.noise_channels

    def target_like(self, output: Output = "target") -> NDArray[Any]:
        """Return one pixel of what comes out, (C, 1, 1), to know its channels and dtype by."""
        planes = np.zeros((self.target_codec.planes, 1, 1), np.float32)
        return self.target_codec.decode(planes, output)

    def for_dtypes(self, source: np.dtype[Any], target: np.dtype[Any] | None = None) -> Self:
        """Return the predictor for images of these dtypes: itself, if its file knows ranges.

        Otherwise (``.pth``) the whole range of these dtypes is -1 to 1, that of the source also
        for the target where no dtype is given.
        """
        own = self.source_codec, self.target_codec
        codecs = codecs_for_dtypes(*own, source, target)
        if codecs == own:
            return self
        other = copy(self)
        other.source_codec, other.target_codec = codecs
        return other

    def detached_copy(self) -> Predictor:
        """Return an independent copy, safe to use in another thread or process."""
        return Predictor(
            deepcopy(self.generator),
            self.source_codec,
            self.target_codec,
            conditions=self.conditions,
            z_context=self.z_context,
            noise_channels=self.noise_channels,
            noise=self.noise,
        )

    def _source(self, image: LazyImage, frame: int, options: PredictOptions) -> FrameSource:
        seed = options.seed or 0
        noise = None
        if self.noise_channels:
            noise = noise_reader(self.noise, self.noise_channels, seed)
        index = condition_index(self.conditions, options.condition)
        return FrameSource(image, frame, self.source_codec, noise, options, index)

    @contextmanager
    def _prepared(
        self, source: FrameSource, measured: Measured | None, region: Box | None
    ) -> Iterator[FrameRun]:
        """Set a network up for one sample of a frame, and measure the frame where that is due."""
        options = source.options
        norms = norms_that_measure(self.generator, options.norm_statistics)
        grid, batch = self._cut(source)
        generator = self.generator if norms else folded(self.generator)
        # What is compiled measures and drops nothing, and stays the same for all images.
        own = with_own_layers(generator) if norms or options.dropout else generator
        whole = bool(norms) and grid.whole and measured is None
        if norms and measured is None and not whole:
            measured = self._measure(source, grid)
        with ExitStack() as stack:
            stack.enter_context(applying(own, norm_statistics=options.norm_statistics))
            if measured:
                stack.enter_context(replaced(own, fixed_norms(norms, measured)))

            def measure_first(smaller: TileGrid) -> None:
                warnings.warn(
                    "Memory ran out with the whole image; going on in tiles, with nearly the same "
                    "result. Give a tile next time.",
                    stacklevel=2,
                )
                found = self._measure(source, smaller)
                stack.enter_context(replaced(own, fixed_norms(norms, found)))

            run = self._generator_run(stack, own, source)
            area = Box.of_size(grid.height, grid.width) if region is None else grid.rounded(region)
            before_cut = measure_first if options.tile is None else None
            yield FrameRun(run, grid, batch, area, whole, before_cut)

    def _measure(self, source: FrameSource, grid: TileGrid) -> Measured:
        """Measure a frame once for all its tiles, in windows no larger than the grid's."""
        norms = norms_that_measure(self.generator, source.options.norm_statistics)
        own = with_own_layers(self.generator)
        windows: TileGrid | None = sample_windows(grid)
        with applying(own, norm_statistics=source.options.norm_statistics):
            while norms and windows is not None:
                tiles = sample_tiles(windows)
                batch = self._largest_batch(windows, len(tiles))
                while batch:
                    with ExitStack() as stack:
                        run = self._generator_run(stack, own, source, exact=True)
                        work = partial(fits_in_memory, run, source.read, grid)
                        measured = measure(own, norms, work, tiles, batch)
                    if measured is not None:
                        return measured
                    batch //= 2
                windows = windows.smaller()
        if norms:
            device = next(self.generator.parameters()).device
            raise DeviceError(f"{device} has not enough memory to measure the image.")
        return {}

    def _generator_run(
        self, stack: ExitStack, own: UNet | ResNet, source: FrameSource, *, exact: bool = False
    ) -> GeneratorRun:
        """Return what runs the network; what is measured is run exactly: uncompiled, in float32."""
        options = source.options
        if exact:
            options = options.model_copy(update={"precision": "32-true", "compile": False})
        seed = (options.seed or 0) if options.dropout else None
        return GeneratorRun(
            own,
            self.generator,
            options,
            condition=source.condition,
            conditions=len(self.conditions),
            source_planes=self.source_codec.planes,
            dropouts=stack.enter_context(dropping(own, seed)),
        )

    def _cut(self, source: FrameSource) -> tuple[TileGrid, int]:
        return self._cut_size(source.image.height, source.image.width, source.options)

    def _cut_size(self, height: int, width: int, options: PredictOptions) -> tuple[TileGrid, int]:
        """Choose tile and batch by the memory of the device, to which the network is moved."""
        device = choose_device(options.device or "auto")
        self.generator.to(device)
        grid = TileGrid.of_network(self.generator, height, width)
        cut = partial(cut_image, tile=options.tile, batch=options.batch)
        return cut(self.generator, self.planes_in, grid, device=device)

    def _largest_batch(self, windows: TileGrid, most: int) -> int:
        device = next(self.generator.parameters()).device
        fit = partial(fit_to_memory, tile=windows.tile, most=most)
        return fit(self.generator, self.planes_in, windows, device=device)[1]


def condition_index(conditions: Sequence[Hashable], condition: Hashable) -> int:
    """Return which of a model's conditions is asked for; 0 for a model without any."""
    if not conditions and condition is not None:
        raise InputError(f"This model has no conditions, got {condition!r}: leave condition out.")
    if conditions and condition not in conditions:
        names = ", ".join(map(repr, conditions))
        raise InputError(f"condition must be one of {names}, got {condition!r}.")
    return conditions.index(condition) if conditions else 0


def warn_of_invalid(codec: Codec) -> None:
    """Warn that an image has pixels that the model has no meaning for."""
    warnings.warn(invalid_pixels_note(codec), UserWarning, stacklevel=3)
