"""Opens images for a trained model, and reports those that differ from the training images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codec_base import list_labels
from napari_pix2pix.data.codecs import Codec, ImageCodec, codec_for_dtype, takes_gray
from napari_pix2pix.data.intensities import Intensities, sample_windows
from napari_pix2pix.data.kinds import infer_kind
from napari_pix2pix.data.label_sets import read_as_labels
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import GrayAsRGB, ImageWithContext, LazyImage, as_lazy_image
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.volumes import VolumeImage, flat_image
from napari_pix2pix.errors import InputError, plural, rounded

_STRIP = 256  # rows
# A larger share of an image outside the training's intensities is reported.
_OUTSIDE = 0.1
# Where a range is assumed, an image that fills a smaller part of it is reported.
_NARROW = 1 / 8
# Images nearer to the sources than this, in widths of their range, are never called targets.
_APART = 0.1


def open_source_image(
    image: Any, layout: Layout, channels: int, z_context: int = 0, *, gray: bool = False
) -> LazyImage:
    """Open an image for a model whose sources had a layout, and channels with their z-context."""
    shape = tuple(getattr(image, "shape", ()))
    count = channels // (2 * z_context + 1)
    axis = layout.channel_axis
    if isinstance(image, LazyImage) or axis is None:
        has_axis = True
    elif layout.rgb:
        has_axis = len(shape) > 2 and shape[-1] in (3, 4)
    else:  # a single channel needs no axis
        has_axis = len(shape) > 2 and (count > 1 or shape[max(axis, -len(shape))] == 1)
    plain = gray or (count == 1 and not layout.rgb)
    if len(shape) > 1 and not has_axis and not plain:
        trained = plural(count, "channel")
        raise InputError(
            f"The model was trained on {'RGB ' if layout.rgb else ''}images of {trained}, got one "
            f"of shape {shape}: give the same channels on the same axis."
        )
    like = Layout() if plain and shape and not has_axis else layout
    opened = as_lazy_image(image, like=like, what="image")
    opened = GrayAsRGB(opened) if gray and opened.channels == 1 else opened
    if z_context:
        opened = ImageWithContext(opened, z_context)
        _check_planes(opened, "the image")
    check_channels(opened, channels, z_context)
    return opened


def open_for_codec(image: Any, codec: Codec, z_context: int, ndim: int = 2) -> LazyImage:
    """Open an image that a model of images (2) or volumes (3) is to translate."""
    layout, channels = codec.layout, codec.channels
    opened = open_source_image(image, layout, channels, z_context, gray=takes_gray(codec))
    opened = _as_labels(opened, codec)
    return VolumeImage(opened) if ndim == 3 else opened


def as_model_reads(opened: OpenPair, codec: Codec, ndim: int = 2) -> OpenPair:
    """Return a pair with its source as a model reads it: gray as RGB, if the model does so.

    Raises `InputError` for one plane where the model sees its neighbours too, or volumes (3).
    """
    if ndim == 3:
        VolumeImage(opened.source)  # only checked: volumes are scored plane by plane
    if isinstance(opened.source, ImageWithContext):
        _check_planes(opened.source, f"the source of {opened.name}")
    if takes_gray(codec) and opened.source.channels == 1:
        return replace(opened, source=GrayAsRGB(opened.source))
    return replace(opened, source=_as_labels(opened.source, codec))


def _check_planes(image: ImageWithContext, name: str) -> None:
    """Refuse one plane for a model that sees neighbouring planes: there are none to see."""
    if image.planes == 1:
        raise InputError(
            f"The model also sees {plural(image.z_context, 'plane')} on each side of each plane "
            f"(z_context={image.z_context}), and {name} has one plane: give the whole stack, or "
            "take a model that was trained without z_context."
        )


def _as_labels(image: LazyImage, codec: Codec) -> LazyImage:
    """Read floats, and masks of 0 and 255 that are no longer exact, as the labels of a model."""
    is_mask = isinstance(codec, ClassCodec) and codec.values == (0, 255)
    if codec.kind == "image" or not (image.dtype.kind == "f" or is_mask):
        return image
    return read_as_labels([image], image.what, known=True)[0][0]


def check_channels(image: LazyImage, channels: int, z_context: int = 0) -> None:
    """Refuse a source with another number of channels than the training sources."""
    if image.channels != channels:
        frames = 2 * z_context + 1
        raise InputError(
            f"The model was trained on images of {plural(channels // frames, 'channel')}, got "
            f"{image.channels // frames}: give the same channels."
        )


def check_finite(image: LazyImage) -> None:
    """Refuse an image without any finite pixel; reads strips of rows until the first one."""
    if image.dtype.kind == "f" and not any(
        np.isfinite(image.read(frame, slice(top, top + _STRIP), slice(0, image.width))).any()
        for frame in range(image.frames)
        for top in range(0, image.height, _STRIP)
    ):
        raise InputError("The image has no finite pixel, so there is nothing to translate.")


def dtype_note(codec: Codec, given: np.dtype[Any]) -> str:
    """Say that a source's dtype differs from the training's in kind or size of integer; else ""."""
    if isinstance(codec, ImageCodec) and codec.assumed:
        if given.kind in "biu":
            return ""
        return (
            f"The model file holds no intensity range, and {given} has none: values from "
            f"{codec.low[0]:.0f} to {codec.high[0]:.0f} are expected. Give such values, or "
            "integers, whose whole range is used."
        )
    trained = np.dtype(codec.dtype)
    other_size = trained.kind in "iu" and trained.itemsize != given.itemsize
    if codec.kind != "image" or (trained.kind == given.kind and not other_size):
        return ""
    return (
        f"The model was trained on {trained} images, got {given}: give {trained} images in the "
        "range of the training images."
    )


def names_note(image: Iterable[str], trained: Iterable[str]) -> str:
    """Say that channels have other names than the training's, or another order; else ""."""
    given, known = tuple(image), tuple(trained)
    # The name of a single layer is that of its image.
    if len(given) < 2 or len(given) != len(known):
        return ""
    one, other = ([name.casefold() for name in names] for names in (given, known))
    if one == other:
        return ""
    if sorted(one) == sorted(other):
        return (
            f"The channels are in another order ({', '.join(given)}) than in the training "
            f"({', '.join(known)}): give them in that order."
        )
    return (
        f"The channels are {', '.join(given)}, and the model was trained on {', '.join(known)}: "
        "check that they show the same, in the same order."
    )


