"""Progress as bars in a terminal and as lines in a log; results as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

from napari_pix2pix.cli._console import Ended, say
from napari_pix2pix.errors import StoppedError
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.training.events import (
    Control,
    Done,
    Event,
    Health,
    Prepared,
    Step,
    Validated,
    interrupt_stops,
)

T = TypeVar("T")


def show_progress(
    start: Callable[[Control], Generator[Event, None, T]],
    *,
    quiet: bool,
    control: Control | None = None,
) -> T:
    """Run a training and show it on standard error; the first Ctrl+C keeps the model so far."""
    control = control or Control()
    events = start(control)
    with _Display(quiet=quiet) as display, interrupt_stops(control):
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                return stop.value
            except StoppedError as error:
                if control.signal is None:
                    raise
                raise Ended(control.signal, str(error)) from error
            display.show(event)


def bar(items: Iterable[T], *, total: int, quiet: bool) -> Iterable[T]:
    """Iterate over ``total`` items with a bar on standard error, if that is a terminal."""
    return tqdm(items, total=total, disable=quiet or total < 2 or not sys.stderr.isatty())


@contextmanager
def pixel_bar(frames: int, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Yield an ``on_tile`` that shows how much is translated; None if stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    finished = 0  # frames
    form = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    with tqdm(total=float(frames), bar_format=form, dynamic_ncols=True) as shown:

        def on_tile(done: int, total: int) -> None:
            nonlocal finished
            shown.n = finished + done / total
            shown.update(0)
            finished += done == total

        yield on_tile


def to_json(result: Any) -> str:
    """Format a result as strict JSON, in which NaN and infinities become null.

    >>> to_json([1.5, float("inf")]).split()
    ['[', '1.5,', 'null', ']']
    """
    return json.dumps(_strict(result), indent=2)


class _Display:
    """Shows events: messages as lines; steps as a bar in a terminal, else as a line per epoch."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: tqdm | None = None
        self._last: Step | None = None
        self._reported_epoch = 0  # the last one that had a line

    def __enter__(self) -> _Display:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        match event:
            case Prepared():
                for line in (event.summary, *event.notes, f"Training on {event.device}."):
                    self._print(line)
                if sys.stderr.isatty():
                    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}"
                    self._bar = tqdm(total=1.0, bar_format=form, dynamic_ncols=True)
            case Step():
                self._show_step(event)
            case Validated():
                self._reported_epoch = event.epoch
                name, score = primary_metric(event.prediction)
                _, baseline = primary_metric(event.baseline)
                self._print(
                    f"Epoch {event.epoch}: {name} {score:.3f}, baseline {baseline:.3f}"
                    f"{self._time_left()}"
                )
            case Health():
                self._print(event.message)
            case Done():
                self._show_epoch()
                if event.reason == "stopped":
                    self._print(f"Stopped after {event.step} steps; the model so far is kept.")
                elif event.note:
                    self._print(event.note)

    def _show_step(self, step: Step) -> None:
        if self._last is not None and self._last.epoch != step.epoch:
            self._show_epoch()
        self._last = step
        if self._bar is not None:
            self._bar.n = step.progress
            self._bar.set_description_str(f"Epoch {step.epoch}", refresh=False)
            self._bar.set_postfix_str(_left_and_losses(step), refresh=False)
            self._bar.update(0)

    def _show_epoch(self) -> None:
        """Print a line for an epoch that had none, if there is no bar."""
        step = self._last
        if self._bar is None and step is not None and step.epoch != self._reported_epoch:
            self._reported_epoch = step.epoch
            self._print(f"Epoch {step.epoch}: {_left_and_losses(step)}")

    def _time_left(self) -> str:
        return f", {self._last.seconds_left:.0f} s left" if self._last else ""

    def _print(self, line: str) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            say(line, err=True)


def _left_and_losses(step: Step) -> str:
    losses = ", ".join(f"{name} {value:.3g}" for name, value in step.losses.items())
    return f"{step.seconds_left:.0f} s left, {losses}"


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
