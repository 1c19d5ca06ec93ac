"""Rows of the Train dock, one for each pair: source, target, mask and condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import CopyMode, pair_of
from napari_pix2pix.widgets.common.elements import Sentence, lay_out_column, push_button
from napari_pix2pix.widgets.common.layer_choice import (
    LayerChoice,
    LayersChoice,
    is_image,
    is_mask,
    unwrapped,
)

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer
    from napari.utils.events import EventEmitter

    from napari_pix2pix.data.pair import Pair


class LayerNames(BaseModel, frozen=True):
    """The names of a pair's layers, by which an interrupted run finds them again."""

    sources: list[str]
    targets: list[str]
    mask: str | None = None
    condition: str | None = None
    held_out: bool = False


@dataclass(frozen=True, eq=False)
class PairChoice:
    """The layers of one pair; several sources or targets are channels of one image."""

    sources: tuple[Layer, ...]
    targets: tuple[Layer, ...]
    mask: Layer | None = None
    condition: str | None = None
    held_out: bool = False  # the run is validated on it

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers of the pair."""
        return (*self.sources, *self.targets, *([] if self.mask is None else [self.mask]))

    def names(self) -> LayerNames:
        """Return the names of the layers, for `named`."""
        return LayerNames(
            sources=[layer.name for layer in self.sources],
            targets=[layer.name for layer in self.targets],
            mask=None if self.mask is None else self.mask.name,
            condition=self.condition,
            held_out=self.held_out,
        )

    @classmethod
    def named(cls, names: LayerNames, layers: Iterable[Layer]) -> PairChoice:
        """Find layers by their names; raises `InputError` if some are missing."""
        by_name = {layer.name: unwrapped(layer) for layer in layers}
        masks = [] if names.mask is None else [names.mask]
        missing = [name for name in (*names.sources, *names.targets, *masks) if name not in by_name]
        if missing:
            raise InputError(f"To resume, open these layers first: {', '.join(missing)}.")
        return cls(
            tuple(by_name[name] for name in names.sources),
            tuple(by_name[name] for name in names.targets),
            None if names.mask is None else by_name[names.mask],
            names.condition,
            names.held_out,
        )

    def pair(self, *, copy: CopyMode, with_source: bool = True) -> Pair:
        """Open the layers as a pair; raises `InputError` if they can't be one."""
        for side, layers in (("source", self.sources), ("target", self.targets)):
            if not layers and (with_source or side == "target"):
                raise InputError(f"Choose a layer as {side}.")
        return pair_of(
            self.sources, self.targets, mask=self.mask, condition=self.condition, copy=copy
        )


class PairRows(QWidget):
    """All pairs of a training set, chosen from a viewer's layers."""

    # Rows were added or removed, other layers chosen, or a chosen layer has other data.
    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._rows: list[_Row] = []
        self._watched: list[Layer] = []
        self._has_sources = True
        self._add = push_button(
            "Add pair", "Add a row for another pair; it starts with the two selected layers."
        )
        self._box = QVBoxLayout()
        self._box.setSpacing(4)
        lay_out_column(self, self._box, self._add)
        self._add.clicked.connect(self._on_add)
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
        empty = [row for row in self._rows if not row.choice().layers]
        row = empty[0] if empty else self._new_row()
        row.set(PairChoice(tuple(sources), tuple(targets), mask, condition, held_out))
        self._touch()

    def add_default(self) -> None:
        """Add a row with the two selected layers or, if no two are, the only two unused ones."""
        sources, targets = self._two_layers()
        row = self._new_row()
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
        first = self._rows[0]
        if len(self._rows) == 1 and not first.choice().layers:
            first.set(PairChoice(*self._two_layers()))

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

    def _new_row(self) -> _Row:
        row = _Row()
        row.show_source(self._has_sources)
        row.offer(self._viewer.layers)
        row.changed.connect(self._touch)
        row.removed.connect(self._on_remove)
        self._rows.append(row)
        self._box.addWidget(row)
        return row

    def _on_add(self) -> None:
        self.add_default()

    def _on_remove(self, row: _Row) -> None:
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


