"""Saturated channels: many pixels at the highest value, where brighter ones can't be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A larger share of the pixels at the highest value is said.
_SHARE = 0.01
# Fewer levels are labels, or light so dim that it is counted: their highest level is no plateau.
_LEVELS = 16
# A plateau holds so many times the pixels of any of the levels next to it.
_NEXT, _RATIO = 8, 2
# Values that are looked at in each channel.
_MOST_VALUES = 2**20


def saturation_notes(
    images: Sequence[NDArray[Any]], what: str, valid: Sequence[NDArray[np.bool_]] | None = None
) -> list[str]:
    """Say which channels are saturated.

    Parameters
    ----------
    images : sequence of arrays (C, h, w)
        Sample of a set of intensities.
    what : str
        "source" or "target", for the sentences.
    valid : sequence of bool arrays (1 or C, h, w), optional
        The pixels that count; all when not given.

    Returns
    -------
    list of str
        A sentence for each channel with more than 1 % of its finite values at the highest one, if
        that is a plateau: twice as many as at any of the eight levels below. Dark grounds, with
        many values at the lowest level, are no matter.

    Examples
    --------
    >>> ramp = np.arange(1000).reshape(1, 20, 50)
    >>> saturation_notes([ramp], "source")
    []
    >>> saturation_notes([np.minimum(ramp, 899)], "source")
    ["10 % of the source's values are 899, the highest: saturated, so what is brighter can't be \
told apart there."]
    """
    notes = []
    channels = len(images[0])
    masks = [np.ones((1, 1, 1), bool)] * len(images) if valid is None else valid
    inside = [np.broadcast_to(mask, image.shape) for image, mask in zip(images, masks, strict=True)]
    for channel in range(channels):
        found = _plateau(
            [image[channel][mask[channel]] for image, mask in zip(images, inside, strict=True)]
        )
        if found:
            share, top = found
            where = f"channel {channel} of the {what}" if channels > 1 else f"the {what}"
            notes.append(
                f"{100 * share:.2g} % of {where}'s values are {top:g}, the highest: saturated, so "
                "what is brighter can't be told apart there."
            )
    return notes


def _plateau(planes: Sequence[NDArray[Any]]) -> tuple[float, float] | None:
    """Return the share of values at the highest, and that, if it is a plateau."""
    step = max(1, -(-sum(plane.size for plane in planes) // _MOST_VALUES))
    values = np.concatenate([plane.ravel()[::step] for plane in planes])
    levels, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if len(levels) < _LEVELS:
        return None
    share = counts[-1] / counts.sum()
    if share <= _SHARE or counts[-1] < _RATIO * counts[-1 - _NEXT : -1].max():
        return None
    return float(share), float(levels[-1])
