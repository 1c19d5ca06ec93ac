"""Rows of the Train dock, one for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pix2pix.widgets.common.elements import lay_out_column, push_button
from napari_pix2pix.widgets.common.layer_choice import is_image, unwrapped
from napari_pix2pix.widgets.train._pair_choice import PairChoice as PairChoice
from napari_pix2pix.widgets.train._pair_row import PairRow

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer
    from napari.utils.events import EventEmitter


class PairRows(QWidget):
    """All pairs of a training set, chosen from a viewer's layers."""

    # Rows were added or removed, other layers chosen, or a chosen layer has other data.
    changed = Signal()
    hold_out_clicked = Signal(int)  # the row of which the frame shown is to be held out

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._rows: list[PairRow] = []
        self._watched: list[Layer] = []
        self._has_sources = True
        self._add = push_button(
            "Add pair",
            "Fill the empty row, or add one for another pair, with the two layers that are "
            "selected in the layer list.",
        )
        self._box = QVBoxLayout()
        self._box.setSpacing(4)
        lay_out_column(self, self._box, self._add)
        self._add.clicked.connect(self._on_add)
        viewer.layers.selection.events.changed.connect(self._on_selection)
        self._new_row()
        self.add_default()

    def add(
        self,
        sources: Sequence[Layer] = (),
        targets: Sequence[Layer] = (),
        mask: Layer | None = None,
        condition: str | None = None,
        *,
        held_out: bool = False,
    ) -> None:
        """Fill an empty row, or add one."""
        row = self._empty_row() or self._new_row()
        row.set(PairChoice(tuple(sources), tuple(targets), mask, condition, held_out))
        self._touch()

    def add_default(self) -> None:
        """Fill the empty row, or add one.

        With the two selected layers or, if no two are, the only two unused ones.
        """
        sources, targets = self._two_layers()
        row = self._empty_row() or self._new_row()
        row.set(PairChoice(sources, targets))
        self._touch()

    def remove(self, index: int) -> None:
        """Remove a row; the only one is emptied instead."""
        if len(self._rows) == 1:
            self._rows[0].set(PairChoice((), ()))
        else:
            row = self._rows.pop(index)
            self._box.removeWidget(row)
            row.setParent(None)
            row.deleteLater()
        self._touch()

    def clear(self) -> None:
        """Remove all rows but one, and empty that."""
        while len(self._rows) > 1:
            self.remove(len(self._rows) - 1)
        self.remove(0)

    def choices(self) -> list[PairChoice]:
        """Return the chosen layers of each row."""
        return [row.choice() for row in self._rows]

    def reset_choices(self) -> None:
        """Follow the viewer's layer list."""
        layers = list(self._viewer.layers)
        for row in self._rows:
            row.offer(layers)
        if len(self._rows) == 1 and self._empty_row() is not None:
            self._rows[0].set(PairChoice(*self._two_layers()))

    def close_work(self) -> None:
        """Follow the viewer's selection no more."""
        self._viewer.layers.selection.events.changed.disconnect(self._on_selection)

    def swap_sides(self) -> None:
        """Swap source and target in all rows."""
        for row in self._rows:
            row.swap_sides()

    def set_targets(self, index: int, targets: Sequence[Layer]) -> None:
        """Choose other targets in a row."""
        row = self._rows[index]
        row.set(replace(row.choice(), targets=tuple(targets)))

    def show_sources(self, shown: bool) -> None:
        """Let sources be chosen, or show the targets alone."""
        self._has_sources = shown
        for row in self._rows:
            row.show_source(shown)

    def show_error(self, index: int, sentence: str) -> None:
        """Show below a row what is wrong with it."""
        self._rows[index].error.set_text(sentence)

    def has_error(self) -> bool:
        """Whether an error stands below a row."""
        return any(row.error.text() for row in self._rows)

    def clear_errors(self) -> None:
        """Show no error any more."""
        for row in self._rows:
            row.error.set_text("")

    def _new_row(self) -> PairRow:
        row = PairRow()
        row.show_source(self._has_sources)
        row.offer(self._viewer.layers)
        row.changed.connect(self._touch)
        row.removed.connect(self._on_remove)
        row.hold_out_clicked.connect(self._on_hold_out)
        self._rows.append(row)
        self._box.addWidget(row)
        return row

    def _empty_row(self) -> PairRow | None:
        """Return the first row without a layer, if there is one."""
        return next((row for row in self._rows if not row.choice().layers), None)

    def _on_add(self) -> None:
        self.add_default()

    def _on_selection(self) -> None:
        """Let an empty row follow the selection, once two layers are selected."""
        row = self._empty_row()
        if row is not None and len(self._viewer.layers.selection) == 2:
            sources, targets = self._two_layers()
            row.set(PairChoice(sources, targets))

    def _on_hold_out(self, row: PairRow) -> None:
        self.hold_out_clicked.emit(self._rows.index(row))

    def _on_remove(self, row: PairRow) -> None:
        self.remove(self._rows.index(row))

    def _two_layers(self) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
        """Find a source and a target: the target is the Labels layer, or else the upper one."""
        from napari.layers import Labels

        used = {id(layer) for choice in self.choices() for layer in choice.layers}
        images = [layer for layer in map(unwrapped, self._viewer.layers) if is_image(layer)]
        selection = {id(unwrapped(layer)) for layer in self._viewer.layers.selection}
        selected = [layer for layer in images if id(layer) in selection]
        unused = [layer for layer in images if id(layer) not in used]
        chosen = selected if len(selected) == 2 else unused
        if len(chosen) != 2 or any(id(layer) in used for layer in chosen):
            return (), ()
        source, target = sorted(chosen, key=lambda layer: isinstance(layer, Labels))
        return (source,), (target,)

    def _touch(self) -> None:
        if any(row.choice().condition for row in self._rows):
            for row in self._rows:  # a condition is needed in all rows or in none
                row.expand.setChecked(True)
        self._watch()
        self.changed.emit()

    def _watch(self) -> None:
        """Listen to changes of the chosen layers."""
        for layer in self._watched:
            for emitter in _emitters(layer):
                emitter.disconnect(self._on_data)
        chosen = {id(layer): layer for choice in self.choices() for layer in choice.layers}
        self._watched = list(chosen.values())
        for layer in self._watched:
            for emitter in _emitters(layer):
                emitter.connect(self._on_data)

    def _on_data(self) -> None:
        self.changed.emit()


def _emitters(layer: Layer) -> list[EventEmitter]:
    """Return the events of changed pixels or names."""
    names = ("data", "labels_update", "name")
    return [getattr(layer.events, name) for name in names if hasattr(layer.events, name)]
