"""Layers too large for memory: only the tiles in view are translated, and kept."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil
from qtpy.QtCore import QObject, QTimer, Signal

from napari_pix2pix.napari_layers import KEY
from napari_pix2pix.napari_layers.results import trained_look
from napari_pix2pix.training.control import Control
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
_IDLE = 0.2  # seconds between two looks at whether to stop


def is_followed(order: ApplyRequest, planes: Sequence[LazyImage]) -> bool:
    """Whether results are translated where they are looked at.

    Parameters
    ----------
    order : Order
    planes : sequence of Planes
        The image of each job.

    Returns
    -------
    bool
        True for sources that are read lazily and whose results would take more than a quarter of
        the free memory, where the model can translate parts alone.
    """
    codec, options = order.card.output_codec(planes[0].dtype), order.options
    apart = order.card.config.norm in ("batch", "none") and options.statistics == "stored"
    apart = apart and codec.kind != "instances" and options.samples == 1
    wanted = all(job.region is None for job in order.jobs) and not order.replaces
    lazy = all(
        type(one.data) is not np.ndarray for job in order.jobs for one in job.sources
    )  # a memory map is lazy
    channels = max(1, len(codec.data_range))
    pixels = sum(one.frames * one.height * one.width for one in planes)
    large = pixels * channels * _itemsize(codec) > _SHARE * psutil.virtual_memory().available
    return apart and wanted and lazy and large


class TileQueue:
    """Which tiles are wanted, told by one thread and taken by another."""

    def __init__(self) -> None:
        self._keys: list[TileKey] = []
        self._changed = threading.Condition()

    def set(self, keys: Sequence[TileKey]) -> None:
        """Want these, in this order, and no others any more."""
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


class Painted(NamedTuple):
    """A tile is done."""

    key: TileKey


class Unread(NamedTuple):
    """A tile can't be made, and why."""

    sentence: str


def follow(
    control: Control, order: ApplyRequest, number: int, wishes: TileQueue
) -> Generator[Any, None, None]:
    """Translate the tiles of a job that are wanted, until it is stopped.

    Parameters
    ----------
    control : Control
    order : Order
    number : int
        Which of its jobs.
    wishes : Wishes

    Yields
    ------
    Opened, Painted or Unread
    """
    translator, condition = load_known(order.model), order.condition
    digest, own, codec = translator.digest, translator.detached_copy(), translator.source_codec
    planes = order.jobs[number].planes(codec, translator.config.z_context)
    pixel = translator.for_dtypes(planes.dtype).target_like(order.options.output)
    names = ("tile", "batch", "device", "dropout", "precision", "output")
    how: dict[str, Any] = {name: getattr(order.options, name) for name in names}
    how["seed"] = order.options.seed or 0
    store = TileStore(
        planes.frame_shape,
        planes.height,
        planes.width,
        layout=translator.target_codec.layout,
        channels=len(pixel),
        dtype=pixel.dtype,
        make=lambda frame, box: own.translate_region(planes, frame, box, condition, **how),
        side=tile_side(own),
    )
    yield Opened(translator, digest, store)
    while not control.stopped:
        key = wishes.take(_IDLE)
        if key is None or key in store:
            continue
        try:
            store.add(key)
        except Exception as error:  # of a chunk that can't be read: the others may be
            yield Unread(in_a_sentence(error))
        else:
            yield Painted(key)


