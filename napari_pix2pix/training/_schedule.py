"""Budget, learning rates and the adversarial weight as functions of a run's progress.

The schedule has no state, so a resumed run follows the same one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from napari_pix2pix.training.config import TrainConfig

# A network needs some steps however small the training set is.
_FEWEST_STEPS = 500


@dataclass(frozen=True)
class Schedule:
    """The schedule of a run; progress is the fraction of the budget that is used."""

    config: TrainConfig  # with a budget
    steps_per_epoch: int
    warm_up: float = 0.0  # progress for which a new discriminator learns alone
    most_steps: int | None = None  # of `steps_for_passes`

    @property
    def total_steps(self) -> int | None:
        """Steps after which the run ends at the latest; None if only seconds are limited."""
        counts = [] if self.most_steps is None else [self.most_steps]
        if self.config.epochs:
            counts.append(self.config.epochs * self.steps_per_epoch)
        if self.config.steps:
            counts.append(self.config.steps)
        return min(counts, default=None)

    def passes_are_done(self, step: int) -> bool:
        """Tell whether the limit of passes, and no budget in epochs, ends the run at this step."""
        config, limit = self.config, self.most_steps
        if limit is None or step < limit:
            return False
        return not config.epochs or limit < config.epochs * self.steps_per_epoch

    def epoch(self, step: int) -> int:
        """Return the epoch, counted from 1, of a step, counted from 0."""
        return step // self.steps_per_epoch + 1

    def progress(self, step: int, seconds: float) -> float:
        """Return the fraction of the budget that is used after these steps and seconds."""
        used = [0.0]
        if self.total_steps:
            used.append(step / self.total_steps)
        if self.config.max_seconds:
            used.append(seconds / self.config.max_seconds)
        return min(max(used), 1.0)

    def rate_factor(self, step: int, progress: float) -> float:
        """Return the factor of the learning rates at a step, counted from 0."""
        config = self.config
        start = config.decay_start
        match config.decay:
            case "constant":
                return 1.0
            case "linear" if config.epochs and not (config.steps or config.max_seconds):
                # Once an epoch, as the PyTorch implementation does:
                # 1 - max(0, epoch - constant) / (decaying + 1)
                constant = round(start * config.epochs)
                past = max(0, self.epoch(step) - constant)
                return 1.0 - past / (config.epochs - constant + 1)
            case "linear":
                return 1.0 - _ramp(progress, start, 1.0)
            case "cosine":
                return 0.5 * (1.0 + math.cos(math.pi * _ramp(progress, start, 1.0)))

    def discriminator_learns(self, progress: float) -> bool:
        """Tell whether the discriminator is trained at this point."""
        return self.config.adversarial_weight > 0 and progress >= self._adversarial_span[0]

    def adversarial_weight(self, progress: float) -> float:
        """Return the weight of the adversarial term in the generator's objective."""
        if not self.discriminator_learns(progress):
            return 0.0
        start, full = self._adversarial_span
        start += self.warm_up
        return self.config.adversarial_weight * _ramp(progress, start, max(full, start))

    @property
    def _adversarial_span(self) -> tuple[float, float]:
        """Progress at which the adversarial term starts and at which it has its full weight."""
        if self.config.reconstruction_weight == 0:
            return 0.0, 0.0  # there is nothing else to learn from
        return self.config.adversarial_start, self.config.adversarial_full


def steps_for_passes(config: TrainConfig, steps_per_pass: float) -> int | None:
    """Return the most steps that `TrainConfig.passes` allows; None without such a limit."""
    if not config.passes or config.steps:
        return None
    return max(_FEWEST_STEPS, math.ceil(config.passes * steps_per_pass))


class Clock:
    """Counts the seconds of a run, pauses left out, from those that were used before it."""

    def __init__(self, seconds_before: float) -> None:
        self._began = time.perf_counter() - seconds_before

    def seconds(self) -> float:
        """Return the seconds so far."""
        return time.perf_counter() - self._began

    def skip(self, seconds: float) -> None:
        """Leave seconds out of the count."""
        self._began += seconds


def _ramp(value: float, start: float, end: float) -> float:
    """Return 0 up to `start`, 1 from `end` on, and a straight line between."""
    if value >= end:
        return 1.0
    if value <= start:
        return 0.0
    return (value - start) / (end - start)
