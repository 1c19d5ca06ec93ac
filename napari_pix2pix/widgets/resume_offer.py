"""Offers to go on with a run that died."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from napari_pix2pix.widgets.autosave import Autosave, dead_runs
from napari_pix2pix.widgets.sentence import Sentence


class ResumeOffer(QFrame):
    """Shown while there is such a run.

    Attributes
    ----------
    wanted : Signal(object)
        The `Autosave` to go on with.
    """

    wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.run: Autosave | None = None
        self.said = Sentence()
        self.resume = QPushButton("Resume")
        self.resume.setToolTip("Go on where the run ended; the same layers have to be open.")
        self.discard = QPushButton("Discard")
        self.discard.setToolTip("Delete what the run had learnt.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.resume)
        buttons.addWidget(self.discard)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.said)
        layout.addLayout(buttons)
        self.resume.clicked.connect(self._on_resume)
        self.discard.clicked.connect(self._on_discard)
        self.hide()

    def look(self, folder: Path) -> None:
        """Look whether a run died."""
        runs = dead_runs(folder)
        self.run = runs[0] if runs else None
        self.setVisible(self.run is not None)
        if self.run is not None:
            self.said.say(
                f"A training of {self.run.record['began']} ({self.run.title}) did not come to its "
                "end. With the same layers open it can go on."
            )

    def refuse(self, sentence: str) -> None:
        """Say why it can't go on now."""
        self.said.say(sentence)

    def _on_resume(self) -> None:
        if self.run is not None:
            self.wanted.emit(self.run)

    def _on_discard(self) -> None:
        if self.run is not None:
            folder = self.run.path.parent
            self.run.discard()
            self.look(folder)
