"""The signals that end a program, and what they do while nothing is there to be cleared up."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import NoReturn

# Ctrl+C, what batch systems send before they kill, and a terminal that is closed.
ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_USUAL = (signal.SIG_DFL, signal.default_int_handler)


def end_at_once() -> None:
    """Let these signals end the process in a sentence, without a traceback of what it imports.

    What is ignored, as below nohup, stays ignored.
    """
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) in _USUAL:
            signal.signal(number, end)


def stopped_by(number: int) -> str:
    """Say which signal ended the program.

    >>> stopped_by(signal.SIGTERM)
    'Stopped by SIGTERM.'
    """
    return f"Stopped by {'Ctrl+C' if number == signal.SIGINT else signal.Signals(number).name}."


def end(number: int, _: object) -> NoReturn:
    """End the process in a sentence: the handler of `end_at_once`."""
    with suppress(OSError):  # the terminal may be gone
        os.write(2, f"{stopped_by(number)}\n".encode())
    os._exit(128 + number)
