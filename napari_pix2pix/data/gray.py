"""Gray images for models of three channels, where such a model's own program takes them for RGB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec, ImageCodec
from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.data.pair import OpenPair


class GrayAsRGB(Planes):
    """Planes of one channel, taken for three equal ones.

    Examples
    --------
    >>> image = Planes(np.eye(4, dtype=np.uint8))
    >>> GrayAsRGB(image).read(0, slice(0, 2), slice(0, 3)).shape
    (3, 2, 3)
    """

    def __init__(self, planes: Planes) -> None:
        vars(self).update(vars(planes))
        self.channels = 3
        self._planes = planes

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window of a frame, ``(3, h, w)``."""
        return np.repeat(self._planes.read(frame, rows, columns), 3, axis=0)

    def on(self, arrays: Iterable[Any]) -> Planes:
        """Return the same image on other arrays of the same shapes."""
        return GrayAsRGB(self._planes.on(arrays))


def takes_gray(codec: Codec) -> bool:
    """Whether a model takes an image of one channel for three equal ones."""
    return isinstance(codec, ImageCodec) and codec.gray


def as_taken(opened: OpenPair, codec: Codec) -> OpenPair:
    """Return a pair whose source a model takes: of one channel, where it takes that for three."""
    if not takes_gray(codec) or opened.source.channels != 1:
        return opened
    return replace(opened, source=GrayAsRGB(opened.source))
