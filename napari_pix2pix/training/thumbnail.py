"""A small picture of what a model learnt, for those who look for one among many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.pairs.pictures import picture
from napari_pix2pix.training.validation import Validation
from napari_pix2pix.translation.inference import Model

_SIDE = 96  # pixels


def make_thumbnail(
    model: Model, validation: Validation | None, z_context: int
) -> NDArray[np.uint8] | None:
    """Picture source and prediction, side by side, in the middle of the first held-out block.

    Parameters
    ----------
    model : Model
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
    source = validation.blocks[0].source
    rows, columns = (
        slice(start := max((length - _SIDE) // 2, 0), start + min(length, _SIDE))
        for length in source.shape[1:]
    )
    cut = source[:, rows, columns]
    planes = model.translate(
        lambda rows, columns: cut[:, rows, columns],
        *cut.shape[1:],
        condition=validation.conditions[0],
        tile=0,
    )
    given = model.source_codec.encode(cut)
    middle = given[len(given) // (2 * z_context + 1) * z_context :]
    sides = picture(middle, model.source_codec), picture(planes, model.target_codec)
    return np.concatenate(sides, axis=1)
