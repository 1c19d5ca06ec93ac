"""Editors of options: magicgui makes them from the types that the options are declared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from magicgui.types import Undefined
from magicgui.widgets import CheckBox, ComboBox, create_widget
from magicgui.widgets.bases import BaseValueWidget, ValuedContainerWidget
from pydantic.fields import FieldInfo
from qtpy.QtCore import QEvent, Signal
from qtpy.QtGui import QResizeEvent, QValidator
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QSizePolicy,
    QWidget,
)

from napari_pix2pix.widgets.common.elements import pass_wheel_on, share_width

_MOST = 2.0**53  # integers up to here are exact in a spin box of doubles
_DIGITS = 10
_FIELD = "automatic, or"  # a field should have room for so long a text
_BUTTONS, _GAP = 60, 6  # pixels of a field beside its text, and beside a label

Editor = BaseValueWidget[Any]


class NumberBox(QDoubleSpinBox):
    """Spin box for integers and floats of any size; it reads 2e-4 and shows 0.0002."""

    def __init__(self, parent: QWidget | None = None, *, integer: bool = False) -> None:
        self._integer = integer
        super().__init__(parent)
        self.setDecimals(0 if integer else _DIGITS)
        self.setRange(0, _MOST)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.setKeyboardTracking(False)
        # As wide as the form lets it be, not as the largest number needs.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        # napari's style sheet asks for 70 pixels, so that two of them beside a label are too wide.
        self.setStyleSheet("min-width: 46px")
        pass_wheel_on(self)

    def leave_out_buttons(self) -> None:
        """Leave the width to the number, where several boxes stand beside each other."""
        self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self.setStyleSheet("min-width: 46px; padding: 1px 4px")

    def textFromValue(self, v: float) -> str:  # noqa: N802
        """Write 0.0002 as 0.0002 and not as 0.0002000000."""
        return str(int(v)) if self._integer else f"{v:.{_DIGITS}g}"

    def valueFromText(self, text: str | None) -> float:  # noqa: N802
        """Read also 2e-4."""
        return float((text or "").removeprefix(self.prefix()).removesuffix(self.suffix()))

    def validate(self, text: str | None, pos: int) -> tuple[QValidator.State, str, int]:
        """Accept any number within the range."""
        text = text or ""
        state = QValidator.State.Acceptable
        if text != self.specialValueText():
            try:
                value = self.valueFromText(text)
            except ValueError:
                state = QValidator.State.Intermediate
            else:
                fits = self.minimum() <= value <= self.maximum()
                state = state if fits else QValidator.State.Intermediate
        return state, text, pos


class NumberEdit(ValuedContainerWidget[Any]):
    """A number, or None, as a widget of magicgui.

    magicgui's own spin boxes have a fixed number of decimals and can't show None.
    """

    def __init__(
        self,
        value: Any = Undefined,
        *,
        min: float = 0,
        max: float = _MOST,
        none_text: str = "not set",
        **options: Any,
    ) -> None:
        super().__init__(layout="horizontal", labels=False, **options)
        self.margins = (0, 0, 0, 0)
        self._integer = self.annotation is int
        self.box = NumberBox(integer=self._integer)
        # Below the least number there is one that stands for None: 0 where 0 is no choice.
        none = 0 if min > 0 else min - 1
        self.box.setRange(none if self._nullable else min, max)
        if self._nullable:
            self.box.setSpecialValueText(none_text)
        self.native.layout().addWidget(self.box)
        self.box.valueChanged.connect(self._on_box_changed)
        if value is not Undefined:
            self.value = value

    def get_value(self) -> float | None:
        """Return the number that is shown."""
        number = self.box.value()
        if self._nullable and number == self.box.minimum():
            return None
        return int(number) if self._integer else number

    def set_value(self, value: float | None) -> None:
        """Show another number."""
        self.box.setValue(self.box.minimum() if value is None else value)

    def _on_box_changed(self) -> None:
        self._on_value_change(self.get_value())


def make_editor(
    name: str,
    field: FieldInfo,
    *,
    none_text: str = "not set",  # what is shown for None
    choices: Iterable[tuple[str, Any]] | None = None,  # texts and values, to choose from only them
) -> Editor:
    """Return a widget of magicgui for a field of a pydantic model."""
    kind, limits, optional = _read_declaration(field)
    options: dict[str, Any] = {"nullable": optional, "tooltip": field.description or ""}
    if choices is not None:
        options |= {"widget_type": ComboBox, "choices": list(choices)}
    elif kind in (int, float):
        least, most = limits.get("ge", limits.get("gt", 0)), limits.get("le", _MOST)
        options |= {"widget_type": NumberEdit, "min": least, "max": most, "none_text": none_text}
    elif get_origin(kind) is tuple:
        options["options"] = {"widget_type": NumberEdit}
    editor = create_widget(annotation=kind, name=name, label=field.title, options=options)
    assert isinstance(editor, BaseValueWidget)
    for box in editor.native.findChildren(NumberBox) if get_origin(kind) is tuple else ():
        box.leave_out_buttons()
    if isinstance(editor, ComboBox):
        _adapt_combo_box(editor, none_text)
    return editor


def make_label(editor: Editor) -> QLabel:
    """Return the label that stands beside an editor."""
    label = QLabel(editor.label)
    label.setToolTip(editor.tooltip or "")
    if isinstance(editor, CheckBox):
        editor.text = ""  # by itself it has its label as its own text
    return label


class OptionsForm(QWidget):
    """Some editors with their labels, one a row."""

    changed = Signal()  # another value is shown

    def __init__(self, editors: Iterable[Editor]) -> None:
        super().__init__()
        self.editors = {editor.name: editor for editor in editors}
        self._labels: list[QLabel] = []
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for editor in self.editors.values():
            label = make_label(editor)
            label.setWordWrap(True)
            self._labels.append(label)
            layout.addRow(label, editor.native)
            editor.changed.connect(self._on_changed)

    def resizeEvent(self, a0: QResizeEvent | None) -> None:  # noqa: N802
        """Wrap the labels where the form is narrow."""
        super().resizeEvent(a0)
        self._fit_labels()

    def changeEvent(self, a0: QEvent | None) -> None:  # noqa: N802
        """Give the labels the width that their font needs."""
        super().changeEvent(a0)
        if a0 is not None and a0.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_labels()

    def _fit_labels(self) -> None:
        """Make the labels as wide as the longest, or in a narrow form as its longest word."""
        if not self._labels:
            return
        texts, font = [label.text() for label in self._labels], self._labels[0].fontMetrics()
        whole, word = (
            max(map(font.horizontalAdvance, parts))
            for parts in (texts, [word for text in texts for word in text.split()])
        )
        is_narrow = self.width() < whole + font.horizontalAdvance(_FIELD) + _BUTTONS
        for label in self._labels:
            label.setFixedWidth((word if is_narrow else whole) + _GAP)

    def values(self) -> dict[str, Any]:
        """Return what is shown, without the fields that are disabled."""
        return {name: editor.value for name, editor in self.editors.items() if editor.enabled}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show other values; the fields that are not named stay as they are."""
        for name, value in values.items():
            editor = self.editors[name]
            if isinstance(editor, ComboBox) and value not in editor.choices:
                editor.set_choice(str(value), value)
            editor.value = value

    def _on_changed(self) -> None:
        self.changed.emit()


