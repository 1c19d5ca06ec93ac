"""What the values of a set mean, and the codec that goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.pairs.class_codec import ClassCodec
from napari_pix2pix.pairs.codecs import NO_SOURCE, Codec, ImageCodec
from napari_pix2pix.pairs.instance_codec import InstanceCodec
from napari_pix2pix.pairs.kinds import Kind, describe_kind, find_kind
from napari_pix2pix.pairs.layouts import Layout
from napari_pix2pix.pairs.ranges import Method


def find_set_kind(windows: Sequence[NDArray[Any]]) -> Kind:
    """Say what the values of windows (C, h, w) mean; labels have one channel."""
    return find_kind(windows) if windows[0].shape[0] == 1 else "image"


def interpret(
    windows: Sequence[NDArray[Any]],
    valid: Sequence[NDArray[np.bool_]],
    *,
    kind: Kind | Literal["auto"],
    method: Method,
    layout: Layout,
    what: str,
) -> tuple[Codec, str]:
    """Fit the codec of a source or target, and say how its values were taken.

    Parameters
    ----------
    windows : sequence of arrays (C, h, w)
        Sample of the training set; no channel means that there is no source.
    valid : sequence of bool arrays (1 or C, h, w)
        The pixels that count.
    kind : {"auto", "image", "classes", "instances"}
        "auto" finds out; labels have one channel.
    method : str
        Normalisation of intensities.
    layout : Layout
        Where the images keep their channels.
    what : str
        "source" or "target", for sentences.

    Returns
    -------
    codec : Codec
        Fitted.
    description : str
        Such as "uint16 -> 214 instances"; empty for intensities.

    Raises
    ------
    InputError
        When the values can't be what ``kind`` says.
    """
    if windows[0].shape[0] == 0:
        return NO_SOURCE, ""
    if kind == "auto":
        kind = find_set_kind(windows)
    if kind == "image":
        return ImageCodec.fit(windows, valid, method=method, layout=layout, what=what), ""
    try:
        fit = ClassCodec.fit if kind == "classes" else InstanceCodec.fit
        codec: Codec = fit(windows, valid, layout=layout, what=what)
    except InputError as error:
        raise InputError(
            f"{error} The {what} is taken for {kind}; {what}_kind says what it is."
        ) from None
    return codec, f"{what} {describe_kind(windows, kind)}"
