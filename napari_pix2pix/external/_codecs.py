"""How intensities of a file of others become planes, and planes what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_pix2pix.data.codecs import ImageCodec, range_of_dtype
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError
from napari_pix2pix.external._description import Tensor
from napari_pix2pix.external._network import End
from napari_pix2pix.external._steps import Step, scaling

_RGB = ["red", "green", "blue"], ["r", "g", "b"]


def plain_codec(end: End, dtype: str | None, *, rgb: bool) -> ImageCodec:
    """Return the codec of a file that says nothing of intensities, or of an integer dtype's."""
    layout = _layout(end.channels, end.axes, rgb=rgb)
    if dtype is None:
        return _as_it_is("float32", end.channels, layout)
    try:
        integers = np.iinfo(np.dtype(dtype)).dtype
    except (TypeError, ValueError):
        raise InputError(
            "dtype must be an integer dtype, whose range becomes -1 to 1, such as 'uint8' or "
            f"'uint16'; got {dtype!r}."
        ) from None
    return range_of_dtype(integers, end.channels, layout)


def package_codec(tensor: Tensor) -> ImageCodec:
    """Return the codec of images that a package takes: its steps change them, and it nothing."""
    layout = _layout(tensor.channels, tensor.axes, rgb=_is_rgb(tensor))
    return _as_it_is(tensor.dtype, tensor.channels, layout)


def target_codec(tensor: Tensor) -> tuple[ImageCodec, tuple[Step, ...]]:
    """Return the codec of what comes out, and a step to its planes: scores ask for its range."""
    codec, dtype = package_codec(tensor), np.dtype(tensor.dtype)
    if dtype.kind == "b" or (dtype.kind in "iu" and dtype.itemsize <= 2):
        codec = range_of_dtype(dtype, tensor.channels, codec.layout)
    elif dtype.kind == "f" and tensor.span is not None and tensor.span[0] < tensor.span[1]:
        low, high = ((float(end),) * tensor.channels for end in tensor.span)
        codec = replace(codec, low=low, high=high, stated=True)
    else:
        return codec, ()
    return codec, (scaling(codec.low[0], codec.high[0]),)


def _as_it_is(dtype: str, channels: int, layout: Layout) -> ImageCodec:
    """Return a codec that changes nothing."""
    ends = (-1.0,) * channels, (1.0,) * channels
    return ImageCodec("dtype", dtype, *ends, layout, stated=False)


def _layout(channels: int, axes: str, *, rgb: bool) -> Layout:
    if rgb:
        return Layout(-1, rgb=True)
    if channels == 1:
        return Layout()
    return Layout(-4 if "z" in axes else -3)  # before all axes of space


def _is_rgb(tensor: Tensor) -> bool:
    return [name.casefold() for name in tensor.names] in _RGB


def own_names(tensor: Tensor) -> tuple[str, ...]:
    """Return the channels' names, unless they only number them."""
    numbered = any(name.casefold().startswith("channel") for name in tensor.names)
    return () if numbered or _is_rgb(tensor) else tensor.names
