"""The layers that a model is applied to, and which of them is which channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout

from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.common.elements import Choice
from napari_pix2pix.widgets.common.layer_choice import (
    LayerChoice,
    LayersChoice,
    is_image,
    unwrapped,
)

if TYPE_CHECKING:
    from napari.layers import Layer


class LayersForm(QObject):
    """Layers that are an image each, or one layer for each channel that a model takes.

    Parameters
    ----------
    form : QFormLayout
        Takes the rows.

    Attributes
    ----------
    changed : Signal()
        Other layers are chosen.
    """

    changed = Signal()

    def __init__(self, form: QFormLayout) -> None:
        super().__init__()
        self._form = form
        self._offered: list[Layer] = []
        self._visible = True
        self.images = LayersChoice(is_image, "choose layers")
        self.images.setToolTip(
            "The layers to translate, each on its own: click a name to choose it alone, or its "
            "box to add it"
        )
        self.mode = Choice()  # holds whether each channel is a layer
        self.mode.addItem("in one layer", False)
        self.mode.addItem("a layer each", True)
        self.mode.setToolTip(
            "Whether one layer has all channels of the image, or each channel is a layer"
        )
        self.channels: list[LayerChoice] = []
        self._form.addRow("Channels", self.mode)
        self._form.addRow("Layers", self.images)
        self.images.changed.connect(self.changed)
        self.mode.currentIndexChanged.connect(self._show_mode)
        # Nothing is shown before it is in the dock: it would be a window of its own for a moment.
        self._form.setRowVisible(self.mode, False)

    @property
    def by_channel(self) -> bool:
        """Whether each channel is a layer of its own."""
        return len(self.channels) > 0 and bool(self.mode.currentData())

    @property
    def groups(self) -> list[list[Layer]]:
        """The layers of each result: one layer, or its channels in order."""
        if self.by_channel:
            chosen = [choice.layer for choice in self.channels]
            return [chosen] if all(layer is not None for layer in chosen) else []
        return [[layer] for layer in self.images.layers]

    def choose(self, layers: Sequence[Layer], *, by_channel: bool = False) -> None:
        """Choose layers of the viewer: images, or the channels of one image."""
        self.mode.setCurrentIndex(int(by_channel))
        if self.by_channel:
            for choice, layer in zip(self.channels, layers, strict=True):
                choice.choose(layer)
        else:
            self.images.choose(layers)

    def offer(self, layers: Iterable[Layer]) -> None:
        """Offer other layers; those that are chosen stay chosen while they are offered."""
        self._offered = list(map(unwrapped, layers))
        self.images.offer(self._offered)
        for choice in self.channels:
            choice.offer(self._offered)

    def fit(self, card: ModelInfo | None, *, visible: bool = True) -> None:
        """Show as many channels as a model takes, and none for a model that takes no layers."""
        self._visible = visible
        count = card.channels if card is not None and card.takes_layers else 0
        if count != len(self.channels):
            for choice in self.channels:
                self._form.removeRow(choice)
            self.channels = [self._add_channel(number) for number in range(count)]
            if self.channels:
                self.mode.setCurrentIndex(int(self._suggests_a_layer_each(count)))
        self._show_mode()

    def _suggests_a_layer_each(self, count: int) -> bool:
        """Whether there are layers enough, and those chosen have no channel axis themselves."""
        chosen = self.images.layers
        has_axis = bool(chosen) and all(count in layer.data.shape[:-2] for layer in chosen)
        return not has_axis and sum(map(is_image, self._offered)) >= count

    def _add_channel(self, number: int) -> LayerChoice:
        choice = LayerChoice(is_image, "choose a layer")
        choice.setToolTip(f"The layer that is channel {number + 1} of the model's sources")
        choice.offer(self._offered)
        row, _ = self._form.getWidgetPosition(self.images)
        self._form.insertRow(row + 1 + number, f"Channel {number + 1}", choice)
        choice.changed.connect(self.changed)
        return choice

    def _show_mode(self) -> None:
        self._form.setRowVisible(self.mode, bool(self.channels))
        self._form.setRowVisible(self.images, self._visible and not self.by_channel)
        for choice in self.channels:
            self._form.setRowVisible(choice, self.by_channel)
        self.changed.emit()
