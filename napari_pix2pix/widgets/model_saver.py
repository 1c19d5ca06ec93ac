"""Writes models into the files that the user names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_pix2pix.training.control import Control
from napari_pix2pix.widgets.runner import Runner
from napari_pix2pix.widgets.settings import read_settings

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


class ModelSaver(Runner):
    """Asks where to, and writes in a thread.

    Attributes
    ----------
    saved : Signal(object, object)
        A `Translator` and the `Path` of its file.
    """

    saved = Signal(object, object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        # A lambda would hold the dock, and with PySide6 for ever.
        self.finished.connect(self._on_finished)

    def ask(self, translator: Translator) -> None:
        """Let the user choose a file, and write the model into it."""
        folder, window = read_settings().models_folder, self.parent()
        assert isinstance(window, QWidget)
        name, _ = QFileDialog.getSaveFileName(
            window,
            "Save the model",
            str(folder / "model.safetensors"),
            "Models (*.safetensors)",
        )
        if not name or self.running:
            return
        path = Path(name) if Path(name).suffix else Path(name).with_suffix(".safetensors")

        def write(control: Control) -> tuple[Translator, Path]:
            translator.save(path)
            return translator, path

        self.start(write)

    def _on_finished(self, told: tuple[Translator, Path]) -> None:
        self.saved.emit(*told)
