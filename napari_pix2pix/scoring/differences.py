"""Where a prediction differs from the truth."""

from __future__ import annotations

import numpy as np

from napari_pix2pix.scoring.exams import Array


def difference(prediction: Array, truth: Array, kind: str) -> Array:
    """Return where a prediction differs.

    Parameters
    ----------
    prediction, truth : arrays of the same shape
    kind : {"image", "classes", "instances"}

    Returns
    -------
    array
        Prediction minus truth, float32; of labels, uint8, 1 where only the prediction has
        something, 2 where only the truth has, 3 where their classes differ.
    """
    if kind == "image":
        return prediction.astype(np.float32) - truth.astype(np.float32)
    found, there = prediction != 0, truth != 0
    result = found & ~there | (there & ~found) * np.uint8(2)
    if kind == "classes":
        result = result | (found & there & (prediction != truth)) * np.uint8(3)
    return np.asarray(result.astype(np.uint8))
