"""The part of a dock that scrolls, downwards only.

A part of a dock that opens and closes by its heading.

Sentences in a dock: as wide as the dock, as high as they need, gone when there is none.

Pictures on labels.

A bar that says how far work is and how long it will take, here and in napari's activity dock.
"""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QFrame,
    QLabel,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pix2pix.napari_layers.activity import Activity

_BY_USER = (QEvent.Type.MouseButtonPress, QEvent.Type.Wheel, QEvent.Type.KeyPress)


class Scroll(QScrollArea):
    """As wide as what is in it needs, so that nothing is cut off.

    Parameters
    ----------
    inside : QWidget
    """

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
        self._fit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Grow with what is in it; leave it where it is once the user does something there."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            if watched is self.widget():
                self._fit()
        elif event is not None and event.type() in _BY_USER:
            self._wanted = None
        return super().eventFilter(watched, event)

    def show_soon(self, widget: QWidget) -> None:
        """Scroll to a widget, and keep it in view while others take their places.

        What a run leaves to be said comes later, from threads. It ends when the user does something
        here.
        """
        self._wanted = widget
        for one in self.findChildren(QWidget):
            one.installEventFilter(self)
        self._soon.start(0)

    def _show_wanted(self) -> None:
        if self._wanted is not None:
            self.ensureWidgetVisible(self._wanted)

    def _fit(self) -> None:
        inside, bar = self.widget(), self.verticalScrollBar()
        if inside is not None and bar is not None:
            width = inside.minimumSizeHint().width() + bar.sizeHint().width() + 4
            if width != self.minimumWidth():
                self.setMinimumWidth(width)


class Section(QWidget):
    """A heading with an arrow, and below it what it opens.

    Parameters
    ----------
    title : str
    content : QWidget
    is_open : bool
        Whether the content is shown at first.
    """

    def __init__(self, title: str, content: QWidget, *, is_open: bool = False) -> None:
        super().__init__()
        self.heading = QToolButton()
        self.heading.setText(title)
        self.heading.setCheckable(True)
        self.heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.heading.setAutoRaise(True)
        self.heading.setStyleSheet("QToolButton { text-align: left; border: none; padding: 2px 0 }")
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.heading.setToolTip(f"Show or hide: {title}")
        self.content = content
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.heading)
        layout.addWidget(content)
        self.heading.toggled.connect(self._toggle)
        self.heading.setChecked(is_open)
        self._toggle(is_open)

    @property
    def is_open(self) -> bool:
        """Whether the content is shown."""
        return self.heading.isChecked()

    def set_open(self, is_open: bool) -> None:
        """Show or hide the content."""
        self.heading.setChecked(is_open)

    def _toggle(self, is_open: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow
        self.heading.setArrowType(arrow)
        self.content.setVisible(is_open)


RED, AMBER = "#e5534b", "#c98500"  # readable on napari's dark and light themes


class Sentence(QLabel):
    """Text that wraps and can be selected; hidden while empty.

    Parameters
    ----------
    is_error, is_warning : bool
        Whether it is red, or amber.
    """

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

    def say(self, text: str) -> None:
        """Show a text; an empty one hides the label."""
        self.setText(text)
        self.setVisible(bool(text))


def picture_label(picture: np.ndarray, height: int) -> QLabel:
    """Return a label that shows a picture, uint8 (h, w, 3), so many pixels high."""
    label = QLabel()
    label.setPixmap(pixmap(picture, height))
    return label


def pixmap(picture: np.ndarray, height: int) -> QPixmap:
    """Bring a picture, uint8 (h, w, 3), to the screen, so many pixels high."""
    rows, columns, _ = picture.shape
    form = QImage.Format.Format_RGB888
    image = QImage(picture.tobytes(), columns, rows, 3 * columns, form).copy()
    how = Qt.TransformationMode.FastTransformation
    return QPixmap.fromImage(image).scaledToHeight(height, how)


_STEPS = 1000


class ProgressRow(QProgressBar):
    """Hidden while nothing is done.

    Parameters
    ----------
    title : str
        What the activity dock calls the work.
    """

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._activity = Activity()
        self.setToolTip("How far the work is, and about how long it will still take")
        self.hide()

    def begin(self, text: str) -> None:
        """Show that there is work whose length is not known yet."""
        self._activity.begin(self._title)
        self.setRange(0, 0)
        self.setFormat(text)
        self.show()

    def show_part(self, part: float, text: str) -> None:
        """Show how far it is, from 0 to 1, and what to say beside."""
        # Drawn once, since the whole window is drawn with it; first what napari draws at once.
        self._activity.show(part, self._title)
        self.setUpdatesEnabled(False)
        self.setRange(0, _STEPS)
        self.setValue(round(part * _STEPS))
        self.setFormat(text)
        self.setUpdatesEnabled(True)

    def finish(self) -> None:
        """Nothing is done any more."""
        self.hide()
        self._activity.end()
