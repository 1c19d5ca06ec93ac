"""Events of a training, and the switch that pauses, resumes and stops it from another thread."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_pix2pix._signals import ENDING_SIGNALS
from napari_pix2pix.errors import StoppedError


class Control:
    """Thread-safe switch that the training loop checks before every step."""

    def __init__(self) -> None:
        self.signal: int | None = None  # the one that stopped the run, if any
        self.preparing = False  # whether a signal ends the work at once: nothing is there to keep
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
    """Let the first signal that ends a program stop the run and keep the model.

    Before there is anything to keep, it raises a `StoppedError` where the work is. The next one
    does what it did before: Ctrl+C interrupts Python.
    """
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}

    def put_back() -> None:
        for number, handler in handled.items():
            signal.signal(number, handler)

    def stop(number: int, _: object) -> None:
        control.signal = number
        control.stop()
        put_back()
        if control.preparing:
            raise StoppedError

    # What is ignored, as in a background job of a shell script or below nohup, stays ignored.
    handled = {n: found for n, found in before.items() if found not in (None, signal.SIG_IGN)}
    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        put_back()


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Step(Event):
    """One optimisation step is done."""

    step: int  # steps done, counted from 1
    epoch: int  # counted from 1
    # G_GAN, G_L1 (G_reconstruction if it is not L1), G_dice, G_features, D_real, D_fake, D_penalty,
    # D_r1, with their weights, as the PyTorch implementation prints them; a term that is off, or
    # not on this step, is left out.
    losses: Mapping[str, float]
    learning_rates: Mapping[str, float]  # G and D
    progress: float  # fraction of the budget that is used, 0 to 1
    seconds_left: float  # estimate


@dataclass(frozen=True)
class Validated(Event):
    """Scores on the held-out blocks, of the model and of the baseline."""

    step: int
    epoch: int
    # l1, psnr, ssim, pearson, nrmse; for labels dice, iou, f1 and more.
    prediction: Mapping[str, float]
    baseline: Mapping[str, float]
    best: bool  # whether this is the best validation so far


@dataclass(frozen=True)
class Region:
    """A window of one frame of a pair, to preview during training."""

    pair: int  # index of the pair
    frame: int  # index of the frame in the pair
    rows: slice  # of step 1, within the image
    columns: slice

    def moved(self, origin: tuple[int, int]) -> Region:
        """Return the same region in an image that is cropped at ``origin``, row and column."""
        rows, columns = (
            slice(max(span.start - first, 0), max(span.stop - first, 1))
            for span, first in zip((self.rows, self.columns), origin, strict=True)
        )
        return replace(self, rows=rows, columns=columns)


@dataclass(eq=False)
class PreviewWish:
    """What a viewer wants to see while a network trains; it may change at any time."""

    region: Region | None = None  # None for the first held-out block
    frame: int | None = None  # of the pair, that is shown instead of the region's or the block's
    seconds: float = math.inf  # between two previews, besides those of each epoch


@dataclass(frozen=True)
class Preview(Event):
    """The prediction of a region: the one asked for, or the first held-out block."""

    step: int
    image: np.ndarray  # (C, H, W) in the target's dtype
    pair: int
    frame: int
    top: int  # first row of the region in the source
    left: int
    kind: str  # of the target: image, classes or instances


@dataclass(frozen=True)
class Prepared(Event):
    """Training is about to begin."""

    summary: str  # of the pairs, in one line
    notes: tuple[str, ...]  # for the user: the split, the sample, warnings
    device: str  # its name
    steps_per_epoch: int
    warnings: tuple[str, ...] = ()  # the notes about what looks wrong
    preview: Preview | None = None  # before the first step, if asked for
    reconstruction: str = "l1"  # the loss, which may follow from the target


@dataclass(frozen=True)
class Health(Event):
    """A warning about the training, as a sentence."""

    step: int
    message: str


@dataclass(frozen=True)
class Checkpoint(Event):
    """A checkpoint was written, from which a killed run can be resumed."""

    step: int
    path: str


@dataclass(frozen=True)
class Done(Event):
    """Training has ended."""

    step: int
    seconds: float  # training time, without pauses
    reason: str  # budget, passes, stopped or not finite

    @property
    def note(self) -> str:
        """Say why the run ended before its budget did; empty if it did not do so by itself."""
        if self.reason != "passes":
            return ""
        return (
            f"The training ended before its budget, after {self.step} steps: with more passes over "
            "so few images, models often learn them by heart and do worse on others. To train for "
            "longer, give more images, or set passes=0."
        )