def has_unlabelled_pixels(codec: Codec, window: NDArray[Any]) -> bool:
    """Say whether pixels of a source's window (C, h, w) are not finite, or of an unknown class."""
    if isinstance(codec, ClassCodec):
        return not codec.is_class(window).all()
    return window.dtype.kind == "f" and not np.isfinite(window).all()


def unlabelled_note(codec: Codec) -> str:
    """Say that an image has pixels that are not finite, or of an unknown class."""
    pixels = "are NaN or infinite"
    if isinstance(codec, ClassCodec):
        pixels = f"hold none of the classes trained on ({list_labels(codec.values)})"
    return f"The image has pixels that {pixels}: predictions at and around them are unreliable."


def check_input(
    image: LazyImage, source: Codec, target: Codec, trained: tuple[Intensities, Intensities] | None
) -> str:
    """Say that an image looks like a target, or has other intensities than the sources; else ""."""
    image = flat_image(image)  # intensities are those of planes
    if source.kind != "image" or image.dtype.kind == "b":
        return ""
    if trained is None:
        return _check_assumed_range(image, source)
    windows = sample_windows(image)
    return _check_swapped(windows, target, trained) or _check_outside(windows, trained[0])


def _check_swapped(
    windows: Sequence[NDArray[Any]], target: Codec, trained: tuple[Intensities, Intensities]
) -> str:
    """Report an image nearer to the targets, and farther from the sources than any of those."""
    sources, targets = trained
    if target.kind != "image":
        if len(windows[0]) > 1 or infer_kind(windows) == "image":
            return ""
        return (
            "The image looks like labels, as the training targets were, and not like the sources: "
            "check that source and target were not swapped."
        )
    if len(sources.quantiles) != len(targets.quantiles):
        return ""
    image = Intensities.measure(windows)
    distance = image.distance(sources)
    usual = max(sources.spread, _APART * sources.width)
    if distance <= usual or not 2 * image.distance(targets) < distance:
        return ""
    return (
        f"The image looks like the training targets (median {image.median(0):.5g}, targets "
        f"{targets.median(0):.5g}) and not like the sources ({sources.median(0):.5g}): check that "
        "source and target were not swapped."
    )


def _check_assumed_range(image: LazyImage, source: Codec) -> str:
    """Report an image of many bits that has few gray levels, where the range is assumed."""
    codec = codec_for_dtype(source, image.dtype)
    if codec == source or image.dtype.itemsize == 1:
        return ""
    assert isinstance(codec, ImageCodec)
    quantiles = [q for q in Intensities.measure(sample_windows(image)).quantiles if q]
    low, high = min(q[0] for q in quantiles), max(q[-1] for q in quantiles)
    share = (high - low) / codec.data_range[0]
    if share >= _NARROW:
        return ""
    return (
        f"The model file holds no intensity range, so the whole range of {codec.dtype}, "
        f"{codec.low[0]:.0f} to {codec.high[0]:.0f}, is used. The image fills only "
        f"{rounded(100 * share)} % of it ({low:.5g} to {high:.5g}): scale it like the training "
        "images."
    )


def _check_outside(windows: Sequence[NDArray[Any]], sources: Intensities) -> str:
    """Report an image if a tenth of a channel's values lie outside the sources' range."""
    share, channel = sources.outside(windows)
    if share <= _OUTSIDE:
        return ""
    low, high = sources.range(channel)
    image = Intensities.measure(windows)
    darkest, brightest = image.quantiles[channel][0], image.quantiles[channel][-1]
    is_darker = low - darkest > brightest - high
    far = "far " if share > 0.5 else ""
    where = f"Channel {channel} of the image" if len(sources.quantiles) > 1 else "The image"
    return (
        f"{where} is {far}{'darker' if is_darker else 'brighter'} than the training images "
        f"(median {image.median(channel):.5g}, training {sources.median(channel):.5g}): "
        f"{100 * share:.0f} % of it lies outside their range of about {low:.5g} to {high:.5g}, and "
        f"it reaches {darkest if is_darker else brightest:.5g}. Bring it into that range."
    )
