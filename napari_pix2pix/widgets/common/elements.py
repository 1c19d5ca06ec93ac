"""What docks are built of: scroll areas, sections, sentences, pictures, bars, choices, buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtGui import QImage, QPaintEvent, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFrame,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_pix2pix.napari_layers.keep_responsive import Activity
from napari_pix2pix.widgets.common._rows import WrappingRow

if TYPE_CHECKING:
    from napari_pix2pix.training.config import AppliedWeights
    from napari_pix2pix.training.model_info import ModelInfo

RED, AMBER = "#e5534b", "#c98500"  # readable on napari's dark and light themes

_BY_USER = (QEvent.Type.MouseButtonPress, QEvent.Type.Wheel, QEvent.Type.KeyPress)
_NO_LIMIT = 2**24 - 1  # Qt's largest height of a widget
_STEPS = 1000  # of a progress bar
_ARROW = 56  # pixels of a box's arrow and margins
ROW_PADDING = 8  # pixels of a row of a table above and below its text
_FONT_EVENTS = (QEvent.Type.FontChange, QEvent.Type.StyleChange, QEvent.Type.Polish)


class Scroll(QScrollArea):
    """Scrolls up and down only; it is as wide as its content needs, so that nothing is cut off."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside.installEventFilter(self)
        self._wanted: QWidget | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._show_wanted)
        bar = self.verticalScrollBar()
        assert bar is not None
        bar.rangeChanged.connect(self._show_wanted)
        self._fit_width()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Follow the content's width; scroll no more by itself once the user does something."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            if watched is self.widget():
                self._fit_width()
        elif event is not None and event.type() in _BY_USER:
            self._wanted = None
        return super().eventFilter(watched, event)

    def show_soon(self, widget: QWidget) -> None:
        """Scroll to a widget and keep it in view, until the user clicks, scrolls or types here."""
        # What a run reports arrives later from threads, and would push the widget out of view.
        self._wanted = widget
        for child in self.findChildren(QWidget):
            child.installEventFilter(self)
        self._soon.start(0)

    def _show_wanted(self) -> None:
        if self._wanted is not None:
            self.ensureWidgetVisible(self._wanted)

    def _fit_width(self) -> None:
        inside, bar = self.widget(), self.verticalScrollBar()
        if inside is not None and bar is not None:
            width = inside.minimumSizeHint().width() + bar.sizeHint().width() + 4
            if width != self.minimumWidth():
                self.setMinimumWidth(width)


class Section(QCollapsible):
    """A heading with an arrow, and below it what it opens.

    superqt fixes the height of the content when it opens. This content may grow later, for
    example by an error below a field. It opens without an animation, of which every step would
    draw the whole window.
    """

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__(title)
        self.setDuration(0)
        self.content().setParent(None)  # superqt's own, which is empty
        self.setContent(content)
        button = self.toggleButton()
        button.setToolTip(f"Show or hide: {title}")
        button.setStyleSheet("text-align: left; border: none; background: none; padding: 2px 0")
        button.installEventFilter(self)
        layout = self.layout()
        assert layout is not None
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        # superqt's is no higher than its content would be if no row wrapped, and cuts it.
        layout.setAlignment(Qt.AlignmentFlag(0))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.toggled.connect(self._on_toggled)
        self._draw_arrows()
        self._on_toggled(False)

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:  # noqa: N802
        """Draw the arrows again in the text's colour, which the theme decides on."""
        if a1 is not None and a1.type() == QEvent.Type.PaletteChange:
            self._draw_arrows()
        return False

    def _draw_arrows(self) -> None:
        self.setExpandedIcon("▼")
        self.setCollapsedIcon("▶")

    def _on_toggled(self, is_open: bool) -> None:
        self.content().setMaximumHeight(_NO_LIMIT)
        self.content().setVisible(is_open)  # the tab key passes by what is hidden


class Sentence(QLabel):
    """Text that wraps and can be selected; hidden while it is empty."""

    def __init__(self, *, is_error: bool = False, is_warning: bool = False) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        if is_error or is_warning:
            self.setStyleSheet(f"color: {RED if is_error else AMBER}")
        self.hide()

    def set_text(self, text: str) -> None:
        """Show a text; an empty one hides the label."""
        self.setText(text)
        self.setVisible(bool(text))


def picture_label(picture: np.ndarray, height: int) -> QLabel:
    """Return a label with a picture, (H, W, 3) uint8, scaled to a height in pixels."""
    label = QLabel()
    label.setPixmap(pixmap(picture, height))
    return label


def pixmap(picture: np.ndarray, height: int) -> QPixmap:
    """Return a picture, (H, W, 3) uint8, as a pixmap, scaled to a height in pixels."""
    rows, columns, _ = picture.shape
    form = QImage.Format.Format_RGB888
    image = QImage(picture.tobytes(), columns, rows, 3 * columns, form).copy()
    fast = Qt.TransformationMode.FastTransformation
    return QPixmap.fromImage(image).scaledToHeight(height, fast)


