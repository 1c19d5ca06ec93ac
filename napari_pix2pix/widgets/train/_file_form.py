"""The files that a training takes its pairs from: paths, and the list of what was found."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_pix2pix.errors import InputError, plural
from napari_pix2pix.io.paths import shown_name
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.common.elements import (
    ROW_PADDING,
    Choice,
    Sentence,
    follow_font,
    lay_out_column,
)
from napari_pix2pix.widgets.common.path_field import PathField
from napari_pix2pix.widgets.common.runner import LatestOnly
from napari_pix2pix.widgets.runs.file_choice import FileChoice
from napari_pix2pix.widgets.train._config_form import LABELS
from napari_pix2pix.widgets.train._file_choice import ListedFiles, Origin

_LIST_HEIGHT = 150  # pixels, about five pairs
_COLUMNS = ("held out", "source", "target", "condition")
_MANY = "A folder, a file, or a pattern with * such as cells/*_ch0.tif."


class PairList(QTableWidget):
    """The pairs that were found, each with a tick that holds it out; it scrolls by itself."""

    ticked = Signal()  # other pairs are held out

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setFixedHeight(_LIST_HEIGHT)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        rows.hide()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.setToolTip("Tick pairs to validate on them instead of training on them.")
        self.itemChanged.connect(self._on_item)
        self.hide()

    def changeEvent(self, e: QEvent | None) -> None:  # noqa: N802
        """Give a larger font the room that it needs."""
        super().changeEvent(e)
        rows = self.verticalHeader()
        if e is not None and e.type() == QEvent.Type.FontChange and rows is not None:
            rows.setDefaultSectionSize(self.fontMetrics().height() + ROW_PADDING)

    @property
    def held_out(self) -> list[bool]:
        """Which pairs are ticked."""
        items = [self.item(row, 0) for row in range(self.rowCount())]
        return [item is not None and item.checkState() == Qt.CheckState.Checked for item in items]

    def show_files(self, listed: ListedFiles | None) -> None:
        """Show other pairs; conditions are shown if any pair has one."""
        self.blockSignals(True)
        files = () if listed is None else listed.files
        self.setRowCount(len(files))
        for row, (one, held) in enumerate(
            zip(files, () if listed is None else listed.held_out, strict=True)
        ):
            tick = QTableWidgetItem()
            tick.setCheckState(Qt.CheckState.Checked if held else Qt.CheckState.Unchecked)
            self.setItem(row, 0, tick)
            for column, path in ((1, one.source), (2, one.target)):
                item = QTableWidgetItem("" if path is None else shown_name(path))
                item.setToolTip(str(path or ""))
                self.setItem(row, column, item)
            self.setItem(row, 3, QTableWidgetItem(one.condition or ""))
        self.setColumnHidden(1, all(one.source is None for one in files))
        self.setColumnHidden(3, all(one.condition is None for one in files))
        self.blockSignals(False)
        self.setVisible(bool(files))

    def _on_item(self, item: QTableWidgetItem) -> None:
        if item.column() == 0:
            self.ticked.emit()


class FileForm(QWidget):
    """Paths of the files, and what was found there; files are sought in a thread."""

    changed = Signal()  # other pairs were found or ticked, or none can be

    def __init__(self) -> None:
        super().__init__()
        self._origin: Origin = "layers"
        self._has_source = True
        self.listed: ListedFiles | None = None
        self._held_out: tuple[str, ...] | None = None  # of a run that is resumed
        self.source = PathField("folder", "file", tip=f"What the network sees. {_MANY}")
        self.target = PathField("folder", "file", tip=f"What it learns to predict. {_MANY}")
        self.masks = PathField(
            "folder", "file", tip=f"Optional: nothing is trained or scored where it is 0. {_MANY}"
        )
        self.table = PathField(
            "file",
            tip="A CSV file with the columns source and target and, if you need them, condition, "
            "mask and set (train or validation). Paths are relative to the table.",
            filters="Tables (*.csv *.tsv *.txt)",
        )
        self.aligned = PathField(
            "folder",
            tip="Images that show source and target side by side. Those in train/ are for "
            "training, those in val/ for validation.",
        )
        self.matching = Choice()
        self.matching.addItem("by name", "name")
        self.matching.addItem("in order, the first with the first", "order")
        self.matching.setToolTip("How the files of source and target are matched.")
        self.acquisition = QLineEdit()
        self.acquisition.setPlaceholderText("all")
        self.acquisition.setToolTip(
            "Only the fields of this acquisition of a plate, by its number or name."
        )
        self.direction = Choice()
        self.direction.addItem("left half → right half", "AtoB")
        self.direction.addItem("right half → left half", "BtoA")
        self.direction.setToolTip("Which half of an image is the source.")
        self.error = Sentence(is_error=True)
        self.notes = Sentence()
        self.count = Sentence()
        self.list = PairList()
        follow_font(self.count, self.list)
        self._search = LatestOnly(self, delay=50)
        self._lay_out()
        self._connect()
        self.hide()

    @property
    def is_searching(self) -> bool:
        """Whether files are being sought."""
        return self._search.is_busy

    def choice(self) -> FileChoice | None:
        """Return what is chosen; None for layers."""
        if self._origin == "layers":
            return None
        is_folders = self._origin == "folders"
        return FileChoice(
            origin=self._origin,
            source=self.source.path if is_folders and self._has_source else None,
            target=self.target.path if is_folders else None,
            mask=self.masks.path if is_folders else None,
            matching=self.matching.currentData(),
            acquisition=(self.acquisition.text().strip() or None) if is_folders else None,
            path={"table": self.table.path, "aligned": self.aligned.path}.get(self._origin),
            direction=self.direction.currentData(),
            held_out=self._held_out,
        )

    def set(self, choice: FileChoice) -> None:
        """Show a choice."""
        self.source.path, self.target.path = choice.source, choice.target
        self.masks.path = choice.mask
        self.acquisition.setText(choice.acquisition or "")
        self.matching.setCurrentIndex(self.matching.findData(choice.matching))
        self.direction.setCurrentIndex(self.direction.findData(choice.direction))
        field = {"table": self.table, "aligned": self.aligned}.get(choice.origin)
        if field is not None:
            field.path = choice.path
        self._held_out = choice.held_out

    def swap_sides(self) -> None:
        """Make the source the target, and the target the source, of folders or A|B images."""
        if self._origin == "folders":
            source, target = self.source.path, self.target.path
            self.source.path, self.target.path = target, source
        elif self._origin == "aligned":
            self.direction.setCurrentIndex(1 - self.direction.currentIndex())

    def fit(self, origin: Origin, *, has_source: bool) -> None:
        """Show the fields of one origin; without a source, that of the source is hidden."""
        self._origin, self._has_source = origin, has_source
        of_origin: dict[Origin, list[QWidget]] = {
            "layers": [],
            "folders": [self.source, self.target, self.masks, self.matching],
            "table": [self.table],
            "aligned": [self.aligned, self.direction],
        }
        shown = of_origin[origin]
        for widget, label in self._labels.items():
            is_shown = widget in shown and (has_source or widget is not self.source)
            widget.setVisible(is_shown)
            label.setVisible(is_shown)
        self._show_acquisition()
        self.setVisible(origin != "layers")
        self._on_path()

    def open_listed(self) -> ListedFiles:
        """Return what was found; raises `InputError` where nothing was, and shows why."""
        if self.listed is None:
            if self.is_searching:
                raise InputError("The files are being listed.")
            raise InputError(self.error.text() or self.count.text())
        self.error.set_text("")  # of another choice
        self.listed.check()
        return self.listed

    def search_now(self) -> ListedFiles:
        """Find the files at once; raises a `Pix2PixError`."""
        self._search.cancel()
        choice = self.choice()
        assert choice is not None
        if missing := choice.missing(has_source=self._has_source):
            raise InputError(missing)
        listed = ListedFiles.of(choice)
        self._on_listed(listed)
        return listed

    def close_work(self) -> None:
        """Wait for the thread."""
        self._search.close()

    def _on_path(self) -> None:
        """Other files are chosen: find them soon."""
        self.listed = None
        self.list.show_files(None)
        for sentence in (self.error, self.notes, self.count):
            sentence.set_text("")
        choice = self.choice()
        if choice is not None:
            if missing := choice.missing(has_source=self._has_source):
                self._search.cancel()
                self.count.set_text(missing)
            else:
                self._search.touch()
        self.changed.emit()

    def _on_acquisition(self) -> None:
        """Find the files if another acquisition is chosen, and not if the line loses the focus."""
        if self.acquisition.isModified():
            self.acquisition.setModified(False)
            self._on_path()

    def _on_due(self) -> None:
        choice = self.choice()
        if choice is not None:
            self._search.start(partial(_list_files, choice=choice))

    def _on_listed(self, listed: ListedFiles) -> None:
        self.listed, self._held_out = listed, None
        self.error.set_text("")
        self.notes.set_text("\n".join(listed.notes))
        self.list.show_files(listed)
        self._show_acquisition()
        self._show_count()
        self.changed.emit()

    def _on_failed(self, sentence: str) -> None:
        self.error.set_text(sentence)
        self.changed.emit()

    def _on_ticked(self) -> None:
        assert self.listed is not None
        self.listed = self.listed.holding_out(self.list.held_out)
        self._show_count()
        self.changed.emit()

    def _show_acquisition(self) -> None:
        """Offer to choose an acquisition where there is a plate, or one is chosen."""
        is_plate = self.listed is not None and any(one.well for one in self.listed.files)
        is_shown = self._origin == "folders" and (is_plate or bool(self.acquisition.text()))
        for widget in (self.acquisition, self._labels[self.acquisition]):
            widget.setVisible(is_shown)

    def _show_count(self) -> None:
        assert self.listed is not None
        held = sum(self.listed.held_out)
        text = plural(len(self.listed.files), "pair")
        self.count.set_text(f"{text}, {held} of them held out." if held else f"{text}.")

    def _connect(self) -> None:
        for field in (self.source, self.target, self.masks, self.table, self.aligned):
            field.changed.connect(self._on_path)
        for box in (self.matching, self.direction):
            box.currentIndexChanged.connect(self._on_path)
        self.acquisition.editingFinished.connect(self._on_acquisition)
        self.list.ticked.connect(self._on_ticked)
        self._search.due.connect(self._on_due)
        self._search.finished.connect(self._on_listed)
        self._search.failed.connect(self._on_failed)

    def _lay_out(self) -> None:
        rows: dict[str, QWidget] = {
            "source": self.source,
            "target": self.target,
            "mask": self.masks,
            "match": self.matching,
            "acquisition": self.acquisition,
            "table": self.table,
            "folder": self.aligned,
            "direction": self.direction,
        }
        self._labels: dict[QWidget, QLabel] = {}
        grid = label_grid()
        for line, (text, widget) in enumerate(rows.items()):
            self._labels[widget] = label = QLabel(text)
            label.setToolTip(widget.toolTip())
            if isinstance(widget, QLineEdit):
                follow_font(label, widget)
            if isinstance(widget, PathField):
                follow_font(label, widget.line, widget.browse)
            grid.addWidget(label, line, 0)
            grid.addWidget(widget, line, 1)
        lay_out_column(self, grid, self.error, self.count, self.list, self.notes, spacing=4)


def label_grid() -> QGridLayout:
    """Return a grid of labels and fields, which begin where those of the other forms do."""
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setVerticalSpacing(3)
    grid.setColumnStretch(1, 1)
    grid.setColumnMinimumWidth(0, LABELS)
    return grid


def _list_files(control: Control, choice: FileChoice) -> ListedFiles:
    return ListedFiles.of(choice)
