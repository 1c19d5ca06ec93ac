"""Applying a model in a thread: arrays are painted, and no layer is touched."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import Codec, InstanceCodec
from napari_pix2pix.data.inputs import check_finite, open_for_codec
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.volumes import VolumeImage
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.tiling import TileGrid
from napari_pix2pix.inference.uncertainty import Draws, shown_names
from napari_pix2pix.napari_layers import Snapshot, lazy_image_of_layers, with_model_channels
from napari_pix2pix.training.events import Control

if TYPE_CHECKING:
    from napari_pix2pix.inference.predictor import Predictor
    from napari_pix2pix.inference.tiling import PredictedTile
    from napari_pix2pix.translator import Translator
    from napari_pix2pix.widgets.common.known_models import ModelEntry

_WIDE = 128  # pixels of halo above which tiles are larger, so that it costs less
_VOLUME_SIDE = 128  # pixels of a tile of a volume, and its planes at most
_SIDE = 128  # pixels of the image that speed is tried on, or the stride where it is more


@dataclass(frozen=True, eq=False)
class Job:
    """One image to be translated."""

    sources: list[Snapshot]  # a layer, or several that are its channels
    frames: list[int]
    region: Box | None = None  # of each frame; None for all of it
    first: Box | None = None  # the part in view, done first
    # What gives earlier results to be continued, by the model's digest and what they show, see
    # `Progress`.
    before: Mapping[tuple[str, str], Callable[[], np.ndarray]] = field(default_factory=dict)

    def copied(self) -> Job:
        """Return the same with data that no one else can change; in any thread."""
        return replace(self, sources=[source.copied() for source in self.sources])

    def earlier(self, digest: str, shown: str) -> np.ndarray | None:
        """Return the earlier result that is continued, or None; in any thread."""
        give = self.before.get((digest, shown))
        return None if give is None else give()

    def planes(self, codec: Codec, z_context: int, ndim: int) -> LazyImage:
        """Open the image as a model takes it, unread; raises `InputError` if it does not fit."""
        image = lazy_image_of_layers(with_model_channels(self.sources, codec.layout), "image")
        return open_for_codec(image, codec, z_context, ndim)


class Loaded(NamedTuple):
    """The model is in memory."""

    translator: Translator
    digest: str  # with the weights that are chosen


class Progress(NamedTuple):
    """New tiles were written; an array is reallocated if its dtype widened."""

    job: int  # its number
    # By "", or by `shown_names` of several samples; only those with pixels.
    arrays: Mapping[str, np.ndarray]
    done: int  # pixels of all jobs
    total: int
    seconds: float  # since the first tile was begun


class JobDone(NamedTuple):
    """A job is finished, or was stopped."""

    job: int
    complete: bool
    invalid: bool  # whether its source had pixels that the model has no meaning for
    unlike: Mapping[int, float]  # share of each frame, by its number, that is unlike the training


class Speed(NamedTuple):
    """How fast a network is on its device, and how much memory it takes."""

    translator: Translator
    pixels_per_second: float
    bytes_per_pixel: float  # of a window


def load_known(known: ModelEntry) -> Translator:
    """Return the model as it is remembered, read from its file if it is not in memory."""
    return known.load()


def apply_model(
    control: Control,
    known: ModelEntry,
    jobs: Sequence[Job],
    options: PredictOptions,
    quantiles: Sequence[float] = (),
) -> Generator[Loaded | Progress | JobDone, None, None]:
    """Apply a model to images, and yield what happened; `control` stops it after a tile.

    ``quantiles`` are levels from 0 to 1, which several samples are shown by, too.
    """
    from napari_pix2pix.inference.checks import check_options
    from napari_pix2pix.inference.unlikeness import share_unlike

    jobs = [job.copied() for job in jobs]
    read = load_known(known)
    translator = known.with_its_weights(read)
    check_options(options, translator)
    yield Loaded(read, translator.digest)
    options = _for_viewer(options, translator)
    own = translator.detached_copy()  # another dock may use the model meanwhile
    opening = translator.source_codec, translator.z_context, translator.ndim
    images = [job.planes(*opening) for job in jobs]
    for image in images:
        check_finite(image)
    grids = [TileGrid.of_network(own.generator, image.height, image.width) for image in images]
    depths = [image.depth for image in images]
    total = options.samples * sum(map(_pixels, jobs, grids, depths))
    began, before = time.perf_counter(), 0
    for number, (job, image) in enumerate(zip(jobs, images, strict=True)):
        codec, invalid, done = translator.target_codec, False, 0
        shares: dict[int, float] = {}
        canvases = {
            name: Canvas(codec, image, job.earlier(translator.digest, name))
            for name in (shown_names(quantiles) if options.samples > 1 else [""])
        }
        painter = _Painter(canvases, options.samples, quantiles)
        for tile in own.predict(
            image, options, frames=job.frames, region=job.region, first=job.first
        ):
            painter.add(tile)
            invalid, done = invalid or tile.invalid, before + image.depth * tile.done
            before += image.depth * tile.area.pixels if tile.is_last else 0
            if tile.cells is not None:
                shares[tile.frame] = share_unlike(tile.cells)
            yield Progress(number, painter.arrays, done, total, time.perf_counter() - began)
            if control.stopped and (done < total or tile.pixels is None):
                yield JobDone(number, False, invalid, {})
                return
        yield JobDone(number, True, invalid, shares)


def try_speed(known: ModelEntry, device: str | None) -> Speed:
    """Translate a small image to learn how fast a model is, and how much memory it takes."""
    from napari_pix2pix.inference.devices import estimate_bytes_per_pixel

    translator = load_known(known)
    own = translator.detached_copy()  # a run may begin meanwhile
    codec, network = own.source_codec, own.generator
    side = max(_SIDE, network.stride)  # no padding, which would be computed and not counted
    # Of volumes as many planes as halve to one, or as it takes at least.
    depth = (max(network.strides[0], network.least_sizes[0]),) if network.ndim == 3 else ()
    size = *depth, side, side
    image = LazyImage(np.zeros((codec.channels, *size), codec.dtype), channel_axis=0)
    planes = math.prod(size) / side**2
    condition = own.conditions[0] if own.conditions else None
    options = PredictOptions(condition=condition, device=device)
    best = 0.0
    for _ in range(2):  # the first warms up
        began = time.perf_counter()
        *_, last = own.predict(image, options)
        best = max(best, planes * last.done / (time.perf_counter() - began))
    least = max(2 * network.stride, network.least_size)
    return Speed(
        translator, best, estimate_bytes_per_pixel(network, network.in_channels, side=least)
    )


def tile_side(predictor: Predictor) -> int:
    """Return the pixels of a tile: few, to see it come and to cancel soon; enough for its halo."""
    if predictor.ndim == 3:
        return _VOLUME_SIDE
    return 512 if predictor.generator.halo <= _WIDE else 1024


class _Painter:
    """Paints tiles: their pixels, or mean, deviation and quantiles of a tile of all samples."""

    def __init__(
        self, canvases: Mapping[str, Canvas], samples: int, quantiles: Sequence[float]
    ) -> None:
        self._canvases, self._samples = canvases, samples
        self._draws: defaultdict[Box, Draws] = defaultdict(lambda: Draws(quantiles))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What is painted so far."""
        painted = {name: canvas.array for name, canvas in self._canvases.items()}
        return {name: array for name, array in painted.items() if array is not None}

    def add(self, tile: PredictedTile) -> None:
        """Take one more tile."""
        if tile.pixels is None:
            return
        if self._samples == 1:
            self._canvases[""].paint(tile.frame, tile.box, tile.pixels)
            return
        self._draws[tile.box].add(tile.pixels)
        if tile.sample == self._samples - 1:
            mean, std, quantiles = self._draws.pop(tile.box).spread()
            for canvas, pixels in zip(
                self._canvases.values(), (mean, std, *quantiles), strict=True
            ):
                canvas.paint(tile.frame, tile.box, pixels)


