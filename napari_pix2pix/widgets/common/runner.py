"""Work in threads beside a dock: its start, progress, result, error and end.

Plain threads, not napari's ``thread_worker``: that one swallows a `RuntimeError` of a generator,
and its ``quit``, which napari calls on closing, ends a training without its model.
"""

from __future__ import annotations

import atexit
import inspect
import logging
import threading
import traceback
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pix2pix.errors import (
    Pix2PixError,
    UnexpectedError,
    as_own_error,
    is_out_of_memory,
    own_errors,
)
from napari_pix2pix.io.read_limits import prefer_read_limit
from napari_pix2pix.napari_layers import gc_guard
from napari_pix2pix.training.events import Control, Step
from napari_pix2pix.widgets.common.settings import read_settings, shown_error

_log = logging.getLogger(__name__)
_PERIOD = 60  # milliseconds between two checks for reports of the thread
_PATIENCE = 10.0  # seconds that closing waits for the current step

# Returns the result, or a generator whose return value is the result. Imports torch by itself, so
# that the GUI thread does not wait for it.
Work = Callable[[Control], Any]


class Runner(QObject):
    """Does one piece of work at a time in a thread of its own.

    A timer reads a queue and emits all signals in the GUI thread. No signal crosses threads, so
    nothing reaches a widget that is gone.
    """

    reported = Signal(object)  # an event that the work yields
    finished = Signal(object)  # what the work returns
    failed = Signal(str)  # what went wrong, as a sentence
    ended = Signal()  # comes after `finished` or `failed`

    def __init__(self, parent: QObject | None = None, latest: tuple[type, ...] = (Step,)) -> None:
        super().__init__(parent)
        self._latest = latest  # of successive events of these types only the newest arrives
        self._job: _Job | None = None
        self._unless_ended: weakref.finalize[[_Job], Runner] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_PERIOD)
        self._timer.timeout.connect(self._poll)

    @property
    def running(self) -> bool:
        """Whether work is going on, or its end has not been reported yet."""
        return self._job is not None

    @property
    def paused(self) -> bool:
        """Whether the work is paused."""
        return self._job is not None and self._job.control.paused

    @property
    def stopping(self) -> bool:
        """Whether the work was asked to stop but has not ended yet."""
        return self._job is not None and self._job.control.stopped

    def start(self, work: Work) -> None:
        """Call ``work(control)`` in a thread; raises `ValueError` while other work is running."""
        if self._job is not None:
            raise ValueError("Work is running: stop it and wait for its end.")
        self._job = _Job(work, self._latest)
        prefer_read_limit(read_settings().read_limit)
        gc_guard.hold()
        self._unless_ended = weakref.finalize(self, _abandon, self._job)
        self._job.thread.start()
        self._timer.start()

    def pause(self) -> None:
        """Pause the work before its next step."""
        if self._job is not None:
            self._job.control.pause()

    def resume(self) -> None:
        """Resume paused work."""
        if self._job is not None:
            self._job.control.resume()

    def stop(self) -> None:
        """Ask the work to end; `finished` has the result so far."""
        if self._job is not None:
            self._job.control.stop()

    def close(self, patience: float = _PATIENCE) -> bool:
        """Stop, wait up to ``patience`` seconds, emit nothing more; return whether it ended."""
        self._timer.stop()
        job, self._job = self._job, None
        if job is None:
            return True
        has_ended = job.end(patience)
        self._release()
        return has_ended

    def _poll(self) -> None:
        job = self._job
        if job is None:
            return
        has_ended = not job.thread.is_alive()
        for event in job.take():
            self.reported.emit(event)
            if self._job is not job:  # a listener closed it
                return
        if has_ended:
            self._end(job)
        gc_guard.collect_due()  # last: it may delete an unused dock, and this runner with it

    def _end(self, job: _Job) -> None:
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
    """A thread with its events and its result; knows nothing of Qt."""

    def __init__(self, work: Work, latest: tuple[type, ...]) -> None:
        self.control = Control()
        self.result: Any = None
        self.sentence: str | None = None
        self._work: Work | None = work
        self._latest = latest
        self._events: list[Any] = []
        self._lock = threading.Lock()
        # A daemon: a window that hangs must not keep Python alive. See `_end_all`.
        self.thread = threading.Thread(target=self._run, name="napari-pix2pix", daemon=True)
        _jobs.add(self)

    def take(self) -> list[Any]:
        """Return the events since the last call."""
        with self._lock:
            events, self._events = self._events, []
        return events

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
            result = work(self.control)
            self.result = self._drain(result) if inspect.isgenerator(result) else result
        except BaseException as error:
            # As text: a traceback would hold on to every tensor of the run.
            self.sentence = in_a_sentence(error)
            if not isinstance(error, Pix2PixError):
                _log.error("%s\n%s", self.sentence, traceback.format_exc())

    def _drain(self, events: Generator[Any, Any, Any]) -> Any:
        while True:
            try:
                self._report(next(events))
            except StopIteration as stop:
                return stop.value

    def _report(self, event: Any) -> None:
        with self._lock:
            replaces = isinstance(event, self._latest) and self._events
            if replaces and type(self._events[-1]) is type(event):
                self._events[-1] = event
            else:
                self._events.append(event)


