"""From what a user passes to a list of pairs, or to a source for a trained model."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import Codec, ImageCodec
from napari_pix2pix.data.gray import GrayAsRGB, takes_gray
from napari_pix2pix.data.label_codec import listed
from napari_pix2pix.data.layouts import Layout, counted_channels
from napari_pix2pix.data.lazy_image import ImageWithContext, LazyImage, as_lazy_image
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError

_STRIP = 256  # rows


def make_pairs(
    source: Any,
    target: Any,
    *,
    condition: Hashable | Sequence[Hashable] = None,
    mask: Any = None,
    channel_axis: int | None = None,
) -> list[Pair]:
    """Pair sources with targets in their order.

    Parameters
    ----------
    source, target : array_like or list of array_like
        One image each, or lists of the same length; a tuple is one image's channels. A source of
        None is none for any target.
    condition : hashable or list of hashable, optional
        One for all pairs, or one for each.
    mask : array_like or list, optional
        The same.
    channel_axis : int, optional
        As in `Pair`.

    Raises
    ------
    InputError
        When a list is empty or the lists differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((8, 8))
    >>> [pair.condition for pair in make_pairs([image, image], [image, image], condition="GFP")]
    ['GFP', 'GFP']
    """
    targets = _listed(target, "target")
    sources = [None] * len(targets) if source is None else _listed(source, "source")
    count = len(sources)
    if not count or len(targets) != count:
        raise InputError(
            f"There are {count} sources and {len(targets)} targets: give as many of one as of the "
            "other, at least one; channels of one image are a tuple, or have a channel_axis."
        )
    conditions = _one_each(condition, count, "conditions")
    masks = _one_each(mask, count, "masks")
    return [
        Pair(
            sources[i],
            targets[i],
            condition=conditions[i],
            mask=masks[i],
            channel_axis=channel_axis,
            name=f"pair {i + 1}" if count > 1 else "",
        )
        for i in range(count)
    ]


def open_source_image(
    image: Any, layout: Layout, channels: int, z_context: int = 0, *, gray: bool = False
) -> LazyImage:
    """Open an image that a model is to translate.

    Parameters
    ----------
    image : array_like, tuple of arrays or Planes
        The image; planes are taken as they are.
    layout : Layout
        Where the sources of the training had their channels.
    channels : int
        How many they had, those of neighbouring planes included.
    z_context : int
        Neighbouring planes on each side.
    gray : bool
        Whether one channel is taken for three equal ones.

    Raises
    ------
    InputError
        When it is no image, or lacks the channels.
    """
    shape = tuple(getattr(image, "shape", ()))
    if isinstance(image, LazyImage) or layout.channel_axis is None:
        has_axis = True
    else:
        has_axis = len(shape) > 2 and (not layout.rgb or shape[-1] in (3, 4))
    if shape and len(shape) > 1 and not has_axis and not gray:
        raise InputError(
            f"The model was trained on {'RGB ' if layout.rgb else ''}images of "
            f"{counted_channels(channels // (2 * z_context + 1))}, got one of shape {shape}: give "
            "the same channels on the same axis."
        )
    like = Layout() if gray and shape and not has_axis else layout
    planes = as_lazy_image(image, like=like, what="image")
    planes = GrayAsRGB(planes) if gray and planes.channels == 1 else planes
    planes = ImageWithContext(planes, z_context) if z_context else planes
    check_channels(planes, channels, z_context)
    return planes


def open_for_codec(image: Any, codec: Codec, z_context: int) -> LazyImage:
    """Open an image that a model with this source codec is to translate."""
    layout, channels = codec.layout, codec.channels
    return open_source_image(image, layout, channels, z_context, gray=takes_gray(codec))


def check_finite(planes: LazyImage) -> None:
    """Refuse an image without a pixel that is neither NaN nor infinite; reads until the first."""
    if not _any_finite(planes):
        raise InputError("The image has no finite pixel, so there is nothing to translate.")


def check_channels(planes: LazyImage, channels: int, z_context: int = 0) -> None:
    """Refuse a source whose channels are not as many as those of the training."""
    if planes.channels != channels:
        neighbours = 2 * z_context + 1
        raise InputError(
            f"The model was trained on images of {counted_channels(channels // neighbours)}, got "
            f"{planes.channels // neighbours}: give the same channels."
        )


def dtype_note(codec: Codec, given: np.dtype[Any]) -> str:
    """Say that an image's dtype lets expect intensities that a model was not trained on.

    Parameters
    ----------
    codec : Codec
        Of the model's sources.
    given : numpy.dtype
        The image's.

    Returns
    -------
    str
        A sentence when the kind of number differs from that of the training, or the size of an
        integer, or has no range that could be assumed; empty otherwise.
    """
    if isinstance(codec, ImageCodec) and codec.assumed:
        if given.kind in "biu":
            return ""
        return (
            f"The model's file says nothing of intensities, and {given} has no range to take for "
            f"-1 to 1: {codec.low[0]:.0f} to {codec.high[0]:.0f} is taken. Give integers, whose "
            "whole range is taken, or values in this range."
        )
    trained = np.dtype(codec.dtype)
    other_size = trained.kind in "iu" and trained.itemsize != given.itemsize
    if codec.kind != "image" or (trained.kind == given.kind and not other_size):
        return ""
    return (
        f"The model was trained on {trained} images, got {given}: what an intensity means "
        f"belongs to the model, so give {trained} images in the range of the training's."
    )


def has_invalid_pixels(codec: Codec, window: NDArray[Any]) -> bool:
    """Say whether pixels of a window (C, h, w) are not finite, or of a class without a plane.

    Parameters
    ----------
    codec : Codec
        Of the model's sources.
    window : array (C, h, w)
    """
    if isinstance(codec, ClassCodec):
        return not codec.known(window).all()
    return window.dtype.kind == "f" and not np.isfinite(window).all()


def invalid_pixels_note(codec: Codec) -> str:
    """Say that an image has pixels of which `has_invalid_pixels` is true."""
    pixels = "are NaN or infinite"
    if isinstance(codec, ClassCodec):
        pixels = f"hold none of the classes trained on ({listed(codec.values)})"
    return (
        f"The image has pixels that {pixels}: what is translated there and around them means "
        "little."
    )


def _any_finite(planes: LazyImage) -> bool:
    """Look for a pixel that is neither NaN nor infinite, some rows at a time."""
    return planes.dtype.kind != "f" or any(
        np.isfinite(planes.read(frame, slice(top, top + _STRIP), slice(0, planes.width))).any()
        for frame in range(planes.frames)
        for top in range(0, planes.height, _STRIP)
    )


def _listed(value: Any, what: str) -> list[Any]:
    if isinstance(value, list) and any(isinstance(one, list | Number) for one in value):
        raise InputError(
            f"The {what} is a list of lists or numbers, and a list holds an image in each place: "
            "give an array, for example with numpy.asarray."
        )
    return value if isinstance(value, list) else [value]


def _one_each(value: Any, count: int, what: str) -> list[Any]:
    """One value for all pairs, or a list of one for each."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise InputError(f"There are {len(value)} {what} for {count} pairs: give one for each.")
    return value
