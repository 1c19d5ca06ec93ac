"""An editor for each kind of field that `TrainConfig` declares."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QPaintEvent, QValidator, QWheelEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

_MOST = 2.0**53  # integers up to here are exact in a spin box of doubles
_DIGITS = 10


class Choice(QComboBox):
    """Combo box that leaves the wheel to the scroll area, and does not grow with its entries."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Leave the event to the parent."""
        if event is not None:
            event.ignore()

    def text(self) -> str:
        """Return what the closed box says."""
        return self.currentText()

    def paintEvent(self, e: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the text with dots where it is too long."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        style = self.style()
        assert style is not None
        part = QStyle.SubControl.SC_ComboBoxEditField
        box = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, self)
        option.currentText = self.fontMetrics().elidedText(
            self.text(), Qt.TextElideMode.ElideRight, box.width() - 6
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class Slider(QSlider):
    """Slider that leaves the wheel to the scroll area."""

    def wheelEvent(self, e: QWheelEvent | None) -> None:  # noqa: N802
        """Leave the event to the parent."""
        if e is not None:
            e.ignore()


class Number(QDoubleSpinBox):
    """Spin box for integers and floats of any size; it leaves the wheel to the scroll area."""

    def __init__(self, parent: QWidget | None = None, *, integer: bool = False) -> None:
        self._integer = integer
        super().__init__(parent)
        self.setDecimals(0 if integer else _DIGITS)
        self.setRange(0, _MOST)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setKeyboardTracking(False)
        # As wide as the form lets it be, not as the largest number needs.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(70)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Leave the event to the parent."""
        if event is not None:
            event.ignore()

    def textFromValue(self, v: float) -> str:  # noqa: N802
        """Write 0.0002 as 0.0002 and not as 0.0002000000."""
        return str(int(v)) if self._integer else f"{v:.{_DIGITS}g}"

    def valueFromText(self, text: str | None) -> float:  # noqa: N802
        """Read also 2e-4."""
        return float((text or "").removeprefix(self.prefix()).removesuffix(self.suffix()))

    def validate(self, text: str | None, pos: int) -> tuple[QValidator.State, str, int]:
        """Accept all that is a number."""
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


class Editor(QObject):
    """One field's widget, its value and a signal when that changes.

    Parameters
    ----------
    field : pydantic.fields.FieldInfo
        As `TrainConfig` declares it.

    Attributes
    ----------
    changed : Signal()
        The value is another, whether by the user or by `set_value`.
    widget : QWidget
    """

    changed = Signal()

    def __init__(self, field: FieldInfo) -> None:
        super().__init__()
        kind, limits, self._optional = _declared(field)
        self._integer = kind is int
        self.widget: QWidget
        self._parts: list[Any]
        if get_origin(kind) is Literal:
            self.widget = self._choice(get_args(kind))
        elif kind is bool:
            self.widget = self._switch()
        elif kind in (int, float):
            self.widget = self._number(limits)
        elif get_origin(kind) is tuple:
            self.widget = self._numbers(len(get_args(kind)))
        else:
            self.widget = self._line()
        self.widget.setToolTip(field.description or "")

    def value(self) -> Any:
        """Return what is shown, as `TrainConfig` takes it."""
        part = self._parts[0]
        if isinstance(part, QComboBox):
            return part.currentData()
        if isinstance(part, QCheckBox):
            return part.isChecked()
        if isinstance(part, QLineEdit):
            return part.text().strip()
        if len(self._parts) > 1:
            return tuple(spin.value() for spin in self._parts)
        if self._optional and part.value() == part.minimum():
            return None
        return int(part.value()) if self._integer else part.value()

    def set_value(self, value: Any) -> None:
        """Show a value."""
        part = self._parts[0]
        if isinstance(part, QComboBox):
            part.setCurrentIndex(max(part.findData(value), 0))
        elif isinstance(part, QCheckBox):
            part.setChecked(bool(value))
        elif isinstance(part, QLineEdit):
            part.setText(str(value))
        elif len(self._parts) > 1:
            for spin, number in zip(self._parts, value, strict=True):
                spin.setValue(number)
        else:
            part.setValue(part.minimum() if value is None else value)

    def _choice(self, values: tuple[Any, ...]) -> QWidget:
        combo = Choice()
        if self._optional:
            combo.addItem("as the other", None)
        for value in values:
            combo.addItem(str(value), value)
        combo.currentIndexChanged.connect(self.changed)
        self._parts = [combo]
        return combo

    def _switch(self) -> QWidget:
        box = QCheckBox()
        box.toggled.connect(self.changed)
        self._parts = [box]
        return box

    def _number(self, limits: dict[str, float]) -> QWidget:
        spin = Number(integer=self._integer)
        spin.setRange(limits.get("ge", limits.get("gt", 0)), limits.get("le", _MOST))
        if self._optional:
            spin.setMinimum(0)  # which no such field takes
            spin.setSpecialValueText("not set")
        spin.valueChanged.connect(self.changed)
        self._parts = [spin]
        return spin

    def _numbers(self, count: int) -> QWidget:
        box = QWidget()
        layout = QHBoxLayout(box)
        layout.setContentsMargins(0, 0, 0, 0)
        self._parts = [Number() for _ in range(count)]
        for spin in self._parts:
            spin.valueChanged.connect(self.changed)
            layout.addWidget(spin)
        return box

    def _line(self) -> QWidget:
        line = QLineEdit()
        line.editingFinished.connect(self.changed)
        self._parts = [line]
        return line


def _declared(field: FieldInfo) -> tuple[Any, dict[str, float], bool]:
    """Return a field's type, its limits by their names, and whether it may be left out."""
    kind, constraints = field.annotation, list(field.metadata)
    members = get_args(kind) if get_origin(kind) in (Union, type(int | None)) else ()
    optional = type(None) in members
    if optional:
        kind = next(member for member in members if member is not type(None))
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        for one in more:
            constraints += getattr(one, "metadata", [one])
    limits = {
        name: float(getattr(one, name))
        for one in constraints
        for name in ("ge", "gt", "le", "lt")
        if hasattr(one, name)
    }
    return kind, limits, optional


def push_button(text: str, tip: str) -> QPushButton:
    """Return a button that says in its tooltip what it does."""
    button = QPushButton(text)
    button.setToolTip(tip)
    return button
