"""Work that is started from the main thread while a viewer is open: the viewer stays alive.

Without an open viewer, and in other threads, work is simply done.
"""

from __future__ import annotations

import contextvars
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, TypeVar

from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import gc_guard
from napari_pix2pix.napari_layers.activity import Activity

T = TypeVar("T")

_SHORT = 0.03  # seconds of work for which no event loop is worth while
_PERIOD = 10  # milliseconds between two looks at the work; Ctrl+C is seen then too
_NAME = "pix2pix console"  # of the thread


class Desk:
    """What work is given to speak to the user; this one is silent."""

    def show(self, progress: float, text: str = "") -> None:
        """Show how far the work is.

        Parameters
        ----------
        progress : float
            From 0 to 1.
        text : str
            Beside the bar.

        Raises
        ------
        KeyboardInterrupt
            When the user has cancelled work that can't end with a result.
        """

    def call(self, function: Callable[[], T]) -> T:
        """Call what a user gave, in the main thread."""
        return function()


def keep_alive(
    work: Callable[[Desk], T], *, title: str, stop: Callable[[], None] | None = None
) -> T:
    """Do work while the viewer, if one is open, stays alive.

    Parameters
    ----------
    work : callable
        Given a `Desk`. With a viewer it runs in a thread of its own.
    title : str
        Of the bar in napari's activity dock, whose Cancel stops the work, as Ctrl+C does, and as
        closing the last viewer does.
    stop : callable, optional
        Asks the work to end soon and return what it has. Without it stopped work is broken off.

    Returns
    -------
    object
        What the work returns; what it raises is raised.

    Raises
    ------
    InputError
        When other work is already being waited for.
    KeyboardInterrupt
        When work without `stop` was stopped, or Ctrl+C was given twice.
    """
    if not _viewer_is_open():
        return work(Desk())
    if _Beside.active is not None:
        if _Beside.active.answering:
            return work(Desk())
        raise InputError(
            f"{_Beside.active.title} is still going on: wait for its end, or stop it in the "
            "activity dock, at the lower right of the viewer."
        )
    beside = _Beside(title, stop)
    _Beside.active = beside
    try:
        return beside.run(work)
    finally:
        _Beside.active = None


class _Beside(Desk):
    """Work in a thread of its own, and a nested event loop that waits for it."""

    active: ClassVar[_Beside | None] = None

    def __init__(self, title: str, stop: Callable[[], None] | None) -> None:
        self.title = title
        self.answering = False
        self._ask_to_stop = stop
        self._stopped = threading.Event()
        self._left = threading.Event()  # no one waits for the work any more
        self._broken_off = self._closed = False
        self._shown = 0.0, ""
        self._questions: SimpleQueue[tuple[Callable[[], Any], Future]] = SimpleQueue()
        self._result: Future = Future()

    def show(self, progress: float, text: str = "") -> None:
        self._shown = progress, text
        if self._stopped.is_set() and self._ask_to_stop is None:
            raise KeyboardInterrupt(f"{self.title} was stopped.")

    def call(self, function: Callable[[], T]) -> T:
        answer: Future[T] = Future()
        self._questions.put((function, answer))
        while not self._left.is_set():
            if wait([answer], timeout=0.1).done:
                return answer.result()
        raise KeyboardInterrupt(f"{self.title} was broken off.")

    def run(self, work: Callable[[Desk], T]) -> T:
        """Do the work; called in the main thread."""
        # What is set for the caller holds for the work too.
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(self._work, work), name=_NAME, daemon=True)
        gc_guard.hold()
        thread.start()
        thread.join(_SHORT)
        try:
            with _interrupts(self._interrupt):
                if not self._over:
                    self._wait_with_viewer()
                while not self._over:  # the application quits, and its loops with it
                    self._stop()
                    self._answer()
                    time.sleep(_PERIOD / 1000)
        finally:
            self._left.set()
            gc_guard.release()
        if not self._result.done():
            raise KeyboardInterrupt(f"{self.title} was broken off.")
        result: T = self._result.result()
        if self._closed:
            words = f"The viewer was closed: {self.title} was stopped, and what is done is kept."
            warnings.warn(words, UserWarning, stacklevel=4)
        return result

    @property
    def _over(self) -> bool:
        return self._result.done() or self._broken_off

    def _work(self, work: Callable[[Desk], Any]) -> None:
        try:
            self._result.set_result(work(self))
        except BaseException as error:
            self._result.set_exception(error)

    def _wait_with_viewer(self) -> None:
        """Let the viewer live until the work is over, or until the application quits."""
        from qtpy.QtCore import QEventLoop, QTimer
        from qtpy.QtWidgets import QApplication

        loop, timer, looks = QEventLoop(), QTimer(), 0

        def look() -> None:
            nonlocal looks
            looks += 1
            gc_guard.collect_due()
            self._answer()
            self._closed = not _viewer_is_open()
            if not self._closed:
                self._show_on(bar)
            if self._closed or bar.canceled:
                self._stop()
            if self._over:
                loop.quit()

        bar = Activity(cancelable=True)
        bar.begin(self.title)
        with ExitStack() as stack:
            stack.callback(bar.end)
            stack.enter_context(_console_interrupts(self._interrupt))
            timer.timeout.connect(look)
            timer.start(_PERIOD)
            loop.exec()
            if not looks:  # Qt starts no loop after a quit, as of an earlier viewer in a script
                while not self._over:
                    QApplication.processEvents()
                    time.sleep(_PERIOD / 1000)
            timer.stop()

    def _answer(self) -> None:
        """Call what the work wants called."""
        try:
            function, answer = self._questions.get_nowait()
        except Empty:
            return
        self.answering = True
        try:
            answer.set_result(function())
        except BaseException as error:
            answer.set_exception(error)
        finally:
            self.answering = False

    def _show_on(self, bar: Activity) -> None:
        progress, text = self._shown
        bar.show(progress, f"{self.title}: {text}" if text else self.title)

    def _interrupt(self) -> None:
        """Stop the work when first called, and leave it the second time."""
        self._broken_off = self._stopped.is_set()
        self._stop()

    def _stop(self) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            if self._ask_to_stop is not None:
                self._ask_to_stop()


def _viewer_is_open() -> bool:
    """Say whether this thread is the one that keeps a viewer alive."""
    if threading.current_thread() is not threading.main_thread():
        return False
    if not {"napari", "qtpy.QtWidgets"} <= set(sys.modules):
        return False
    import napari
    from qtpy.QtWidgets import QApplication

    return QApplication.instance() is not None and napari.current_viewer() is not None


@contextmanager
def _interrupts(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl+C in a terminal interrupt the work, not whatever the viewer is doing."""
    before = signal.signal(signal.SIGINT, lambda *_: interrupt())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


@contextmanager
def _console_interrupts(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl+C in napari's own console do the same; its kernel can't be interrupted."""
    from qtpy.QtWidgets import QApplication

    consoles: list[Any] = [
        one for one in QApplication.allWidgets() if hasattr(one, "custom_interrupt")
    ]
    for console in consoles:
        console.custom_interrupt = True
        console.custom_interrupt_requested.connect(interrupt)
    try:
        yield
    finally:
        for console in consoles:
            with suppress(RuntimeError):  # it was closed with its viewer
                console.custom_interrupt_requested.disconnect(interrupt)
                console.custom_interrupt = False
