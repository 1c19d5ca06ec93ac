"""Layers too large for memory: only the tiles in view are translated, and kept."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil
from qtpy.QtCore import QObject, QTimer, Signal

from napari_pix2pix.napari_layers import KEY
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.apply._request import frames_in_view, view_of
from napari_pix2pix.widgets.apply._tile_store import TileKey, TileStore
from napari_pix2pix.widgets.apply.work import load_known, tile_side
from napari_pix2pix.widgets.common.result_layers import ResultSpec
from napari_pix2pix.widgets.common.runner import Runner, in_a_sentence

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.data.lazy_image import LazyImage
    from napari_pix2pix.translator import Translator
    from napari_pix2pix.widgets.apply._request import ApplyRequest

_OPENED = (
    "{name!r} is too large for the memory as a whole: its tiles are translated where you look, and "
    "kept; what is saved or measured is translated then. For all of it: napari-pix2pix apply."
)
_SHARE = 0.25  # of the free memory: a result that would take more is not made as a whole
_WAIT = 50  # milliseconds after the view moved
_IDLE = 0.2  # seconds between two checks whether to stop


def is_followed(request: ApplyRequest, planes: Sequence[LazyImage]) -> bool:
    """Whether only tiles in view are translated: lazy sources whose results are too large."""
    codec, options = request.card.output_codec(planes[0].dtype), request.options
    in_parts = request.card.config.norm in ("batch", "none")
    in_parts = in_parts and request.card.config.ndim == 2  # a tile of a volume holds all planes
    in_parts = in_parts and options.norm_statistics == "running"
    in_parts = in_parts and codec.kind != "instances" and options.samples == 1
    whole = all(job.region is None for job in request.jobs) and not request.replaces
    lazy = all(
        type(source.data) is not np.ndarray for job in request.jobs for source in job.sources
    )  # a memory map is lazy
    channels = max(1, len(codec.data_range))
    pixels = sum(image.frames * image.height * image.width for image in planes)
    large = pixels * channels * _itemsize(codec) > _SHARE * psutil.virtual_memory().available
    return in_parts and whole and lazy and large


class TileQueue:
    """The tiles that are wanted, set by one thread and taken by another."""

    def __init__(self) -> None:
        self._keys: list[TileKey] = []
        self._changed = threading.Condition()

    def set(self, keys: Sequence[TileKey]) -> None:
        """Replace the tiles that are wanted, in this order."""
        with self._changed:
            self._keys = list(keys)
            self._changed.notify()

    def take(self, seconds: float) -> TileKey | None:
        """Wait for the next one; None after some seconds without any."""
        with self._changed:
            self._changed.wait_for(lambda: self._keys, seconds)
            return self._keys.pop(0) if self._keys else None


class Opened(NamedTuple):
    """The model is in memory, and the image is open."""

    translator: Translator
    digest: str
    store: TileStore


class TileDone(NamedTuple):
    """A tile is translated."""

    key: TileKey


class TileFailed(NamedTuple):
    """A tile can't be translated, and why."""

    sentence: str


def follow(
    control: Control, request: ApplyRequest, number: int, queue: TileQueue
) -> Generator[Opened | TileDone | TileFailed, None, None]:
    """Translate the tiles of job ``number`` that are wanted, until it is stopped."""
    read = load_known(request.model)
    translator = request.model.with_its_weights(read)
    digest, own, codec = translator.digest, translator.detached_copy(), translator.source_codec
    planes = request.jobs[number].planes(codec, translator.z_context, translator.ndim)
    pixel = translator.part_like(planes, request.options.output)
    options = request.options
    store = TileStore(
        planes.frame_shape,
        planes.height,
        planes.width,
        layout=translator.target_codec.layout,
        channels=len(pixel),
        dtype=pixel.dtype,
        make=lambda frame, box: own.predict_region(planes, frame, box, options),
        side=tile_side(own),
    )
    yield Opened(read, digest, store)
    while not control.stopped:
        key = queue.take(_IDLE)
        if key is None or key in store:
            continue
        try:
            store.add(key)
        except Exception as error:  # of a chunk that can't be read: the others may be
            yield TileFailed(in_a_sentence(error))
        else:
            yield TileDone(key)


