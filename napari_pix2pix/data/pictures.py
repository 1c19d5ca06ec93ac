"""Planes as pictures for people."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec


def picture(planes: NDArray[Any], codec: Codec) -> NDArray[np.uint8]:
    """Turn planes in the network's range into a picture.

    Parameters
    ----------
    planes : array (P, h, w)
        Of several channels that are not RGB the first is shown.
    codec : Codec
        Of the planes.

    Returns
    -------
    uint8 array (h, w, 3)
        Labels in colours of their own, 0 black.
    """
    if codec.kind == "image":
        kept = planes[:3] if len(planes) >= 3 and codec.layout.rgb else planes[:1]
        shown = np.clip((kept + 1) * 127.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(
            np.broadcast_to(shown.transpose(1, 2, 0), (*shown.shape[1:], 3))
        )
    labels = codec.decode(planes)[0].astype(np.int64)
    colours = np.random.default_rng(0).integers(70, 256, (256, 3)).astype(np.uint8)
    colours[0] = 0
    return colours[np.where(labels == 0, 0, labels % 255 + 1)]
