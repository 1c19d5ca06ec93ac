"""Choice of the layers that a model is applied to, and of which channel is which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.common.elements import Choice
from napari_pix2pix.widgets.common.layer_choice import (
    LayerChoice,
    LayersChoice,
    is_image,
    unwrapped,
)


class LayersForm(QObject):
    """Layers, each an image; or for a model of several channels a layer for each of them.

    Parameters
    ----------
    form : QFormLayout
        Where its rows go.

    Attributes
    ----------
    changed : Signal()
        Other layers are chosen.
    """

    changed = Signal()

    def __init__(self, form: QFormLayout) -> None:
        super().__init__()
        self._form = form
        self._offered: list[Any] = []
        self._visible = True
        self.images = LayersChoice(is_image, "choose layers")
        self.images.setToolTip(
            "The layers to translate, each on its own: a click on a name takes it alone, one on "
            "its box adds it"
        )
        self.mode = Choice()
        self.mode.addItem("in one layer", False)
        self.mode.addItem("a layer each", True)
        self.mode.setToolTip("Where the channels are that this model takes")
        self.channels: list[LayerChoice] = []
        self._form.addRow("Channels", self.mode)
        self._form.addRow("Layers", self.images)
        self.images.changed.connect(self.changed)
        self.mode.currentIndexChanged.connect(self._show_mode)
        # Nothing is shown before it is in the dock: it would be a window of its own for a moment.
        self._set_row_visible(self.mode, False)

    @property
    def by_channel(self) -> bool:
        """Whether each channel is a layer of its own."""
        return len(self.channels) > 0 and bool(self.mode.currentData())

    @property
    def groups(self) -> list[list[Any]]:
        """One list a result: the layers that are its channels, in their order."""
        if self.by_channel:
            chosen = [choice.layer for choice in self.channels]
            return [chosen] if all(layer is not None for layer in chosen) else []
        return [[layer] for layer in self.images.layers]

    def choose(self, layers: Sequence[Any], *, by_channel: bool = False) -> None:
        """Choose layers that are in the viewer: images, or the channels of one image."""
        self.mode.setCurrentIndex(int(by_channel))
        if self.by_channel:
            for choice, layer in zip(self.channels, layers, strict=True):
                choice.choose(layer)
        else:
            self.images.choose(layers)

    def offer(self, layers: Iterable[Any]) -> None:
        """Offer other layers; the choice stays as long as it is among them."""
        self._offered = list(map(unwrapped, layers))
        self.images.offer(self._offered)
        for choice in self.channels:
            choice.offer(self._offered)

    def fit(self, card: ModelInfo | None, *, visible: bool = True) -> None:
        """Show as many channels as a model takes; nothing for one that takes no layer."""
        self._visible = visible
        count = card.channels if card is not None and card.takes_layers else 0
        if count != len(self.channels):
            for choice in self.channels:
                self._form.removeRow(choice)
            self.channels = [self._add_channel(number) for number in range(count)]
            if self.channels:
                self.mode.setCurrentIndex(int(self._may_be_layers(count)))
        self._show_mode()

    def _may_be_layers(self, count: int) -> bool:
        """Whether there are as many layers, and those chosen have no such axis themselves."""
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
        self._set_row_visible(self.mode, bool(self.channels))
        self._set_row_visible(self.images, self._visible and not self.by_channel)
        for choice in self.channels:
            self._set_row_visible(choice, self.by_channel)
        self.changed.emit()

    def _set_row_visible(self, field: QWidget, visible: bool) -> None:
        label = self._form.labelForField(field)
        field.setVisible(visible)
        if isinstance(label, QLabel):
            label.setVisible(visible)
