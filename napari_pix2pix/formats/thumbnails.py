"""A small picture in the header of a model file."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import FileError

_KEY = "thumbnail"
_MOST = 512  # pixels a side; a header that says more is damaged


def thumbnail_header(picture: NDArray[np.uint8] | None) -> dict[str, Any]:
    """Return what goes into a header; nothing without a picture.

    Parameters
    ----------
    picture : uint8 array (h, w, 3) or None
    """
    if picture is None:
        return {}
    pixels = base64.b64encode(zlib.compress(picture.tobytes(), 9)).decode("ascii")
    return {_KEY: {"height": picture.shape[0], "width": picture.shape[1], "rgb": pixels}}


def read_thumbnail(header: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    """Return the picture in a header, (h, w, 3); None in files that have none.

    Raises
    ------
    FileError
        When it is damaged.
    """
    parts = header.get(_KEY)
    if parts is None:
        return None
    try:
        height, width = int(parts["height"]), int(parts["width"])
        if not 0 < min(height, width) <= max(height, width) <= _MOST:
            raise ValueError(f"{height} x {width} pixels")
        size = 3 * height * width
        # No more is unpacked than fits, whatever the bytes would grow to.
        pixels = zlib.decompressobj().decompress(base64.b64decode(parts["rgb"]), size)
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise FileError(f"The picture in the file is damaged: {error}.") from error
