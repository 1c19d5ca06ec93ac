"""The fields of `TrainConfig` as a form, made from their declaration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QToolButton, QWidget

from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.widgets.common.elements import Sentence
from napari_pix2pix.widgets.common.fields import Editor

LABELS = 84  # pixels for the labels of forms, so that they are aligned with each other
_LONG_LABELS = 104

# A heading stands above the first field of its part that a form has.
_PARTS = {
    "Run": ("epochs", "checkpoint_seconds"),
    "Pairs": ("source_kind", "validation"),
    "Patches": ("patch", "intensity_jitter"),
    "Generator": ("generator", "noise"),
    "Discriminator": ("discriminator_layers", "spectral_norm"),
    "Objective": ("adversarial", "class_weights"),
    "Optimisation": ("learning_rate", "keep"),
}


class ConfigForm(QWidget):
    """Editors for some fields, beside each a button that resets it and below it what is wrong.

    Parameters
    ----------
    names : sequence of str
        Fields of `TrainConfig`, in its order.
    headings : bool
        Whether the parts of the config have headings.

    Attributes
    ----------
    changed : Signal()
        Another value is shown.
    """

    changed = Signal()

    def __init__(self, names: Sequence[str], *, headings: bool = True) -> None:
        super().__init__()
        self._defaults: dict[str, Any] = {}
        self._found: dict[str, Any] = {}
        self._wanted: dict[str, Any] = {}
        self._rows = {name: _Row(name) for name in names}
        self._lay_out(headings)
        for row in self._rows.values():
            row.changed.connect(self._take)
            row.reset_wanted.connect(self.reset)
        self.set_preset("light")

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that it has."""
        return tuple(self._rows)

    def values(self) -> dict[str, Any]:
        """Return the fields whose value is another than the preset's; only those count as set."""
        return dict(self._wanted)

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set the fields that the form has; those that are not given take the preset's values."""
        self._wanted = {
            name: value
            for name, value in values.items()
            if name in self._rows and value != self._default(name)
        }
        self._show_all()
        self.changed.emit()

    def set_value(self, name: str, value: Any) -> None:
        """Set one field, as the user would."""
        self.set_values({**self._wanted, name: value})

    def reset(self, name: str) -> None:
        """Let a field take the preset's value again."""
        self.set_values({key: value for key, value in self._wanted.items() if key != name})

    def set_preset(self, preset: str) -> None:
        """Show another preset's values wherever nothing else was set."""
        defaults = TrainConfig(preset=preset)
        self._defaults = {name: getattr(defaults, name) for name in self._rows}
        self._found = {}
        self.set_values(self._wanted)

    def set_found(self, found: Mapping[str, Any]) -> None:
        """Show what the pairs tell, such as no adversarial term for labels, as the default."""
        kept = {name: value for name, value in found.items() if name in self._rows}
        if kept != self._found:
            self._found = kept
            self._show_all()

    def editor(self, name: str) -> Editor:
        """Return the editor of a field."""
        return self._rows[name].editor

    def show_error(self, sentence: str) -> bool:
        """Say what is wrong below the field that the sentence begins with, or writes as field=.

        Returns
        -------
        bool
            Whether there is such a field in this form.
        """
        self.clear_error()
        names = re.findall(r"^\w+|\b\w+(?==)", sentence)
        name = next((name for name in names if name in self._rows), None)
        if name is not None:
            self._rows[name].error.say(sentence)
        return name is not None

    def clear_error(self) -> None:
        """Say nothing."""
        for row in self._rows.values():
            row.error.say("")

    def _default(self, name: str) -> Any:
        return self._found.get(name, self._defaults[name])

    def _show_all(self) -> None:
        for name, row in self._rows.items():
            row.editor.blockSignals(True)
            row.editor.set_value(self._wanted.get(name, self._default(name)))
            row.editor.blockSignals(False)
            row.mark(name in self._wanted, self._default(name))

    def _take(self, name: str) -> None:
        value = self._rows[name].editor.value()
        if value == self._default(name):
            self._wanted.pop(name, None)
        else:
            self._wanted[name] = value
        self._rows[name].mark(name in self._wanted, self._default(name))
        self.changed.emit()

    def _lay_out(self, headings: bool) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        width = _LONG_LABELS if headings else LABELS
        # No gap before the buttons: while they are hidden, editors end where those of others do.
        grid.setColumnMinimumWidth(0, width + grid.horizontalSpacing())
        grid.setHorizontalSpacing(0)
        starts = _heading_of_each(list(self._rows)) if headings else {}
        for name, row in self._rows.items():
            if name in starts:
                title = QLabel(f"<b>{starts[name]}</b>")
                grid.addWidget(title, grid.rowCount(), 0, 1, 3)
            line = grid.rowCount()
            row.label.setFixedWidth(width)
            grid.addWidget(row.label, line, 0)
            grid.addWidget(row.editor.widget, line, 1)
            grid.addWidget(row.reset, line, 2)
            grid.addWidget(row.error, line + 1, 0, 1, 3)


class _Row(QObject):
    """One line of the form; its signals tell the field's name."""

    changed = Signal(str)
    reset_wanted = Signal(str)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        field = TrainConfig.model_fields[name]
        self.editor = Editor(field)
        self.editor.widget.setObjectName(name)
        self.label = QLabel(name.replace("_", " "))
        self.label.setWordWrap(True)
        self.label.setToolTip(field.description or "")
        self.reset = QToolButton()
        self.reset.setText("↺")
        self.reset.setAutoRaise(True)
        self.error = Sentence(is_error=True)
        self.editor.changed.connect(self._on_changed)
        self.reset.clicked.connect(self._on_reset)

    def mark(self, is_set: bool, default: Any) -> None:
        """Show that the value is not the default."""
        self.reset.setVisible(is_set)
        self.reset.setToolTip(f"Back to {default}")
        font = self.label.font()
        font.setBold(is_set)
        self.label.setFont(font)

    def _on_changed(self) -> None:
        self.changed.emit(self._name)

    def _on_reset(self) -> None:
        self.reset_wanted.emit(self._name)


def _heading_of_each(names: Sequence[str]) -> dict[str, str]:
    """Return the headings by the first of ``names`` in each part of the config."""
    every = list(TrainConfig.model_fields)
    starts: dict[str, str] = {}
    for title, (first, last) in _PARTS.items():
        part = every[every.index(first) : every.index(last) + 1]
        inside = [name for name in names if name in part]
        if inside:
            starts[inside[0]] = title
    return starts
