"""Reading that can be broken off from another thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from napari_pix2pix.errors import StoppedError

_asked: ContextVar[Callable[[], bool]] = ContextVar("asked", default=lambda: False)


@contextmanager
def stops_when(asked: Callable[[], bool]) -> Iterator[None]:
    """Let what is read from pairs in this thread end with a `StoppedError` once it is asked to.

    Parameters
    ----------
    asked : callable
        Whether to stop; called before each window that is read.
    """
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)


def stop_if_asked() -> None:
    """Raise a `StoppedError` where the work should stop."""
    if _asked.get()():
        raise StoppedError("Stopped while the images were being read: there is no model yet.")
