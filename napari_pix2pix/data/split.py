"""Holds out whole images, frames, or a strip with a gap: no training patch sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._content import Content, frames_differ, rare_frames, survey
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.errors import ConfigError, plural

# Fewer images than this are split inside; so are frames of one stack, unless they show different
# fields.
_ENOUGH_IMAGES = 4
# Pixels: scores such as SSIM mean nothing in narrower strips.
_SMALLEST_STRIP = 16


# A strip holds at least this part of the content that its size would let it hold, if any does.
_FAIR = 0.25
# Places along an axis at which a strip may lie, besides its ends.
_PLACES = 16


@dataclass(frozen=True)
class Area:
    """A part of a pair: a box in all its frames, or in some."""

    pair: int
    box: Box
    frames: tuple[int, ...] | None = None  # None: all

    def numbers(self, pair: OpenPair) -> Sequence[int]:
        """Return the numbers of its frames."""
        return range(pair.frames) if self.frames is None else self.frames


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
    pairs: Sequence[OpenPair],
    *,
    fraction: float,
    patch: int,
    seed: int,
    gap: int = 16,
    by_frame: bool = True,
    volumes: bool = False,
) -> Split:
    """Hold out a fraction of a training set, from 0 (nothing) to below 1."""
    # Of `volumes` all planes are held out together, or a block with a gap along the longest axis.
    # From four images on, whole images are held out, never the last one of a condition; of several
    # groups whole groups, if that leaves each condition some. Otherwise
    # frames of each image that is a stack of different fields, if `by_frame` allows it, or else a
    # strip of it, with a gap, if half of a training patch or more remains. All of them hold
    # something to score, as far as there is anything: objects, or pixels inside a mask.
    if not 0 <= fraction < 1:
        raise ConfigError(f"validation must be a fraction from 0 to below 1, got {fraction}.")
    if gap < 16:
        raise ConfigError(f"The gap to held-out pixels must be at least 16, got {gap}.")
    whole = whole_areas(pairs)
    if fraction == 0:
        return Split(whole, (), "Nothing is held out, as asked: no validation.")
    rng = np.random.default_rng(seed)
    if len(pairs) >= _ENOUGH_IMAGES:
        groups = _groups(pairs)
        if 1 < len(groups) < len(pairs):
            chosen = _choose_images(pairs, groups, fraction, rng)
            if chosen:
                return _hold_out_images(whole, chosen, _describe_groups(groups, chosen))
        chosen = _choose_images(pairs, [[index] for index in range(len(pairs))], fraction, rng)
        if chosen:
            return _hold_out_images(whole, chosen, _describe_shared(groups, chosen))
    return _hold_out_parts(
        pairs, whole, fraction, patch, gap, rng, by_frame=by_frame, volumes=volumes
    )


def _groups(pairs: Sequence[OpenPair]) -> list[list[int]]:
    """Return the pairs of each group; a pair without a group is one of its own."""
    groups: dict[Hashable, list[int]] = {}
    for index, pair in enumerate(pairs):
        alone = pair.group is None
        groups.setdefault((alone, index if alone else pair.group), []).append(index)
    return list(groups.values())


def _choose_images(
    pairs: Sequence[OpenPair],
    groups: Sequence[Sequence[int]],
    fraction: float,
    rng: np.random.Generator,
) -> set[int]:
    """Choose groups of images to hold out, never the last images of a condition."""
    wanted = max(round(fraction * len(groups)), 1)
    order = rng.permutation(len(groups)).tolist()
    order = _filled_first(
        order, wanted, lambda number: all(survey(pairs[index]).empty for index in groups[number])
    )
    remaining = Counter(pair.condition for pair in pairs)
    chosen: set[int] = set()
    for number in order:
        taken = Counter(pairs[index].condition for index in groups[number])
        if wanted and all(remaining[name] > count for name, count in taken.items()):
            wanted -= 1
            remaining -= taken
            chosen.update(groups[number])
    return chosen


def _hold_out_images(areas: Sequence[Area], chosen: Collection[int], more: str) -> Split:
    count = len(chosen)
    return Split(
        tuple(area for area in areas if area.pair not in chosen),
        tuple(area for area in areas if area.pair in chosen),
        f"{count} of {len(areas)} images {'is' if count == 1 else 'are'} held out "
        f"({100 * count / len(areas):.0f} %){more}.",
    )


def _describe_groups(groups: Sequence[Sequence[int]], chosen: Collection[int]) -> str:
    """Say that whole groups are held out."""
    count = sum(group[0] in chosen for group in groups)
    return f": {plural(count, 'whole group')} of {len(groups)}, such as wells"


def _describe_shared(groups: Sequence[Sequence[int]], chosen: set[int]) -> str:
    """Warn where images of one group lie on both sides."""
    shared = any(0 < len(chosen.intersection(group)) < len(group) for group in map(set, groups))
    return "; others of their group, such as a well, are trained on" if shared else ""


def _hold_out_parts(
    pairs: Sequence[OpenPair],
    areas: Sequence[Area],
    fraction: float,
    patch: int,
    gap: int,
    rng: np.random.Generator,
    *,
    by_frame: bool,
    volumes: bool,
) -> Split:
    """Hold out frames or a strip of each image."""
    train, validation, notes, strips = [], [], [], 0
    for area in areas:
        pair, at_end = pairs[area.pair], bool(rng.integers(2))
        enough = by_frame and pair.frames >= _ENOUGH_IMAGES
        of_volumes = _cut_volumes(pair, area, fraction, gap, rng, at_end) if volumes else None
        if of_volumes is not None:
            parts, held_out, note = of_volumes
            notes.append(note)
        elif enough and frames_differ(pair):
            parts, held_out = _cut_frames(pair, area, fraction, rng)
            count = len(held_out.numbers(pair))
            notes.append(f"{count} of {pair.frames} frames, which show different fields,")
        else:
            cut = _cut(area, survey(pair), fraction, patch, gap, at_end=at_end)
            if cut is None:
                train.append(area)
                continue
            parts, held_out = cut
            # Of few windows that are scored, some should hold something.
            if not volumes:
                held_out = replace(held_out, frames=rare_frames(pair, held_out.box))
            strips += 1
            notes.append(f"the {_describe(area.box, held_out.box)}")
        train += parts
        validation.append(held_out)
    if not validation:
        masked = any(pair.mask is not None for pair in pairs)
        note = (
            f"No validation: the images are too small{' inside their masks' * masked} to hold out "
            f"{100 * fraction:.0f} % with a gap of {gap} px and to train on the rest in patches of "
            f"{patch} px."
        )
        return Split(tuple(train), (), note)
    which = " or ".join(dict.fromkeys(notes))
    if len(areas) > 1:
        which = f"of {len(notes)} of {len(areas)} images {which}"
    distance = f", with a gap of {gap} px" if strips else ""
    note = f"{which[0].upper()}{which[1:]} are held out{distance}."
    return Split(tuple(train), tuple(validation), note)


def _filled_first(order: Sequence[int], wanted: int, empty: Callable[[int], bool]) -> list[int]:
    """Put first what has content, of an order to hold out from; some of it is left to train on."""
    filled = list(islice((number for number in order if not empty(number)), wanted + 1))
    first = filled[: min(wanted, len(filled) - 1)] if filled else []
    return [*first, *(number for number in order if number not in filled)]


def _cut_frames(
    pair: OpenPair, area: Area, fraction: float, rng: np.random.Generator
) -> tuple[list[Area], Area]:
    """Return the frames to train on, and those that are held out."""
    wanted = max(round(fraction * pair.frames), 1)
    order = rng.permutation(pair.frames).tolist()
    chosen = set(_filled_first(order, wanted, lambda n: survey(pair, [n]).empty)[:wanted])
    rest = tuple(number for number in range(pair.frames) if number not in chosen)
    return [replace(area, frames=rest)], replace(area, frames=tuple(sorted(chosen)))


def _cut_volumes(
    pair: OpenPair, area: Area, fraction: float, gap: int, rng: np.random.Generator, at_end: bool
) -> tuple[list[Area], Area, str] | None:
    """Hold out volumes that differ, or the first or last planes of deep ones; None for neither."""
    depth = pair.target.frame_shape[-1]
    count = pair.frames // depth
    if count >= _ENOUGH_IMAGES and frames_differ(pair, volumes=True):
        wanted = max(round(fraction * count), 1)
        order = rng.permutation(count).tolist()
        chosen = set(_filled_first(order, wanted, lambda n: _is_empty(pair, n, depth))[:wanted])
        frames = np.arange(pair.frames).reshape(count, depth)
        held = np.isin(np.arange(count), list(chosen))
        note = f"{len(chosen)} of {count} volumes, which show different fields,"
    elif depth > max(area.box.size):
        strip = max(round(fraction * depth), _SMALLEST_STRIP)
        if depth < strip + gap + _SMALLEST_STRIP:
            return None
        planes = np.arange(depth)
        held_planes = planes >= depth - strip if at_end else planes < strip
        near = planes >= depth - strip - gap if at_end else planes < strip + gap
        numbers = np.arange(pair.frames)
        held_out = replace(area, frames=tuple(numbers[held_planes[numbers % depth]].tolist()))
        rest = replace(area, frames=tuple(numbers[~near[numbers % depth]].tolist()))
        which = "last" if at_end else "first"
        return [rest], held_out, f"the {which} {strip} planes of {depth}"
    else:
        return None
    rest = replace(area, frames=tuple(frames[~held].ravel().tolist()))
    return [rest], replace(area, frames=tuple(frames[held].ravel().tolist())), note


def _is_empty(pair: OpenPair, volume: int, depth: int) -> bool:
    return survey(pair, range(volume * depth, (volume + 1) * depth)).empty


def _cut(
    area: Area, content: Content, fraction: float, patch: int, gap: int, *, at_end: bool
) -> tuple[list[Area], Area] | None:
    """Return training areas and a held-out strip, inside the mask; None if they do not fit."""
    extents = [np.flatnonzero(counts)[[0, -1]] + [0, 1] for counts in content.valid if counts.any()]
    if len(extents) < 2:
        return None
    lengths = [int(stop - start) for start, stop in extents]
    axis = 0 if lengths[0] >= lengths[1] else 1
    start, stop = map(int, extents[axis])
    strip = max(round(fraction * lengths[axis]), _SMALLEST_STRIP)
    if min(lengths) < _SMALLEST_STRIP or strip > lengths[axis]:
        return None
    weights = (content.valid if content.empty else content.filled)[axis]
    ends = [stop - strip, start] if at_end else [start, stop - strip]
    between = np.linspace(start, stop - strip, _PLACES + 2, dtype=int)[1:-1].tolist()
    cuts = []
    for place in (*ends, *between):
        spans = [
            (first, last)
            for first, last in ((0, place - gap), (place + strip + gap, area.box.size[axis]))
            if _is_enough(min(last, stop) - max(first, start), patch)
        ]
        if not spans:
            continue
        fair = _fairness(weights, [*spans, (place, place + strip)])
        cuts.append((fair, spans, (place, place + strip)))
        if fair >= _FAIR:
            break
    if not cuts:
        return None
    _, spans, held_out = max(cuts, key=lambda cut: cut[0])
    return [_part(area, axis, span) for span in spans], _part(area, axis, held_out)


def _is_enough(length: int, patch: int) -> bool:
    """Say whether so many rows or columns are enough to train on."""
    return length >= _SMALLEST_STRIP and 2 * length >= patch


def _fairness(weights: NDArray[np.float64], spans: Sequence[tuple[int, int]]) -> float:
    """Return the smaller of two shares, parts of the fair one: of the training and of the strip."""
    *train, (start, stop) = spans
    held = float(weights[start:stop].sum())
    rest = float(sum(weights[first:last].sum() for first, last in train))
    total, extent = float(weights.sum()), np.count_nonzero(weights) or 1
    part = min((stop - start) / extent, 0.5)
    return min(held / part, rest / (1 - part)) / total


def _part(area: Area, axis: int, span: tuple[int, int]) -> Area:
    box = area.box
    if axis == 0:
        return replace(area, box=Box(*span, box.left, box.right))
    return replace(area, box=Box(box.top, box.bottom, *span))


def _describe(whole: Box, strip: Box) -> str:
    if strip.height < whole.height:
        return _describe_span((strip.top, strip.bottom), whole.height, "rows", ("top", "bottom"))
    return _describe_span((strip.left, strip.right), whole.width, "columns", ("left", "right"))


def _describe_span(span: tuple[int, int], length: int, what: str, sides: tuple[str, str]) -> str:
    start, stop = span
    if start == 0 or stop == length:
        return f"{sides[0] if start == 0 else sides[1]} {stop - start} {what} of {length}"
    return f"{what} {start} to {stop - 1} of {length}"