class ProgressRow(QProgressBar):
    """Bar of work in progress, here and in napari's activity dock; hidden while there is none."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._activity = Activity()
        self.setToolTip("How much of the work is done, and about how long the rest takes")
        self.hide()

    def begin(self, text: str) -> None:
        """Show that there is work whose length is not known yet."""
        self._activity.begin(self._title)
        self.setRange(0, 0)
        self.setFormat(text)
        self.show()

    def show_part(self, part: float, text: str) -> None:
        """Show which part of the work is done, from 0 to 1, and a text."""
        # The activity dock first, since napari draws it at once. Then this bar changes in one
        # go, since each of its changes draws the whole window.
        self._activity.show(part, self._title)
        self.setUpdatesEnabled(False)
        self.setRange(0, _STEPS)
        self.setValue(round(part * _STEPS))
        self.setFormat(text)
        self.setUpdatesEnabled(True)

    def finish(self) -> None:
        """Hide the bar: the work is over."""
        self.hide()
        self._activity.end()


class Choice(QComboBox):
    """Combo box that leaves the wheel to the scroll area, and does not grow with its entries."""

    def __init__(self, parent: QWidget | None = None, *, least_text: str = "none") -> None:
        super().__init__(parent)
        self._tip = ""
        self._least_text = least_text  # what the narrowest box shows
        share_width(self)
        pass_wheel_on(self)
        view = self.view()
        assert view is not None
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.currentIndexChanged.connect(self.refresh_tip)

    def text(self) -> str:
        """Return the text of the closed box."""
        return self.currentText()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Leave room for a short word; the text of a narrower box is elided."""
        width = self.fontMetrics().horizontalAdvance(self._least_text) + _ARROW
        return QSize(width, super().minimumSizeHint().height())

    def set_tip(self, tip: str) -> None:
        """Say in the tooltip what is chosen here, below the whole text of the closed box."""
        self._tip = tip
        self.refresh_tip()

    def refresh_tip(self) -> None:
        """Show the text of the closed box in the tooltip, since the box may be too narrow."""
        if self._tip:
            self.setToolTip(f"{self.text()}\n\n{self._tip}")

    def paintEvent(self, e: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the text with dots where it is too long."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        style = self.style()
        assert style is not None
        part = QStyle.SubControl.SC_ComboBoxEditField
        box = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, self)
        # In the middle: names of files and channels differ at their ends.
        option.currentText = self.fontMetrics().elidedText(
            self.text(), Qt.TextElideMode.ElideMiddle, box.width() - 6
        )
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class WeightsChoice(Choice):
    """The last weights of a model or the best, where it holds both; else it is hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip("Weights to apply: the last, or those of the best validation")
        self.hide()

    @property
    def value(self) -> AppliedWeights:
        """The chosen weights."""
        return cast("AppliedWeights", self.currentData())

    def offer(self, info: ModelInfo | None) -> None:
        """Offer what a model holds, with steps and held-out scores; its own are chosen."""
        candidates = () if info is None else info.candidates
        self.clear()
        for candidate in candidates:
            self.addItem(str(candidate), candidate.weights)
        if info is not None:
            self.setCurrentIndex(self.findData(info.applied))
        self.setVisible(bool(candidates))


def push_button(text: str, tip: str) -> QPushButton:
    """Return a button with a tooltip."""
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def lay_out_column(parent: QWidget, *parts: QWidget | QLayout, spacing: int = -1) -> QVBoxLayout:
    """Lay out a widget's parts below each other, without margins; -1 is the style's spacing."""
    column = QVBoxLayout(parent)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(spacing)
    for part in parts:
        if isinstance(part, QLayout):
            column.addLayout(part)
        else:
            column.addWidget(part)
    return column


def runs_button() -> QPushButton:
    """Return the button that opens the gallery of runs."""
    return push_button("Runs…", "Compare, use, name and delete the models of all trainings")


def row_of(*widgets: QWidget) -> WrappingRow:
    """Return a layout of widgets beside each other, in several lines where they do not fit."""
    row = WrappingRow()
    for widget in widgets:
        row.addWidget(widget)
    return row


def share_width(box: QComboBox) -> None:
    """Let a combo box be as wide as the form lets it be, not as its longest entry."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(4)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def pass_wheel_on(widget: QWidget) -> None:
    """Let the wheel scroll the dock while the mouse is over a widget, and not change its value."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_WheelToParent(widget))


def follow_font(model: QWidget, *others: QWidget) -> None:
    """Let widgets have the font of another one: napari's size of the font misses some kinds."""
    model.installEventFilter(_FontToOthers(model, others))


def wrap_text(box: QCheckBox) -> None:
    """Let the text of a check box go on in the next line where the box is too narrow for it."""
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    box.installEventFilter(_WrappedText(box))


class _WrappedText(QObject):
    """Event filter of a check box, which can't wrap its text itself."""

    def __init__(self, box: QCheckBox) -> None:
        super().__init__(box)
        self._box, self._words = box, box.text().split()
        box.setAccessibleName(box.text())

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:  # noqa: N802
        if a1 is not None and a1.type() in (QEvent.Type.Resize, *_FONT_EVENTS):
            self._wrap()
        return False

    def _wrap(self) -> None:
        font = self._box.fontMetrics()
        # What the box itself takes, and the margins, which a style may draw around it.
        beside = self._box.sizeHint().width() - max(
            font.horizontalAdvance(line) for line in self._box.text().split("\n")
        )
        longest = max(font.horizontalAdvance(word) for word in self._words)
        if self._box.minimumWidth() != longest + beside:
            self._box.setMinimumWidth(longest + beside)
        lines = [self._words[0]]
        for word in self._words[1:]:
            line = f"{lines[-1]} {word}"
            if font.horizontalAdvance(line) + beside <= self._box.width():
                lines[-1] = line
            else:
                lines.append(word)
        if (text := "\n".join(lines)) != self._box.text():
            self._box.setText(text)


class _FontToOthers(QObject):
    """Event filter of a widget whose font others follow."""

    def __init__(self, model: QWidget, others: tuple[QWidget, ...]) -> None:
        super().__init__(model)
        self._model, self._others = model, others

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:  # noqa: N802
        if a1 is not None and a1.type() in _FONT_EVENTS:
            for other in self._others:
                other.setFont(self._model.font())
        return False


class _WheelToParent(QObject):
    """Event filter; Qt hands an event that was not accepted to the parent."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        if event is not None and event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)
