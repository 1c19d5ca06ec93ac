"""Saving a model: the user names a file, and a thread writes it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QInputDialog, QLineEdit, QMessageBox, QWidget

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.model_header import ENDING, TORCH_ENDINGS
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.runs.records import find_run

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

# What a model is saved as: the first is ours, the others are for other programs.
_KINDS = {
    "napari-pix2pix (*.safetensors)": (ENDING,),
    "PyTorch implementation (*.pth *.pt)": TORCH_ENDINGS,
    "ONNX (*.onnx)": (".onnx",),
    "BioImage.IO package (*.zip)": (".zip",),
}
_ENDINGS = tuple(ending for endings in _KINDS.values() for ending in endings)
_LICENCES = ["CC-BY-4.0", "CC0-1.0", "MIT", "BSD-3-Clause"]


@dataclass(frozen=True)
class Written:
    """A file that a model was written to."""

    model: ModelEntry  # what was written
    translator: Translator
    path: Path
    notes: tuple[str, ...]  # what it does not hold, and how it is used

    @property
    def is_ours(self) -> bool:
        """Whether it holds all of the model."""
        return self.path.suffix.lower() == ENDING


class ModelSaver(Runner):
    """Asks for a file, and writes a model there in a thread."""

    saved = Signal(object)  # a `Written`

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        # A lambda would keep the dock alive, with PySide6 for ever.
        self.finished.connect(self._on_finished)

    def ask(self, model: ModelEntry) -> None:
        """Let the user choose a file, and write the model into it."""
        folder, window = read_settings().models_folder, self.parent()
        assert isinstance(window, QWidget)
        name, kind = QFileDialog.getSaveFileName(
            window, "Save the model", str(folder / "model"), ";;".join(_KINDS)
        )
        if not name or self.running:
            return
        path = _named(Path(name), kind)
        # The dialog asked about the name as it was given.
        if path != Path(name) and path.exists() and not _may_replace(window, path):
            return
        credits = _Credits()
        if path.suffix.lower() == ".zip":
            credits = _ask_credits(window, model.read_info().config)
            if not credits.licence:
                return

        def write(control: Control) -> Written:
            from napari_pix2pix._convert import convert

            translator = model.with_its_weights(model.load())
            notes = convert(translator, path, authors=credits.authors, licence=credits.licence)
            return Written(model, translator, path, notes)

        self.start(write)

    def _on_finished(self, written: Written) -> None:
        self.saved.emit(written)


def remember_saved(translator: Translator, path: Path, run: Path | None) -> None:
    """Tell all docks, and the record of its run, where a model was saved."""
    models().remember(translator, path.stem, path=path, run=run)
    kept = None if run is None else find_run(run)
    if kept is not None:
        with suppress(FileError):  # the model is saved; that its record says so is a convenience
            kept.changed(saved=path.absolute())


def _named(path: Path, kind: str) -> Path:
    """Give a name the ending of the chosen kind; where none is chosen, its ending stays.

    >>> str(_named(Path("a.b"), "ONNX (*.onnx)")), str(_named(Path("a.zip"), "ONNX (*.onnx)"))
    ('a.b.onnx', 'a.onnx')
    """
    endings = _KINDS.get(kind, _ENDINGS)
    if path.suffix.lower() in endings:
        return path
    if path.suffix.lower() in _ENDINGS:
        return path.with_suffix(endings[0])
    return path.with_name(path.name + endings[0])


def _may_replace(window: QWidget, path: Path) -> bool:
    question = f"{path.name} exists. Replace it?"
    answer = QMessageBox.question(window, "Save the model", question)
    return bool(answer == QMessageBox.StandardButton.Yes)


class _Credits(NamedTuple):
    """Who made a model, and what others may do with it; None where that is not asked."""

    authors: str | None = None
    licence: str | None = None


def _ask_credits(window: QWidget, config: TrainConfig) -> _Credits:
    """Ask for the credits of a package; no licence where that is cancelled."""
    title = "BioImage.IO package"
    question = "Who made the model? Names, with commas between them:"
    shown = QLineEdit.EchoMode.Normal
    authors, is_given = QInputDialog.getText(window, title, question, shown, config.authors)
    if not is_given:
        return _Credits()
    question = "Licence: what others may do with the model."
    own = [config.licence] if config.licence else []
    offered = [*own, *(licence for licence in _LICENCES if licence not in own)]
    licence, is_given = QInputDialog.getItem(window, title, question, offered)
    return _Credits(authors, licence) if is_given else _Credits()
