"""The fields of `TrainConfig` as a form, made from their declaration."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QToolButton, QWidget

from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.widgets.common.elements import Sentence, follow_font
from napari_pix2pix.widgets.common.forms import Editor, NumberEdit, make_editor, make_label

# Width of the labels in pixels, the same in all forms, so that their editors align; more where a
# large font needs it.
LABELS = 84
_BOLD = 1.12  # a bold word is so many times as wide

# A heading stands above the first field of its part that a form has.
_PARTS = {
    "Run": ("epochs", "checkpoint_seconds"),
    "Pairs": ("derive", "hold_out"),
    "Patches": ("patch", "source_noise"),
    "Generator": ("generator", "noise"),
    "Discriminator": ("discriminator_layers", "spectral_norm"),
    "Objective": ("adversarial", "foreground_dice"),
    "Optimisation": ("learning_rate", "keep"),
    "Model card": ("authors", "plane_distance"),
}
_NONE_TEXTS = {
    "discriminator_norm": "same as generator",
    "plane_levels": "by the distance of planes",
    "patch_planes": "by the patch",
    "derive_sigma": "as usual",
}
# Values in words.
_CHOICES = {"ndim": (("2D or 2.5D: planes", 2), ("3D: volumes, slower", 3))}


class ConfigForm(QWidget):
    """Editors for some fields; each has a button that resets it and a line for its error.

    The editors take a while to make, so they wait until the form is shown or one is needed.
    """

    changed = Signal()  # another value is shown

    def __init__(self, names: Sequence[str], *, headings: bool = True) -> None:
        super().__init__()
        self.names = tuple(names)  # fields of `TrainConfig`, in its order
        self._gap = 0  # between labels and editors, in pixels
        self._headings = headings  # whether the parts of the config have headings
        self._made_rows: dict[str, _Row] = {}
        self._heads: list[tuple[list[str], QLabel]] = []  # headings, and the fields below each
        self._preset_values: dict[str, Any] = {}
        self._inferred: dict[str, Any] = {}
        self._texts: dict[str, str] = {}  # what auto and None mean for the pairs
        self._shown: frozenset[str] = frozenset(names)
        self._set_by_user: dict[str, Any] = {}
        self.set_preset("light")

    def showEvent(self, a0: QShowEvent | None) -> None:  # noqa: N802
        """Make the editors, unless they are there."""
        self._make_rows()
        super().showEvent(a0)
        self._fit_labels()

    def changeEvent(self, a0: QEvent | None) -> None:  # noqa: N802
        """Give the labels the width that their font needs."""
        super().changeEvent(a0)
        if a0 is not None and a0.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_labels()

    def values(self) -> dict[str, Any]:
        """Return the fields whose values differ from the defaults; only those count as set."""
        return dict(self._set_by_user)

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set the fields that the form has; those that are not given take their defaults."""
        self._set_by_user = {
            name: value
            for name, value in values.items()
            if name in self.names and value != self._default(name)
        }
        self._show_all()
        self.changed.emit()

    def set_value(self, name: str, value: Any) -> None:
        """Set one field, as the user would."""
        self.set_values({**self._set_by_user, name: value})

    def reset(self, name: str) -> None:
        """Give a field its default again."""
        self.set_values({key: value for key, value in self._set_by_user.items() if key != name})

    def set_preset(self, preset: str) -> None:
        """Show a preset's values as the defaults; the fields that the user set stay."""
        config = TrainConfig(preset=preset)
        self._preset_values = {name: getattr(config, name) for name in self.names}
        self._inferred = {}
        self.set_values(self._set_by_user)

    def set_inferred(
        self, values: Mapping[str, Any], texts: Mapping[str, str] | None = None
    ) -> None:
        """Show values inferred from the pairs as defaults, such as an adversarial weight of 0.

        ``texts`` say what auto and None mean for the pairs.
        """
        inferred = {name: value for name, value in values.items() if name in self.names}
        said = {name: text for name, text in (texts or {}).items() if name in self.names}
        if (inferred, said) != (self._inferred, self._texts):
            self._inferred, self._texts = inferred, said
            self._show_all()

    def shown_values(self) -> dict[str, Any]:
        """Return what is shown of each field, set or not."""
        return {name: self._set_by_user.get(name, self._default(name)) for name in self.names}

    def show_only(self, names: Collection[str]) -> None:
        """Hide all other fields; they keep their values."""
        if self._shown != frozenset(names):
            self._shown = frozenset(names)
            self._show_rows()

    def faulty(self) -> list[str]:
        """Return the fields below which an error stands."""
        return [name for name, row in self._made_rows.items() if row.error.text()]

    def error(self, name: str) -> str:
        """Return the error that stands below a field; empty without one."""
        return self._rows[name].error.text()

    def editor(self, name: str) -> Editor:
        """Return the editor of a field."""
        return self._rows[name].editor

    def show_error(self, sentence: str) -> bool:
        """Show an error below the field that it is about; return whether this form has that."""
        self.clear_error()
        # An error begins with the field's name, or names it as ``field=``.
        names = re.findall(r"^\w+|\b\w+(?==)", sentence)
        name = next((name for name in names if name in self.names), None)
        if name is not None:
            self._rows[name].error.set_text(sentence)
        return name is not None

    def clear_error(self) -> None:
        """Hide the error."""
        for row in self._made_rows.values():
            row.error.set_text("")

    @property
    def _rows(self) -> dict[str, _Row]:
        self._make_rows()
        return self._made_rows

    def _make_rows(self) -> None:
        if self._made_rows:
            return
        self._made_rows = {name: _Row(name) for name in self.names}
        self._lay_out()
        for row in self._made_rows.values():
            row.changed.connect(self._on_row_changed)
            row.reset_wanted.connect(self.reset)
        self._show_all()
        self._show_rows()

    def _default(self, name: str) -> Any:
        return self._inferred.get(name, self._preset_values[name])

    def _show_all(self) -> None:
        for name, row in self._made_rows.items():
            row.show_text(self._texts.get(name, ""))
            row.show_value(self._set_by_user.get(name, self._default(name)))
            row.mark(name in self._set_by_user, self._default(name))

    def _fit_labels(self) -> None:
        grid = self.layout()
        if not self._made_rows or not isinstance(grid, QGridLayout):
            return
        labels = [row.label for row in self._made_rows.values()]
        words = [word for label in labels for word in label.text().split()]  # they do not wrap
        font = labels[0].fontMetrics()
        longest = max(font.horizontalAdvance(word) for word in words)
        width = max(LABELS, round(longest * _BOLD))
        for label in labels:
            label.setFixedWidth(width)
        grid.setColumnMinimumWidth(0, width + self._gap)

    def _show_rows(self) -> None:
        for name, row in self._made_rows.items():
            row.set_shown(name in self._shown)
        for names, heading in self._heads:
            heading.setVisible(not self._shown.isdisjoint(names))

    def _on_row_changed(self, name: str) -> None:
        value = self._rows[name].editor.value
        if value == self._default(name):
            self._set_by_user.pop(name, None)
        else:
            self._set_by_user[name] = value
        self._rows[name].mark(name in self._set_by_user, self._default(name))
        self.changed.emit()

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        # No gap before the reset buttons: while they are hidden, the editors of all forms end
        # at the same place.
        self._gap = grid.horizontalSpacing()
        grid.setHorizontalSpacing(0)
        parts = _parts_of(self.names) if self._headings else {}
        for name, row in self._made_rows.items():
            if name in parts:
                title, inside = parts[name]
                heading = QLabel(f"<b>{title}</b>")
                self._heads.append((inside, heading))
                grid.addWidget(heading, grid.rowCount(), 0, 1, 3)
            line = grid.rowCount()
            grid.addWidget(row.label, line, 0)
            grid.addWidget(row.editor.native, line, 1)
            grid.addWidget(row.reset, line, 2)
            grid.addWidget(row.error, line + 1, 0, 1, 3)


