"""What came out of a training: scores beside the baseline's, Save, Apply to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pix2pix.errors import rounded
from napari_pix2pix.metrics.names import describe_score
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common.elements import Sentence
from napari_pix2pix.widgets.common.known_models import ModelSaver, models

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.translator import Translator

_MOST_ROWS = 6


class Outcome(QWidget):
    """Shown when there is a model.

    Parameters
    ----------
    viewer : napari.viewer.Viewer

    Attributes
    ----------
    apply_requested : Signal(object)
        The user wants to apply this `Translator`.
    """

    apply_requested = Signal(object)

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._translator: Translator | None = None
        self._saver = ModelSaver(self)
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
        self.save.clicked.connect(self._on_save)
        self.apply.clicked.connect(self._on_apply)
        self._saver.saved.connect(self.show_saved)
        self._saver.failed.connect(self.said.say)
        self.hide()

    def show_model(self, translator: Translator) -> None:
        """Offer a model, and show its scores beside those of the baseline."""
        self._translator = translator
        self._show_scores(translator.scores)
        self.show()

    def clear(self) -> None:
        """Forget the model."""
        self._translator = None
        self.hide()

    def show_saved(self, translator: Translator, path: Path) -> None:
        """Say where a model was saved, and let all docks know."""
        models().remember(translator, path.stem, path=path)
        self.said.say(f"Saved as {path}.")

    def close_work(self) -> None:
        """Wait until a file that is being written is written."""
        self._saver.close()

    def _on_save(self) -> None:
        if self._translator is not None:
            self._saver.ask(self._translator)

    def _on_apply(self) -> None:
        open_dock(self._viewer, "Apply").set_model(self._translator)
        self.apply_requested.emit(self._translator)

    def _show_scores(self, scores: Mapping[str, Mapping[str, float]]) -> None:
        while (item := self._table.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.setParent(None)
                old.deleteLater()
        if scores:
            self._fill(scores["prediction"], scores["baseline"])
        self.said.say("" if scores else "Nothing was held out, so there are no scores.")

    def _fill(self, prediction: Mapping[str, float], baseline: Mapping[str, float]) -> None:
        for column, title in enumerate(("held-out score", "network", "baseline")):
            label = QLabel(title)
            label.setEnabled(False)
            self._table.addWidget(label, 0, column, _side(column))
        names = [name for name in prediction if name in baseline][:_MOST_ROWS]
        for row, name in enumerate(names, start=1):
            title, tip, better = describe_score(name)
            cells = title, _number(prediction[name]), _number(baseline[name])
            for column, text in enumerate(cells):
                label = QLabel(text)
                label.setToolTip(f"{tip}; {better} is better")
                self._table.addWidget(label, row, column, _side(column))


def _number(value: float) -> str:
    return rounded(value, 3) if math.isfinite(value) else "–"


def _side(column: int) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
