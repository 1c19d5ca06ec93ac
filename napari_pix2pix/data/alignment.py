"""Measures the shift between source and target before training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._shift_correlation import (
    ShiftCorrelation,
    find_peak,
    second_peak,
    structure_maps,
)
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import locate
from napari_pix2pix.data.split import Area
from napari_pix2pix.errors import plural

# Largest shift that is looked for in pixels; in small images a quarter of the side.
_REACH = 24
# Sides of windows, tried from large to small until there are enough of them.
_SIDES = (208, 104, 52, 26)
_ENOUGH = 12
# At most so many windows, and pixels with their margins, are read: below a second on a CPU.
_MOST_WINDOWS = 32
_MOST_PIXELS = 2**20
_FOLDS = 4
# Ways to cut four folds into halves.
_HALVES = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))
_CHANCE_TRIALS = 4
# Windows with a smaller share of valid pixels are dropped.
_LEAST_VALID = 0.1
_LEAST_CONFIDENCE = 0.5
# Ratio of the best fit to the best by chance: no confidence below the first, full above the sum.
_CHANCE_RATIO, _RATIO_RANGE = 1.25, 1.0
# Halves of the data that differ by so many pixels reduce the confidence to 1 / e.
_HALVES_APART = 4.0
# Two contrasts of aligned images disagree by about so many pixels; less is no shift.
_NEGLIGIBLE = 1.5
# Largest shift along Z that is looked for in planes; in thin volumes a third of their planes.
_MOST_PLANES = 4
# A shift along Z has to fit so much better than none: planes beside the right one are much like it.
_BETTER_PLANE = 1.15
# Less is read for each of these shifts.
_PLANES_SIDES, _PLANES_PIXELS = _SIDES[1:], 2**18


@dataclass(frozen=True)
class Alignment:
    """Where the target lies relative to the source, and a sentence for the user."""

    offset: tuple[float, float]  # down and to the right in pixels; NaN if unknown
    confidence: float  # from 0 to 1
    known: bool
    sentence: str
    planes: int = 0  # of volumes: so many planes later

    @property
    def shifted(self) -> bool:
        """The offset is known, and a plane or 1.5 px at least: `correct_shift` can remove it."""
        return self.known and (self.planes != 0 or math.hypot(*self.offset) >= _NEGLIGIBLE)

    @property
    def distance(self) -> str:
        """How far apart they lie, in words: "1 plane and 3.0 px"."""
        within = f"{math.hypot(*self.offset):.1f} px"
        return f"{plural(abs(self.planes), 'plane')} and {within}" if self.planes else within


def check_alignment(
    pairs: Sequence[OpenPair],
    areas: Sequence[Area],
    *,
    seed: int,
    source_kind: Kind | None = None,
    target_kind: Kind | None = None,
    volumes: bool = False,
) -> Alignment:
    """Measure the offset between sources and targets on a seeded sample of windows in the areas.

    Of `volumes` it is measured along Z too, in whole planes.
    """
    # Of labels foreground and boundaries are compared. Between images of one contrast, and from
    # image to labels, the offset is exact to about 0.3 px; between phase contrast and fluorescence
    # to 1 or 2 px, since they show different parts of a cell. The confidence is the product of two
    # tests: how far the best fit exceeds the next best and those of windows paired at random, and
    # how near to each other the offsets of disjoint halves of the set lie.
    reach = _reach(areas)
    planes = 0
    if volumes:
        found = _find_planes(pairs, areas, reach, seed, source_kind, target_kind)
        if found is None:
            most = _most_planes(pairs, areas)
            return _unknown(0.0, f"the target may lie {plural(most, 'plane')} or more away")
        planes = found
    windows = _read_windows(pairs, areas, reach, seed, planes, abs(planes))
    if len(windows) < _FOLDS:
        return _unknown(0.0, "too little of them is valid, or they are too small")
    correlation = _correlate(windows, reach, source_kind, target_kind)
    covariances = [correlation.covariances(fold) for fold in _folds(windows)]
    score = correlation.score(np.sum(covariances, axis=0))
    if score.max() == 0:
        return _unknown(0.0)
    offset = find_peak(score)
    by_chance = max(second_peak(score), _best_by_chance(correlation, seed))
    excess = np.clip((score.max() / by_chance - _CHANCE_RATIO) / _RATIO_RANGE, 0, 1)
    apart = _halves_apart(correlation, covariances)
    confidence = round(float(excess * np.exp(-((apart / _HALVES_APART) ** 2))), 2)
    if confidence < _LEAST_CONFIDENCE:
        return _unknown(confidence)
    if max(abs(offset[0]), abs(offset[1])) > reach - 1:
        return _unknown(0.0, f"the target may lie {reach} px or more away from the source")
    return Alignment(offset, confidence, True, _sentence(offset, confidence, planes), planes)


def _most_planes(pairs: Sequence[OpenPair], areas: Sequence[Area]) -> int:
    thinnest = min(pairs[area.pair].target.frame_shape[-1] for area in areas)
    return min(_MOST_PLANES, thinnest // 3)


def _find_planes(
    pairs: Sequence[OpenPair],
    areas: Sequence[Area],
    reach: int,
    seed: int,
    source_kind: Kind | None,
    target_kind: Kind | None,
) -> int | None:
    """Return how many planes later targets lie; None if that may be farther than is looked for."""
    # The fit of the best shift within planes, for each shift along Z. The result is whole planes:
    # how the fit falls between two of them depends on how thick what is seen is.
    most = _most_planes(pairs, areas)
    fits = []
    for planes in range(-most, most + 1):
        windows = _read_windows(
            pairs, areas, reach, seed, planes, most, sides=_PLANES_SIDES, most_pixels=_PLANES_PIXELS
        )
        if len(windows) < _FOLDS:
            return 0
        correlation = _correlate(windows, reach, source_kind, target_kind)
        folds = [correlation.covariances(fold) for fold in _folds(windows)]
        halves = [folds[i] + folds[j] for pair in _HALVES for i, j in pair]
        fits.append([correlation.score(part).max() for part in (np.sum(folds, axis=0), *halves)])
    whole, *parts = np.array(fits).T
    best = int(whole.argmax())
    agreeing = float(np.median([abs(int(part.argmax()) - best) for part in parts]))
    # Where nothing fits, all are 0.
    if whole[best] <= _BETTER_PLANE * whole[most] or agreeing > 0:
        return 0
    return None if abs(best - most) == most else best - most


def describe_offset(offset: tuple[float, float], planes: int = 0) -> str:
    """Return an offset in words: "1 plane later, 3.0 px down and 0.5 px left"."""
    down, right = offset
    along = f"{plural(abs(planes), 'plane')} {'later' if planes > 0 else 'earlier'}, "
    return (along if planes else "") + (
        f"{abs(down):.1f} px {'down' if down > 0 else 'up'} and {abs(right):.1f} px "
        f"{'right' if right > 0 else 'left'}"
    )


@dataclass(frozen=True, eq=False)
class _Window:
    """A window with its margin of `reach` pixels, as read."""

    place: tuple[int, int, int]  # pair, top, left
    frame: int
    source: NDArray[Any]  # (C, h, w)
    target: NDArray[Any]  # (D, h, w)
    valid: NDArray[np.bool_]  # (h, w)


def _reach(areas: Sequence[Area]) -> int:
    typical = np.median([min(area.box.size) for area in areas])
    return min(_REACH, max(int(typical) // 4, 1))


def _read_windows(
    pairs: Sequence[OpenPair],
    areas: Sequence[Area],
    reach: int,
    seed: int,
    planes: int,
    most_planes: int,
    *,
    sides: Sequence[int] = _SIDES,
    most_pixels: int = _MOST_PIXELS,
) -> list[_Window]:
    """Read windows in the order of pair, place and frame; targets so many `planes` later.

    The windows are the same for all shifts of up to `most_planes`.
    """
    frames = [_frames_within(pairs[area.pair], area, -(-most_planes // 2)) for area in areas]
    for side in sides:
        grids = [
            (
                len(own),
                max((area.box.height - 2 * reach) // side, 0),
                max((area.box.width - 2 * reach) // side, 0),
            )
            for area, own in zip(areas, frames, strict=True)
        ]
        counts = [math.prod(grid) for grid in grids]
        if sum(counts) >= _ENOUGH:
            break
    total = sum(counts)
    most = min(_MOST_WINDOWS, most_pixels // (side + 2 * reach) ** 2)
    chosen = np.random.default_rng(seed).choice(total, min(most, total), replace=False)
    windows = []
    for number in chosen.tolist():
        which, inside = locate(number, counts)
        frame, i, j = (int(n) for n in np.unravel_index(inside, grids[which]))
        area, (_, rows, columns) = areas[which], grids[which]
        # The grid sits in the middle of the area, each window with a margin inside the area.
        top = area.box.top + (area.box.height - rows * side) // 2 + i * side - reach
        left = area.box.left + (area.box.width - columns * side) // 2 + j * side - reach
        frame = frames[which][frame]
        window = _read_window(pairs, area.pair, frame, planes, top, left, side + 2 * reach)
        if window.valid.mean() >= _LEAST_VALID:
            windows.append(window)
    return sorted(windows, key=lambda window: (window.place, window.frame))


def _frames_within(pair: OpenPair, area: Area, margin: int) -> Sequence[int]:
    """Return the frames of an area that have so many planes of it on each side."""
    if not margin:
        return area.numbers(pair)
    depth = pair.target.frame_shape[-1]
    numbers = set(area.numbers(pair))
    return [
        frame
        for frame in sorted(numbers)
        if margin <= frame % depth < depth - margin and {frame - margin, frame + margin} <= numbers
    ]


def _read_window(
    pairs: Sequence[OpenPair],
    pair: int,
    frame: int,
    planes: int,
    top: int,
    left: int,
    side: int,
) -> _Window:
    rows, columns = slice(top, top + side), slice(left, left + side)
    # Both lie about as far from the frame: else targets of another part of the volume, with more
    # or sharper structure, would look like a better fit.
    first = frame - planes // 2
    source, target, valid = pairs[pair].read_with_mask(first, rows, columns)
    if planes:
        _, target, later = pairs[pair].read_with_mask(first + planes, rows, columns)
        valid = valid & later
    # A channel that this image lacks must not invalidate the others.
    inside = np.delete(valid, pairs[pair].target.absent, axis=0)
    return _Window((pair, top, left), frame, source, target, np.asarray(inside.all(axis=0)))


def _correlate(
    windows: Sequence[_Window], reach: int, source_kind: Kind | None, target_kind: Kind | None
) -> ShiftCorrelation:
    valid = np.stack([window.valid for window in windows])
    source = structure_maps([window.source for window in windows], valid, source_kind)
    target = structure_maps([window.target for window in windows], valid, target_kind)
    return ShiftCorrelation(source[..., reach:-reach, reach:-reach], target, reach)


def _folds(windows: Sequence[_Window]) -> list[NDArray[np.intp]]:
    """Return window numbers in four folds by place: frames of one place show the same things."""
    places = sorted({window.place for window in windows})
    if len(places) < _FOLDS:
        return np.array_split(np.arange(len(windows)), _FOLDS)
    numbers = np.array([places.index(window.place) % _FOLDS for window in windows])
    return [np.flatnonzero(numbers == fold) for fold in range(_FOLDS)]


def _best_by_chance(correlation: ShiftCorrelation, seed: int) -> float:
    """Return the best fit of sources with turned targets of other windows."""
    rng = np.random.default_rng([seed, 1])
    windows = np.arange(correlation.windows)
    best = 0.0
    for _ in range(_CHANCE_TRIALS):
        others = np.roll(windows, rng.integers(1, len(windows)))
        score = correlation.score(correlation.covariances(windows, others))
        best = max(best, float(score.max()))
    return best


def _halves_apart(correlation: ShiftCorrelation, folds: Sequence[NDArray[np.float64]]) -> float:
    """Return the median distance in pixels between the peaks of disjoint halves."""
    distances = []
    for halves in _HALVES:
        peaks = (find_peak(correlation.score(folds[i] + folds[j])) for i, j in halves)
        distances.append(math.dist(*peaks))
    return float(np.median(distances))


def _unknown(confidence: float, reason: str = "the images share too little structure") -> Alignment:
    nowhere = (math.nan, math.nan)
    return Alignment(nowhere, confidence, False, f"Alignment: can't tell; {reason}.")


def _sentence(offset: tuple[float, float], confidence: float, planes: int) -> str:
    distance = math.hypot(*offset)
    if distance < _NEGLIGIBLE and not planes:
        return f"Alignment: within {max(math.ceil(10 * distance), 1) / 10:.1f} px."
    return (
        f"The target lies {describe_offset(offset, planes)} of the source (confidence "
        f"{confidence:.1f}): the model would learn this shift too. Correct it unless it is meant."
    )
