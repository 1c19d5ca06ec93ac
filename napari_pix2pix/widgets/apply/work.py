"""The work of applying a model, done in a thread; it paints arrays and touches no layer."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.gray import takes_gray
from napari_pix2pix.data.inputs import check_finite, open_source_image
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.inference.options import CallOptions
from napari_pix2pix.inference.stochastic import sample_seed
from napari_pix2pix.inference.tiling import Box, TileGrid
from napari_pix2pix.inference.uncertainty import Draws
from napari_pix2pix.napari_layers import Snapshot, as_trained, planes_of
from napari_pix2pix.training.control import Control

if TYPE_CHECKING:
    from napari_pix2pix.inference.frames import FrameTranslator, Part
    from napari_pix2pix.translator import Translator
    from napari_pix2pix.widgets.common.known_models import ModelEntry

SPREAD = "mean", "deviation"  # what is shown of several samples
_WIDE = 128  # pixels of halo above which tiles are larger, so that it costs less
_SIDE = 128  # pixels of the image that speed is tried on, or the stride where it is more


@dataclass(frozen=True, eq=False)
class Job:
    """One image to be translated.

    Attributes
    ----------
    sources : list of Snapshot
        A layer, or several that are its channels.
    frames : list of int
        Which of its frames.
    region : Box or None
        The part that is translated; None for all of it.
    first : Box or None
        The part in view, done first.
    before : mapping of str to array
        By the hash of the model, and "", "mean" or "deviation": what it made of this image
        earlier, to be continued.
    """

    sources: list[Snapshot]
    frames: list[int]
    region: Box | None = None
    first: Box | None = None
    before: Mapping[tuple[str, str], Any] = field(default_factory=dict)

    def copied(self) -> Job:
        """Return the same with data that no one else can change; in any thread."""
        return replace(self, sources=[one.copied() for one in self.sources])

    def planes(self, codec: Codec, z_context: int) -> LazyImage:
        """Open the image as a model takes it, unread; raises `InputError` where it does not fit."""
        opened = planes_of(as_trained(self.sources, codec.layout), "image")
        gray = takes_gray(codec)
        return open_source_image(opened, codec.layout, codec.channels, z_context, gray=gray)


class Loaded(NamedTuple):
    """The model is in memory."""

    translator: Translator
    digest: str


class Progress(NamedTuple):
    """A job's array was painted in; it is another than before where its dtype had to grow.

    Attributes
    ----------
    job : int
        Which of the jobs.
    arrays : mapping of str to numpy.ndarray
        The results so far; nothing as long as there is nothing to see. "" is what was made, or of
        several samples "mean" and "deviation".
    done, total : int
        Pixels of all jobs.
    seconds : float
        Since the first tile was begun.
    """

    job: int
    arrays: Mapping[str, np.ndarray]
    done: int
    total: int
    seconds: float


class JobDone(NamedTuple):
    """A job is finished, or was stopped.

    Attributes
    ----------
    job : int
    complete : bool
    missing : bool
        Whether its source had pixels that are NaN or infinite.
    """

    job: int
    complete: bool
    missing: bool


class Speed(NamedTuple):
    """What a trial told: of a network on its device."""

    translator: Translator
    pixels_per_second: float
    bytes_per_pixel: float  # of a window


def load_known(known: ModelEntry) -> Translator:
    """Return the model, read from its file where it is not in memory."""
    if known.translator is not None:
        return known.translator
    from napari_pix2pix._load import load

    assert known.path is not None
    return load(known.path)


def apply_model(
    control: Control,
    known: ModelEntry,
    jobs: Sequence[Job],
    *,
    condition: Hashable = None,
    options: CallOptions,
) -> Generator[Any, None, None]:
    """Apply a model to images, and yield what happened.

    Parameters
    ----------
    control : Control
        Stops the work after the tile that is being done.
    known : KnownModel
    jobs : sequence of Job
    condition, options
        As a `Translator` is called with.

    Yields
    ------
    Loaded, Progress or JobDone
    """
    from napari_pix2pix.inference import calls
    from napari_pix2pix.inference.model import network_grid

    jobs = [job.copied() for job in jobs]
    translator = load_known(known)
    how = _how(options, translator)
    noise = translator.config.noise_channels
    calls.check_call(translator.generator, noise_channels=noise, **_checked(how))
    samples = how.pop("samples")
    yield Loaded(translator, translator.digest)
    own = translator.detached_copy()  # another dock may use the model meanwhile
    codec, z_context = translator.source_codec, translator.config.z_context
    opened = [job.planes(codec, z_context) for job in jobs]
    for planes in opened:
        check_finite(planes)
    grids = [
        TileGrid(one.height, one.width, **network_grid(translator.generator)) for one in opened
    ]
    total = samples * sum(map(_pixels, jobs, grids))
    began, before = time.perf_counter(), 0
    for number, (job, planes) in enumerate(zip(jobs, opened, strict=True)):
        layout, missing = translator.target_codec.layout, False
        canvases = {
            what: Canvas(layout, planes, job.before.get((translator.digest, what)))
            for what in (SPREAD if samples > 1 else ("",))
        }
        for frame in job.frames:
            done = 0
            parts = partial(
                own.iter_frame, planes, frame, condition, region=job.region, first=job.first
            )
            for part, done, results in _draw(parts, samples, how):
                missing = missing or part.missing
                for what, pixels in results.items():
                    canvases[what].paint(frame, part.box, pixels)
                so_far = before + done
                arrays = {k: one.array for k, one in canvases.items() if one.array is not None}
                yield Progress(number, arrays, so_far, total, time.perf_counter() - began)
                if control.stopped and (so_far < total or part.pixels is None):
                    yield JobDone(number, False, missing)
                    return
            before += done
        yield JobDone(number, True, missing)


def try_speed(known: ModelEntry, device: str | None) -> Speed:
    """Translate a small image to learn how fast a model is, and how much memory it takes."""
    from napari_pix2pix.inference.memory import estimate_bytes_per_pixel

    translator = load_known(known)
    own = translator.detached_copy()  # a run may begin meanwhile
    codec, network = own.source_codec, own.generator
    side = max(_SIDE, network.stride)  # no padding, which would be computed and not counted
    shape = (codec.channels, side, side)
    planes = LazyImage(np.zeros(shape, codec.dtype), channel_axis=0)
    condition = translator.conditions[0] if translator.conditions else None
    best = 0.0
    for _ in range(2):  # the first warms up
        began = time.perf_counter()
        parts = list(own.iter_frame(planes, 0, condition, device=device))
        best = max(best, parts[-1].done / (time.perf_counter() - began))
    least = max(2 * network.stride, network.least_size)
    bytes_per_pixel = estimate_bytes_per_pixel(network, network.in_channels, side=least)
    return Speed(translator, best, bytes_per_pixel)


def tile_side(translator: FrameTranslator) -> int:
    """Return the pixels of a tile: few, to see it come and to cancel soon; enough for its halo."""
    return 512 if translator.generator.halo <= _WIDE else 1024


def _draw(
    parts: Callable[..., Iterator[Part]], samples: int, how: dict[str, Any]
) -> Iterator[tuple[Part, int, dict[str, np.ndarray]]]:
    """Yield the parts of all samples of a frame, pixels done so far, and what is to be painted."""
    if samples == 1:
        for part in parts(**how):
            yield part, part.done, {} if part.pixels is None else {"": part.pixels}
        return
    draws: defaultdict[Box, Draws] = defaultdict(Draws)
    before = done = 0
    for number in range(samples):
        own = {**how, "output": "float", "seed": sample_seed(how["seed"], number)}
        for part in parts(**own):
            assert part.pixels is not None
            draws[part.box].add(part.pixels)
            results = {}
            if number == samples - 1:
                mean, std, _ = draws.pop(part.box).spread()
                results = dict(zip(SPREAD, (mean, std), strict=True))
            done = before + part.done
            yield part, done, results
        before = done


class Canvas:
    """A result, laid out like the target, that is painted part by part.

    Parameters
    ----------
    layout : Layout
        Where the target has its channels.
    planes : Planes
        The source.
    before : array, optional
        What was painted earlier and is kept around what is painted now, where it has the shape.

    Attributes
    ----------
    array : numpy.ndarray or None
        None as long as nothing was painted. Booleans are kept as uint8, as Labels need them.
    """

    def __init__(self, layout: Layout, planes: LazyImage, before: Any = None) -> None:
        self._layout = layout
        self._frame_shape = planes.frame_shape
        self._size = (planes.height, planes.width)
        self._before = before
        self.array: np.ndarray | None = None

    def paint(self, frame: int, box: Box, pixels: np.ndarray) -> None:
        """Paint a part of a frame, (C, h, w)."""
        kept = np.uint8 if pixels.dtype == bool else pixels.dtype
        if self.array is None:
            self.array = self._start(len(pixels), np.dtype(kept))
        dtype = np.promote_types(self.array.dtype, kept)
        if dtype != self.array.dtype:
            self.array = self.array.astype(dtype)
        view = self.array
        if self._layout.channel_axis is not None:
            view = np.moveaxis(view, max(self._layout.channel_axis, -view.ndim), -3)
        else:
            view = view[..., np.newaxis, :, :]
        index: list[Any] = [int(i) for i in np.unravel_index(frame, self._frame_shape)]
        view[(*index, slice(None), box.rows, box.columns)] = pixels

    def _start(self, channels: int, dtype: np.dtype[Any]) -> np.ndarray:
        shape = [*self._frame_shape, *self._size]
        if self._layout.channel_axis is not None:
            ndim = len(shape) + 1
            shape.insert(max(self._layout.channel_axis, -ndim) + ndim, channels)
        before = self._before
        if before is not None and before.shape == tuple(shape) and before.dtype == dtype:
            return np.array(before)
        return np.zeros(shape, dtype)


def _how(options: CallOptions, translator: Translator) -> dict[str, Any]:
    """Fill in what was left open: tiles that show progress, where the image is not measured."""
    from napari_pix2pix.inference.devices import choose_device
    from napari_pix2pix.inference.norm_statistics import norms_that_measure

    how = options.model_dump()
    how["seed"] = how["seed"] or 0
    measures = norms_that_measure(translator.generator, how["statistics"])
    if how["tile"] is None and not measures:
        how["tile"] = tile_side(translator)
    if how["batch"] is None and choose_device(how["device"] or "auto").type == "cpu":
        how["batch"] = 1  # more at once are no faster there
    return how


def _checked(how: Mapping[str, Any]) -> dict[str, Any]:
    names = ("samples", "seed", "tile", "batch", "dropout", "statistics", "precision")
    return {name: how[name] for name in (*names, "output")}


def _pixels(job: Job, grid: TileGrid) -> int:
    """Count what is translated: of a part all that its tiles cover."""
    whole = Box(0, grid.height, 0, grid.width)
    return len(job.frames) * grid.rounded(job.region or whole).pixels
