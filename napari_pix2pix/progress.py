"""Progress in a terminal: training events and lists of files as bars."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

from napari_pix2pix.training.control import Control, interrupt_stops
from napari_pix2pix.training.events import Event, Health, Prepared, Step, Validated

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

T = TypeVar("T")


def show_progress(
    start: Callable[[Control], Generator[Event, None, Translator]], *, quiet: bool
) -> Translator:
    """Drain a training with a bar on standard error; the first Ctrl+C stops it.

    Parameters
    ----------
    start : callable
        Takes a `Control` and returns the events of a training.
    quiet : bool
        Show nothing.

    Returns
    -------
    Translator
        The model.
    """
    control = Control()
    events = start(control)
    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, {postfix}"
    with tqdm(total=1.0, disable=quiet, bar_format=form) as shown, interrupt_stops(control):
        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                return stop.value
            _show(event, shown)


def bar(items: list[T], *, quiet: bool) -> Iterable[T]:
    """Iterate over ``items`` with a bar on standard error."""
    return tqdm(items, disable=quiet or len(items) < 2)


def _show(event: Event, shown: tqdm) -> None:
    match event:
        case Prepared():
            for line in (event.summary, *event.notes, event.device):
                shown.write(line, file=shown.fp)
        case Step():
            shown.n = event.progress
            shown.set_description_str(f"Epoch {event.epoch}", refresh=False)
            losses = " ".join(f"{name} {value:.3g}" for name, value in event.losses.items())
            shown.set_postfix_str(f"{event.seconds_left:.0f} s left, {losses}", refresh=False)
            shown.update(0)
        case Validated():
            scores = f"Pearson {event.prediction['pearson']:.3f}, linear fit"
            shown.write(
                f"epoch {event.epoch}: {scores} {event.trivial['pearson']:.3f}", file=shown.fp
            )
        case Health():
            shown.write(event.message, file=shown.fp)