class ViewportTranslator(QObject):
    """Translates the tiles of a layer that are in view."""

    # a sentence, and whether it is an error: the layer is there, or tiles can't be translated
    message = Signal(str, bool)
    gone = Signal(object)  # this object, when its layer was removed

    def __init__(
        self, viewer: napari.viewer.Viewer, request: ApplyRequest, number: int, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._request, self._number = viewer, request, number
        self._queue = TileQueue()
        self._store: TileStore | None = None
        self.layer: Any = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_WAIT)
        self._later.timeout.connect(self._ask_for_tiles)
        self._runner = Runner(self, latest=(TileDone,))
        self._runner.reported.connect(self._take)
        self._runner.failed.connect(self._on_failed)
        queue = self._queue
        self._runner.start(lambda control: follow(control, request, number, queue))

    @property
    def running(self) -> bool:
        """Whether tiles are still translated."""
        return self._runner.running

    def close(self) -> None:
        """Stop; what is there stays."""
        self._later.stop()
        for emitter in self._emitters():
            emitter.disconnect(self._ask_soon)
        self._runner.close()

    def _take(self, event: Any) -> None:
        if isinstance(event, Opened):
            self._show(event)
        elif isinstance(event, TileFailed):
            self._on_failed(event.sentence)
        elif self.layer in self._viewer.layers:
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _show(self, event: Opened) -> None:
        made = self._request.result_spec(self._number, "", event.digest)
        self._store = event.store
        self.layer = _layer(made, event.store)
        layers = self._viewer.layers
        index = layers.index(made.source) + 1 if made.source in layers else len(layers)
        chosen = layers.selection.active
        layers.insert(index, self.layer)
        layers.selection.active = chosen  # the next run translates the source, not its result
        for emitter in self._emitters():
            emitter.connect(self._ask_soon)
        self._ask_for_tiles()
        source = self._request.sources[self._number]
        self.message.emit(_OPENED.format(name=source.name), False)

    def _on_failed(self, sentence: str) -> None:
        self.message.emit(sentence, True)

    def _emitters(self) -> list[Any]:
        if self.layer is None:
            return []
        viewer, dims = self._viewer, self._viewer.dims
        own = [self.layer.events.visible, viewer.layers.events.removed]
        return [viewer.scene.camera.events, dims.events.current_step, dims.events.ndisplay, *own]

    def _ask_soon(self, _event: Any = None) -> None:
        self._later.start()

    def _ask_for_tiles(self) -> None:
        """Ask for the tiles in view, and no longer for those that left it."""
        if self._store is None:
            return
        if self.layer not in self._viewer.layers:
            self.close()
            self.gone.emit(self)
            return
        keys: list[TileKey] = []
        if self.layer.visible:
            axis = 0 if self._request.card.target_codec.layout.channel_axis is not None else None
            axis = None if getattr(self.layer, "rgb", False) else axis
            shape = self.layer.data[0].shape if self.layer.multiscale else self.layer.data.shape
            frames = shape[(axis is not None) : self.layer.ndim - 2]
            channel = None if axis is None else -self.layer.ndim
            seen = frames_in_view(self._viewer, self.layer, channel, frames)
            keys = self._store.around(seen, view_of(self._viewer, self.layer))
        self._store.use(keys)
        self._queue.set([key for key in keys if key not in self._store])


class Followers(QObject):
    """All layers of a dock of which only tiles in view are translated."""

    message = Signal(str, bool)  # a sentence, and whether it is an error

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.all: list[ViewportTranslator] = []

    def begin(self, request: ApplyRequest) -> None:
        """Begin with each job of a request."""
        for number in range(len(request.sources)):
            follower = ViewportTranslator(self._viewer, request, number, self)
            follower.message.connect(self.message)
            follower.gone.connect(self._forget)
            self.all.append(follower)

    def close(self) -> None:
        """Stop all; what is there stays."""
        for follower in self.all:
            follower.close()

    def _forget(self, follower: ViewportTranslator) -> None:
        """Free the tiles of a layer that was removed."""
        self.all.remove(follower)
        follower.deleteLater()


def _layer(made: ResultSpec, store: TileStore) -> Any:
    from napari.layers import Image, Labels

    levels = list(store.levels)
    keywords: dict[str, Any] = {
        "data": levels if len(levels) > 1 else levels[0],
        "multiscale": len(levels) > 1,
        "name": f"{made.name} (where looked at)",
        "metadata": {f"{KEY}-followed": made.record},
        **made.place.keywords(),
    }
    if made.codec.kind != "image":
        return Labels(**keywords)
    rgb = made.codec.layout.rgb
    # Tiles that are missing are 0: blended additively, they let the source show.
    return Image(rgb=rgb, blending="additive", **made.look, **keywords)


def _itemsize(codec: Any) -> int:
    return np.dtype(codec.dtype).itemsize
