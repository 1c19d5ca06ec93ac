"""What was understood of a training set, in one line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_pix2pix.pairs.alignment import Alignment
from napari_pix2pix.pairs.pair import OpenPair
from napari_pix2pix.pairs.planes import Planes


def summarise(
    pairs: Sequence[OpenPair], words: tuple[str, str], *, patches: int, alignment: Alignment
) -> str:
    """Name dtypes, sizes and kinds, what there is to train on, and where the target lies.

    Parameters
    ----------
    pairs : sequence of OpenPair
        The training set, what is held out of it included.
    words : pair of str
        How source and target were understood, as from `interpret`; empty for intensities.
    patches : int
        How many patches fit into what is trained on.
    alignment : Alignment

    Returns
    -------
    str
        Such as ``uint16 1024x1024, 3 frames -> 3 classes; 37 patches; alignment 0.3 px``.
    """
    first = pairs[0]
    sizes = {(pair.height, pair.width) for pair in pairs}
    parts = [_side(first.source, words[0]), f"{first.height}x{first.width}"]
    if len(sizes) > 1:
        parts.append("and other sizes")
    source = " ".join(parts)
    if len(pairs) > 1:
        source += f", {len(pairs)} pairs"
    frames = sum(pair.frames for pair in pairs)
    if frames > len(pairs):
        source += f", {frames} frames"
    where = f"{math.hypot(*alignment.offset):.1f} px" if alignment.known else "unknown"
    counted = f"{patches} patch{'' if patches == 1 else 'es'}"
    target = _kind(words[1]) or f"{_side(first.target, '')} image"
    return f"{source} -> {target}; {counted}; alignment {where}"


def _kind(words: str) -> str:
    """Say what labels are; how many instances there are is known of the sample alone."""
    said = words.partition("-> ")[2]
    return "instances" if said.endswith("instances") else said


def _side(planes: Planes, words: str) -> str:
    """Say an image's dtype and channels, or what its labels are."""
    if words:
        return f"{planes.dtype} {_kind(words)}"
    if planes.layout.rgb:
        return f"{planes.dtype} RGB"
    return f"{planes.dtype}" + (f" {planes.channels} channels" if planes.channels > 1 else "")
