"""One line in words that says what a model was, or will be, trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from napari_pix2pix.data.alignment import Alignment
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.errors import plural


def summarise(
    pairs: Sequence[OpenPair],
    source: Codec,
    target: Codec,
    *,
    patches: int,
    alignment: Alignment,
    z_context: int = 0,
) -> str:
    """Describe a training set, its held-out part included; of sources with neighbours, how many.

    ``16-bit images to 3 classes, 1 pair of 96 x 80 pixels, 37 training patches, shift unknown``
    """
    first = pairs[0]
    has_source = bool(first.source.channels)
    given = _describe_values(first.source, source, z_context) if has_source else "noise"
    count = plural(len(pairs), "pair" if has_source else "image")
    frames = sum(pair.frames for pair in pairs)
    if frames > len(pairs):
        count += f" with {frames} frames"
    size = f"{first.height} x {first.width} pixels"
    if len({(pair.height, pair.width) for pair in pairs}) > 1:
        size += " and other sizes"
    parts = [
        f"{given} to {_describe_values(first.target, target)}",
        f"{count} of {size}",
        f"{patches:,} training patch{'' if patches == 1 else 'es'}",
    ]
    if has_source:
        known = f"shifted by {alignment.distance.removesuffix('px')}pixels"
        parts.append(known if alignment.known else "shift unknown")
    return ", ".join(parts)


def describe_pairs(
    pairs: Sequence[OpenPair],
    source: Codec,
    target: Codec,
    *,
    patches: int,
    alignment: Alignment,
    names: tuple[str, str] | None = None,
    z_context: int = 0,
) -> str:
    """Describe a training set in sentences, with the names of the first pair's images.

    They are ``names``, or else the two parts of the pair's name.

    ``phase, 512 x 512, one channel → DAPI, one channel. Aligned within 0.1 px. 28 training
    patches.``
    """
    first = pairs[0]
    parts = first.name.split(" -> ")
    given, made = names or (parts if len(parts) == 2 else ("source", "target"))
    size = f"{first.height} x {first.width}"
    if len({(pair.height, pair.width) for pair in pairs}) > 1:
        size += " and other sizes"
    if (frames := sum(pair.frames for pair in pairs)) > len(pairs):
        size += f", {plural(frames, 'frame')}"
    sides = f"{made}, {_in_words(first.target, target)}"
    if first.source.channels:
        sides = f"{given}, {size}, {_in_words(first.source, source, z_context)} → {sides}"
    else:
        sides = f"{sides}, {size}"
    words = [f"{sides}."]
    if len(pairs) > 1:
        words.append(f"And {plural(len(pairs) - 1, 'more pair')}.")
    if first.source.channels:
        words.append(_alignment_in_words(alignment))
    words.append(f"{patches:,} training patch{'' if patches == 1 else 'es'}.")
    return " ".join(words)


def _in_words(image: LazyImage, codec: Codec, z_context: int = 0) -> str:
    if isinstance(codec, ClassCodec):
        return plural(len(codec.values), "class")
    if codec.kind == "instances":
        return "objects"
    channels, planes = _without_neighbours(image.channels, z_context)
    if image.layout.rgb:
        return f"RGB{planes}"
    return ("one channel" if channels == 1 else plural(channels, "channel")) + planes


def _alignment_in_words(alignment: Alignment) -> str:
    if not alignment.known:
        return "How they are aligned could not be measured."
    distance = math.hypot(*alignment.offset)
    if alignment.shifted:
        return f"Shifted by {alignment.distance}."
    return f"Aligned within {max(math.ceil(10 * distance), 1) / 10:.1f} px."


def _without_neighbours(channels: int, z_context: int) -> tuple[int, str]:
    """Return the channels of one plane, and words for how many planes are seen at a time."""
    planes = 2 * z_context + 1
    return channels // planes, f" in {planes} planes" if z_context else ""


def _describe_values(image: LazyImage, codec: Codec, z_context: int = 0) -> str:
    if isinstance(codec, ClassCodec):
        return plural(len(codec.values), "class")
    if codec.kind == "instances":  # without a number, which is known of the sampled blocks alone
        return "instances"
    channels, planes = _without_neighbours(image.channels, z_context)
    return describe_images(channels, image.layout, image.dtype) + planes


def describe_images(channels: int, layout: Layout, dtype: DTypeLike | None) -> str:
    """Describe images by dtype (None for any) and channels: ``16-bit images with 2 channels``."""
    words = []
    if dtype is not None:
        dtype = np.dtype(dtype)
        number = {"f": " floating point", "i": " signed"}.get(dtype.kind, "")
        words = ["binary" if dtype.kind == "b" else f"{8 * dtype.itemsize}-bit{number}"]
    words += ["RGB images" if layout.rgb else "images"]
    if not layout.rgb and (channels > 1 or dtype is None):
        words.append(f"with {plural(channels, 'channel')}")
    return " ".join(words)
