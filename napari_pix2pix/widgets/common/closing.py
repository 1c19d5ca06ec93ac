"""Says when a dock is closed for good, by its own button or with the viewer, and asks before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    import napari.viewer


class ClosingGuard(QObject):
    """Watches over a dock's widget.

    Parameters
    ----------
    widget : QWidget
        The widget that was given to napari; parent of the guard.
    viewer : napari.viewer.Viewer
        The viewer that it is docked in.
    question : callable
        Returns what to ask before the viewer closes; empty when there is nothing to ask.

    Attributes
    ----------
    closing : Signal()
        The dock or its viewer closes: stop all work and wait for it. May come more than once.

    Notes
    -----
    Button, menu and shortcut of the window are asked. ``viewer.close()`` is not: it takes all
    layers out before the window closes, so that "no" would come too late, and in a script there
    may be nobody to answer. It is known by the layers that went in the same turn of the event loop.
    """

    closing = Signal()

    def __init__(
        self,
        widget: QWidget,
        viewer: napari.viewer.Viewer,
        question: Callable[[], str],
    ) -> None:
        super().__init__(widget)
        self._widget = widget
        self._viewer = viewer
        self._question = question
        # Runs while the layers went in this turn of the event loop.
        self._emptied = QTimer(self)
        self._emptied.setSingleShot(True)
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
            by_user = event.spontaneous() or not self._emptied.isActive()
            if by_user and not self._may_close():
                event.ignore()
                return True
            self.closing.emit()
        return False

    def _on_removed(self, _event: Any = None) -> None:
        if not self._viewer.layers:
            self._emptied.start(0)

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
        removed = self._viewer.layers.events.removed
        if self._above and not was_docked:
            removed.connect(self._on_removed)
        elif was_docked and not self._above:
            removed.disconnect(self._on_removed)
            self.closing.emit()

    def _may_close(self) -> bool:
        question = self._question()
        if not question:
            return True
        answer = QMessageBox.question(self._widget, "napari-pix2pix", question)
        return bool(answer == QMessageBox.StandardButton.Yes)