class ViewportTranslator(QObject):
    """Keeps a layer translated where it is looked at.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    order : Order
    number : int
        Which of its jobs.
    parent : QObject

    Attributes
    ----------
    said : Signal(str, bool)
        The layer is there, or a tile, or all, can't be made: what to tell, and whether it is an
        error.
    gone : Signal(object)
        This follower, when its layer was taken away.
    layer : Layer or None
    """

    said = Signal(str, bool)
    gone = Signal(object)

    def __init__(
        self, viewer: napari.viewer.Viewer, order: ApplyRequest, number: int, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer, self._order, self._number = viewer, order, number
        self._wishes = TileQueue()
        self._store: TileStore | None = None
        self.layer: Any = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_WAIT)
        self._later.timeout.connect(self._look)
        self._runner = Runner(self, latest=(Painted,))
        self._runner.reported.connect(self._take)
        self._runner.failed.connect(self._say_wrong)
        wishes = self._wishes
        self._runner.start(lambda control: follow(control, order, number, wishes))

    @property
    def running(self) -> bool:
        """Whether tiles are still made."""
        return self._runner.running

    def close(self) -> None:
        """Stop; what is there stays."""
        self._later.stop()
        for emitter in self._emitters():
            emitter.disconnect(self._look_soon)
        self._runner.close()

    def _take(self, event: Any) -> None:
        if isinstance(event, Opened):
            self._show(event)
        elif isinstance(event, Unread):
            self._say_wrong(event.sentence)
        elif self.layer in self._viewer.layers:
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _show(self, event: Opened) -> None:
        made = self._order.made(self._number, "", event.digest)
        self._store = event.store
        self.layer = _layer(made, event.store)
        layers = self._viewer.layers
        index = layers.index(made.source) + 1 if made.source in layers else len(layers)
        chosen = layers.selection.active
        layers.insert(index, self.layer)
        layers.selection.active = chosen  # the next run translates the source, not its result
        for emitter in self._emitters():
            emitter.connect(self._look_soon)
        self._look()
        source = self._order.sources[self._number]
        self.said.emit(_OPENED.format(name=source.name), False)

    def _say_wrong(self, sentence: str) -> None:
        self.said.emit(sentence, True)

    def _emitters(self) -> list[Any]:
        if self.layer is None:
            return []
        viewer, dims = self._viewer, self._viewer.dims
        own = [self.layer.events.visible, viewer.layers.events.removed]
        return [viewer.scene.camera.events, dims.events.current_step, dims.events.ndisplay, *own]

    def _look_soon(self, _event: Any = None) -> None:
        self._later.start()

    def _look(self) -> None:
        """Want the tiles in view, and no longer those that left it."""
        if self._store is None:
            return
        if self.layer not in self._viewer.layers:
            self.close()
            self.gone.emit(self)
            return
        keys: list[TileKey] = []
        if self.layer.visible:
            axis = 0 if self._order.card.target_codec.layout.channel_axis is not None else None
            axis = None if getattr(self.layer, "rgb", False) else axis
            shape = self.layer.data[0].shape if self.layer.multiscale else self.layer.data.shape
            frames = shape[(axis is not None) : self.layer.ndim - 2]
            channel = None if axis is None else -self.layer.ndim
            seen = frames_in_view(self._viewer, self.layer, channel, frames)
            keys = self._store.around(seen, view_of(self._viewer, self.layer))
        self._store.use(keys)
        self._wishes.set([key for key in keys if key not in self._store])


class Followers(QObject):
    """All layers of a dock that are translated where they are looked at.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject

    Attributes
    ----------
    said : Signal(str, bool)
        What to tell, and whether it is an error.
    all : list of Follower
    """

    said = Signal(str, bool)

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.all: list[ViewportTranslator] = []

    def begin(self, order: ApplyRequest) -> None:
        """Begin with each job of an order."""
        for number in range(len(order.sources)):
            follower = ViewportTranslator(self._viewer, order, number, self)
            follower.said.connect(self.said)
            follower.gone.connect(self._forget)
            self.all.append(follower)

    def close(self) -> None:
        """Stop all; what is there stays."""
        for follower in self.all:
            follower.close()

    def _forget(self, follower: ViewportTranslator) -> None:
        """Let the tiles of a layer that was taken away go."""
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
    look = {} if rgb else {**trained_look(made.codec), **made.look}
    # What is not translated yet is 0: added to the source, it lets the source show.
    return Image(rgb=rgb, blending="additive", **look, **keywords)


def _itemsize(codec: Any) -> int:
    return np.dtype(codec.dtype).itemsize
