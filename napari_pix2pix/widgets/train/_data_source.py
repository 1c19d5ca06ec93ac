"""Where a training takes its pairs from: layers or files, and whether they have a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QWidget

from napari_pix2pix.data.derived import DerivedKind
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.napari_layers import CopyMode
from napari_pix2pix.training.config import DERIVE_FIELDS, derive_fields
from napari_pix2pix.widgets.common.elements import Choice, lay_out_column
from napari_pix2pix.widgets.common.runner import errors_in_words
from napari_pix2pix.widgets.runs.file_choice import FileChoice
from napari_pix2pix.widgets.runs.records import LayerNames
from napari_pix2pix.widgets.train._config_form import ConfigForm
from napari_pix2pix.widgets.train._file_choice import (
    ListedFiles,
    OpenSets,
    Origin,
    TrainingSets,
)
from napari_pix2pix.widgets.train._file_form import FileForm, label_grid
from napari_pix2pix.widgets.train._pair_choice import PairChoice
from napari_pix2pix.widgets.train._pair_rows import PairRows

_ORIGINS: dict[Origin, str] = {
    "layers": "open layers",
    "folders": "folders",
    "table": "a table (CSV)",
    "aligned": "A|B images",
}
_NONE = "none"
_DERIVED: dict[DerivedKind, str] = {
    "edges": "edges of the target",
    "gray": "the target without its colour",
    "holes": "the target with holes",
    "blur": "the target, blurred",
    "downsample": "the target, at a quarter of its resolution",
    "noise": "the target with noise",
}
assert set(_DERIVED) == set(get_args(DerivedKind))


@dataclass(frozen=True)
class ChosenPairs:
    """What a run is to be trained on."""

    name: str  # of the run, such as "stain → nuclei"
    open: OpenSets  # reads files, so only in a thread
    rows: tuple[PairChoice, ...] = ()  # the layers; empty for files
    pairs: tuple[Pair, ...] = ()  # of the rows, in their order
    files: FileChoice | None = None
    has_source: bool = True  # neither left out nor made of targets

    @property
    def layer_names(self) -> list[LayerNames]:
        """The names of the layers, by which an interrupted run finds them again."""
        return [row.names() for row in self.rows]


class DataSource(QWidget):
    """Choices of where pairs come from and what their sources are, and below them the pairs."""

    changed = Signal()  # other pairs are chosen

    def __init__(self, pairs: PairRows) -> None:
        super().__init__()
        self.pairs = pairs
        self.files = FileForm()
        self.origin = Choice()
        for name, text in _ORIGINS.items():
            self.origin.addItem(text, name)
        self.origin.setToolTip(
            "Train on layers of the viewer, on files in folders, on files that a table names, or "
            "on images that show source and target side by side."
        )
        self.source = Choice()
        self.source.addItem("as chosen", "")
        self.source.addItem("none: learn to generate images", _NONE)
        for kind, text in _DERIVED.items():
            self.source.addItem(text, kind)
        self.source.setToolTip(
            "What the network sees: the sources that you choose; nothing, to generate images like "
            "the targets; or something made of the targets, to learn the way back from it."
        )
        self.derive = ConfigForm(DERIVE_FIELDS, headings=False)
        self._lay_out()
        self._fit_derive()
        for box in (self.origin, self.source):
            box.currentIndexChanged.connect(self._fit)
        self.derive.changed.connect(self._on_derive)
        self.pairs.changed.connect(self._on_pairs)
        self.files.changed.connect(self._on_files)

    @property
    def is_files(self) -> bool:
        """Whether pairs come from files."""
        return bool(self.origin.currentData() != "layers")

    @property
    def can_swap(self) -> bool:
        """Whether source and target can be swapped here."""
        return bool(self.has_source and self.origin.currentData() != "table")

    @property
    def has_source(self) -> bool:
        """Whether sources are chosen, and neither left out nor made of targets."""
        return not self.source.currentData()

    def values(self) -> dict[str, Any]:
        """Return the fields of `TrainConfig` that are set here."""
        kind = self.source.currentData()
        if kind not in _DERIVED:
            return {}
        shown, used = self.derive.values(), self._derive_fields()
        return {"derive": kind} | {name: shown[name] for name in used if name in shown}

    def set_values(self, fields: Mapping[str, Any]) -> None:
        """Set how sources are made of targets; what is not given takes its default."""
        self.derive.set_values(fields)

    def set_source(self, kind: str) -> None:
        """Choose "" for chosen sources, "none", or how sources are made of targets."""
        if self.source.findData(kind) < 0:
            raise InputError(
                f"There is no source {kind!r}: use none, {', '.join(_DERIVED)}, or ''."
            )
        self.source.setCurrentIndex(self.source.findData(kind))

    def set_files(self, choice: FileChoice | None) -> None:
        """Choose files, which are listed at once, or None for layers; raises a `Pix2PixError`."""
        origin = "layers" if choice is None else choice.origin
        if choice is not None:
            self.files.set(choice)
        self.origin.setCurrentIndex(self.origin.findData(origin))
        if choice is not None:
            self.files.search_now()

    def set_rows(self, choices: Sequence[PairChoice]) -> None:
        """Show these pairs of layers and no others."""
        self.pairs.clear()
        for choice in choices:
            self.pairs.add(
                choice.sources,
                choice.targets,
                choice.mask,
                choice.condition,
                held_out=choice.held_out,
            )

    def swap_sides(self) -> None:
        """Swap source and target of all pairs; a table says itself which is which."""
        if self.is_files:
            self.files.swap_sides()
        else:
            self.pairs.swap_sides()

    def choices(self) -> list[PairChoice]:
        """Return the chosen layers of each row; none for files."""
        if self.is_files:
            return []
        rows = self.pairs.choices()
        return rows if self.has_source else [replace(row, sources=()) for row in rows]

    def open(self, *, copy: CopyMode) -> ChosenPairs:
        """Return what is chosen; show and raise an error for the first pair that is wrong."""
        return self._of_files() if self.is_files else self._of_layers(copy)

    def show_error(self, sentence: str) -> None:
        """Show what is wrong with the files, unless they are still to be chosen or listed."""
        if self.files.listed is not None:
            self.files.error.set_text(sentence)

    def close_work(self) -> None:
        """Wait for the thread that lists files, and follow the viewer's selection no more."""
        self.pairs.close_work()
        self.files.close_work()

    def _of_files(self) -> ChosenPairs:
        listed: ListedFiles = self.files.open_listed()
        has_source = self.has_source
        return ChosenPairs(
            name=listed.choice.name,
            open=lambda: listed.open(has_source=has_source),
            files=listed.remembered(),
            has_source=has_source,
        )

    def _of_layers(self, copy: CopyMode) -> ChosenPairs:
        self.pairs.clear_errors()
        rows = self.choices()
        opened = []
        for index, row in enumerate(rows):
            try:
                with errors_in_words():
                    opened.append(row.pair(copy=copy, with_source=self.has_source))
            except Pix2PixError as error:
                if row.layers:  # an empty row is not an error
                    self.pairs.show_error(index, str(error))
                raise
        parts: dict[bool, list[Pair]] = {False: [], True: []}
        for row, pair in zip(rows, opened, strict=True):
            parts[row.held_out].append(pair)
        if not parts[False]:
            raise InputError("All pairs are held out: untick one, to train on it.")
        first = next(row for row in rows if not row.held_out)
        target = " + ".join(layer.name for layer in first.targets)
        names = None if self.has_source else ("source", target)
        sets = TrainingSets(parts[False], parts[True], names=names)
        # The network knows pairs by their place: those that are held out come last.
        order = sorted(range(len(rows)), key=lambda index: rows[index].held_out)
        return ChosenPairs(
            name=_name_of(rows[0]),
            open=lambda: sets,
            rows=tuple(rows[index] for index in order),
            pairs=tuple(opened[index] for index in order),
            has_source=self.has_source,
        )

    def _fit(self) -> None:
        self.pairs.setVisible(not self.is_files)
        self.pairs.show_sources(self.has_source)
        self._fit_derive()
        # A table and A|B images say themselves where the source is.
        self.files.fit(self.origin.currentData(), has_source=self.has_source)
        if not self.is_files:
            self.changed.emit()

    def _derive_fields(self) -> tuple[str, ...]:
        """Return the fields that matter for the kind of source that is chosen."""
        kind = self.source.currentData()
        model = self.derive.shown_values()["derive_model"]
        return derive_fields(kind if kind in _DERIVED else None, model)

    def _fit_derive(self) -> None:
        used = self._derive_fields()
        self.derive.setVisible(bool(used))
        self.derive.show_only(used)

    def _on_derive(self) -> None:
        self._fit_derive()
        self.changed.emit()

    def _on_pairs(self) -> None:
        if not self.is_files:
            self.changed.emit()

    def _on_files(self) -> None:
        if self.is_files:
            self.changed.emit()

    def _lay_out(self) -> None:
        grid = label_grid()
        rows = {"data from": self.origin, "source is": self.source}
        for line, (text, widget) in enumerate(rows.items()):
            label = QLabel(text)
            label.setToolTip(widget.toolTip())
            grid.addWidget(label, line, 0)
            grid.addWidget(widget, line, 1)
        lay_out_column(self, grid, self.derive, self.pairs, self.files, spacing=6)


def _name_of(row: PairChoice) -> str:
    """Name a run by the layers of its first pair."""
    return row.names().title
