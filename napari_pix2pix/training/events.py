"""What the training loop says while it works: small frozen events.

A script drains them with a progress bar, a dock with curves, a test with asserts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Step(Event):
    """One optimisation step is done.

    Attributes
    ----------
    step, epoch : int
        Steps done, and the epoch that they are in; both count from 1.
    losses : mapping of str to float
        ``G_GAN``, ``G_L1`` (``G_reconstruction`` where it is not L1), ``G_features``, ``D_real``,
        ``D_fake``, ``D_penalty``, ``D_r1`` (weights applied, as the reference prints them); a term
        that is off is left out.
    learning_rates : mapping of str to float
        ``G`` and ``D``.
    progress : float
        Part of the budget that is used, 0 to 1.
    seconds_left : float
        Estimate of the time to the end.
    """

    step: int
    epoch: int
    losses: Mapping[str, float]
    learning_rates: Mapping[str, float]
    progress: float
    seconds_left: float


@dataclass(frozen=True)
class Validated(Event):
    """Scores on the held-out data, each beside the same score of the baseline.

    Attributes
    ----------
    step, epoch : int
        When.
    prediction, baseline : mapping of str to float
        ``l1``, ``psnr``, ``ssim``, ``pearson``, ``nrmse``; for labels ``dice``, ``iou``,
        ``f1`` and more.
    best : bool
        Whether this is the best validation so far.
    """

    step: int
    epoch: int
    prediction: Mapping[str, float]
    baseline: Mapping[str, float]
    best: bool


@dataclass(frozen=True)
class Region:
    """A window of one frame of a pair, to look at while the network learns.

    Attributes
    ----------
    pair, frame : int
        Which pair and which of its frames.
    rows, columns : slice
        Of step 1, within the image.
    """

    pair: int
    frame: int
    rows: slice
    columns: slice

    def moved(self, origin: tuple[int, int]) -> Region:
        """Return the same region of an image that begins at ``origin``, what it lacks left out."""
        rows, columns = (
            slice(max(one.start - first, 0), max(one.stop - first, 1))
            for one, first in zip((self.rows, self.columns), origin, strict=True)
        )
        return replace(self, rows=rows, columns=columns)


@dataclass(frozen=True)
class Preview(Event):
    """The prediction of a region: the one asked for, or else the first that is held out.

    Attributes
    ----------
    step : int
        When.
    image : numpy.ndarray
        The region as the target's dtype and layout would have it, (C, H, W).
    pair, frame, top, left : int
        Which pair and frame it lies in, and where in the source its first pixel is.
    kind : str
        What the target is: ``image``, ``classes`` or ``instances``.
    """

    step: int
    image: np.ndarray
    pair: int
    frame: int
    top: int
    left: int
    kind: str


@dataclass(frozen=True)
class Prepared(Event):
    """Training is about to begin.

    Attributes
    ----------
    summary : str
        What was understood of the pairs, in one line.
    notes : tuple of str
        What the user should know: the split, what was sampled, warnings.
    device : str
        The device by name.
    steps_per_epoch : int
        Optimisation steps of one epoch.
    warnings : tuple of str
        Those of the notes that say what looks wrong.
    preview : Preview or None
        What the networks make before the first step, where that was asked for.
    """

    summary: str
    notes: tuple[str, ...]
    device: str
    steps_per_epoch: int
    warnings: tuple[str, ...] = ()
    preview: Preview | None = None


@dataclass(frozen=True)
class Health(Event):
    """Something about the training that the user should hear, in words."""

    step: int
    message: str


@dataclass(frozen=True)
class Checkpoint(Event):
    """A checkpoint was written; a run that dies goes on from here."""

    step: int
    path: str


@dataclass(frozen=True)
class Done(Event):
    """Training is over.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Training time, pauses left out.
    reason : str
        ``budget``, ``stopped`` or ``not finite``.
    """

    step: int
    seconds: float
    reason: str