class LatestOnly(QObject):
    """Does only the newest of many requests in a thread, and drops the results of the others."""

    due = Signal()  # nothing was touched for a while: call `start`
    finished = Signal(object)  # what the newest work returned
    failed = Signal(str)  # what went wrong with the newest work, as a sentence

    def __init__(
        self, parent: QObject | None = None, *, delay: int = 0, keep_old: bool = False
    ) -> None:
        super().__init__(parent)
        self._keep_old = keep_old  # results of older requests arrive too
        self._is_stale = False  # what is running
        self._waiting: Work | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(delay)
        self._timer.timeout.connect(self._on_time)
        self._runner = Runner(self)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        self._runner.ended.connect(self._start_waiting)

    @property
    def is_busy(self) -> bool:
        """Whether a newer result is to come."""
        return self._runner.running or self._timer.isActive()

    def touch(self) -> None:
        """Something has changed: stop what is running, and emit `due` after the delay."""
        self.cancel()
        self._timer.start()

    def start(self, work: Work) -> None:
        """Do this work now, or as soon as older work has stopped."""
        self.cancel()
        self._waiting = work
        self._start_waiting()

    def cancel(self) -> None:
        """Stop the work and drop its result."""
        self._timer.stop()
        self._waiting = None
        self._is_stale = self._runner.running
        self._runner.stop()

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self.cancel()
        self._runner.close()

    def _on_time(self) -> None:
        if self._runner.running:
            self._timer.start()  # the processor is for the work that is ending
        else:
            self.due.emit()

    def _on_finished(self, result: Any) -> None:
        if self._keep_old or not self._is_stale:
            self.finished.emit(result)

    def _on_failed(self, sentence: str) -> None:
        if not self._is_stale:
            self.failed.emit(sentence)

    def _start_waiting(self) -> None:
        if self._runner.running:
            return  # a listener of `finished` started it already
        self._is_stale = False
        work, self._waiting = self._waiting, None
        if work is not None:
            self._runner.start(work)


def in_a_sentence(error: BaseException) -> str:
    """Return what went wrong as a sentence; the project's own errors are sentences already."""
    if isinstance(error, Pix2PixError):
        return shown_error(error)
    if is_out_of_memory(error):
        return (
            "Memory ran out: lower batch, patch or width, close other programs, or choose another "
            "device."
        )
    return str(as_own_error(error))


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Raise what nobody foresaw as an error of ours, and log where it was raised."""
    try:
        with own_errors():
            yield
    except UnexpectedError as error:
        _log.exception("%s", error)
        raise


def _abandon(job: _Job) -> None:
    """End the work of a runner that was deleted without `Runner.close`."""
    job.control.stop()
    gc_guard.release()


_jobs: weakref.WeakSet[_Job] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """End the threads before the interpreter unloads torch, which they use."""
    for job in list(_jobs):
        job.control.stop()
    for job in list(_jobs):
        job.end(_PATIENCE)
