"""Looks in a thread whether chosen images are such as their model was trained on.

How long applying will take and how much memory, from what is known so far.

How fast models are: tried in a thread when they are chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.input_check import check_input
from napari_pix2pix.data.inputs import dtype_note
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.inference.tiling import TileGrid
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply.work import Job, Speed, tile_side, try_speed
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import in_time_units

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


class InputCheck(QObject):
    """Always looks at the newest choice; the same choice is looked at once.

    Parameters
    ----------
    parent : QObject

    Attributes
    ----------
    found : Signal(str)
        What is odd about the newest choice, as sentences; empty where nothing is.
    """

    found = Signal(str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._wanted: tuple[ModelInfo, tuple[LazyImage, ...]] | None = None
        self._seen: tuple[object, ...] = ()
        self._runner = Runner(self)
        self._runner.finished.connect(self._on_finished)
        self._runner.ended.connect(self._begin)

    def look(self, card: ModelInfo, images: Sequence[LazyImage]) -> None:
        """Look at images for a model."""
        seen = (card, *(_place(one.array) for image in images for one in image.members))
        if seen == self._seen:
            return
        self._seen, self._wanted = seen, (card, tuple(images))
        if not self._runner.running:
            self._begin()

    def forget(self) -> None:
        """Say nothing of what was looked at, and look at it again when it is chosen again."""
        self._seen, self._wanted = (), None
        self._runner.stop()

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self._wanted = None
        self._runner.close()

    def _begin(self) -> None:
        if self._wanted is not None:
            (card, images), self._wanted = self._wanted, None
            seen = self._seen
            self._runner.start(lambda _control: (seen, _odd(card, images)))

    def _on_finished(self, told: tuple[tuple[object, ...], str]) -> None:
        seen, said = told
        if seen == self._seen:
            self.found.emit(said)


def _place(array: Any) -> object:
    """Return what another array differs in; images are opened anew, and their data are not."""
    interface = getattr(array, "__array_interface__", None)
    where = id(array) if interface is None else interface["data"]
    return where, array.shape, str(array.dtype)


def _odd(card: ModelInfo, images: Sequence[LazyImage]) -> str:
    codecs = card.source_codec, card.target_codec
    said = [dtype_note(card.source_codec, image.dtype) for image in images]
    said += [check_input(image, *codecs, card.intensities) for image in images]
    return " ".join(dict.fromkeys(filter(None, said)))


_ENCODING = 1 / 3  # of the work, about: what is done on the halo too


def estimate(
    card: ModelInfo,
    jobs: Sequence[Job],
    planes: Sequence[LazyImage],
    *,
    measured: float | None,
    trial: Speed | None,
    tile: int | None,
    samples: int = 1,
) -> str:
    """Say what a run will cost.

    Parameters
    ----------
    card : ModelInfo
    jobs : sequence of Job
    planes : sequence of Planes
        The jobs' images.
    measured : float, optional
        Pixels per second of the last run.
    trial : Speed, optional
        What a trial told.
    tile : int, optional
        Side of the tiles in pixels; 0 where images go through the network as a whole.
    samples : int
        How often they do; of several, mean and deviation are kept as float32.

    Returns
    -------
    str
        Such as "4.2 Mpx, about 12 s; results 8.4 MB, network about 600 MB."
    """
    pairs = list(zip(jobs, planes, strict=True))
    pixels = [
        len(job.frames) * (job.region.pixels if job.region else one.height * one.width)
        for job, one in pairs
    ]
    results = sum(
        image.frames
        * image.height
        * image.width
        * _bytes_per_pixel(card.output_codec(image.dtype), samples)
        for image in planes
    )
    total = sum(pixels)
    said = f"{total / 1e6:.2g} Mpx" if total < 1e7 else f"{total / 1e6:.0f} Mpx"
    grids = [] if trial is None else [_grid(trial.translator, one, tile) for one in planes]
    seconds = None
    if measured:
        seconds = total / measured
    elif trial is not None:
        work = sum(count * _cost(grid) for count, grid in zip(pixels, grids, strict=True))
        seconds = work / trial.pixels_per_second
    if seconds is not None:
        said += f", about {in_time_units(samples * seconds)}"
    said += f"; results {in_bytes(results)}"
    if trial is not None:
        window = max(prod(grid.window) for grid in grids)
        said += f", network about {in_bytes(window * trial.bytes_per_pixel)}"
    return f"{said}."


def in_bytes(count: float) -> str:
    """Say a size in memory.

    Examples
    --------
    >>> in_bytes(3_400_000), in_bytes(2.5e9)
    ('3.4 MB', '2.5 GB')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count < 1e7 else f"{count / 1e6:.0f} MB"


def _bytes_per_pixel(codec: Codec, samples: int) -> int:
    return codec.channels * (np.dtype(codec.dtype).itemsize if samples == 1 else 8)


def _grid(translator: Translator, planes: LazyImage, tile: int | None) -> TileGrid:
    from napari_pix2pix.inference.model import network_grid

    side = tile_side(translator) if tile is None else tile
    return TileGrid(planes.height, planes.width, tile=side, **network_grid(translator.generator))


def _cost(grid: TileGrid) -> float:
    """Return the work for a pixel in tiles, as a multiple of that in the whole."""
    if grid.whole:
        return 1.0
    kept = min(grid.side, grid.height) * min(grid.side, grid.width)
    return 1 + _ENCODING * (prod(grid.window) / kept - 1)


class SpeedTrial(QObject):
    """Tries one model after another, and remembers what it found.

    Parameters
    ----------
    parent : QObject

    Attributes
    ----------
    found : Signal()
        A trial is over.
    """

    found = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._speeds: WeakKeyDictionary[Translator, Speed] = WeakKeyDictionary()
        self._next: tuple[ModelEntry, str | None] | None = None
        self._runner = Runner(self)
        self._runner.finished.connect(self._take)
        self._runner.ended.connect(self._go_on)

    @property
    def running(self) -> bool:
        """Whether a model is being tried."""
        return self._runner.running

    def speed(self, model: ModelEntry) -> Speed | None:
        """Return what is known of a model; None before its trial."""
        return None if model.translator is None else self._speeds.get(model.translator)

    def begin(self, model: ModelEntry, device: str | None) -> None:
        """Try a model that was not tried yet, after the one that is being tried.

        A model that is not in memory is read from its file, and then known to all docks.
        """
        self._next = model, device
        if not self.running:
            self._go_on()

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self._next = None
        self._runner.close()

    def _go_on(self) -> None:
        if self._next is None:
            return
        (model, device), self._next = self._next, None
        if self.speed(model) is None:
            self._runner.start(lambda _control: (model, try_speed(model, device)))

    def _take(self, told: tuple[ModelEntry, Speed]) -> None:
        model, speed = told
        self._speeds[speed.translator] = speed
        if model.translator is None:
            models().remember_read(speed.translator, model)
        self.found.emit()