class _Row(QObject):
    """One line of the form; its signals carry the field's name."""

    changed = Signal(str)
    reset_wanted = Signal(str)

    def __init__(self, name: str) -> None:
        super().__init__()
        field = TrainConfig.model_fields[name]
        self._none_text = _NONE_TEXTS.get(name, "not set")
        self.editor = make_editor(
            name, field, none_text=self._none_text, choices=_CHOICES.get(name)
        )
        self.label = make_label(self.editor)
        self.label.setWordWrap(True)
        self.reset = QToolButton()
        self.reset.setText("↺")
        self.reset.setAutoRaise(True)
        follow_font(self.label, self.reset)
        self.error = Sentence(is_error=True)
        self._is_shown, self._is_set = True, False
        self.editor.changed.connect(self._on_changed)
        self.reset.clicked.connect(self._on_reset)

    def show_value(self, value: Any) -> None:
        """Show a value that the user did not enter."""
        with self.editor.changed.blocked():
            self.editor.value = value

    def show_text(self, text: str) -> None:
        """Say what auto or None means; an empty text says nothing of it."""
        native = self.editor.native
        if isinstance(native, QComboBox):
            for index in range(native.count()):
                if native.itemText(index).partition(":")[0] == "auto":
                    native.setItemText(index, f"auto: {text}" if text else "auto")
        elif isinstance(self.editor, NumberEdit) and self.editor.box.specialValueText():
            self.editor.box.setSpecialValueText(text or self._none_text)

    def set_shown(self, is_shown: bool) -> None:
        """Show or hide the line."""
        self._is_shown = is_shown
        for widget in (self.label, self.editor.native):
            widget.setVisible(is_shown)
        self.reset.setVisible(is_shown and self._is_set)
        self.error.setVisible(is_shown and bool(self.error.text()))

    def mark(self, is_set: bool, default: Any) -> None:
        """Show whether the value differs from the default."""
        self._is_set = is_set
        self.reset.setVisible(is_set and self._is_shown)
        self.reset.setToolTip(f"Back to {default}")
        font = self.label.font()
        font.setBold(is_set)
        self.label.setFont(font)

    def _on_changed(self) -> None:
        self.changed.emit(self.editor.name)

    def _on_reset(self) -> None:
        self.reset_wanted.emit(self.editor.name)


def _parts_of(names: Sequence[str]) -> dict[str, tuple[str, list[str]]]:
    """Return headings and fields of the config's parts, by the first of ``names`` in each."""
    fields = list(TrainConfig.model_fields)
    parts: dict[str, tuple[str, list[str]]] = {}
    for title, (first, last) in _PARTS.items():
        part = fields[fields.index(first) : fields.index(last) + 1]
        inside = [name for name in names if name in part]
        if inside:
            parts[inside[0]] = title, inside
    return parts
