"""The part of a dock that scrolls, downwards only."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget


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
        self._fit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Grow with what is in it."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return super().eventFilter(watched, event)

    def show_soon(self, widget: QWidget) -> None:
        """Scroll to a widget as soon as it has its place."""
        self._wanted = widget
        self._soon.start(50)

    def _show_wanted(self) -> None:
        if self._wanted is not None:
            self.ensureWidgetVisible(self._wanted)

    def _fit(self) -> None:
        inside, bar = self.widget(), self.verticalScrollBar()
        if inside is not None and bar is not None:
            width = inside.minimumSizeHint().width() + bar.sizeHint().width() + 4
            if width != self.minimumWidth():
                self.setMinimumWidth(width)