class Canvas:
    """A result, laid out like the target, that is painted part by part."""

    def __init__(self, codec: Codec, planes: LazyImage, before: Any = None) -> None:
        self._codec, self._layout = codec, codec.layout
        self._frame_shape = planes.frame_shape
        depth = (planes.depth,) if isinstance(planes, VolumeImage) else ()
        self._size = (*depth, planes.height, planes.width)
        self._before = before  # an earlier result, kept around what is painted now
        self.array: np.ndarray | None = None  # None until something is painted

    def paint(self, frame: int, box: Box, pixels: np.ndarray) -> None:
        """Paint a part of a frame, (C, h, w), or of a volume, (C, Z, h, w)."""
        # Labels take no booleans.
        pixels = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
        if self.array is None:
            self.array = self._start(len(pixels), pixels.dtype)
        part = self._view(frame)[..., box.rows, box.columns]
        if isinstance(self._codec, InstanceCodec) and self._before is not None:
            # Objects of an earlier part keep their numbers, and the new ones come after them.
            part[...] = 0
            last = int(self._view(frame).max())
            pixels = self._codec.as_target(np.where(pixels, pixels.astype(np.int64) + last, 0))
        dtype = np.promote_types(self.array.dtype, pixels.dtype)
        if dtype != self.array.dtype:
            self.array = self.array.astype(dtype)
            part = self._view(frame)[..., box.rows, box.columns]
        part[...] = pixels

    def _view(self, frame: int) -> np.ndarray:
        """Return a frame, (C, H, W), or a volume, (C, Z, H, W), to write into."""
        assert self.array is not None
        view, axis = self.array, self._layout.channel_axis
        before = -len(self._size) - 1
        view = (
            np.expand_dims(view, before)
            if axis is None
            else np.moveaxis(view, max(axis, -view.ndim), before)
        )
        whole: np.ndarray = view[tuple(np.unravel_index(frame, self._frame_shape))]
        return whole

    def _start(self, channels: int, dtype: np.dtype[Any]) -> np.ndarray:
        shape = [*self._frame_shape, *self._size]
        if self._layout.channel_axis is not None:
            ndim = len(shape) + 1
            shape.insert(max(self._layout.channel_axis, -ndim) + ndim, channels)
        before = self._before
        if before is not None and before.shape == tuple(shape):
            labels = isinstance(self._codec, InstanceCodec)  # whose dtype grows with their count
            if labels or before.dtype == dtype:
                return np.array(before)
        return np.zeros(shape, dtype)


def _for_viewer(options: PredictOptions, translator: Translator) -> PredictOptions:
    """Fill in what was left open: tiles that show progress, unless norms measure the image."""
    from napari_pix2pix.inference.devices import choose_device_of
    from napari_pix2pix.inference.networks import ExternalNetwork, measures_input

    tile, batch = options.tile, options.batch
    network = translator.generator
    has_own = isinstance(network, ExternalNetwork) and network.tile is not None
    if tile is None and not (has_own or measures_input(network, options.norm_statistics)):
        tile = tile_side(translator)
    if batch is None and choose_device_of(network, options.device).type == "cpu":
        batch = 1  # more at once are no faster there
    output = options.output if options.samples == 1 else "float"
    return options.model_copy(update={"tile": tile, "batch": batch, "output": output})


def _pixels(job: Job, grid: TileGrid, depth: int) -> int:
    """Count what is translated, in all planes: of a part all that its tiles cover."""
    whole = Box(0, grid.height, 0, grid.width)
    return len(job.frames) * depth * grid.rounded(job.region or whole).pixels
