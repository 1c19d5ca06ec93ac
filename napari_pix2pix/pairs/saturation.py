"""Saturated channels: many pixels at the highest value, where brighter ones can't be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import rounded

# A larger share of the pixels at the highest value is said.
_SHARE = 0.01
# Fewer levels are labels, or light so dim that it is counted: their highest level is no plateau.
_LEVELS = 16
# A plateau holds so many times the pixels of any of the levels next to it.
_NEXT, _RATIO = 8, 2
# Values that are looked at in each channel.
_MOST_VALUES = 2**20


def saturation_note(
    images: Sequence[NDArray[Any]], what: str, valid: Sequence[NDArray[np.bool_]] | None = None
) -> str:
    """Say which channels are saturated.

    Parameters
    ----------
    images : sequence of arrays (C, h, w)
        Sample of a set of intensities.
    what : str
        "source" or "target", for the sentence.
    valid : sequence of bool arrays (1 or C, h, w), optional
        The pixels that count; all when not given.

    Returns
    -------
    str
        A sentence that names channels with more than 1 % of their finite values at the highest
        one, if that is a plateau: twice as many as at any of the eight levels below. Dark grounds,
        with many values at the lowest level, are no matter. Empty where there is none.

    Examples
    --------
    >>> ramp = np.arange(1000).reshape(1, 20, 50)
    >>> saturation_note([ramp], "source")
    ''
    >>> saturation_note([np.minimum(ramp, 899)], "source")
    "10 % of the source's values are 899, the highest: saturated, so what is brighter can't be \
told apart there."
    """
    masks = [np.ones((1, 1, 1), bool)] * len(images) if valid is None else valid
    inside = [np.broadcast_to(mask, image.shape) for image, mask in zip(images, masks, strict=True)]
    found: dict[int, tuple[float, float]] = {}
    for channel in range(len(images[0])):
        plateau = _plateau(
            [image[channel][mask[channel]] for image, mask in zip(images, inside, strict=True)]
        )
        if plateau:
            found[channel] = plateau
    if not found:
        return ""
    share, top = max(found.values())
    where = f"the {what}" if len(images[0]) == 1 else f"{_channels(list(found))} of the {what}"
    most = "Up to " if len(found) > 1 else ""
    return (
        f"{most}{rounded(100 * share)} % of {where}'s values are {top:g}, the highest: saturated, "
        "so what is brighter can't be told apart there."
    )


def _channels(numbers: Sequence[int]) -> str:
    """Name channels, as "channel 1" or "each of channels 0, 1, 2"."""
    if len(numbers) == 1:
        return f"channel {numbers[0]}"
    return f"each of channels {', '.join(map(str, numbers))}"


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
