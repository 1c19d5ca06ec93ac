"""A small picture of what a model learnt, for those who look for one among many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import picture
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.training._validation import Validation

_SIDE = 96  # pixels


def make_thumbnail(
    model: Predictor, validation: Validation | None, z_context: int
) -> NDArray[np.uint8] | None:
    """Picture source and prediction, side by side, where the first held-out block has most to show.

    Parameters
    ----------
    model : Predictor
    validation : Validation or None
    z_context : int
        Neighbouring frames on each side, of which the one in the middle is shown.

    Returns
    -------
    uint8 array (h, 2 w, 3) or None
        At most 96 pixels high; None where nothing was held out.
    """
    if validation is None:
        return None
    rows, columns = _liveliest(validation.blocks[0].target)
    cut = validation.blocks[0].source[:, rows, columns]
    planes = model.predict_window(cut, validation.conditions[0], tile=0, decoded=False)
    given = model.source_codec.encode(cut)
    middle = given[len(given) // (2 * z_context + 1) * z_context :]
    sides = picture(middle, model.source_codec), picture(planes, model.target_codec)
    return np.concatenate(sides, axis=1)


def _liveliest(target: NDArray[Any]) -> tuple[slice, slice]:
    """Find the window in which the target varies most."""
    windows = [
        (slice(top, top + _SIDE), slice(left, left + _SIDE))
        for top in _starts(target.shape[1])
        for left in _starts(target.shape[2])
    ]
    seen = np.nan_to_num(target[0].astype(float), posinf=0.0, neginf=0.0)
    return max(windows, key=lambda at: np.std(seen[at]))


def _starts(length: int) -> range:
    return range(0, max(length - _SIDE, 0) + 1, _SIDE // 2)
