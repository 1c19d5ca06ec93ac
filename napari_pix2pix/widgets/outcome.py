"""What came out of a training: scores beside the trivial map's, Save, Apply to."""

from __future__ import annotations

import math
from collections.abc import Mapping

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pix2pix.widgets.sentence import Sentence

_MOST_ROWS = 6


class Outcome(QWidget):
    """Shown when there is a model.

    Attributes
    ----------
    save_clicked, apply_clicked : Signal()
    """

    save_clicked = Signal()
    apply_clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._table = QGridLayout()
        self._table.setHorizontalSpacing(14)
        self._table.setVerticalSpacing(1)
        self._table.setColumnStretch(3, 1)
        self.said = Sentence()
        self.save = QPushButton("Save ...")
        self.save.setToolTip("Write the model into a file.")
        self.apply = QPushButton("Apply to ...")
        self.apply.setToolTip("Open the Apply dock with this model.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.save)
        buttons.addWidget(self.apply)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._table)
        layout.addWidget(self.said)
        layout.addLayout(buttons)
        self.save.clicked.connect(self.save_clicked)
        self.apply.clicked.connect(self.apply_clicked)
        self.hide()

    def show_scores(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Show scores of the model and of the trivial map; empty without validation."""
        while (item := self._table.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.setParent(None)
                old.deleteLater()
        if scores:
            self._fill(scores["prediction"], scores["trivial"])
        self.said.say("" if scores else "Nothing was held out, so there are no scores.")
        self.show()

    def _fill(self, prediction: Mapping[str, float], trivial: Mapping[str, float]) -> None:
        for column, title in enumerate(("held-out score", "network", "trivial map")):
            label = QLabel(title)
            label.setEnabled(False)
            self._table.addWidget(label, 0, column, _side(column))
        names = [name for name in prediction if name in trivial][:_MOST_ROWS]
        for row, name in enumerate(names, start=1):
            cells = name.replace("_", " "), _number(prediction[name]), _number(trivial[name])
            for column, text in enumerate(cells):
                self._table.addWidget(QLabel(text), row, column, _side(column))


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"


def _side(column: int) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
