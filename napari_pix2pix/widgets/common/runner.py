"""Background work of a dock: one place owns its start, progress, result, error and end.

A plain thread and not napari's ``thread_worker``: that one swallows a `RuntimeError` of a
generator, and its ``quit``, which napari calls on closing, ends a training without its model.
"""

from __future__ import annotations

import atexit
import inspect
import logging
import threading
import traceback
import weakref
from collections.abc import Callable, Generator
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pix2pix.errors import Pix2PixError
from napari_pix2pix.napari_layers import gc_guard
from napari_pix2pix.training.control import Control
from napari_pix2pix.training.events import Step

_log = logging.getLogger(__name__)
_PERIOD = 60  # milliseconds between two looks at what the thread has said
_PATIENCE = 10.0  # seconds that closing waits for the step that is being done

Work = Callable[[Control], Any]


class Runner(QObject):
    """Does one piece of work at a time in a thread of its own.

    Parameters
    ----------
    parent : QObject, optional
    latest : tuple of type
        Events of these types that follow each other are coalesced: only the newest arrives, some
        15 times a second. All others arrive.

    Attributes
    ----------
    reported : Signal(object)
        What the work yields.
    finished : Signal(object)
        What it returns.
    failed : Signal(str)
        What went wrong, as a sentence.
    ended : Signal()
        After `finished` or `failed`: buttons back.

    Notes
    -----
    All signals are emitted in the GUI thread, by a timer that looks into a queue. No signal crosses
    threads, so nothing reaches a widget that is gone.
    """

    reported = Signal(object)
    finished = Signal(object)
    failed = Signal(str)
    ended = Signal()

    def __init__(self, parent: QObject | None = None, latest: tuple[type, ...] = (Step,)) -> None:
        super().__init__(parent)
        self._latest = latest
        self._job: _Job | None = None
        self._unless_ended: weakref.finalize[[_Job], Runner] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_PERIOD)
        self._timer.timeout.connect(self._look)

    @property
    def running(self) -> bool:
        """Whether work is going on, or its end was not told yet."""
        return self._job is not None

    @property
    def paused(self) -> bool:
        """Whether the work is held."""
        return self._job is not None and self._job.control.paused

    @property
    def stopping(self) -> bool:
        """Whether the work was asked to stop and has not ended yet."""
        return self._job is not None and self._job.control.stopped

    def start(self, work: Work) -> None:
        """Call ``work(control)`` in a thread.

        Parameters
        ----------
        work : callable
            Takes a `Control` to look at, and returns a generator, which is drained in the thread
            and whose return value is the result, or the result itself. Imports torch itself.

        Raises
        ------
        ValueError
            While other work is running.
        """
        if self._job is not None:
            raise ValueError("There is work running: stop it and wait for its end.")
        self._job = _Job(work, self._latest)
        gc_guard.hold()
        self._unless_ended = weakref.finalize(self, _abandon, self._job)
        self._job.thread.start()
        self._timer.start()

    def pause(self) -> None:
        """Hold the work before its next step."""
        if self._job is not None:
            self._job.control.pause()

    def resume(self) -> None:
        """Let held work go on."""
        if self._job is not None:
            self._job.control.resume()

    def stop(self) -> None:
        """Ask the work to end; what it has so far arrives through `finished`."""
        if self._job is not None:
            self._job.control.stop()

    def close(self, patience: float = _PATIENCE) -> bool:
        """Stop, wait at most ``patience`` seconds and forget; no signal comes afterwards.

        Returns
        -------
        bool
            Whether the thread has ended.
        """
        self._timer.stop()
        job, self._job = self._job, None
        if job is None:
            return True
        has_ended = job.end(patience)
        self._release()
        return has_ended

    def _look(self) -> None:
        job = self._job
        if job is None:
            return
        over = not job.thread.is_alive()
        for event in job.take():
            self.reported.emit(event)
            if self._job is not job:  # a listener has closed it
                return
        if over:
            self._tell_end(job)
        gc_guard.collect_due()  # last: it may delete a dock that nothing holds, and this with it

    def _tell_end(self, job: _Job) -> None:
        self._timer.stop()
        self._job = None
        self._release()
        if job.sentence is None:
            self.finished.emit(job.result)
        else:
            self.failed.emit(job.sentence)
        self.ended.emit()

    def _release(self) -> None:
        assert self._unless_ended is not None
        self._unless_ended.detach()
        gc_guard.release()


class _Job:
    """A thread, what it says, and how it ended; knows nothing of Qt."""

    def __init__(self, work: Work, latest: tuple[type, ...]) -> None:
        self.control = Control()
        self.result: Any = None
        self.sentence: str | None = None
        self._work: Work | None = work
        self._latest = latest
        self._said: list[Any] = []
        self._lock = threading.Lock()
        # A daemon: a window that hangs must not keep Python alive. See `_end_all`.
        self.thread = threading.Thread(target=self._run, name="napari-pix2pix", daemon=True)
        _jobs.add(self)

    def take(self) -> list[Any]:
        """Return what was said since the last time."""
        with self._lock:
            said, self._said = self._said, []
        return said

    def end(self, patience: float) -> bool:
        """Stop the thread and wait for it."""
        self.control.stop()
        if self.thread.is_alive() and self.thread is not threading.current_thread():
            self.thread.join(patience)
        return not self.thread.is_alive()

    def _run(self) -> None:
        work, self._work = self._work, None
        assert work is not None
        try:
            made = work(self.control)
            self.result = self._drain(made) if inspect.isgenerator(made) else made
        except BaseException as error:
            # As text: a traceback would hold on to every tensor of the run.
            self.sentence = in_a_sentence(error)
            if not isinstance(error, Pix2PixError):
                _log.error("%s\n%s", self.sentence, traceback.format_exc())

    def _drain(self, events: Generator[Any, Any, Any]) -> Any:
        while True:
            try:
                self._say(next(events))
            except StopIteration as stop:
                return stop.value

    def _say(self, event: Any) -> None:
        with self._lock:
            is_newer = isinstance(event, self._latest) and self._said
            if is_newer and type(self._said[-1]) is type(event):
                self._said[-1] = event
            else:
                self._said.append(event)


def in_a_sentence(error: BaseException) -> str:
    """Say what went wrong.

    Parameters
    ----------
    error : BaseException
        Those of napari-pix2pix are sentences already.
    """
    if isinstance(error, Pix2PixError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return (
            "Memory ran out: lower batch, patch or width, close other programs, or take another "
            "device."
        )
    said = " ".join(str(error).split())[:300]
    name = type(error).__name__
    return f"Something unexpected went wrong ({f'{name}: {said}' if said else name})."


def _abandon(job: _Job) -> None:
    """End work whose runner was deleted without `Runner.close`: nobody would ever ask for it."""
    job.control.stop()
    gc_guard.release()


_jobs: weakref.WeakSet[_Job] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """End the threads before the interpreter goes, which would pull torch away under them."""
    for job in list(_jobs):
        job.control.stop()
    for job in list(_jobs):
        job.end(_PATIENCE)
