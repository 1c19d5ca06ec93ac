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
    """One optimisation step is done.

    Attributes
    ----------
    step, epoch : int
        Steps done and the current epoch, both counted from 1.
    losses : mapping of str to float
        ``G_GAN``, ``G_L1`` (``G_reconstruction`` if it is not L1), ``G_features``, ``D_real``,
        ``D_fake``, ``D_penalty``, ``D_r1``, with their weights applied, as the PyTorch
        implementation prints them. A term that is off is left out.
    learning_rates : mapping of str to float
        ``G`` and ``D``.
    progress : float
        Fraction of the budget that is used, 0 to 1.
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
    """Scores on the held-out blocks, of the model and of the baseline.

    Attributes
    ----------
    step, epoch : int
        As in `Step`.
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
    """A window of one frame of a pair, to preview during training.

    Attributes
    ----------
    pair, frame : int
        Indices of the pair and of the frame in it.
    rows, columns : slice
        Of step 1, within the image.
    """

    pair: int
    frame: int
    rows: slice
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
    """The prediction of a region: the one asked for, or the first held-out block.

    Attributes
    ----------
    step : int
        Steps done.
    image : numpy.ndarray
        (C, H, W) in the target's dtype.
    pair, frame, top, left : int
        Its pair and frame, and its first pixel in the source.
    kind : str
        Kind of the target: ``image``, ``classes`` or ``instances``.
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
        Description of the pairs in one line.
    notes : tuple of str
        Messages for the user: the split, the sample, warnings.
    device : str
        Name of the device.
    steps_per_epoch : int
        Optimisation steps of one epoch.
    warnings : tuple of str
        The notes about what looks wrong.
    preview : Preview or None
        Prediction before the first step, if asked for.
    """

    summary: str
    notes: tuple[str, ...]
    device: str
    steps_per_epoch: int
    warnings: tuple[str, ...] = ()
    preview: Preview | None = None


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
    """Training has ended.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Training time, without pauses.
    reason : str
        ``budget``, ``stopped`` or ``not finite``.
    """

    step: int
    seconds: float
    reason: str
