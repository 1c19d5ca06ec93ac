"""Choice of a model: in memory, a recent file, another file, or one of the Hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QInputDialog,
    QLabel,
    QWidget,
)

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.io.hub import PREFIX, is_hub_name
from napari_pix2pix.io.model_header import is_external
from napari_pix2pix.io.paths import as_path
from napari_pix2pix.training.config import AppliedWeights
from napari_pix2pix.training.model_card import card_sentences
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply._halo_field import HaloField
from napari_pix2pix.widgets.apply._model_loader import ModelLoader, known_halo, takes_halo
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.common.elements import (
    Choice,
    Sentence,
    WeightsChoice,
    lay_out_column,
    pixmap,
    push_button,
    row_of,
    runs_button,
)
from napari_pix2pix.widgets.common.known_models import MODEL_FILES, NO_MODEL, ModelEntry, models
from napari_pix2pix.widgets.common.runner import Runner, errors_in_words
from napari_pix2pix.widgets.common.settings import read_settings

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

_PICTURE = 240  # pixels, the largest width
_ASK_HUB = (
    "Its name on the Hugging Face Hub: owner/name, with @revision for a branch, tag or commit. The "
    "model is fetched from the network."
)
_LETTERS = 80  # of a line of a tooltip: Qt does not wrap plain text


class ModelPicker(QWidget):
    """Combo box of models, a button for other files, and a description of the chosen one."""

    changed = Signal()  # another model is chosen

    def __init__(self, nothing: str = "none yet") -> None:
        super().__init__()
        self._nothing = nothing
        self._offered: list[ModelEntry] = []
        self._model: ModelEntry | None = None
        self._info: ModelInfo | None = None
        self._follows = True  # the last model, until another is chosen
        self._reader = Runner(self)  # of PyTorch's files, in a thread
        self._being_read: ModelEntry | None = None
        self._loader = ModelLoader(self)
        self._awaited = False  # what it loads, until another model is chosen
        self.combo = Choice()
        self.combo.setToolTip(
            "The model: those just trained or used, those of earlier runs, then recent files"
        )
        self.button = push_button("Open…", "Use the model of another file")
        self.folder = push_button("Folder…", "Offer all models in a folder")
        self.hub = push_button("Hub…", "Fetch a model of the Hugging Face Hub by its name")
        self.runs = runs_button()
        self.runs.hide()  # a dock that can open the gallery shows it
        self.weights = WeightsChoice()
        self.halo = HaloField()
        self.description = Sentence()
        self.picture = QLabel()
        self.picture.setToolTip("A held-out source, the model's prediction, and the truth")
        self.error = Sentence(is_error=True)
        self._lay_out()
        self.combo.activated.connect(self._take)
        self.weights.activated.connect(self._take_weights)
        self.button.clicked.connect(self.ask)
        self.folder.clicked.connect(self.ask_folder)
        self.hub.clicked.connect(self.ask_hub)
        self.halo.changed.connect(self._try_halo)
        models().changed.connect(self._follow)
        models().exchanged.connect(self._exchange)
        self._reader.finished.connect(self._take_read)
        self._reader.failed.connect(self._on_unreadable)
        self._reader.ended.connect(self._read_next)
        self._loader.loaded.connect(self._take_loaded)
        self._loader.failed.connect(self._on_not_loaded)
        self._loader.ended.connect(self._show_loading)
        self._show(models().last())

    @property
    def model(self) -> ModelEntry | None:
        """The chosen model; None where there is none or its file can't be read."""
        return None if self._info is None else self._model

    @property
    def chosen(self) -> bool:
        """Whether the user chose it; otherwise it is the last model."""
        return not self._follows

    @property
    def info(self) -> ModelInfo | None:
        """What is true of the chosen model."""
        return self._info

    def choose(self, model: ModelEntry | str | os.PathLike[str] | None) -> None:
        """Choose a model, a file by its path, or one of the Hub by its name; errors are shown."""
        if is_hub_name(model):
            self.fetch(str(model))
            return
        if model is not None and not isinstance(model, ModelEntry):
            model = models().of_file(as_path(model))
        self._follows = self._awaited = False
        self._show(model)

    def choose_weights(self, weights: AppliedWeights) -> None:
        """Choose the last weights of the model or the best; raises `InputError` if it lacks them.

        Another choice of a model takes the weights that it names.
        """
        if self._model is None or self._info is None:
            raise InputError(NO_MODEL)
        self._info.with_weights(weights)
        self._show(replace(self._model, weights=weights))

    def ask(self) -> None:
        """Ask for a file."""
        folder = str(read_settings().models_folder)
        kinds = f"{MODEL_FILES};;All files (*)"
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", folder, kinds)
        if path:
            self.choose(Path(path))

    def ask_folder(self) -> None:
        """Ask for a folder, and offer all models in it."""
        start = str(read_settings().models_folder)
        name = QFileDialog.getExistingDirectory(self, "Offer the models in a folder", start)
        if name:
            self.offer_folder(Path(name))

    def ask_hub(self) -> None:
        """Ask for the name of a model on the Hub."""
        name, agreed = QInputDialog.getText(self, "Fetch a model", _ASK_HUB)
        if agreed and name.strip():
            self.fetch(name)

    def fetch(self, name: str) -> None:
        """Fetch a model of the Hub in a thread, and choose it; an error is shown if it can't be.

        Parameters
        ----------
        name : str
            ``owner/name`` with or without ``hf:`` before it, as `napari_pix2pix.load` takes it.
        """
        name = name.strip()
        name = name if is_hub_name(name) else f"{PREFIX}{name}"
        self._load(lambda: self._loader.fetch(name), f"Fetching {name} …")

    def set_halo(self, halo: int | None) -> None:
        """Load the chosen file with a halo, where the file says none; an error is shown if not."""
        model = self._model
        if model is not None:
            self._load(lambda: self._loader.load_with_halo(model, halo), f"Reading {model.name} …")

    def offer_folder(self, folder: str | os.PathLike[str]) -> None:
        """Offer all models in a folder; a package is chosen, since that is one model."""
        path = as_path(folder)
        if is_external(path):
            self.choose(path)
        elif not models().offer_folder(path):
            self.error.set_text(f"There is no model in {path}.")

    def _follow(self) -> None:
        last, model = models().last(), self._model
        is_gone = model is not None and model.run is not None and model.file is None
        if (self._follows and last is not None) or is_gone:
            self._follows = True
            self._show(last)
        else:
            self.refresh()

    def _exchange(self, before: Translator, after: Translator) -> None:
        """Show what took the place of the chosen model."""
        if self._model is not None and self._model.translator is before:
            self._show(replace(self._model, translator=after, path=None))

    def _show(self, model: ModelEntry | None) -> None:
        self._model, self._info = model, None
        error = description = ""
        try:
            with errors_in_words():
                if model is not None and model.is_unread:
                    description = f"Reading {model.name} …"
                elif model is not None:
                    self._info = model.read_info()
                    description = "\n".join(card_sentences(self._info))
        except Pix2PixError as problem:
            error = str(problem)
        self.error.set_text(error)
        self.description.set_text(description)
        notes = (self._info.summary, *self._info.notes) if self._info else ()
        self.description.setToolTip("\n".join(fill(note, _LETTERS) for note in notes))
        self.weights.offer(self._info)
        takes = self._info is not None and model is not None and takes_halo(model)
        self.halo.offer(known_halo(model) if takes and model is not None else None, shown=takes)
        self._show_picture()
        self.refresh()
        self.changed.emit()
        self._read_next()

    def _show_picture(self) -> None:
        shown = None if self._info is None else self._info.thumbnail
        if shown is not None:
            height, width, _ = shown.shape
            self.picture.setPixmap(pixmap(shown, min(height, _PICTURE * height // width)))
        self.picture.setVisible(shown is not None)

    def _read_next(self) -> None:
        """Read the chosen file in a thread, where all of it must be read."""
        model = self._model
        unread = model is not None and self._info is None and not self.error.text()
        if model is None or not unread or self._reader.running:
            return
        self._being_read = model
        self._reader.start(lambda _control: load_known(model))

    def _take_read(self, translator: Translator) -> None:
        read = self._being_read
        assert read is not None
        assert read.path is not None  # a run's model is never PyTorch's
        entry = models().of_file(read.path)  # another dock may have been faster
        if entry.translator is None:
            entry = models().remember(translator, read.name, path=read.path)
        if self._model is not None and self._info is None and self._model.is_same(entry):
            self._show(entry)

    def _on_unreadable(self, sentence: str) -> None:
        if self._model is self._being_read:
            self.description.set_text("")
            self.error.set_text(sentence)
            self.changed.emit()

    def close_down(self) -> None:
        """Stop caring about a file that is being read."""
        self._reader.close()
        self._loader.close()

    def _load(self, begin: Callable[[], None], text: str) -> None:
        """Begin to load a model, and say so."""
        try:
            with errors_in_words():
                begin()
        except Pix2PixError as error:
            self.error.set_text(str(error))
            return
        self._awaited = True
        self.error.set_text("")
        self.description.set_text(text)
        self._show_loading()

    def _take_loaded(self, model: ModelEntry) -> None:
        if self._awaited:
            self._follows = False
            self._show(model)

    def _on_not_loaded(self, sentence: str) -> None:
        if self._awaited:
            self._show(self._model)  # the choice stays, and so does its halo
            self.error.set_text(sentence)

    def _show_loading(self) -> None:
        for field in (self.hub, self.halo):
            field.setEnabled(not self._loader.running)

    def _try_halo(self) -> None:
        self.set_halo(self.halo.value)

    def refresh(self) -> None:
        """Offer the models that are known by now; the choice stays."""
        chosen = self._model
        known = list(models().known())
        if chosen is not None:
            found = next((entry for entry in known if entry.is_same(chosen)), chosen)
            if found is not chosen:
                chosen = replace(found, weights=chosen.weights) if chosen.weights else found
            self._model = chosen
        self._offered = list(models().listed())
        if chosen is not None and not any(chosen.is_same(entry) for entry in self._offered):
            self._offered.insert(0, chosen)
        self.combo.blockSignals(True)
        self.combo.clear()
        for number, entry in enumerate(self._offered):
            details = entry.details
            self.combo.addItem(f"{entry.name} ({details})" if details else entry.name)
            where = "not saved" if entry.path is None else str(entry.path)
            tip = "\n".join(filter(None, [details, where]))
            self.combo.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        if not self._offered:
            self.combo.addItem(self._nothing)
        if chosen is not None:
            same = [entry.is_same(chosen) for entry in self._offered]
            self.combo.setCurrentIndex(same.index(True))
        self.combo.blockSignals(False)

    def _take(self, index: int) -> None:
        if index < len(self._offered):
            self.choose(self._offered[index])

    def _take_weights(self) -> None:
        self.choose_weights(self.weights.value)

    def _lay_out(self) -> None:
        # Below the list, so that the names of models have all of its width.
        row = row_of(self.button, self.folder, self.hub, self.runs)
        parts = (self.weights, self.halo, self.description, self.picture, self.error)
        lay_out_column(self, self.combo, row, *parts)