class _Row(QFrame):
    """One pair."""

    changed = Signal()
    removed = Signal(object)  # itself

    def __init__(self) -> None:
        super().__init__()
        self.source = LayersChoice(is_image, "choose a source")
        self.source.setToolTip(
            "The network's input. Click a name to choose one layer; tick several to use them as "
            "channels."
        )
        self.target = LayersChoice(is_image, "choose a target")
        self.target.setToolTip("What the network learns to predict; chosen in the same way.")
        self.mask_choice = LayerChoice(is_mask, "none")
        self.mask_choice.setToolTip("Train and score only inside these labels or shapes.")
        self.condition = QLineEdit()
        self.condition.setPlaceholderText("none")
        self.condition.setToolTip(
            "What distinguishes this pair, such as its stain, for one model of several targets. "
            "Give a condition to every pair or to none."
        )
        self.held_out = QCheckBox("held out")
        self.held_out.setToolTip("Validate on this pair instead of training on it.")
        self.expand = QToolButton()
        self.expand.setText("⋯")
        self.expand.setCheckable(True)
        self.expand.setAutoRaise(True)
        self.expand.setToolTip("Show mask, condition, and whether the pair is held out.")
        self.remove = QToolButton()
        self.remove.setText("✕")
        self.remove.setAutoRaise(True)
        self.remove.setToolTip("Remove this pair.")
        self.error = Sentence(is_error=True)
        self._lay_out()
        for signal in (self.source.changed, self.target.changed, self.mask_choice.changed):
            signal.connect(self.changed)
        self.condition.editingFinished.connect(self.changed)
        self.held_out.toggled.connect(self.changed)
        self.expand.toggled.connect(self.extra.setVisible)
        self.remove.clicked.connect(self._on_remove)

    def choice(self) -> PairChoice:
        """Return what is chosen."""
        return PairChoice(
            self.source.layers,
            self.target.layers,
            self.mask_choice.layer,
            self.condition.text().strip() or None,
            self.held_out.isChecked(),
        )

    def show_source(self, shown: bool) -> None:
        """Show the source, or hide it where the training has none."""
        self.source.setVisible(shown)
        self._arrow.setVisible(shown)

    def set(self, choice: PairChoice) -> None:
        """Choose layers."""
        self.source.choose(choice.sources)
        self.target.choose(choice.targets)
        self.mask_choice.choose(choice.mask)
        self.condition.setText(choice.condition or "")
        self.held_out.setChecked(choice.held_out)
        is_more = choice.mask is not None or bool(choice.condition) or choice.held_out
        self.expand.setChecked(is_more)

    def offer(self, layers: Iterable[Any]) -> None:
        """Offer other layers."""
        layers = list(layers)
        for combo in (self.source, self.target, self.mask_choice):
            combo.offer(layers)

    def _on_remove(self) -> None:
        self.removed.emit(self)

    def _lay_out(self) -> None:
        first = QHBoxLayout()
        first.setSpacing(3)
        first.addWidget(self.source, 1)
        self._arrow = QLabel("→")
        first.addWidget(self._arrow)
        first.addWidget(self.target, 1)
        first.addWidget(self.expand)
        first.addWidget(self.remove)
        self.extra = QWidget()
        second = QGridLayout(self.extra)
        second.setContentsMargins(0, 0, 0, 0)
        second.setColumnStretch(1, 1)
        second.setColumnStretch(3, 1)
        for column, (text, widget) in enumerate(
            (("mask", self.mask_choice), ("condition", self.condition))
        ):
            second.addWidget(QLabel(text), 0, 2 * column, Qt.AlignmentFlag.AlignRight)
            second.addWidget(widget, 0, 2 * column + 1)
        second.addWidget(self.held_out, 0, 4)
        self.extra.hide()
        lay_out_column(self, first, self.extra, self.error, spacing=2)


def _emitters(layer: Layer) -> list[EventEmitter]:
    """Return the events of changed pixels or names."""
    names = ("data", "labels_update", "name")
    return [getattr(layer.events, name) for name in names if hasattr(layer.events, name)]
