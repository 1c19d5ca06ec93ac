"""What was understood of a training set, in one line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_pix2pix.pairs.alignment import Alignment
from napari_pix2pix.pairs.class_codec import ClassCodec
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.pair import OpenPair
from napari_pix2pix.pairs.planes import Planes


def summarise(
    pairs: Sequence[OpenPair],
    source: Codec,
    target: Codec,
    *,
    patches: int,
    alignment: Alignment,
) -> str:
    """Name dtypes, sizes and kinds, what there is to train on, and where the target lies.

    Parameters
    ----------
    pairs : sequence of OpenPair
        The training set, what is held out of it included.
    source, target : Codec
        How they were understood.
    patches : int
        How many patches fit into what is trained on.
    alignment : Alignment

    Returns
    -------
    str
        Such as ``uint16 1024x1024, 3 frames -> 3 classes; 37 patches; alignment 0.3 px``.
    """
    first = pairs[0]
    parts = [_side(first.source, source), f"{first.height}x{first.width}"]
    if len({(pair.height, pair.width) for pair in pairs}) > 1:
        parts.append("and other sizes")
    given = " ".join(parts)
    if len(pairs) > 1:
        given += f", {len(pairs)} pairs"
    frames = sum(pair.frames for pair in pairs)
    if frames > len(pairs):
        given += f", {frames} frames"
    made = _labels(target) or f"{_side(first.target, target)} image"
    said = [f"{given} -> {made}", f"{patches} patch{'' if patches == 1 else 'es'}"]
    if first.source.channels:
        where = f"{math.hypot(*alignment.offset):.1f} px" if alignment.known else "unknown"
        said.append(f"alignment {where}")
    return "; ".join(said)


def _labels(codec: Codec) -> str:
    """Say what labels are; how many instances there are is known of the sample alone."""
    if isinstance(codec, ClassCodec):
        return f"{len(codec.values)} classes"
    return "instances" if codec.kind == "instances" else ""


def _side(planes: Planes, codec: Codec) -> str:
    """Say an image's dtype and channels, or what its labels are."""
    if not planes.channels:
        return "no source"
    words = [str(planes.dtype)]
    if labels := _labels(codec):
        words.append(labels)
    elif planes.layout.rgb:
        words.append("RGB")
    elif planes.channels > 1:
        words.append(f"{planes.channels} channels")
    return " ".join(words)
