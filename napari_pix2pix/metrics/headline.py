"""The one score that a set is judged by; importing it loads nothing else."""

from __future__ import annotations

from collections.abc import Mapping

# The one number that a set of scores is judged by, whatever the kind.
_HEADLINES = {"pearson": "Pearson", "f1": "F1", "dice": "Dice"}


def headline(scores: Mapping[str, float]) -> tuple[str, float]:
    """Return the name and value of the score that a set is judged by.

    Examples
    --------
    >>> headline({"dice": 0.9, "f1": 0.8})
    ('F1', 0.8)
    """
    key = next(key for key in _HEADLINES if key in scores)
    return _HEADLINES[key], scores[key]
