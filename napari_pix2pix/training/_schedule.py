"""Budget, learning rates and the adversarial term as functions of how far the training is.

Nothing here has a state, so a run that is resumed meets the same schedule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_pix2pix.training.config import TrainConfig


@dataclass(frozen=True)
class Schedule:
    """The course of a run.

    Attributes
    ----------
    config : TrainConfig
        With a budget.
    steps_per_epoch : int
        Optimisation steps of one epoch.
    warm_up : float
        Part of the budget for which the discriminator learns and has no say yet.
    """

    config: TrainConfig
    steps_per_epoch: int
    warm_up: float = 0.0

    @property
    def total_steps(self) -> int | None:
        """Steps of the budget in epochs or steps, the smaller; None when only seconds are given."""
        counts = []
        if self.config.epochs:
            counts.append(self.config.epochs * self.steps_per_epoch)
        if self.config.steps:
            counts.append(self.config.steps)
        return min(counts, default=None)

    def epoch(self, step: int) -> int:
        """Epoch that 0-based ``step`` belongs to, counted from 1."""
        return step // self.steps_per_epoch + 1

    def progress(self, step: int, seconds: float) -> float:
        """Part of the budget used after ``step`` steps and ``seconds``, 0 to 1."""
        used = [0.0]
        if self.total_steps:
            used.append(step / self.total_steps)
        if self.config.max_seconds:
            used.append(seconds / self.config.max_seconds)
        return min(max(used), 1.0)

    def rate_factor(self, step: int, progress: float) -> float:
        """Factor of the learning rates for 0-based ``step``.

        With a budget in epochs the linear decay falls once an epoch, as in the PyTorch
        reference: ``1 - max(0, epoch - constant) / (decaying + 1)``.
        """
        config = self.config
        start = config.decay_start
        match config.decay:
            case "constant":
                return 1.0
            case "linear" if config.epochs and not (config.steps or config.max_seconds):
                constant = round(start * config.epochs)
                past = max(0, self.epoch(step) - constant)
                return 1.0 - past / (config.epochs - constant + 1)
            case "linear":
                return 1.0 - _ramp(progress, start, 1.0)
            case "cosine":
                return 0.5 * (1.0 + math.cos(math.pi * _ramp(progress, start, 1.0)))

    def discriminator_learns(self, progress: float) -> bool:
        """Whether the discriminator is trained at this point."""
        return self.config.adversarial_weight > 0 and progress >= self._adversarial_span[0]

    def adversarial_weight(self, progress: float) -> float:
        """Weight of the adversarial term in the generator's objective."""
        if not self.discriminator_learns(progress):
            return 0.0
        start, full = self._adversarial_span
        heard = start + self.warm_up
        return self.config.adversarial_weight * _ramp(progress, heard, max(full, heard))

    @property
    def _adversarial_span(self) -> tuple[float, float]:
        """Where the adversarial term sets in and where it has its whole weight."""
        if self.config.reconstruction_weight == 0:
            return 0.0, 0.0  # there is nothing else to learn from
        return self.config.adversarial_start, self.config.adversarial_full


def _ramp(value: float, start: float, end: float) -> float:
    """0 up to ``start``, 1 from ``end`` on, a straight line between."""
    if value >= end:
        return 1.0
    if value <= start:
        return 0.0
    return (value - start) / (end - start)
