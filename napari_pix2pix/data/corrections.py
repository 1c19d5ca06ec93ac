"""Where a result was corrected: the part that a model can learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from napari_pix2pix.errors import InputError

MARGIN = 8  # pixels around a correction that count as looked at


def correction_mask(
    before: Any,
    after: Any,
    *,
    objects: bool = False,
    channel_axis: int | None = None,
    margin: int = MARGIN,
) -> NDArray[np.bool_]:
    """Return where a result was corrected, and a margin around it: a mask to train on.

    Parameters
    ----------
    before : array
        What the model made: (..., H, W), or with a channel axis.
    after : array
        The same after it was corrected.
    objects : bool
        Whether both hold numbered objects. Then the whole of an object that was changed belongs to
        the part, since a border in its middle would mean nothing.
    channel_axis : int, optional
        The axis of the channels; a pixel that was changed in any channel counts.
    margin : int
        Pixels around what was changed.

    Returns
    -------
    array of bool, (..., H, W)

    Raises
    ------
    InputError
        When shapes differ, or nothing was changed.

    Examples
    --------
    >>> before = np.zeros((64, 64), np.uint8)
    >>> after = before.copy()
    >>> after[20:24, 20:24] = 1
    >>> int(correction_mask(before, after, margin=2).sum())
    64
    """
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape:
        raise InputError(
            f"The result has shape {before.shape}, the corrected one {after.shape}: correct the "
            "result itself, or a copy of it."
        )
    changed = before != after
    if before.dtype.kind == "f" and after.dtype.kind == "f":
        changed &= ~(np.isnan(before) & np.isnan(after))
    if channel_axis is not None:
        changed = changed.any(axis=channel_axis)
    if not changed.any():
        raise InputError(
            "Nothing was corrected: paint or edit the result where it is wrong, and then learn "
            "from it."
        )
    mask = np.zeros_like(changed)
    for frame in np.ndindex(changed.shape[:-2]):
        part = changed[frame]
        if part.any():
            touched = (
                part | _touched(before[frame], part) | _touched(after[frame], part)
                if objects
                else part
            )
            mask[frame] = _widened(touched, margin)
    return mask


def _touched(labels: NDArray[Any], changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return all pixels of the objects that have a changed pixel."""
    numbers = np.unique(labels[changed])
    return np.isin(labels, numbers[numbers != 0])


def _widened(mask: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    square = np.ones((3, 3), bool)
    return binary_dilation(mask, square, iterations=margin) if margin else mask
