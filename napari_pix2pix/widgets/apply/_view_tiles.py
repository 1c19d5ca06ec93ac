"""Layers too large for memory: only the tiles in view are translated, and kept."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_pix2pix.data.lazy_array import LazyArray, TakenChannels
from napari_pix2pix.inference.memory_limits import available_memory
from napari_pix2pix.napari_layers import KEY
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.apply._request import frames_in_view, view_of, why_whole
from napari_pix2pix.widgets.apply._tile_store import TileKey, TileStore
from napari_pix2pix.widgets.apply.work import load_known, tile_side
from napari_pix2pix.widgets.common.layer_choice import insert_inactive
from napari_pix2pix.widgets.common.layer_order import index_on_top, move_view_to
from napari_pix2pix.widgets.common.result_layers import ResultSpec
from napari_pix2pix.widgets.common.runner import Runner, in_a_sentence
from napari_pix2pix.widgets.common.settings import in_bytes

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.data.lazy_image import LazyImage
    from napari_pix2pix.translator import Translator
    from napari_pix2pix.widgets.apply._request import ApplyRequest

_TOO_LARGE = "{name!r} is too large for the memory as a whole: its tiles"
_OPENED = (
    "{what} are translated where you look, and kept; what is saved or measured is translated then. "
    "For all of it: napari-pix2pix apply."
)
_IN_VIEW = (
    "What is in view of {name!r} is translated tile by tile and kept, since a layer of all of it "
    "would take {size} of memory. Apply fills in another part."
)
_MOST_WHOLE = 2**28  # bytes of a result that is made as a whole for a part of it alone
_SHARE = 0.25  # of the free memory: a result that would take more is not made as a whole
_WAIT = 50  # milliseconds after the view moved
_IDLE = 0.2  # seconds between two checks whether to stop


def is_followed(request: ApplyRequest, planes: Sequence[LazyImage]) -> bool:
    """Whether tiles are translated and kept one by one: on request, or of too large a result.

    That is a lazy source whose result would take much of the memory, or a part of a large result.
    """
    if request.follows_view:
        return True
    in_parts = not why_whole(request.card, request.options, replaces=request.replaces)
    size = _result_size(request, planes)
    if any(job.region is not None for job in request.jobs):
        return in_parts and size > _MOST_WHOLE
    lazy = all(
        type(source.data) is not np.ndarray for job in request.jobs for source in job.sources
    )  # a memory map is lazy
    return in_parts and lazy and size > _SHARE * available_memory()


def why_memory_of_whole(request: ApplyRequest, planes: Sequence[LazyImage]) -> str:
    """Say why a part of a large result takes memory for all of it; "" where it does not."""
    of_part = any(job.region is not None for job in request.jobs)
    if not of_part or _result_size(request, planes) <= _MOST_WHOLE:
        return ""
    why = why_whole(request.card, request.options, replaces=request.replaces)
    return f"The layer of the result has all pixels, not only those in view. {why}" if why else ""


def _result_size(request: ApplyRequest, planes: Sequence[LazyImage]) -> int:
    """Return the bytes that whole results would take."""
    codec = request.card.output_codec(planes[0].dtype)
    pixels = sum(image.frames * image.depth * image.height * image.width for image in planes)
    return pixels * max(1, len(codec.data_range)) * int(np.dtype(codec.dtype).itemsize)


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
    """Translates the tiles of a layer that are in view, once or from now on."""

    # a sentence, and whether it is an error: the layer is there, or tiles can't be translated
    message = Signal(str, bool)
    gone = Signal(object)  # this object, when its layer was removed
    added = Signal(object)  # its layers, now that they are in the viewer

    def __init__(
        self, viewer: napari.viewer.Viewer, request: ApplyRequest, number: int, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._request, self._number = viewer, request, number
        self._queue = TileQueue()
        self._store: TileStore | None = None
        self.layers: list[Any] = []  # one, or one for each channel
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_WAIT)
        self._later.timeout.connect(self._ask_for_tiles)
        self._runner = Runner(self, latest=(TileDone,))
        self._runner.reported.connect(self._take)
        self._runner.failed.connect(self._on_failed)
        # A part that was asked for is translated once; else the view is followed.
        self._is_part = request.jobs[number].region is not None
        queue = self._queue
        self._runner.start(lambda control: follow(control, request, number, queue))

    @property
    def layer(self) -> Any:
        """The first layer; None before it is there."""
        return self.layers[0] if self.layers else None

    @property
    def running(self) -> bool:
        """Whether tiles are still translated."""
        return self._runner.running

    def takes(self, request: ApplyRequest, number: int) -> bool:
        """Whether a part that is asked for belongs to this layer, and is translated here."""
        own = self._request
        is_same = (
            self._is_part
            and request.jobs[number].region is not None
            and own.sources[self._number] is request.sources[number]
            and own.model.is_same(request.model)
            and (own.model.weights, own.options) == (request.model.weights, request.options)
            and bool(self._present)
        )
        if is_same:
            self._request, self._number = request, number
            self._ask_for_tiles()
            self._tell()
        return is_same

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
        else:
            for layer in self._present:
                layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _show(self, event: Opened) -> None:
        self._store = event.store
        layers = self._viewer.layers
        for made in self._request.result_specs(self._number, "", event.digest):
            layer = _layer(made, event.store)
            self.layers.append(layer)
            insert_inactive(layers, index_on_top(layers, layer, made.source), layer)
        self.added.emit(self.layers)
        move_view_to(self._viewer, self.layer)
        for emitter in self._emitters():
            emitter.connect(self._ask_soon)
        self._ask_for_tiles()
        self._tell()

    def _tell(self) -> None:
        name = self._request.sources[self._number].name
        if self._is_part:
            data = self.layer.data[0] if self.layer.multiscale else self.layer.data
            size = in_bytes(data.size * data.dtype.itemsize * len(self.layers))
            self.message.emit(_IN_VIEW.format(name=name, size=size), False)
            return
        asked = self._request.follows_view
        what = ("Tiles of {name!r}" if asked else _TOO_LARGE).format(name=name)
        self.message.emit(_OPENED.format(what=what), False)

    def _on_failed(self, sentence: str) -> None:
        self.message.emit(sentence, True)

    def _emitters(self) -> list[Any]:
        if self.layer is None:
            return []
        viewer, dims = self._viewer, self._viewer.dims
        gone = viewer.layers.events.removed
        if self._is_part:
            return [gone]
        own = [layer.events.visible for layer in self.layers] + [gone]
        return [viewer.scene.camera.events, dims.events.current_step, dims.events.ndisplay, *own]

    @property
    def _present(self) -> list[Any]:
        return [layer for layer in self.layers if layer in self._viewer.layers]

    def _ask_soon(self, _event: Any = None) -> None:
        if not self._is_part or not self._present:  # of a part, only that its layer is gone
            self._later.start()

    def _ask_for_tiles(self) -> None:
        """Ask for the tiles in view, and no longer for those that left it."""
        if self._store is None:
            return
        present = self._present
        if not present:
            self.close()
            self.gone.emit(self)
            return
        keys: list[TileKey] = []
        job = self._request.jobs[self._number]
        if job.region is not None:
            keys = self._store.around(job.frames, job.region)
        elif any(layer.visible for layer in present):
            layer, card = present[0], self._request.card
            axis = 0 if card.target_codec.layout.channel_axis is not None else None
            axis = None if getattr(layer, "rgb", False) or card.splits_output else axis
            shape = layer.data[0].shape if layer.multiscale else layer.data.shape
            frames = shape[(axis is not None) : layer.ndim - 2]
            channel = None if axis is None else -layer.ndim
            seen = frames_in_view(self._viewer, layer, channel, frames)
            keys = self._store.around(seen, view_of(self._viewer, layer))
        self._store.use(keys)
        self._queue.set([key for key in keys if key not in self._store])


class Followers(QObject):
    """All layers of a dock of which only tiles in view are translated."""

    message = Signal(str, bool)  # a sentence, and whether it is an error
    added = Signal(object)  # layers that are in the viewer now

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.all: list[ViewportTranslator] = []

    def begin(self, request: ApplyRequest) -> None:
        """Begin with each job of a request."""
        for number in range(len(request.sources)):
            if any(follower.takes(request, number) for follower in self.all):
                continue
            follower = ViewportTranslator(self._viewer, request, number, self)
            follower.message.connect(self.message)
            follower.gone.connect(self._forget)
            follower.added.connect(self.added)
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

    levels: list[LazyArray] = list(store.levels)
    if made.channel is not None:
        levels = [TakenChannels(level, 0, made.channel) for level in levels]
    keywords: dict[str, Any] = {
        "data": levels if len(levels) > 1 else levels[0],
        "multiscale": len(levels) > 1,
        "name": f"{made.name} (where looked at)",
        "metadata": {f"{KEY}-followed": made.record},
        **made.place.keywords(),
    }
    if made.codec.kind != "image":
        return Labels(**keywords)
    # Tiles that are missing are 0: blended additively, they let the source show.
    keywords |= made.look | {"rgb": made.codec.layout.rgb, "blending": "additive"}
    return Image(**keywords)
