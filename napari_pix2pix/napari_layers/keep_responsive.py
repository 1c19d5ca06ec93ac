"""Keep an open viewer responsive, and show progress, while work of the main thread runs."""

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
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from napari_pix2pix.errors import InputError, errors_of_caller, own_errors
from napari_pix2pix.napari_layers import gc_guard

if TYPE_CHECKING:
    from napari.utils import progress

T = TypeVar("T")

_STEPS = 1000  # of a progress bar
_SHORT = 0.03  # seconds; shorter work needs no event loop
_PERIOD = 10  # milliseconds between two checks of the work and of Ctrl+C
_NAME = "pix2pix console"  # of the thread


class Activity:
    """A bar in napari's activity dock, with a Cancel button if wanted; call it in the GUI thread.

    Docks of closed viewers may still listen to all bars and raise: such a bar is dropped.
    """

    def __init__(self, *, cancelable: bool = False) -> None:
        self._cancelable = cancelable
        self._bar: progress | None = None
        self._text = ""

    @property
    def canceled(self) -> bool:
        """Whether the user has cancelled the work."""
        return bool(getattr(self._bar, "is_canceled", False))

    def begin(self, text: str) -> None:
        """Show a new bar instead of the last one."""
        from napari.utils import cancelable_progress, progress

        self.end()
        make = cancelable_progress if self._cancelable else progress
        try:
            self._bar = make(total=_STEPS, desc=text)
        except RuntimeError:
            self._bar = None
        self._text = text

    def show(self, fraction: float, text: str) -> None:
        """Show that a fraction of the work, from 0 to 1, is done."""
        bar = self._bar  # napari handles events below, which may end it
        if bar is None:
            return
        done = round(fraction * _STEPS)
        try:
            if text != self._text:
                bar.set_description(text)
                self._text = text
            if done != bar.n:
                bar.update(done - bar.n)
        except RuntimeError:
            self._bar = None

    def end(self) -> None:
        """Remove the bar."""
        bar, self._bar = self._bar, None
        if bar is not None:
            with suppress(RuntimeError):
                bar.close()


class ProgressReporter:
    """Reports progress of work to the user; this one is silent."""

    def show(self, progress: float, text: str = "") -> None:
        """Show progress from 0 to 1; raise `KeyboardInterrupt` if the work is to be aborted."""

    def call(self, function: Callable[[], T]) -> T:
        """Call a user's function in the main thread."""
        with errors_of_caller():
            return function()


def run_responsive(
    work: Callable[[ProgressReporter], T], *, title: str, stop: Callable[[], None] | None = None
) -> T:
    """Run work, in a thread of its own if a viewer is open, and return its result.

    `stop` asks the work to end soon and return what it has, when the user cancels, presses Ctrl+C
    or closes the viewer; without it, and after a second Ctrl+C, a `KeyboardInterrupt` is raised.
    What other libraries raise becomes an error of ours.
    """
    with own_errors():
        if not _viewer_is_open():
            return work(ProgressReporter())
        if _BackgroundWork.active is not None:
            if _BackgroundWork.active.in_call:  # the work itself asked for this
                return work(ProgressReporter())
            raise InputError(
                f"{_BackgroundWork.active.title} is still running: wait for its end, or stop it in "
                "the activity dock, at the lower right of the viewer."
            )
        background = _BackgroundWork(title, stop)
        _BackgroundWork.active = background
        try:
            return background.run(work)
        finally:
            _BackgroundWork.active = None


