"""What the colours of a map mean, with its values: below the buttons of a dock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_pix2pix.errors import rounded
from napari_pix2pix.widgets.common.elements import pixmap
from napari_pix2pix.widgets.common.layer_choice import unwrapped

if TYPE_CHECKING:
    from napari.layers import Layer

_LENGTH, _HEIGHT = 256, 12  # of the bar in pixels
_GROUND = 96  # gray below colours that are clear


@dataclass(frozen=True)
class Meaning:
    """What the two ends of a map's colours mean, and what lies in their middle."""

    low: str
    high: str
    middle: str = ""


DIFFERENCE = Meaning("truth brighter", "prediction brighter", "equal")
DISCRIMINATOR_MAP = Meaning("looks false", "looks real", "undecided")
DEVIATION = Meaning("answers agree", "answers differ")
UNLIKENESS_MAP = Meaning("as in the training", "unlike it", "above 99 % of the training")
LABELS_DIFFER = {
    1: "only in the prediction",
    2: "only in the truth",
    3: "another class",
}


class Legend(QWidget):
    """A bar of a layer's colours with values and words; hidden without a layer."""

    def __init__(self) -> None:
        super().__init__()
        self._layer: Any = None
        self._meaning = Meaning("", "")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 2, 0, 2)
        self._grid.setVerticalSpacing(1)
        self.hide()

    def show_map(self, layer: Layer, meaning: Meaning) -> None:
        """Explain the colours of an image layer, as its contrast limits change."""
        self.forget()
        self._layer, self._meaning = unwrapped(layer), meaning
        for emitter in (self._layer.events.contrast_limits, self._layer.events.colormap):
            emitter.connect(self._draw)
        self._draw()
        self.show()

    def show_labels(self, layer: Layer, meanings: dict[int, str]) -> None:
        """Explain the colours of labels."""
        self.forget()
        for row, (label, meaning) in enumerate(meanings.items()):
            colour = np.asarray(layer.get_color(label), float)[:3]
            square = np.broadcast_to((255 * colour).astype(np.uint8), (_HEIGHT, _HEIGHT, 3))
            mark = QLabel()
            mark.setPixmap(pixmap(square, _HEIGHT))
            self._grid.addWidget(mark, row, 0)
            self._grid.addWidget(QLabel(f"{label}: {meaning}"), row, 1)
        self._grid.setColumnStretch(1, 1)
        self.show()

    def forget(self) -> None:
        """Hide the legend, and let the layer go."""
        if self._layer is not None:
            for emitter in (self._layer.events.contrast_limits, self._layer.events.colormap):
                emitter.disconnect(self._draw)
        self._layer = None
        self._clear()
        self.hide()

    def forget_removed(self, layers: Any) -> None:
        """Hide the legend of a layer that is no longer among these."""
        if self._layer is not None and self._layer not in map(unwrapped, layers):
            self.forget()

    def texts(self) -> list[str]:
        """Return the words and values, from left to right and from top to bottom."""
        items = (self._grid.itemAt(number) for number in range(self._grid.count()))
        labels = (item.widget() for item in items if item is not None)
        return [label.text() for label in labels if isinstance(label, QLabel) and label.text()]

    def _draw(self, _event: Any = None) -> None:
        self._clear()
        low, high = self._layer.contrast_limits
        title = QLabel(self._layer.name)
        title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        title.setToolTip(self._layer.name)
        bar = QLabel()
        bar.setPixmap(pixmap(_colours(self._layer.colormap), _HEIGHT))
        bar.setScaledContents(True)
        bar.setFixedHeight(_HEIGHT)
        bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._grid.addWidget(title, 0, 0, 1, 3)
        self._grid.addWidget(bar, 1, 0, 1, 3)
        meaning, middle = self._meaning, (low + high) / 2
        ends = [(low, meaning.low, "left"), (high, meaning.high, "right")]
        for column, (value, text, side) in zip((0, 2), ends, strict=True):
            self._grid.addWidget(_text(f"{rounded(value, 3)}\n{text}", side), 2, column)
        text = f"{rounded(middle, 3)}\n{meaning.middle}"
        self._grid.addWidget(_text(text, "center"), 2, 1)
        for column in range(3):
            self._grid.setColumnStretch(column, 1)

    def _clear(self) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()


def _colours(colormap: Any) -> np.ndarray:
    """Return a bar (h, w, 3) of colours, over gray where they are clear."""
    colours = colormap.map(np.linspace(0, 1, _LENGTH))
    alpha = colours[:, 3:]
    row = 255 * colours[:, :3] * alpha + _GROUND * (1 - alpha)
    return np.ascontiguousarray(np.broadcast_to(row, (_HEIGHT, _LENGTH, 3)).astype(np.uint8))


def _text(text: str, side: str) -> QLabel:
    from qtpy.QtCore import Qt

    flags = {
        "left": Qt.AlignmentFlag.AlignLeft,
        "center": Qt.AlignmentFlag.AlignHCenter,
        "right": Qt.AlignmentFlag.AlignRight,
    }
    label = QLabel(text.strip())
    label.setAlignment(flags[side])
    label.setWordWrap(True)
    return label
