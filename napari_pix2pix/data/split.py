"""Holds out whole images, or a strip with a gap, so that no training patch sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.errors import ConfigError

# Fewer images than this are split inside; frames of one stack are not separate images.
_ENOUGH_IMAGES = 4
# Pixels: scores such as SSIM mean nothing in narrower strips.
_SMALLEST_STRIP = 16


@dataclass(frozen=True)
class Area:
    """A part of a pair, the same in all its frames."""

    pair: int
    box: Box


@dataclass(frozen=True)
class Split:
    """The areas to train on and to validate on, and a sentence about them."""

    train: tuple[Area, ...]
    validation: tuple[Area, ...]
    note: str


def whole_areas(pairs: Sequence[OpenPair]) -> tuple[Area, ...]:
    """Return the whole area of each pair."""
    return tuple(Area(i, Box.of_size(pair.height, pair.width)) for i, pair in enumerate(pairs))


def split(
    pairs: Sequence[OpenPair], *, fraction: float, patch: int, seed: int, gap: int = 16
) -> Split:
    """Hold out a fraction of a training set, from 0 (nothing) to below 1."""
    # From four images on, whole images are held out, never the last one of a condition. Otherwise
    # it is a strip at one end of the longer axis of each image that is large enough, with a gap, if
    # half of a training patch or more remains.
    if not 0 <= fraction < 1:
        raise ConfigError(f"validation must be a fraction from 0 to below 1, got {fraction}.")
    if gap < 16:
        raise ConfigError(f"The gap to held-out pixels must be at least 16, got {gap}.")
    whole = whole_areas(pairs)
    if fraction == 0:
        return Split(whole, (), "Nothing is held out, as asked: no validation.")
    rng = np.random.default_rng(seed)
    if len(pairs) >= _ENOUGH_IMAGES:
        chosen = _choose_images([pair.condition for pair in pairs], fraction, rng)
        if chosen:
            return _hold_out_images(whole, chosen)
    return _hold_out_strips(whole, fraction, patch, gap, rng)


def _choose_images(
    conditions: Sequence[Hashable], fraction: float, rng: np.random.Generator
) -> set[int]:
    """Choose images to hold out, never the last one of a condition."""
    wanted = max(round(fraction * len(conditions)), 1)
    remaining = Counter(conditions)
    chosen: set[int] = set()
    for index in rng.permutation(len(conditions)).tolist():
        if len(chosen) < wanted and remaining[conditions[index]] > 1:
            remaining[conditions[index]] -= 1
            chosen.add(index)
    return chosen


def _hold_out_images(areas: Sequence[Area], chosen: Collection[int]) -> Split:
    count = len(chosen)
    return Split(
        tuple(area for area in areas if area.pair not in chosen),
        tuple(area for area in areas if area.pair in chosen),
        f"{count} of {len(areas)} images {'is' if count == 1 else 'are'} held out "
        f"({100 * count / len(areas):.0f} %).",
    )


def _hold_out_strips(
    areas: Sequence[Area], fraction: float, patch: int, gap: int, rng: np.random.Generator
) -> Split:
    train, validation, notes = [], [], []
    for area in areas:
        parts = _cut(area, fraction, patch, gap, at_end=bool(rng.integers(2)))
        if parts is None:
            train.append(area)
            continue
        train.append(parts[0])
        validation.append(parts[1])
        notes.append(f"the {_describe(area.box, parts[1].box)}")
    if not validation:
        note = (
            f"No validation: the images are too small to hold out {100 * fraction:.0f} % with a "
            f"gap of {gap} px and to train on the rest in patches of {patch} px."
        )
        return Split(tuple(train), (), note)
    held_out = " or ".join(dict.fromkeys(notes))
    if len(areas) > 1:
        held_out = f"of {len(notes)} of {len(areas)} images {held_out}"
    note = f"{held_out[0].upper()}{held_out[1:]} are held out, with a gap of {gap} px."
    return Split(tuple(train), tuple(validation), note)


def _cut(
    area: Area, fraction: float, patch: int, gap: int, *, at_end: bool
) -> tuple[Area, Area] | None:
    """Return training area and held-out strip; None if they do not fit."""
    box = area.box
    long, short = max(box.size), min(box.size)
    strip = max(round(fraction * long), _SMALLEST_STRIP)
    rest = long - strip - gap
    if short < _SMALLEST_STRIP or 2 * rest < patch or rest < _SMALLEST_STRIP:
        return None
    spans = [(0, rest), (rest + gap, long)] if at_end else [(strip + gap, long), (0, strip)]
    if box.height >= box.width:
        parts = [Area(area.pair, Box(*span, box.left, box.right)) for span in spans]
    else:
        parts = [Area(area.pair, Box(box.top, box.bottom, *span)) for span in spans]
    return parts[0], parts[1]


def _describe(whole: Box, strip: Box) -> str:
    if strip.height < whole.height:
        side = "top" if strip.top == whole.top else "bottom"
        return f"{side} {strip.height} rows of {whole.height}"
    side = "left" if strip.left == whole.left else "right"
    return f"{side} {strip.width} columns of {whole.width}"
