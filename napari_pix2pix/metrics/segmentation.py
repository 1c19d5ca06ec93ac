"""Whether a predicted image segments as the true one does: what a picture is often made for.

The idea of the FCN score of Isola et al. (2017): a segmenter that knows real images is run on made
ones, and its labels are compared with the true labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics._otsu_baseline import OtsuMap

Segmenter = Callable[[NDArray[Any]], Any]

_DEFAULT = OtsuMap(kind="instances", channel=0, bright=True, min_distance=5, smallest=16)


def segment_otsu(image: NDArray[Any]) -> NDArray[Any]:
    """Find bright objects: Otsu's threshold, and watershed on the distance transform.

    Parameters
    ----------
    image : array (H, W)

    Returns
    -------
    int array (H, W)
        Objects of 16 pixels or more, whose centres are 5 pixels or more apart.

    Raises
    ------
    InputError
        If the image has channels.
    """
    if image.ndim != 2:
        raise InputError(
            f"Otsu's threshold segments images of one channel, got shape {image.shape}: give a "
            "segmenter of your own."
        )
    return _DEFAULT.predict(image[np.newaxis])[0]


def run_segmenter(segmenter: Segmenter, image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Segment an image, and check what comes out.

    Parameters
    ----------
    segmenter : callable
        Takes the image and returns integer labels (H, W), 0 being the background.
    image : array
    size : pair of int
        Its height and width.

    Returns
    -------
    int array (1, H, W)

    Raises
    ------
    InputError
        If what is returned is no label image of that height and width.
    """
    labels = np.asarray(segmenter(image))
    if labels.dtype.kind not in "biu" or labels.shape != size:
        raise InputError(
            f"The segmenter returned {labels.dtype} values of shape {labels.shape}: it must return "
            f"integer labels of shape {size}."
        )
    return labels[np.newaxis]
