"""The validations of a training, and which weights they speak for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.training.config import AppliedWeights


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training: mean losses, and the scores where it was validated."""

    step: int
    epoch: int
    losses: Mapping[str, float]
    validation: Mapping[str, float] | None = None


@dataclass(frozen=True)
class HeldOutScores:
    """Scores of the applied weights on the held-out data, and of the baseline on the same."""

    prediction: Mapping[str, float]
    baseline: Mapping[str, float]


@dataclass(frozen=True)
class Candidate:
    """Weights that a model can apply, and how good they were on the held-out data."""

    weights: AppliedWeights
    step: int
    scores: Mapping[str, float]  # empty where they were not validated

    def __str__(self) -> str:
        """Return a text such as ``best (800 steps, Pearson 0.812)``."""
        if not self.scores:
            return f"{self.weights} ({self.step:,} steps, not validated)"
        name, score = primary_metric(self.scores)
        return f"{self.weights} ({self.step:,} steps, {name} {score:.3f})"


def find_candidates(history: Sequence[EpochRecord], steps: int) -> tuple[Candidate, ...]:
    """Return the last weights and the best of a history; empty where they are the same.

    The last weights are those after all `steps`, which a checkpoint has not always validated.
    """
    validated = validated_epochs(history)
    if not validated:
        return ()
    last, best = validated[-1], best_record(validated)
    if best.step == steps:
        return ()
    scores = (last.validation or {}) if last.step == steps else {}
    return Candidate("last", steps, scores), Candidate("best", best.step, best.validation or {})


def validated_epochs(history: Sequence[EpochRecord]) -> list[EpochRecord]:
    """Return the epochs that were validated."""
    return [record for record in history if record.validation is not None]


def best_record(validated: Sequence[EpochRecord]) -> EpochRecord:
    """Return the first of the best validations; the last one if no score is known."""

    def score(record: EpochRecord) -> float:
        return primary_metric(record.validation or {})[1]

    # NaN, of a constant prediction, is never the best: see TrainingState.keep_best.
    known = [record for record in validated if not math.isnan(score(record))]
    return max(known or validated[-1:], key=score)


def held_weights(tensors: Iterable[str]) -> tuple[AppliedWeights, ...]:
    """Return which weights are among the tensors of a model, by their names."""
    found = {name.partition(".")[0] for name in tensors}
    last: tuple[AppliedWeights, ...] = ("last",) if found & {"averaged", "generator"} else ()
    return (*last, "best") if "best" in found else last
