"""Says when a dock is closed for good, by its own button or with the viewer, and asks before."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QEvent, QObject, Signal
from qtpy.QtWidgets import QMessageBox, QWidget


class ClosingGuard(QObject):
    """Watches over a dock's widget.

    Parameters
    ----------
    widget : QWidget
        The widget that was given to napari; parent of the guard.
    question : callable
        Returns what to ask before the viewer closes; empty when there is nothing to ask.
    by_script : callable, optional
        Whether a close that is not a click on the window's own button comes from a script, which
        is not asked. Without it that is taken for granted.

    Attributes
    ----------
    closing : Signal()
        The dock or its viewer closes: stop all work and wait for it. May come more than once.
    """

    closing = Signal()

    def __init__(
        self,
        widget: QWidget,
        question: Callable[[], str],
        by_script: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(widget)
        self._widget = widget
        self._question = question
        self._by_script = by_script
        self._above: list[QObject] = []
        widget.installEventFilter(self)
        application = QCoreApplication.instance()
        assert application is not None
        application.aboutToQuit.connect(self.closing)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Look at what happens to the widget and its window."""
        if event is None or watched is None:
            return False
        kind = event.type()
        if kind == QEvent.Type.ParentChange:
            self._follow()
        elif kind == QEvent.Type.Close and self._above and watched is self._above[-1]:
            by_user = event.spontaneous() or not self._by_script()
            if by_user and not self._may_close():
                event.ignore()
                return True
            self.closing.emit()
        return False

    def _follow(self) -> None:
        """Watch all that the widget is in; napari takes it out of everything when it closes."""
        for watched in self._above:
            watched.removeEventFilter(self)
        was_docked, self._above = bool(self._above), []
        above = self._widget.parentWidget()
        while above is not None:
            above.installEventFilter(self)
            self._above.append(above)
            above = above.parentWidget()
        if was_docked and not self._above:
            self.closing.emit()

    def _may_close(self) -> bool:
        question = self._question()
        if not question:
            return True
        answer = QMessageBox.question(self._widget, "napari-pix2pix", question)
        return bool(answer == QMessageBox.StandardButton.Yes)
