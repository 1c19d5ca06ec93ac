"""The part of a dock that scrolls, downwards only."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

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
