"""Checks while model and layers are chosen: do they fit, how long will it take, how much memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.inputs import check_input, dtype_note, names_note
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.resampled import pixel_size_note, plane_distance_note, resample_image
from napari_pix2pix.inference.tiling import TileGrid
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply.work import Job, Speed, tile_side, try_speed
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.runner import LatestOnly
from napari_pix2pix.widgets.common.settings import in_bytes, in_time_units

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


class InputCheck(QObject):
    """Checks in a thread whether images are like those that a model was trained on.

    Only the newest choice is checked, and the same choice only once.
    """

    # What is unusual about the newest choice, as sentences; empty if nothing is.
    found = Signal(str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._seen: tuple[object, ...] = ()
        self._latest = LatestOnly(self)
        self._latest.finished.connect(self._on_finished)

    def check(self, card: ModelInfo, images: Sequence[LazyImage], options: PredictOptions) -> None:
        """Check images for a model that is applied with these options."""
        arrays = (_identity(member.array) for image in images for member in image.members)
        stated = tuple((image.pixel_size, image.channel_names) for image in images)
        sizes = options.pixel_size, options.plane_distance
        seen = (card, options.resample, *sizes, stated, *arrays)
        if seen != self._seen:
            self._seen, images = seen, tuple(images)
            self._latest.start(lambda _control: _unusual(card, images, options))

    def forget(self) -> None:
        """Drop the last check, and repeat it when the same is chosen again."""
        self._seen = ()
        self._latest.cancel()

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self._latest.close()

    def _on_finished(self, sentences: str) -> None:
        self.found.emit(sentences)


def _identity(array: Any) -> object:
    """Return what tells an array's data from others'; images are opened again, their data not."""
    interface = getattr(array, "__array_interface__", None)
    where = id(array) if interface is None else interface["data"]
    return where, array.shape, str(array.dtype)


def sizes_differ(card: ModelInfo, image: LazyImage, options: PredictOptions) -> str:
    """Say that an image's pixels are not as large as the training's; "" if it is resampled."""
    return pixel_size_note(image, options, card.made_for.pixel_size)


def _unusual(card: ModelInfo, images: Sequence[LazyImage], options: PredictOptions) -> str:
    codecs = card.source_codec, card.target_codec
    sentences = [sizes_differ(card, image, options) for image in images]
    seen = card.made_for.pixel_size, card.config.z_context, card.config.ndim
    sentences += [plane_distance_note(image, options, *seen) for image in images]
    sentences += [names_note(image.channel_names, card.source_channels) for image in images]
    sentences += [dtype_note(card.source_codec, image.dtype) for image in images]
    sentences += [image.note for image in images]
    sentences += [check_input(image, *codecs, card.intensities) for image in images]
    return " ".join(dict.fromkeys(filter(None, sentences)))


_ENCODING = 1 / 3  # of the work is done on the halo too, about


def estimate(
    card: ModelInfo,
    jobs: Sequence[Job],
    planes: Sequence[LazyImage],
    options: PredictOptions,
    *,
    measured: float | None,  # pixels per second and pass of the last run
    trial: Speed | None,
    tile: int | None,  # its side in pixels; 0 if the network takes whole images
    quantiles: int = 0,  # how many are layers, beside mean and deviation
    in_tiles: bool = False,  # whether memory is taken for the tiles of a part alone
) -> str:
    """Describe what a run will cost, such as "4.2 Mpx, about 12 s; results 8.4 MB"."""
    pairs = list(zip(jobs, planes, strict=True))
    seen = [_as_computed(card, image, options) for image in planes]
    pixels = [
        len(job.frames) * (image.depth * job.region.pixels if job.region else _pixels(image))
        for job, image in pairs
    ]
    results = sum(
        (count if in_tiles else image.frames * _pixels(image))
        * _bytes_per_pixel(card.output_codec(image.dtype), options.samples, quantiles)
        for count, image in zip(pixels, planes, strict=True)
    )
    total = sum(pixels)
    text = f"{total / 1e6:.2g} Mpx" if total < 1e7 else f"{total / 1e6:.0f} Mpx"
    grids = [] if trial is None else [_grid(trial.translator, image, tile) for image in seen]
    computed = [
        count * _pixels(there) / _pixels(image)
        for count, image, there in zip(pixels, planes, seen, strict=True)
    ]
    seconds = None
    if measured:
        seconds = sum(computed) / measured
    elif trial is not None:
        work = sum(count * _cost(grid) for count, grid in zip(computed, grids, strict=True))
        seconds = work / trial.pixels_per_second
    if seconds is not None:
        text += f", about {in_time_units(options.passes * seconds)}"
    text += f"; results {in_bytes(results)}"
    if trial is not None:
        from napari_pix2pix.inference.depth import planes_at_once  # torch is loaded by now

        network = trial.translator.generator
        window = max(
            prod(grid.window) * planes_at_once(network, image.depth, tile)
            for grid, image in zip(grids, seen, strict=True)
        )
        text += f", network about {in_bytes(window * trial.bytes_per_pixel)}"
    return f"{text}."


def _as_computed(card: ModelInfo, image: LazyImage, options: PredictOptions) -> LazyImage:
    """Return an image as the network sees it: resampled, where the options say so."""
    if not options.resample:
        return image
    return resample_image(image, options, card.made_for.pixel_size, card.source_codec)


def _pixels(image: LazyImage) -> int:
    """Count the pixels of a frame, or of all planes of a volume."""
    return image.depth * image.height * image.width


def _bytes_per_pixel(codec: Codec, samples: int, quantiles: int) -> int:
    whole = np.dtype(codec.dtype).itemsize if samples == 1 else 4 * (2 + quantiles)
    return codec.channels * whole


def _grid(translator: Translator, planes: LazyImage, tile: int | None) -> TileGrid:
    side = tile_side(translator) if tile is None else tile
    return TileGrid.of_network(translator.generator, planes.height, planes.width, side)


def _cost(grid: TileGrid) -> float:
    """Return the work for a pixel in tiles, as a multiple of the work in the whole image."""
    if grid.whole:
        return 1.0
    kept = min(grid.side, grid.height) * min(grid.side, grid.width)
    return 1 + _ENCODING * (prod(grid.window) / kept - 1)


class SpeedTrial(QObject):
    """Measures in a thread how fast models are, one after another, and remembers it."""

    found = Signal()  # a trial is over

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._speeds: WeakKeyDictionary[Translator, Speed] = WeakKeyDictionary()
        self._newest: ModelEntry | None = None
        self._latest = LatestOnly(self, keep_old=True)
        self._latest.finished.connect(self._take)

    def speed(self, model: ModelEntry) -> Speed | None:
        """Return the speed of a model; None before its trial."""
        return None if model.translator is None else self._speeds.get(model.translator)

    def begin(self, model: ModelEntry, device: str | None) -> None:
        """Try a model once; one that is read from its file for that is then known to all docks."""
        if self.speed(model) is None and model is not self._newest:
            self._newest = model
            self._latest.start(lambda _control: (model, try_speed(model, device)))

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self._latest.close()

    def _take(self, result: tuple[ModelEntry, Speed]) -> None:
        model, speed = result
        self._speeds[speed.translator] = speed
        if model.translator is None:
            models().remember_read(speed.translator, model)
        self.found.emit()
