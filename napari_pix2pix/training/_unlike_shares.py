"""How many cells of an image are usually unlike those of the training, and when to warn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# An image is reported if more of its cells are unlike than twice the share in any window of the
# training, and more than the first share here. The second is the highest limit: a training with odd
# windows must not silence the warning.
_FEWEST, _LIMIT = 0.05, 0.5
# Among fewer cells the 99 % are not known well enough to warn anyone.
_ENOUGH_CELLS = 1000


@dataclass(frozen=True)
class UnlikeShares:
    """Shares of cells above 1, where 1 % of all training cells lie."""

    cells: int  # of the training that were looked at
    most: float  # the largest share in one window of the training with at least 100 cells
    held_out: float | None  # of all held-out cells: false alarms; None without any

    @property
    def limit(self) -> float:
        """The share above which an image is reported."""
        return min(_LIMIT, max(_FEWEST, 2 * self.most))

    def warning(self, shares: Mapping[int, float]) -> str:
        """Say that frames are unusual by their shares of unlike cells; "" if they are not.

        The keys are the numbers of the frames.
        """
        worst = max(shares.values(), default=0.0)
        if worst <= self.limit or self.cells < _ENOUGH_CELLS:
            return ""
        where = "the image" if len(shares) == 1 else f"frame {max(shares, key=shares.__getitem__)}"
        return (
            f"{100 * worst:.0f} % of {where} is unlike the training images (up to "
            f"{100 * self.limit:.0f} % is usual), so do not trust the prediction there: look at "
            "the unlikeness map, or train with such images."
        )

    @property
    def note(self) -> str:
        """What a model's notes say."""
        text = "Unlikeness: 99 % of the training's cells lie below 1"
        if self.held_out is not None:
            text += f", and {100 * (1 - self.held_out):.1f} % of the held-out ones"
        if self.cells < _ENOUGH_CELLS:
            text += (
                f". The model warns of no image, since {self.cells} cells are too few to know that "
                f"well: {_ENOUGH_CELLS:,} are needed"
            )
        return f"{text}."
