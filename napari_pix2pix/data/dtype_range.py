"""Intensities that a model's file does not tell: the range of the dtype that it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from napari_pix2pix.data.codecs import Codec, ImageCodec
from napari_pix2pix.data.layouts import Layout


def whole_range(dtype: np.dtype[Any], channels: int, layout: Layout) -> ImageCodec:
    """Map all that an integer dtype, or a boolean, holds to [-1, 1]."""
    ends = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    low, high = ((float(end),) * channels for end in ends)
    return ImageCodec("dtype", dtype.name, low, high, layout)


def for_dtype(codec: Codec, dtype: np.dtype[Any]) -> Codec:
    """Return the codec of images of a dtype: another one where intensities are assumed.

    Parameters
    ----------
    codec : Codec
        Of a model.
    dtype : numpy.dtype
        Of the images that it is given. What is no integer and no boolean has no range to assume.

    Examples
    --------
    >>> unknown = ImageCodec("dtype", "uint8", (0.0,), (255.0,), Layout(), assumed=True)
    >>> for_dtype(unknown, np.dtype("uint16")).high
    (65535.0,)
    """
    if not isinstance(codec, ImageCodec) or not codec.assumed or dtype.kind not in "biu":
        return codec
    return replace(whole_range(dtype, codec.channels, codec.layout), gray=codec.gray)


def codecs_for(
    source: Codec, target: Codec, given: np.dtype[Any], wanted: np.dtype[Any] | None = None
) -> tuple[Codec, Codec]:
    """Return a model's two codecs for images of a dtype, see `for_dtype`.

    Parameters
    ----------
    source, target : Codec
        Of a model.
    given : numpy.dtype
        Of the source.
    wanted : numpy.dtype, optional
        Of the target; when not given that of the source, where it is an integer.
    """
    if wanted is None and given.kind in "iu":
        wanted = given
    return for_dtype(source, given), target if wanted is None else for_dtype(target, wanted)
