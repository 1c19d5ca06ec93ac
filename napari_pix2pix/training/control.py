"""Pause, resume and stop a training run from another thread."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Control:
    """Thread-safe switch that the training loop checks before every step.

    Examples
    --------
    >>> control = Control()
    >>> control.stop()
    >>> control.stopped
    True
    """

    def __init__(self) -> None:
        self._running = threading.Event()
        self._running.set()
        self._stopped = threading.Event()

    def pause(self) -> None:
        """Hold the loop before its next step, unless it was stopped."""
        if not self.stopped:
            self._running.clear()

    def resume(self) -> None:
        """Continue a paused loop."""
        self._running.set()

    def stop(self) -> None:
        """End the run before its next step; the model is kept."""
        self._stopped.set()
        self._running.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def paused(self) -> bool:
        """Whether the loop is held."""
        return not self._running.is_set()

    def wait(self) -> float:
        """Wait while paused; return the seconds waited."""
        if not self.paused:
            return 0.0
        began = time.perf_counter()
        self._running.wait()
        return time.perf_counter() - began


@contextmanager
def interrupt_stops(control: Control) -> Iterator[None]:
    """Let the first Ctrl+C stop the run and keep the model; a second one interrupts Python.

    If Ctrl+C is ignored, as in a background job of a shell script, it stays ignored.
    """
    before = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or before in (None, signal.SIG_IGN):
        yield
        return

    def stop(*_: object) -> None:
        control.stop()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
