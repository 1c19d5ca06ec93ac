"""From what a user passes, one image or lists of them, to a list of pairs."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from napari_pix2pix.errors import InputError
from napari_pix2pix.pairs.pair import Pair


def make_pairs(
    source: Any,
    target: Any,
    *,
    condition: Hashable | Sequence[Hashable] = None,
    mask: Any = None,
    channel_axis: int | None = None,
) -> list[Pair]:
    """Pair sources with targets in their order.

    Parameters
    ----------
    source, target : array_like or list of array_like
        One image each, or lists of the same length; a tuple is one image's channels.
    condition : hashable or list of hashable, optional
        One for all pairs, or one for each.
    mask : array_like or list, optional
        The same.
    channel_axis : int, optional
        As in `Pair`.

    Raises
    ------
    InputError
        When a list is empty or the lists differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((8, 8))
    >>> [pair.condition for pair in make_pairs([image, image], [image, image], condition="GFP")]
    ['GFP', 'GFP']
    """
    sources, targets = _listed(source), _listed(target)
    count = len(sources)
    if not count or len(targets) != count:
        raise InputError(
            f"There are {count} sources and {len(targets)} targets: give as many of one as of the "
            "other, at least one."
        )
    conditions = _one_each(condition, count, "conditions")
    masks = _one_each(mask, count, "masks")
    return [
        Pair(
            sources[i],
            targets[i],
            condition=conditions[i],
            mask=masks[i],
            channel_axis=channel_axis,
            name=f"pair {i + 1}" if count > 1 else "",
        )
        for i in range(count)
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _one_each(value: Any, count: int, what: str) -> list[Any]:
    """One value for all pairs, or a list of one for each."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise InputError(f"There are {len(value)} {what} for {count} pairs: give one for each.")
    return value
