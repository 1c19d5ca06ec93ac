"""The window that compares recipes: what to train, and a table and pictures of what came of it."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pix2pix.data.pair import stop_when
from napari_pix2pix.errors import Pix2PixError, rounded
from napari_pix2pix.metrics.names import describe_score
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.common.elements import (
    Scroll,
    Sentence,
    follow_font,
    picture_label,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.runner import Runner, errors_in_words
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.runs.keeping import keep_model
from napari_pix2pix.widgets.train._file_choice import OpenSets

if TYPE_CHECKING:
    from napari_pix2pix.evaluation.compare import (
        Comparison,
        RecipeEvent,
        RecipeResult,
    )

_PARTS = 1000  # of the bar
_HEIGHT = 96  # pixels of a picture on the screen
_COLUMNS = 4  # recipes beside each other


class CompareDialog(QDialog):
    """Trains the ticked recipes one after another, each with the budget of the Train dock.

    Parameters
    ----------
    open_sets : callable
        Opens the pairs, in a thread.
    fields : mapping
        Fields of `TrainConfig` that hold for all recipes.
    name : str
        What the pairs are called; models are named after it and their recipe.
    parent : QWidget, optional
    """

    def __init__(
        self,
        open_sets: OpenSets,
        fields: Mapping[str, Any],
        name: str,
        parent: QWidget | None = None,
    ) -> None:
        from napari_pix2pix.evaluation.compare import DEFAULT_RECIPES, RECIPES, RecipeEvent

        super().__init__(parent)
        self.setWindowTitle("Compare recipes")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._open, self._fields, self._name = open_sets, dict(fields), name
        self._fields.pop("preset", None)  # some recipes are presets
        self.comparison: Comparison | None = None
        self._results: list[RecipeResult] = []
        self.recipes = {recipe: QCheckBox(recipe) for recipe in RECIPES}
        for recipe, box in self.recipes.items():
            box.setChecked(recipe in DEFAULT_RECIPES)
            of_recipe = ", ".join(f"{key}={value}" for key, value in RECIPES[recipe].items())
            box.setToolTip(of_recipe)
        self.start = push_button("Compare", "Train the ticked recipes, one after another.")
        self.stop = push_button("Stop", "End here, and compare what was trained so far.")
        self.save = push_button("Save report…", "Write one page with the table and pictures.")
        self.bar = QProgressBar()
        self.bar.setRange(0, _PARTS)
        self.status, self.error = Sentence(), Sentence(is_error=True)
        self.table = QTableWidget()
        self.pictures = QGridLayout()
        self.runner = Runner(self, latest=(RecipeEvent,))
        self._lay_out()
        self._connect()
        self._show_state()

    def compare(self) -> None:
        """Begin; raises `InputError` if fewer than two recipes are ticked."""
        from napari_pix2pix.evaluation.compare import choose_recipes

        ticked = [recipe for recipe, box in self.recipes.items() if box.isChecked()]
        recipes = choose_recipes(ticked)
        self._results, self.comparison = [], None
        self._show_results()
        self.error.set_text("")
        self.status.set_text("Reading the pairs…")
        self.runner.start(
            partial(
                _compare,
                open_sets=self._open,
                recipes=recipes,
                fields=self._fields,
                name=self._name,
                folder=read_settings().autosave_folder,
            )
        )
        self._show_state()

    def close_work(self) -> None:
        """Stop, and wait for the end of the step in progress."""
        self.runner.close()

    def _on_start(self) -> None:
        try:
            with errors_in_words():
                self.compare()
        except Pix2PixError as error:
            self.error.set_text(str(error))

    def _on_event(self, event: RecipeEvent | _Kept) -> None:
        if isinstance(event, _Kept):
            self._results.append(event.result)
            models().remember(event.result.translator, event.name, run=event.run)
            self._show_results()
        else:
            self.bar.setValue(round(event.progress * _PARTS))
            self.status.set_text(f"Training {event.recipe}, {event.number} of {event.count}.")

    def _on_finished(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.bar.setValue(_PARTS)
        self.status.set_text(f"{comparison.verdict} The models are kept under Runs.")

    def _on_failed(self, sentence: str) -> None:
        self.status.set_text("")
        self.error.set_text(sentence)

    def _on_save(self) -> None:
        assert self.comparison is not None
        name, _ = QFileDialog.getSaveFileName(
            self, "Save the report", "comparison.html", "Pages (*.html)"
        )
        if name:
            try:
                with errors_in_words():
                    self.comparison.report(Path(name))
            except Pix2PixError as error:
                self.error.set_text(str(error))

    def _show_results(self) -> None:
        self._show_table()
        while (item := self.pictures.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.deleteLater()
        for number, result in enumerate(self._results):
            thumbnail = result.translator.info.thumbnail
            row, column = 2 * (number // _COLUMNS), number % _COLUMNS
            self.pictures.addWidget(QLabel(f"<b>{result.name}</b>"), row, column)
            if thumbnail is not None:
                self.pictures.addWidget(picture_label(thumbnail, _HEIGHT), row + 1, column)

    def _show_table(self) -> None:
        from napari_pix2pix.evaluation.compare import Comparison

        self.table.setVisible(bool(self._results))
        if not self._results:
            return
        so_far = Comparison(tuple(self._results))
        scores = so_far.scores
        names = list(so_far.baseline)
        self.table.setRowCount(len(scores))
        self.table.setColumnCount(len(names))
        self.table.setVerticalHeaderLabels(list(scores))
        for column, name in enumerate(names):
            title, tip, better, _ = describe_score(name)
            heading = QTableWidgetItem(title)
            heading.setToolTip(f"{tip}; {better} is better")
            self.table.setHorizontalHeaderItem(column, heading)
            best = so_far.best_of(name)
            for row, (recipe, one) in enumerate(scores.items()):
                value = one.get(name, math.nan)
                item = QTableWidgetItem("–" if math.isnan(value) else rounded(value, 3))
                font = item.font()
                font.setBold(recipe == best)
                item.setFont(font)
                self.table.setItem(row, column, item)
        self._fit_table()

    def _fit_table(self) -> None:
        """Make the table as high as its rows, and as its bar where it is too wide."""
        columns, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        bar = self.table.horizontalScrollBar()
        assert columns is not None
        assert rows is not None
        assert bar is not None
        self.table.resizeRowsToContents()
        height = columns.sizeHint().height() + rows.length() + bar.sizeHint().height()
        self.table.setFixedHeight(height + 2 * self.table.frameWidth())

    def _show_state(self) -> None:
        running = self.runner.running
        self.start.setEnabled(not running)
        self.stop.setEnabled(running)
        self.save.setEnabled(self.comparison is not None)
        for box in self.recipes.values():
            box.setEnabled(not running)

    def _connect(self) -> None:
        self.start.clicked.connect(self._on_start)
        self.stop.clicked.connect(self.runner.stop)
        self.save.clicked.connect(self._on_save)
        self.runner.reported.connect(self._on_event)
        self.runner.finished.connect(self._on_finished)
        self.runner.failed.connect(self._on_failed)
        self.runner.ended.connect(self._show_state)
        self.finished.connect(self.close_work)

    def _lay_out(self) -> None:
        ticks = QGridLayout()
        for number, box in enumerate(self.recipes.values()):
            ticks.addWidget(box, number // 5, number % 5)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        # In a header that the style draws, the text stands lower than that of the cells.
        # Beside and below the cells the window shows, which napari would fill with another colour.
        self.table.setStyleSheet(
            "QTableView, QHeaderView { background: transparent; border: none }"
            "QHeaderView::section { border: none }"
            "QTableCornerButton::section { background: transparent; border: none }"
        )
        follow_font(self.status, self.table)
        header = self.table.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.addWidget(self.table)
        column.addWidget(QLabel("A held-out part: source, prediction, truth"))
        column.addLayout(self.pictures)
        column.addStretch(1)
        layout = QVBoxLayout(self)
        intro = Sentence()
        layout.addWidget(intro)
        intro.set_text(
            "Each recipe is trained with the pairs, the budget and the fields of the Train dock, "
            "and scored on the same held-out part."
        )
        layout.addLayout(ticks)
        layout.addLayout(row_of(self.start, self.stop, self.save))
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
        layout.addWidget(self.error)
        layout.addWidget(Scroll(inside), 1)
        self.resize(900, 640)


@dataclass(frozen=True)
class _Kept:
    """A recipe that has ended, and what is kept of it."""

    result: RecipeResult
    name: str  # of its model
    run: Path | None  # where it is kept; None where that can't be written


def _compare(
    control: Control,
    open_sets: OpenSets,
    recipes: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, Any],
    name: str,
    folder: Path,
) -> Generator[RecipeEvent | _Kept, None, Comparison]:
    """Open the pairs, train the recipes and keep their models, in a thread."""
    from napari_pix2pix.evaluation.compare import RecipeDone, comparison_events

    with stop_when(lambda: control.stopped):
        sets = open_sets().copied()
    held_out: Sequence[Any] | None = sets.held_out or None
    events = comparison_events(sets.train, recipes, fields, held_out=held_out, control=control)
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            comparison: Comparison = stop.value
            return comparison
        if isinstance(event, RecipeDone):
            result = event.result
            own = f"{name} {result.name}"
            yield _Kept(result, own, keep_model(result.translator, folder, own))
        else:
            yield event
