"""Choice of one of a model's conditions.

Choice of a model: one in memory, a recent file, or another file; and its card.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.model_header import is_torch_file
from napari_pix2pix.io.paths import as_path
from napari_pix2pix.widgets.apply.model_card import Card
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.common.elements import Choice, Sentence, pixmap
from napari_pix2pix.widgets.common.known_models import MODEL_FILES, ModelEntry, models
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import read_settings

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


class ConditionChoice(Choice):
    """Combo box of conditions, by whatever names they have."""

    def __init__(self) -> None:
        super().__init__()
        self._conditions: tuple[Hashable, ...] = ()
        self.setToolTip("Which of the translations that the model learned")

    @property
    def value(self) -> Hashable:
        """The condition; None for a model without any."""
        return self._conditions[self.currentIndex()] if self._conditions else None

    def offer(self, conditions: Sequence[Hashable]) -> None:
        """Offer other conditions; the choice stays if it is among them."""
        before, self._conditions = self.value, tuple(conditions)
        self.blockSignals(True)
        self.clear()
        self.addItems([str(one) for one in self._conditions])
        if before in self._conditions:
            self.setCurrentIndex(self._conditions.index(before))
        self.blockSignals(False)

    def choose(self, value: Hashable) -> None:
        """Choose a condition; raises `InputError` where there is no such."""
        if value not in self._conditions:
            known = ", ".join(map(repr, self._conditions)) or "none"
            raise InputError(f"The model's conditions are {known}; got {value!r}.")
        self.setCurrentIndex(self._conditions.index(value))


_LETTERS = 80  # of a line of a tooltip, which wraps no plain text itself


class ModelPicker(QWidget):
    """Combo box of models, a button for other files, and what the chosen one is.

    Attributes
    ----------
    changed : Signal()
        Another model is chosen.
    """

    changed = Signal()

    def __init__(self, nothing: str = "none yet") -> None:
        super().__init__()
        self._nothing = nothing
        self._offered: list[ModelEntry] = []
        self._model: ModelEntry | None = None
        self._card: Card | None = None
        self._follows = True  # the last model, until another is chosen
        self._reader = Runner(self)  # of files that need PyTorch to be read
        self._being_read: ModelEntry | None = None
        self.combo = Choice()
        self.combo.setToolTip("The model: those just trained or used, then files used lately")
        self.button = QPushButton("Open…")
        self.button.setToolTip("Take the model of another file")
        self.description = Sentence()
        self.picture = QLabel()
        self.picture.setToolTip("A source that was not trained on, and what the model made of it")
        self.error = Sentence(is_error=True)
        self._lay_out()
        self.combo.activated.connect(self._take)
        self.button.clicked.connect(self.ask)
        models().changed.connect(self._follow)
        self._reader.finished.connect(self._take_read)
        self._reader.failed.connect(self._say_unreadable)
        self._reader.ended.connect(self._read_next)
        self._show(models().last())

    @property
    def model(self) -> ModelEntry | None:
        """The model that is chosen; None where there is none or its file can't be read."""
        return self._model if self._card is not None else None

    @property
    def chosen(self) -> bool:
        """Whether the user chose it; otherwise it is the last model."""
        return not self._follows

    @property
    def card(self) -> Card | None:
        """What the model is."""
        return self._card

    def choose(self, model: ModelEntry | str | os.PathLike[str] | None) -> None:
        """Choose a model, or a file by its path; a file that can't be read is said to be so."""
        if model is not None and not isinstance(model, ModelEntry):
            model = models().of_file(as_path(model))
        self._follows = False
        self._show(model)

    def ask(self) -> None:
        """Ask for a file."""
        folder = str(read_settings().models_folder)
        kinds = f"{MODEL_FILES};;All files (*)"
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", folder, kinds)
        if path:
            self.choose(Path(path))

    def _follow(self) -> None:
        last = models().last()
        if self._follows and last is not None:
            self._show(last)
        else:
            self.refresh()

    def _show(self, model: ModelEntry | None) -> None:
        self._model, self._card = model, None
        error = said = ""
        try:
            if model is not None and _needs_reading(model):
                said = f"Reading {model.name} …"
            elif model is not None:
                self._card = Card.of(model)
                said = "\n".join(self._card.lines())
        except FileError as problem:
            error = str(problem)
        self.error.say(error)
        self.description.say(said)
        notes = self._card.notes if self._card else ()
        self.description.setToolTip("\n".join(fill(note, _LETTERS) for note in notes))
        self._show_picture()
        self.refresh()
        self.changed.emit()
        self._read_next()

    def _show_picture(self) -> None:
        shown = None if self._card is None else self._card.thumbnail
        if shown is not None:
            self.picture.setPixmap(pixmap(shown, len(shown)))
        self.picture.setVisible(shown is not None)

    def _read_next(self) -> None:
        """Read the chosen file in a thread, where it says nothing of itself without PyTorch."""
        model = self._model
        unread = model is not None and self._card is None and not self.error.text()
        if model is None or not unread or self._reader.running:
            return
        self._being_read = model
        self._reader.start(lambda _control: load_known(model))

    def _take_read(self, translator: Translator) -> None:
        read = self._being_read
        assert read is not None
        assert read.path is not None
        known = models().of_file(read.path)  # another dock may have been faster
        if known.translator is None:
            known = models().remember(translator, read.name, path=read.path)
        if self._model is not None and self._card is None and _same(self._model, known):
            self._show(known)

    def _say_unreadable(self, sentence: str) -> None:
        if self._model is self._being_read:
            self.description.say("")
            self.error.say(sentence)
            self.changed.emit()

    def close_down(self) -> None:
        """Forget a file that is being read."""
        self._reader.close()

    def refresh(self) -> None:
        """Offer what is known by now; the choice stays."""
        chosen = self._model
        known = list(models().known())
        if chosen is not None:
            renewed = [one for one in known if _same(one, chosen)]
            self._model = chosen = renewed[0] if renewed else chosen
        files = [models().of_file(path) for path in models().recent_files()]
        others = [one for one in files if not any(_same(one, other) for other in known)]
        self._offered = [*known, *others]
        if chosen is not None and not any(_same(one, chosen) for one in self._offered):
            self._offered.insert(0, chosen)
        self.combo.blockSignals(True)
        self.combo.clear()
        for number, one in enumerate(self._offered):
            self.combo.addItem(one.name)
            where = "not saved" if one.path is None else str(one.path)
            self.combo.setItemData(number, where, Qt.ItemDataRole.ToolTipRole)
        if not self._offered:
            self.combo.addItem(self._nothing)
        if chosen is not None:
            self.combo.setCurrentIndex(
                next(i for i, one in enumerate(self._offered) if _same(one, chosen))
            )
        self.combo.blockSignals(False)

    def _take(self, index: int) -> None:
        if index < len(self._offered):
            self.choose(self._offered[index])

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.description)
        layout.addWidget(self.picture)
        layout.addWidget(self.error)


def _needs_reading(model: ModelEntry) -> bool:
    """Whether nothing can be said of a model before its file was read with PyTorch."""
    return model.translator is None and model.path is not None and is_torch_file(model.path)


def _same(one: ModelEntry, other: ModelEntry) -> bool:
    """Whether two entries are of one model: the same in memory, or the same file."""
    if one.translator is not None and other.translator is not None:
        return one.translator is other.translator
    return one.path is not None and one.path == other.path
