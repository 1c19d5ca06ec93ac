"""Finds out what the values of a training set mean, and fits the codec for them."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._instance_codec import InstanceCodec
from napari_pix2pix.data.box import middle
from napari_pix2pix.data.class_codec import MOST_CLASSES, ClassCodec
from napari_pix2pix.data.codec_base import distinct_values
from napari_pix2pix.data.codecs import NO_SOURCE, Codec, ImageCodec
from napari_pix2pix.data.intensities import Method
from napari_pix2pix.data.kinds import (
    Kind,
    Side,
    describe_kind,
    has_shared_numbers,
    infer_kind,
    is_blurred_mask,
    is_one_region_each,
)
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.split import Area
from napari_pix2pix.errors import InputError

# Whole numbers up to this could be labels, and fit into int32.
_LARGEST = 2**31 - 1
# Pixels that are read at once.
_STRIP = 2**22
# Parts of images that are judged as a whole, and their largest side.
_MOST_PARTS, _SIDE = 16, 2048


def infer_set_kind(windows: Sequence[NDArray[Any]], layout: Layout) -> Kind:
    """Infer what windows (C, h, w) hold; labels have one channel."""
    # Without a channel axis C planes are the frames of a z-context.
    one_channel = layout.channel_axis is None or windows[0].shape[0] == 1
    return infer_kind(windows) if one_channel else "image"


def infer_codec(
    windows: Sequence[NDArray[Any]],
    valid: Sequence[NDArray[np.bool_]],
    *,
    kind: Kind | Literal["auto"],
    method: Method,
    layout: Layout,
    what: str,
    classes: int | None = None,  # their number; then "auto" means classes
    smallest: int | None = None,  # pixels of an object
    held: Callable[[], NDArray[np.int64] | None] = lambda: None,  # all classes of the set
    # For what looks like few instances, as classes with regions larger than a window do, too.
    parts: Callable[[], Sequence[NDArray[Any]]] = list,
) -> tuple[Codec, str]:
    """Fit the codec of a source or target on windows (C, h, w), and describe it in a sentence."""
    if windows[0].shape[0] == 0:
        return NO_SOURCE, ""
    inferred = kind == "auto"
    if kind == "auto":
        kind = _find_kind(windows, layout, parts) if classes is None else "classes"
    if smallest is not None and kind != "instances":
        raise InputError(
            f"smallest={smallest} is about objects, and the {what} is taken for {kind}: leave it "
            f"out, or set {what}_kind='instances' if it holds objects."
        )
    if kind == "image":
        image = ImageCodec.fit(windows, valid, method=method, layout=layout, what=what)
        doubts = (
            _float_labels(windows, layout, what),
            _label_channels(windows, layout, what),
            _blurred_mask(windows, what),
        )
        return image, "".join(doubts) if inferred else ""
    if layout.channel_axis is not None and len(windows[0]) > 1:
        raise InputError(
            f"The {what} has {len(windows[0])} channels, but {kind} have one: give one channel, "
            f"train a model for each, or set {what}_kind='image'."
        )
    try:
        codec: Codec
        if kind == "classes":
            values = held()
            codec = ClassCodec.fit(
                windows,
                valid,
                layout=layout,
                what=what,
                classes=classes,
                values=() if values is None else values,
            )
        else:
            if has_shared_numbers(windows):
                raise InputError(
                    f"Instances have a number each, and in the {what} many share one, as in a "
                    "mask: number them, for example with skimage.measure.label."
                )
            codec = InstanceCodec.fit(windows, valid, layout=layout, what=what, smallest=smallest)
    except InputError as error:
        raise InputError(
            f"{error} The {what} is taken for {kind}; set {what}_kind if it is something else."
        ) from None
    if isinstance(codec, ClassCodec):  # more than the sample holds, where classes are stated
        hint = _few_objects(parts() or windows, what) if inferred and classes is None else ""
        return codec, f"{what} {codec.dtype} -> {len(codec.values)} classes{hint}"
    return codec, f"{what} {describe_kind(windows, kind)}"


def all_values(
    pairs: Sequence[OpenPair], areas: Sequence[Area], side: Side
) -> NDArray[np.int64] | None:
    """Return all values inside the masks of the areas, sorted; None where reading takes long."""
    values: list[NDArray[Any]] = []
    for area in areas:
        image, mask = getattr(pairs[area.pair], side), pairs[area.pair].mask
        if not (_in_memory(image) and (mask is None or _in_memory(mask))):
            return None
        values += [
            np.unique(_ends_of_runs(part))
            for part in _parts(image, mask, area, area.numbers(pairs[area.pair]))
        ]
    return distinct_values(values)


def large_parts(pairs: Sequence[OpenPair], areas: Sequence[Area], side: Side) -> list[NDArray[Any]]:
    """Read the middles (C, h, w) of up to 16 frames in memory, up to 2048 pixels a side."""
    frames = [
        (area, frame)
        for area in areas
        if _in_memory(getattr(pairs[area.pair], side))
        for frame in area.numbers(pairs[area.pair])
    ]
    parts = []
    for area, frame in frames[:: max(1, -(-len(frames) // _MOST_PARTS))]:
        rows, columns = middle(area.box.rows, _SIDE), middle(area.box.columns, _SIDE)
        parts.append(getattr(pairs[area.pair], side).read(frame, rows, columns))
    return parts


def _find_kind(
    windows: Sequence[NDArray[Any]], layout: Layout, parts: Callable[[], Sequence[NDArray[Any]]]
) -> Kind:
    kind = infer_set_kind(windows, layout)
    if kind == "instances" and len(distinct_values(windows)) <= MOST_CLASSES:
        larger = parts()
        if larger and infer_set_kind(larger, layout) == "classes":
            return "classes"
    return kind


def _label_channels(windows: Sequence[NDArray[Any]], layout: Layout, what: str) -> str:
    """Say that all channels of a supposed image look like labels; else return ""."""
    channels = len(windows[0])
    plain = layout.channel_axis is None or layout.rgb or windows[0].dtype.kind == "b"
    if plain or channels == 1:
        return ""
    if any(infer_kind([w[channel] for w in windows]) == "image" for channel in range(channels)):
        return ""
    return (
        f"Each of the {channels} channels of the {what} looks like labels, but labels have one "
        "channel, so they are taken for an image: give one channel, or set "
        f"{what}_kind='image' if they are an image."
    )


def looks_like(windows: Sequence[NDArray[Any]], layout: Layout) -> Kind | None:
    """Return the kind of labels that windows taken for images may well hold; None for none."""
    kind = _kind_of_floats(windows, layout)
    if kind != "image":
        return kind
    return "classes" if len(windows[0]) == 1 and is_blurred_mask(windows) else None


def _kind_of_floats(windows: Sequence[NDArray[Any]], layout: Layout) -> Kind:
    """Return what floats would be taken for if they were integers."""
    if windows[0].dtype.kind != "f":
        return "image"
    finite = [np.where(np.isfinite(window), window, 0) for window in windows]
    if any((np.abs(w) > _LARGEST).any() or (w != np.rint(w)).any() for w in finite):
        return "image"
    return infer_set_kind([window.astype(np.int32) for window in finite], layout)


def _float_labels(windows: Sequence[NDArray[Any]], layout: Layout, what: str) -> str:
    """Say that a supposed image of floats looks like labels; else return ""."""
    if _kind_of_floats(windows, layout) == "image":
        return ""
    return (
        f"The {what} holds {windows[0].dtype} values that look like labels. It is taken for an "
        f"image, since labels are integers: if they are labels, set {what}_kind."
    )


def _blurred_mask(windows: Sequence[NDArray[Any]], what: str) -> str:
    """Say that a supposed image looks like a mask that is no longer exact; else return ""."""
    if len(windows[0]) > 1 or not is_blurred_mask(windows):
        return ""
    return (
        f"The {what} looks like a mask that was saved as JPEG or resized: nearly all its values "
        f"are near 0 or 255. It is taken for an image: if it is a mask, set {what}_kind='classes'."
    )


def _few_objects(windows: Sequence[NDArray[Any]], what: str) -> str:
    """Say that classes may as well be the numbers of two objects; else return ""."""
    if len(distinct_values(windows)) != 3 or not is_one_region_each(windows):
        return ""
    return f"; if they number objects, set {what}_kind='instances'"


def _in_memory(image: LazyImage) -> bool:
    return all(_holds_its_values(member.array) for member in image.members)


def _holds_its_values(array: Any) -> bool:
    """Say whether an array is numpy's, and not a view of a file that is mapped to memory."""
    if not isinstance(array, np.ndarray):
        return False
    while isinstance(array, np.ndarray):
        array = array.base
    return not isinstance(array, mmap.mmap)


def _parts(
    image: LazyImage, mask: LazyImage | None, area: Area, frames: Sequence[int]
) -> Iterator[NDArray[Any]]:
    """Read the pixels of an area inside the mask (N,), some rows at a time."""
    height = max(1, _STRIP // area.box.width)
    columns = area.box.columns
    for frame in frames:
        for top in range(area.box.top, area.box.bottom, height):
            rows = slice(top, min(top + height, area.box.bottom))
            values = image.read(frame, rows, columns)
            if mask is None:
                yield values.ravel()
            else:
                inside = mask.read(frame % mask.frames, rows, columns) != 0
                yield values[np.broadcast_to(inside, values.shape)]


def _ends_of_runs(values: NDArray[Any]) -> NDArray[Any]:
    """Return the last of equal neighbours (N,): labels have long runs, so few values are sorted."""
    return np.append(values[:-1][values[1:] != values[:-1]], values[-1:])