class _BackgroundWork(ProgressReporter):
    """Runs work in a thread of its own, while a nested event loop waits for it."""

    active: ClassVar[_BackgroundWork | None] = None

    def __init__(self, title: str, stop: Callable[[], None] | None) -> None:
        self.title = title
        self.in_call = False  # whether the main thread runs a function for the work
        self._ask_to_stop = stop
        self._stopped = threading.Event()
        self._abandoned = threading.Event()  # nobody waits for the work any more
        self._aborted = self._closed = False
        self._progress = 0.0, ""
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future]] = SimpleQueue()
        self._result: Future = Future()

    def show(self, progress: float, text: str = "") -> None:
        self._progress = progress, text
        if self._stopped.is_set() and self._ask_to_stop is None:
            raise KeyboardInterrupt(f"{self.title} was stopped.")

    def call(self, function: Callable[[], T]) -> T:
        future: Future[T] = Future()
        self._calls.put((function, future))
        while not self._abandoned.is_set():
            if wait([future], timeout=0.1).done:
                return future.result()
        raise KeyboardInterrupt(f"{self.title} was aborted.")

    def run(self, work: Callable[[ProgressReporter], T]) -> T:
        """Run the work and wait for it; called in the main thread."""
        # The caller's context variables, such as its precision or warnings, apply to the work too.
        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(self._work, work), name=_NAME, daemon=True)
        gc_guard.hold()
        thread.start()
        thread.join(_SHORT)
        try:
            with _interrupts(self._interrupt):
                if not self._over:
                    self._wait_with_viewer()
                while not self._over:  # the application has quit, which ended the event loop
                    self._stop()
                    self._run_call()
                    time.sleep(_PERIOD / 1000)
        finally:
            self._abandoned.set()
            gc_guard.release()
        if not self._result.done():
            raise KeyboardInterrupt(f"{self.title} was aborted.")
        result: T = self._result.result()
        if self._closed:
            message = f"The viewer was closed: {self.title} was stopped, and what is done is kept."
            warnings.warn(message, UserWarning, stacklevel=4)
        return result

    @property
    def _over(self) -> bool:
        return self._result.done() or self._aborted

    def _work(self, work: Callable[[ProgressReporter], Any]) -> None:
        try:
            self._result.set_result(work(self))
        except BaseException as error:
            self._result.set_exception(error)

    def _wait_with_viewer(self) -> None:
        """Run the viewer's event loop until the work is over or the application quits."""
        from qtpy.QtCore import QEventLoop, QTimer
        from qtpy.QtWidgets import QApplication

        loop, timer, checks = QEventLoop(), QTimer(), 0

        def check() -> None:
            nonlocal checks
            checks += 1
            gc_guard.collect_due()
            self._run_call()
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
            timer.timeout.connect(check)
            timer.start(_PERIOD)
            loop.exec()
            if not checks:  # Qt starts no loop after a quit, such as that of an earlier viewer
                while not self._over:
                    QApplication.processEvents()
                    time.sleep(_PERIOD / 1000)
            timer.stop()

    def _run_call(self) -> None:
        """Run a function that the work asked for with `call`."""
        try:
            function, future = self._calls.get_nowait()
        except Empty:
            return
        self.in_call = True
        try:
            with errors_of_caller():
                future.set_result(function())
        except BaseException as error:
            future.set_exception(error)
        finally:
            self.in_call = False

    def _show_on(self, bar: Activity) -> None:
        progress, text = self._progress
        bar.show(progress, f"{self.title}: {text}" if text else self.title)

    def _interrupt(self) -> None:
        """Stop the work when first called, and abort it the second time."""
        self._aborted = self._stopped.is_set()
        self._stop()

    def _stop(self) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            if self._ask_to_stop is not None:
                self._ask_to_stop()


def _viewer_is_open() -> bool:
    """Tell whether a viewer is open and this is its thread."""
    if threading.current_thread() is not threading.main_thread():
        return False
    if not {"napari", "qtpy.QtWidgets"} <= set(sys.modules):
        return False
    import napari
    from qtpy.QtWidgets import QApplication

    return QApplication.instance() is not None and napari.current_viewer() is not None


@contextmanager
def _interrupts(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl+C in a terminal interrupt the work, not the viewer."""
    before = signal.signal(signal.SIGINT, lambda *_: interrupt())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


@contextmanager
def _console_interrupts(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl+C in napari's console do the same, since its kernel can't be interrupted."""
    from qtpy.QtWidgets import QApplication

    consoles: list[Any] = [
        widget for widget in QApplication.allWidgets() if hasattr(widget, "custom_interrupt")
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
