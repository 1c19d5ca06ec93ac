"""Is it learning? Said in words, since loss curves of a GAN say little.

The authors' rule of thumb is to worry when the discriminator's losses stay below 0.01.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from napari_pix2pix.metrics.names import headline

_MEMORY = 0.98  # of a running mean over some 50 steps
_WINNING = 1e-2
_ADVICE = (
    "training stops, and the weights of the last epoch are kept. Lower learning_rate, set "
    "gradient_clip=1, or use precision='32-true'."
)
NOT_FINITE_WEIGHTS = f"The weights are no longer finite: {_ADVICE}"


class HealthWatch:
    """Watches losses and previews; each thing is said once until it is over."""

    def __init__(self) -> None:
        self._running: dict[str, float] = {}
        self._said: set[str] = set()

    def after_step(self, step: int, losses: Mapping[str, float]) -> str | None:
        """Look at the losses of a step; return a sentence when there is something to say."""
        for name in ("D_real", "D_fake"):
            if name in losses:
                before = self._running.get(name, losses[name])
                self._running[name] = _MEMORY * before + (1 - _MEMORY) * losses[name]
        winning = bool(self._running) and all(v < _WINNING for v in self._running.values())
        return self._say_once(
            "discriminator",
            winning,
            f"The discriminator wins: its losses stay below {_WINNING}, so the generator learns "
            "little from it. Lower discriminator_learning_rate or adversarial_weight, or set r1=1.",
        )

    def after_validation(
        self,
        prediction: np.ndarray,
        truth: np.ndarray,
        scores: Mapping[str, float],
        trivial: Mapping[str, float],
        progress: float,
    ) -> list[str]:
        """Look at a validation; return what there is to say.

        Parameters
        ----------
        prediction, truth : numpy.ndarray
            The first block that is held out; a truth without content asks for no other output.
        scores, trivial : mapping of str to float
            Of the network and of the best trivial map, on all blocks.
        progress : float
            Part of the budget that is used, 0 to 1.
        """
        constant = _is_constant(prediction) and not _is_constant(truth)
        said = [
            self._say_once(
                "constant",
                constant,
                "The output is constant: the generator has not found the target in the source. "
                "Check that source and target show the same field, or train for longer.",
            ),
            self._say_once(
                "trivial",
                progress >= 0.5 and not constant and headline(scores)[1] < headline(trivial)[1],
                "Past half of the budget the network is still below the best trivial map: train "
                "for longer, or lower adversarial_weight where it is not 0.",
            ),
        ]
        return [sentence for sentence in said if sentence]

    def _say_once(self, topic: str, holds: bool, sentence: str) -> str | None:
        if not holds:
            self._said.discard(topic)
            return None
        if topic in self._said:
            return None
        self._said.add(topic)
        return sentence


def _is_constant(values: np.ndarray) -> bool:
    known = values[np.isfinite(values)]
    return known.size == 0 or bool(known.min() == known.max())


def not_finite(losses: Mapping[str, float]) -> str | None:
    """Return a sentence naming the first loss that is NaN or infinite, else None."""
    for name, value in losses.items():
        if not math.isfinite(value):
            return f"The loss {name} is {value}: {_ADVICE}"
    return None
