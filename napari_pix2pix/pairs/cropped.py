"""Pairs cropped to what source and target share when the target is moved back."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.pairs.pair import Pair, open_pair
from napari_pix2pix.pairs.planes import Planes


def correct_shift(pair: Pair, offset: tuple[float, float]) -> Pair:
    """Cut source and target to what they share when the target is moved back by whole pixels.

    Parameters
    ----------
    pair : Pair
    offset : tuple of float
        Of the target, down and to the right, in pixels; rounded to whole ones.

    Returns
    -------
    Pair
        Smaller by the shift, read lazily, with the same channels, frames, condition and name. The
        mask moves with the target, where it was drawn.

    Raises
    ------
    InputError
        If the pair can't be used, or nothing is left of it.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(100).reshape(10, 10)
    >>> pair = correct_shift(Pair(image[1:], image[:-1]), (1, 0))
    >>> opened = open_pair(pair)
    >>> source, target, _ = opened.read(0, slice(0, 8), slice(0, 10))
    >>> opened.height, bool((source == target).all())
    (8, True)
    """
    if not all(math.isfinite(value) for value in offset):
        raise InputError(f"A shift of {offset} pixels can't be corrected; give two numbers.")
    down, right = (round(float(value)) for value in offset)
    opened = open_pair(pair)
    if abs(down) >= opened.height or abs(right) >= opened.width:
        raise InputError(
            f"A shift of ({down}, {right}) pixels leaves nothing of {opened.name}, which is "
            f"{opened.height} x {opened.width} pixels; give a smaller one."
        )
    mask = opened.mask
    return replace(
        pair,
        source=_CroppedPlanes(opened.source, -down, -right),
        target=_CroppedPlanes(opened.target, down, right),
        mask=None if mask is None else _CroppedPlanes(mask, down, right),
        channel_axis=None,
    )


class _CroppedPlanes(Planes):
    """Planes without the rows and columns at one end: the first if positive, else the last."""

    def __init__(self, planes: Planes, rows: int, columns: int) -> None:
        vars(self).update(vars(planes))
        self.height, self.width = planes.height - abs(rows), planes.width - abs(columns)
        sizes = iter((self.height, self.width))
        shape, axis = list(planes.shape), planes.layout.channel_axis
        plain = [i for i in range(-len(shape), 0) if i != axis]
        for i in plain[-2:]:
            shape[i] = next(sizes)
        self.shape = tuple(shape)
        self._planes = planes
        self._top, self._left = max(rows, 0), max(columns, 0)

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window of one frame."""
        top, bottom, _ = rows.indices(self.height)
        left, right, _ = columns.indices(self.width)
        return self._planes.read(
            frame,
            slice(top + self._top, bottom + self._top),
            slice(left + self._left, right + self._left),
        )
