"""The layers of a preview where each target is a layer: one for each, shown like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.napari_layers import Snapshot, pick_channel, snapshot, to_layer_data
from napari_pix2pix.widgets.common.layer_choice import PREVIEW, insert_inactive, unwrapped

if TYPE_CHECKING:
    from napari.layers import Layer


_DRAWING = 20  # milliseconds in which the viewer draws a new layer


class PreviewChannels:
    """Adds a layer for each further channel beside a preview's first one, and updates them."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._targets: list[list[Snapshot]] = []  # of each pair, without pixels
        self._first: Layer | None = None
        self._others: list[Layer] = []
        self._waiting: list[Layer] = []  # to be added one by one

    @property
    def is_adding(self) -> bool:
        """Whether layers are still to be added."""
        return bool(self._waiting)

    def begin(self, targets: Sequence[Sequence[Layer]]) -> None:
        """Remember how the targets of each pair are shown."""
        self.remove()
        self._targets = [
            [replace(snapshot(layer, copy=False), data=None) for layer in of_pair]
            if len(of_pair) > 1 and all(snapshot(one, copy=False).channels == 1 for one in of_pair)
            else []
            for of_pair in targets
        ]

    def layout(self, pair: int, whole: Layout) -> Layout:
        """Return the layout of a pair's first layer, by that of all channels."""
        return Layout() if self._split(pair) else whole

    def first(self, pair: int, image: np.ndarray, whole: Layout) -> np.ndarray:
        """Return the image of the first layer, laid out as `layout` says."""
        return pick_channel(image, whole, 0) if self._split(pair) else image

    def add(self, first: Layer, pair: int, image: np.ndarray, whole: Layout) -> None:
        """Add the layers of the further channels where the first one lies."""
        from napari.layers import Image

        targets = self._split(pair)
        if not targets:
            return
        name = first.name
        first.name = f"{name} {targets[0].name}"
        self._first = first
        _, keywords, _ = first.as_layer_data_tuple()
        for number, target in enumerate(targets[1:], start=1):
            own = {"name": f"{name} {target.name}", "metadata": {PREVIEW: True}, **target.look}
            layer = Image(_data(image, whole, number), **{**keywords, **own})
            self._others.append(layer)
            self._waiting.append(layer)
        first.events.translate.connect(self._move)
        QTimer.singleShot(_DRAWING, self._add_next)

    def show(self, pair: int, image: np.ndarray, whole: Layout) -> None:
        """Show another image of the pair."""
        if self._split(pair):
            for number, layer in enumerate(self._others, start=1):
                layer.data = _data(image, whole, number)

    def remove(self) -> None:
        """Remove the layers of the further channels from the viewer."""
        others, first = self._others, self._first
        self.forget()
        if first is not None:
            first.events.translate.disconnect(self._move)
        present = list(map(unwrapped, self._viewer.layers))
        for layer in others:
            if layer in present:
                self._viewer.layers.remove(layer)

    def keep(self) -> None:
        """Leave the layers to the user, all of them."""
        while self._waiting:
            self._add_next()
        self.forget()

    def forget(self) -> None:
        """Follow the layers no more."""
        self._others, self._waiting, self._first = [], [], None

    def _add_next(self) -> None:
        """Add a layer, and draw it before the next: each takes the viewer a tenth of a second."""
        if not self._waiting:
            return
        layers = self._viewer.layers
        insert_inactive(layers, len(layers), self._waiting.pop(0))
        if self._waiting:
            QTimer.singleShot(_DRAWING, self._add_next)

    def _split(self, pair: int) -> list[Snapshot]:
        return self._targets[pair] if pair < len(self._targets) else []

    def _move(self, _event: Any = None) -> None:
        if self._first is not None:
            for layer in self._others:
                layer.translate = self._first.translate


def _data(image: np.ndarray, whole: Layout, channel: int) -> np.ndarray:
    return to_layer_data(pick_channel(image, whole, channel), Layout())
