"""The gallery: all kept runs, to be compared, used, continued, named, saved and deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QDialog, QLineEdit, QMessageBox, QVBoxLayout, QWidget

from napari_pix2pix.errors import Pix2PixError, plural
from napari_pix2pix.training.config import AppliedWeights
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common.elements import Scroll, Sentence
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.runner import errors_in_words
from napari_pix2pix.widgets.common.saving import ModelSaver, Written, remember_saved
from napari_pix2pix.widgets.common.settings import in_bytes, read_settings
from napari_pix2pix.widgets.runs._card import RunCard
from napari_pix2pix.widgets.runs.records import KeptRun, kept_runs

if TYPE_CHECKING:
    import napari.viewer

_SIZE = 800, 640  # pixels
_AT_ONCE = 10  # new cards: each reads what a file says of its model


class RunGallery(QDialog):
    """A window with a card for each kept run, the latest first; the viewer stays usable."""

    def __init__(self, viewer: napari.viewer.Viewer, window: QWidget) -> None:
        super().__init__(window)
        self._viewer = viewer
        self._saver = ModelSaver(self)
        self._saving: KeptRun | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.refresh)
        self.cards: dict[Path, RunCard] = {}
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find by name, layers or note")
        self.search.setToolTip("Show the runs whose name, layers or note hold these words")
        self.search.setClearButtonEnabled(True)
        self.message = Sentence(is_error=True)
        self.said = Sentence()
        self.total = Sentence()
        self._lay_out()
        self.search.textChanged.connect(self._filter)
        self._saver.saved.connect(self._on_saved)
        self._saver.failed.connect(self.message.set_text)
        models().changed.connect(self._refresh_soon)

    def refresh(self) -> None:
        """Show the runs that are there now."""
        runs = kept_runs(read_settings().autosave_folder)
        paths = {run.path for run in runs}
        for path in [path for path in self.cards if path not in paths]:
            card = self.cards.pop(path)
            self._column.removeWidget(card)
            card.deleteLater()
        new = 0
        for position, run in enumerate(runs):
            if run.path not in self.cards:
                new += 1
                if new > _AT_ONCE:  # the others come when the window has answered
                    self._soon.start(0)
                    break
                self.cards[run.path] = self._new_card()
                self._column.insertWidget(position, self.cards[run.path])
            self.cards[run.path].show_run(run)
        self.total.set_text(_total(runs))
        self._filter()

    def use(self, run: KeptRun) -> None:
        """Open the Apply dock with a run's model."""
        open_dock(self._viewer, "Apply").set_model(models().of_run(run))

    def train_on(self, run: KeptRun) -> None:
        """Let the Train dock start from a run's model."""
        model = models().of_run(run)
        open_dock(self._viewer, "Train").start_from = model.translator or run.path

    def resume(self, run: KeptRun) -> None:
        """Continue an interrupted run in the Train dock."""
        self.message.set_text("")
        try:
            with errors_in_words():
                open_dock(self._viewer, "Train").resume_run(run)
        except Pix2PixError as error:
            self.message.set_text(
                f"{error} Or press Use to apply it as it is, or Train on to start from it."
            )

    def save(self, run: KeptRun) -> None:
        """Ask for a file, and save a run's model there."""
        if not self._saver.running:
            self._saving = run
            self._saver.ask(models().of_run(run))

    def delete(self, run: KeptRun) -> None:
        """Ask, and delete a run."""
        delete_if_agreed(self, run)

    def showEvent(self, a0: QShowEvent | None) -> None:  # noqa: N802
        """Show what has happened meanwhile."""
        super().showEvent(a0)
        self.refresh()

    def _new_card(self) -> RunCard:
        card = RunCard()
        card.use_wanted.connect(self.use)
        card.train_on_wanted.connect(self.train_on)
        card.resume_wanted.connect(self.resume)
        card.save_wanted.connect(self.save)
        card.delete_wanted.connect(self.delete)
        card.renamed.connect(self._on_renamed)
        card.noted.connect(self._on_noted)
        card.weights_chosen.connect(self._on_weights)
        return card

    def _on_renamed(self, run: KeptRun, name: str) -> None:
        self._try(lambda: models().rename(run, name))

    def _on_noted(self, run: KeptRun, note: str) -> None:
        self._try(lambda: run.changed(note=note))
        self._refresh_soon()

    def _on_weights(self, run: KeptRun, weights: AppliedWeights) -> None:
        self._try(lambda: models().choose_weights(run, weights))

    def _try(self, change: Callable[[], object]) -> None:
        self.message.set_text("")
        try:
            with errors_in_words():
                change()
        except Pix2PixError as error:
            self.message.set_text(str(error))

    def _on_saved(self, written: Written) -> None:
        if written.is_ours and self._saving is not None:
            remember_saved(written.translator, written.path, self._saving.path)
        self.said.set_text(" ".join([f"Saved as {written.path}.", *written.notes]))

    def _refresh_soon(self) -> None:
        # Later: the change may come from a card that the refresh deletes.
        if self.isVisible():
            self._soon.start(0)

    def _filter(self) -> None:
        for card in self.cards.values():
            card.setVisible(card.matches(self.search.text()))

    def _lay_out(self) -> None:
        self.setWindowTitle("Runs")
        self.resize(*_SIZE)
        inside = QWidget()
        self._column = QVBoxLayout(inside)
        self._column.addStretch(1)
        column = QVBoxLayout(self)
        column.addWidget(self.search)
        column.addWidget(Scroll(inside), 1)
        for widget in (self.message, self.said, self.total):
            column.addWidget(widget)


def delete_if_agreed(window: QWidget, run: KeptRun) -> None:
    """Ask, and delete a run."""
    saved = run.record.saved
    where = (
        "It was not saved anywhere else."
        if saved is None or not saved.exists()
        else f"Its copy in {saved} stays."
    )
    question = f"Delete {run.name} of {run.record.began} ({in_bytes(run.size)})? {where}"
    answer = QMessageBox.question(window, "Runs", question)
    if answer == QMessageBox.StandardButton.Yes:
        models().delete(run)


def show_gallery(viewer: napari.viewer.Viewer, dock: QWidget) -> RunGallery:
    """Open the gallery of a dock's window, or bring it to the front."""
    window = dock.window()
    assert window is not None  # a widget without a parent is its own
    found = window.findChildren(RunGallery, options=Qt.FindChildOption.FindDirectChildrenOnly)
    gallery: RunGallery = found[0] if found else RunGallery(viewer, window)
    gallery.show()
    gallery.raise_()
    return gallery


def _total(runs: list[KeptRun]) -> str:
    folder = read_settings().autosave_folder
    if not runs:
        return f"There are no runs yet. Each training is kept here, in {folder}."
    size = in_bytes(sum(run.size for run in runs))
    return f"{plural(len(runs), 'run')}, {size} in {folder}. Each stays until you delete it."
