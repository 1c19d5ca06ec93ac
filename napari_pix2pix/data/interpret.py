"""What the values of a set mean, and the codec that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._instance_codec import InstanceCodec
from napari_pix2pix.data._ranges import Method
from napari_pix2pix.data.class_codec import MOST_CLASSES, ClassCodec
from napari_pix2pix.data.codecs import NO_SOURCE, Codec, ImageCodec
from napari_pix2pix.data.kinds import Kind, describe_kind, find_kind
from napari_pix2pix.data.label_codec import distinct_values
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError

# Whole numbers up to this could be labels, and fit into int32.
_LARGEST = 2**31 - 1


def find_set_kind(windows: Sequence[NDArray[Any]], layout: Layout) -> Kind:
    """Say what the values of windows (C, h, w) mean; labels have one channel a plane.

    A layout without a channel axis is of one channel: C planes are then a z-context.
    """
    one_channel = layout.channel_axis is None or windows[0].shape[0] == 1
    return find_kind(windows) if one_channel else "image"


def interpret(
    windows: Sequence[NDArray[Any]],
    valid: Sequence[NDArray[np.bool_]],
    *,
    kind: Kind | Literal["auto"],
    method: Method,
    layout: Layout,
    what: str,
    classes: int | None = None,
    smallest: int | None = None,
    held: Callable[[], NDArray[np.int64] | None] = lambda: None,
    parts: Callable[[], Sequence[NDArray[Any]]] = list,
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
    classes : int, optional
        How many there are; what is not said to be something else is then taken for classes.
    smallest : int, optional
        Fewest pixels of an object.
    held : callable, optional
        Returns all classes that the training set holds, or None where that is not known; called
        for classes only.
    parts : callable, optional
        Returns arrays (C, h, w) that are larger than the windows; called for what looks like few
        instances, since a class whose regions are larger than a window looks like one, too.

    Returns
    -------
    codec : Codec
        Fitted.
    description : str
        Such as "uint16 -> 214 instances"; empty for intensities, but for such that look like
        labels.

    Raises
    ------
    InputError
        When the values can't be what ``kind`` says.
    """
    if windows[0].shape[0] == 0:
        return NO_SOURCE, ""
    found = kind == "auto"
    if kind == "auto":
        kind = _find_kind(windows, layout, parts) if classes is None else "classes"
    if smallest is not None and kind != "instances":
        raise InputError(
            f"smallest={smallest} is about objects, and the {what} is taken for {kind}: leave it "
            f"out, or say {what}_kind='instances' if it holds objects."
        )
    if kind == "image":
        image = ImageCodec.fit(windows, valid, method=method, layout=layout, what=what)
        doubts = (_float_labels(windows, layout, what), _label_channels(windows, layout, what))
        return image, "".join(doubts) if found else ""
    if layout.channel_axis is not None and len(windows[0]) > 1:
        raise InputError(
            f"The {what} has {len(windows[0])} channels and is to be taken for {kind}, which have "
            f"one: give one channel, train a model for each, or say {what}_kind='image'."
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
            codec = InstanceCodec.fit(windows, valid, layout=layout, what=what, smallest=smallest)
    except InputError as error:
        raise InputError(
            f"{error} The {what} is taken for {kind}; {what}_kind says what it is."
        ) from None
    if isinstance(codec, ClassCodec):  # which may be more than those that were met
        return codec, f"{what} {codec.dtype} -> {len(codec.values)} classes"
    return codec, f"{what} {describe_kind(windows, kind)}"


def _find_kind(
    windows: Sequence[NDArray[Any]], layout: Layout, parts: Callable[[], Sequence[NDArray[Any]]]
) -> Kind:
    kind = find_set_kind(windows, layout)
    if kind == "instances" and len(distinct_values(windows)) <= MOST_CLASSES:
        larger = parts()
        if larger and find_set_kind(larger, layout) == "classes":
            return "classes"
    return kind


def _label_channels(windows: Sequence[NDArray[Any]], layout: Layout, what: str) -> str:
    """Say that all channels of what is taken for an image look like labels; else nothing."""
    channels = len(windows[0])
    plain = layout.channel_axis is None or layout.rgb or windows[0].dtype.kind == "b"
    if plain or channels == 1:
        return ""
    if any(find_kind([one[channel] for one in windows]) == "image" for channel in range(channels)):
        return ""
    return (
        f"Each of the {channels} channels of the {what} looks like labels, and they are taken for "
        "an image, since labels have one channel: give one of them, or say "
        f"{what}_kind='image' if that is meant."
    )


def _float_labels(windows: Sequence[NDArray[Any]], layout: Layout, what: str) -> str:
    """Say that floats which are taken for an image look like labels; empty if they don't."""
    if windows[0].dtype.kind != "f":
        return ""
    known = [np.where(np.isfinite(window), window, 0) for window in windows]
    if any((np.abs(one) > _LARGEST).any() or (one != np.rint(one)).any() for one in known):
        return ""
    if find_set_kind([one.astype(np.int32) for one in known], layout) == "image":
        return ""
    return (
        f"The {what} holds {windows[0].dtype} values that look like labels, and is taken for an "
        "image, since labels are integers: convert it, for example with astype('uint16'), if it "
        "is labels."
    )
