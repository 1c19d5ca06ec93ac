"""Images that occur among the training images and again among those held out."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Iterable, Sequence

import numpy as np

from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import until
from napari_pix2pix.data.split import Split

# The middle of an image, so many pixels wide and high, stands for all of it.
_SIDE = 512
# Of larger sets a seeded choice of images is compared.
_MOST_PAIRS = 512
_MOST_NAMES = 3


def leak_note(
    pairs: Sequence[OpenPair], parts: Split, *, seed: int, seconds: float | None = None
) -> str:
    """Say which held-out sources are also trained on.

    Parameters
    ----------
    pairs : sequence of OpenPair
    parts : Split
        Windows that it holds out of an image are no copies of that image.
    seed : int
        Of the choice of images, where there are more than 512.
    seconds : float, optional
        No more images are read after so long.

    Returns
    -------
    str
        A sentence; empty where no image of one condition has a copy on the other side. Images
        are compared by the middle of their middle frame, up to 512 pixels wide and high; where
        that is constant it proves nothing.
    """
    training = {area.pair for area in parts.train}
    held_out = {area.pair for area in parts.validation}
    if not held_out or len(pairs) == 1:
        return ""
    copies = []
    for its in _alike(pairs, seed, seconds):
        for index in sorted(held_out.intersection(its)):
            others = training.intersection(its) - {index}
            copies += [(index, min(others))] if others else []
    if not copies:
        return ""
    copies.sort()
    listed = ", ".join(f"{pairs[i].name} = {pairs[j].name}" for i, j in copies[:_MOST_NAMES])
    more = f" and {len(copies) - _MOST_NAMES} more" if len(copies) > _MOST_NAMES else ""
    return (
        f"{len(copies)} of {len(held_out)} held-out sources are also trained on ({listed}{more}), "
        "so the scores are too good: leave copies out."
    )


def _alike(
    pairs: Sequence[OpenPair], seed: int, seconds: float | None
) -> Iterable[Collection[int]]:
    """Group pairs by what they show."""
    groups: dict[Hashable, set[int]] = {}
    order = np.random.default_rng(seed).permutation(len(pairs))[:_MOST_PAIRS].tolist()
    for index in until(seconds, order):
        groups.setdefault(_fingerprint(pairs[index]), set()).add(index)
    groups.pop(None, None)
    return groups.values()


def _fingerprint(pair: OpenPair) -> Hashable:
    """Return what copies have in common; None where too little is seen."""
    spans = [
        slice(max((length - _SIDE) // 2, 0), max((length - _SIDE) // 2, 0) + _SIDE)
        for length in (pair.height, pair.width)
    ]
    window = pair.source.read(pair.frames // 2, spans[0], spans[1])
    if not window.size or (window == window.flat[0]).all():
        return None
    digest = hashlib.sha256(np.ascontiguousarray(window).tobytes()).hexdigest()
    return pair.condition, pair.height, pair.width, pair.frames, window.dtype.str, digest
