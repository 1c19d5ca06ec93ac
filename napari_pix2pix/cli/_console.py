"""The console: what its encoding lacks, a terminal that is gone, signals that end a command."""

from __future__ import annotations

import errno
import io
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import click

from napari_pix2pix._signals import ENDING_SIGNALS, end, stopped_by
from napari_pix2pix.io.header_values import plain_text

# What warnings are about, in each thread.
_subject: ContextVar[str] = ContextVar("_subject", default="")


class Ended(KeyboardInterrupt):
    """A signal that ends the command, and what to say of it."""

    def __init__(self, number: int, sentence: str = "") -> None:
        super().__init__(sentence or stopped_by(number))
        self.number = number


def escape_unprintable() -> None:
    """Let both streams escape what their encoding lacks, such as names in another script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(line: str, *, err: bool = False) -> None:
    """Print a line without what controls terminals, such as names in files may hold.

    A terminal that was closed must not end the work.
    """
    line = plain_text(line)
    try:
        # The stream is given: click would replace one whose encoding is ASCII.
        click.echo(line, file=sys.stderr if err else sys.stdout)
    except OSError as error:
        if error.errno != errno.EIO:
            raise


@contextmanager
def naming(subject: str) -> Iterator[None]:
    """Let the warnings of this thread name what they are about; an empty name is left out."""
    token = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(token)


class Warner:
    """Prints each warning once for each file that it is about; a file in blocks has many."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def show(self, message: Warning | str, *_: object, **__: object) -> None:
        """Print the sentence alone, without file and line of the code."""
        subject = _subject.get()
        line = f"Warning: {subject}: {message}" if subject else f"Warning: {message}"
        if line not in self._said:
            self._said.add(line)
            say(line, err=True)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let the signals that end a program interrupt it as Ctrl+C does, so that it clears up."""
    found = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    # What is ignored, as below nohup, stays ignored.
    ours = [number for number, handler in found.items() if handler in (signal.SIG_DFL, end)]
    taken = [number for number in ours if number != signal.SIGINT]

    def interrupt(number: int, _: object) -> None:
        for one in taken:  # clearing up is not interrupted
            signal.signal(one, signal.SIG_IGN)
        raise Ended(number)

    for number in ours:  # Python itself handles Ctrl+C
        signal.signal(number, interrupt if number in taken else signal.default_int_handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, found[number])