def _adapt_combo_box(editor: ComboBox, none_text: str) -> None:
    editor.null_string = none_text
    editor.native.clear()  # else the new text comes last
    editor.reset_choices()
    # magicgui would reset them with each new parent, and lose a choice that was added.
    editor.native_parent_changed.disconnect(editor.reset_choices)
    share_width(editor.native)
    pass_wheel_on(editor.native)


def _read_declaration(field: FieldInfo) -> tuple[Any, dict[str, float], bool]:
    """Return a field's type, its limits by pydantic's names, and whether it may be None."""
    kind: Any = field.annotation
    constraints = list(field.metadata)
    members = get_args(kind) if get_origin(kind) in (Union, type(int | None)) else ()
    optional = type(None) in members
    if optional:
        kind = next(member for member in members if member is not type(None))
    if get_origin(kind) is Annotated:
        kind, *annotations = get_args(kind)
        for annotation in annotations:
            constraints += getattr(annotation, "metadata", [annotation])
    if get_origin(kind) is tuple:  # magicgui takes no limits in there
        kind = tuple[tuple(get_args(part)[0] for part in get_args(kind))]  # type: ignore[misc]
    limits = {
        name: float(getattr(constraint, name))
        for constraint in constraints
        for name in ("ge", "gt", "le")
        if hasattr(constraint, name)
    }
    return kind, limits, optional
