"""What happens when a dock or its window closes: the user is asked, and work is ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

from qtpy.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    import napari.viewer

Answer = Literal["keep", "discard", "cancel"]
_TITLE = "napari-pix2pix"


class WorksInWindow(Protocol):
    """Something that has work in a window."""

    def may_close(self) -> bool | None:
        """Ask the user where something would be lost; None where there is nothing to ask."""

    def close_work(self) -> None:
        """Stop all work and wait for it, since the window closes."""


class WindowGuard(QObject):
    """Asks before a window closes, and tells all that work in it when it does; one a window.

    The user is asked after the window's button, menu and shortcut, but not after
    ``viewer.close()``: in a script nobody may be there to answer, and "no" would come too late,
    since it removes all layers first. The guard recognises it by just that: all layers were removed
    in the same turn of the event loop.
    """

    def __init__(self, window: QWidget, viewer: napari.viewer.Viewer) -> None:
        super().__init__(window)
        self._viewer = viewer
        self._workers: list[WorksInWindow] = []
        self._is_agreed = False  # the user was asked, and lets the window close
        # Runs while the last layer was removed in this turn of the event loop.
        self._emptied = QTimer(self)
        self._emptied.setSingleShot(True)
        window.installEventFilter(self)
        application = QCoreApplication.instance()
        assert application is not None
        application.aboutToQuit.connect(self.close_all)

    @classmethod
    def of(cls, window: QWidget, viewer: napari.viewer.Viewer) -> WindowGuard:
        """Return the guard of a window."""
        direct = Qt.FindChildOption.FindDirectChildrenOnly
        found = window.findChildren(cls, options=direct)
        return found[0] if found else cls(window, viewer)

    def add(self, worker: WorksInWindow) -> None:
        """Ask and tell this one, too."""
        if not self._workers:
            self._viewer.layers.events.removed.connect(self._on_removed)
        if worker not in self._workers:
            self._workers.append(worker)

    def remove(self, worker: WorksInWindow) -> None:
        """Ask and tell this one no more."""
        if worker in self._workers:
            self._workers.remove(worker)
            if not self._workers:
                self._viewer.layers.events.removed.disconnect(self._on_removed)

    def find(self, kind: type[Any]) -> Any:
        """Return the one that works here of a kind, or None."""
        return next((worker for worker in self._workers if isinstance(worker, kind)), None)

    def close_all(self) -> None:
        """Let all end their work."""
        for worker in tuple(self._workers):
            worker.close_work()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Notice that the window closes."""
        if event is None or event.type() != QEvent.Type.Close or watched is not self.parent():
            return False
        by_user = event.spontaneous() or not self._emptied.isActive()
        agrees = self._ask() if by_user and not self._is_agreed else None
        if agrees is not None and (event.spontaneous() or not agrees):
            event.ignore()
            if agrees:  # again, but so that napari does not ask once more
                self._is_agreed = True
                QTimer.singleShot(0, self._close_again)
            return True
        self.close_all()
        return False

    def _close_again(self) -> None:
        window = self.parent()
        assert isinstance(window, QWidget)
        window.close()

    def _ask(self) -> bool | None:
        """Ask all, before any of them ends its work; None where there is nothing to ask."""
        agrees = None
        for worker in tuple(self._workers):
            answer = worker.may_close()
            if answer is False:
                return False
            agrees = agrees or answer
        return agrees

    def _on_removed(self, _event: Any = None) -> None:
        if not self._viewer.layers:
            self._emptied.start(0)


class DockWatch(QObject):
    """Tells when a widget comes into a window, or another one, and when it is taken out."""

    docked = Signal(object)  # the window
    undocked = Signal()

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._above: list[QWidget] = []
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Notice that the widget, or what it lies in, moves to another window."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            self._watch_parents()
        return False

    def _watch_parents(self) -> None:
        """Watch all parents of the widget; when napari closes a dock, the widget has none."""
        for watched in self._above:
            watched.removeEventFilter(self)
        before, self._above = self._above[-1:], []
        above = self._widget.parentWidget()
        while above is not None:
            above.installEventFilter(self)
            self._above.append(above)
            above = above.parentWidget()
        now = self._above[-1:]
        if now and now != before:
            self.docked.emit(now[0])
        elif before and not now:
            self.undocked.emit()


class ClosingGuard(QObject):
    """Tells when a dock closes, alone or with its window, and asks the user before the latter."""

    # The dock or its window closes: stop all work and wait for it. May come more than once.
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
        self._window: WindowGuard | None = None
        watch = DockWatch(widget)
        watch.docked.connect(self._on_docked)
        watch.undocked.connect(self._on_undocked)

    def may_close(self) -> bool | None:
        """Ask the question, if there is one."""
        question = self._question()
        if not question:
            return None
        answer = QMessageBox.question(self._widget, _TITLE, question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def close_work(self) -> None:
        """Tell that the window closes."""
        self.closing.emit()

    def _on_docked(self, window: QWidget) -> None:
        self._leave()
        self._window = WindowGuard.of(window, self._viewer)
        self._window.add(self)

    def _on_undocked(self) -> None:
        self._leave()
        self.closing.emit()

    def _leave(self) -> None:
        if self._window is not None:
            self._window.remove(self)
            self._window = None


def ask_what_to_keep(window: QWidget | None, text: str) -> Answer:
    """Let the user choose between Keep, Discard and Cancel."""
    box = QMessageBox(QMessageBox.Icon.Question, _TITLE, text, parent=window)
    role = QMessageBox.ButtonRole
    keep = box.addButton("Keep", role.AcceptRole)
    discard = box.addButton("Discard", role.DestructiveRole)
    cancel = box.addButton("Cancel", role.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(cancel)
    box.exec()
    chosen = box.clickedButton()
    if chosen is keep:
        return "keep"
    return "discard" if chosen is discard else "cancel"
