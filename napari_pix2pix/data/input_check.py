"""What is odd about an image's intensities, for a model that was trained on others."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec, ImageCodec
from napari_pix2pix.data.dtype_range import codec_for_dtype
from napari_pix2pix.data.intensities import Intensities, sample_windows
from napari_pix2pix.data.kinds import infer_kind
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import rounded

# A larger share of an image outside the intensities of the training is warned of.
_OUTSIDE = 0.1
# Where a range is assumed, an image that fills a smaller part of it is warned of.
_NARROW = 1 / 8
# Images that are nearer to the sources than this, in widths of their range, are no targets.
_APART = 0.1


def check_input(
    planes: LazyImage, source: Codec, target: Codec, known: tuple[Intensities, Intensities] | None
) -> str:
    """Say when an image looks like a target, or lies outside what was trained on.

    Parameters
    ----------
    planes : Planes
        The image, of which some windows are read.
    source, target : Codec
        Of the model.
    known : pair of Intensities or None
        Of the training's sources and targets; None where the file lacks them.

    Returns
    -------
    str
        A sentence when the image is nearer to the targets than to the sources, and farther from
        the sources than any training block; or when more than a tenth of a channel's values lie
        outside the range of the sources; or when the range is assumed, and the image fills less
        than an eighth of it. Otherwise nothing.
    """
    if source.kind != "image" or planes.dtype.kind == "b":
        return ""
    if known is None:
        return _narrow(planes, source)
    windows = sample_windows(planes)
    return _like_target(windows, target, known) or _outside(windows, known[0])


def _like_target(
    windows: Sequence[NDArray[Any]], target: Codec, known: tuple[Intensities, Intensities]
) -> str:
    sources, targets = known
    if target.kind != "image":
        if len(windows[0]) > 1 or infer_kind(windows) == "image":
            return ""
        return (
            "The image looks like labels, as the targets of the training were, and not like its "
            "sources: check that source and target were not swapped."
        )
    if len(sources.quantiles) != len(targets.quantiles):
        return ""
    image = Intensities.measure(windows)
    apart = image.distance(sources)
    usual = max(sources.spread, _APART * sources.width)
    if apart <= usual or not 2 * image.distance(targets) < apart:
        return ""
    here, there, wanted = (f"{one.median(0):.5g}" for one in (image, targets, sources))
    return (
        f"The image looks like the targets of the training (median {here}; theirs {there}) and "
        f"not like its sources ({wanted}): check that source and target were not swapped."
    )


def _narrow(planes: LazyImage, source: Codec) -> str:
    """Say that an image of many bits has few gray levels, where the whole range is assumed."""
    codec = codec_for_dtype(source, planes.dtype)
    if codec == source or planes.dtype.itemsize == 1:
        return ""
    assert isinstance(codec, ImageCodec)
    found = [q for q in Intensities.measure(sample_windows(planes)).quantiles if q]
    low, high = min(q[0] for q in found), max(q[-1] for q in found)
    share = (high - low) / codec.data_range[0]
    if share >= _NARROW:
        return ""
    return (
        f"The model's file says nothing of intensities, so the whole range of {codec.dtype}, "
        f"{codec.low[0]:.0f} to {codec.high[0]:.0f}, is taken for -1 to 1. The image reaches from "
        f"{low:.5g} to {high:.5g}, {rounded(100 * share)} % of it: bring it to the range that the "
        "training's images had."
    )


def _outside(windows: Sequence[NDArray[Any]], sources: Intensities) -> str:
    share, channel = sources.outside(windows)
    if share <= _OUTSIDE:
        return ""
    low, high = sources.range(channel)
    image = Intensities.measure(windows)
    median, known = image.median(channel), image.quantiles[channel]
    end, beyond = max(
        (known[0], low - known[0]), (known[-1], known[-1] - high), key=operator.itemgetter(1)
    )
    times = f", {rounded(beyond / (high - low))} times that range beyond it" if high > low else ""
    where = f" in channel {channel}" if len(sources.quantiles) > 1 else ""
    return (
        f"{100 * share:.0f} % of the image{where} lies outside the intensities trained on, about "
        f"{low:.5g} to {high:.5g}; it reaches {end:.5g}{times} (median {median:.5g}, theirs "
        f"{sources.median(channel):.5g}): bring it into that range."
    )
