"""Events of the training loop: small frozen objects, for scripts, docks and tests alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Step(Event):
    """One optimisation step is done."""

    step: int  # steps done, counted from 1
    epoch: int  # counted from 1
    # G_GAN, G_L1 (G_reconstruction if it is not L1), G_features, D_real, D_fake, D_penalty, D_r1,
    # with their weights, as the PyTorch implementation prints them; a term that is off is left out.
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
    reason: str  # budget, stopped or not finite
