"""Draws training patches; each draw follows from seed, step and index alone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.class_codec import leave_out_unknown, unknown_note
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.intensity_changes import IntensityChanges
from napari_pix2pix.data.kinds import Side
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.data.split import Area
from napari_pix2pix.data.volume_blocks import plane_runs, read_volume
from napari_pix2pix.data.volumes import encode, flat_codec
from napari_pix2pix.errors import InputError

_FEWEST_STEPS, _MOST_STEPS = 100, 1000
# A window without a valid pixel teaches nothing; after so many tries it is used as it is.
_TRIES = 8

FloatPlanes = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """The patches of one training step; `valid` is None if every pixel counts."""

    # Of volumes there is an axis of planes before h.
    source: FloatPlanes  # (B, P, h, w)
    target: FloatPlanes  # (B, Q, h, w)
    valid: NDArray[np.bool_] | None  # (B, 1 or Q, h, w)
    condition: NDArray[np.int64]  # (B,)


class PatchSampler:
    """Draws batches of square patches of side `patch` from the training areas.

    With `planes` patches are volumes of so many planes.
    """

    # The share `content` of the patches has its centre in a content block, drawn by the standard
    # deviation of its target. A window of patch / zoom pixels is resized to `patch`, as 286 -> 256
    # in Isola et al., CVPR 2017.

    def __init__(
        self,
        pairs: Sequence[OpenPair],
        areas: Sequence[Area],
        source_codec: Codec,
        target_codec: Codec,
        *,
        patch: int,
        planes: int | None = None,
        batch: int,
        seed: int,
        content: float = 0.5,
        content_blocks: Sequence[SampleBlock] = (),
        flips: bool = True,
        vertical_flips: bool = True,
        plane_flips: bool = False,
        quarter_turns: bool = True,
        zoom: tuple[float, float] = (1.0, 1.0),
        changes: IntensityChanges | None = None,  # of the source's intensities
        conditions: Sequence[Hashable] = (),  # all of the model, in order
    ) -> None:
        if not areas:
            raise InputError("There is nothing to train on; give at least one training image.")
        self._pairs = pairs
        self._areas = areas
        self._codecs = source_codec, target_codec
        self._patch, self._batch, self._seed = patch, batch, seed
        self._planes = planes
        self._runs = [] if planes is None else [plane_runs(pairs[a.pair], a) for a in areas]
        # Along planes (of volumes), rows and columns.
        self._flips = (plane_flips and flips,) * (planes is not None)
        self._flips += vertical_flips and flips, flips
        self._quarter_turns = quarter_turns
        self._zoom, self._changes = zoom, changes
        self._conditions = _condition_indices(pairs, conditions)
        self._ends = np.cumsum([_pixels(pairs, area) for area in areas])
        # Not the blocks themselves, whose pixels would stay in memory.
        self._blocks = [
            (_area_of(block, areas), block.frame, block.rows, block.columns)
            for block in content_blocks
        ]
        weights = np.cumsum([_content(block, target_codec) for block in content_blocks])
        self._content_ends = weights
        self._warned: set[Side] = set()
        self._content = content if weights.size and weights[-1] > 0 else 0.0

    def draw_from(self, pairs: Sequence[OpenPair]) -> None:
        """Draw from other pairs of the same sizes and conditions from now on."""
        self._pairs = pairs

    def batch(self, step: int, part: int = 0) -> PatchBatch:
        """Draw the batch of a step, whatever was drawn before."""
        # Processes that share a step each draw a part: together the batch that one would draw.
        drawn = [
            self._draw(np.random.default_rng([self._seed, step, index]))
            for index in range(part * self._batch, (part + 1) * self._batch)
        ]
        sources, targets, valids, pairs = zip(*drawn, strict=True)
        return PatchBatch(
            np.ascontiguousarray(np.stack(sources)),
            np.ascontiguousarray(np.stack(targets)),
            _join_valid(valids, targets[0].shape[1:]),
            self._conditions[list(pairs)],
        )

    def _draw(
        self, rng: np.random.Generator
    ) -> tuple[FloatPlanes, FloatPlanes, NDArray[np.bool_] | None, int]:
        side = max(1, round(self._patch / rng.uniform(*self._zoom)))
        for _ in range(_TRIES):
            area, frame, top, left = self._place(rng, side)
            rows = slice(top, top + min(side, area.box.height))
            columns = slice(left, left + min(side, area.box.width))
            pair = self._pairs[area.pair]
            if self._planes is None:
                raw_source, raw_target, valid = pair.read(frame, rows, columns)
            else:
                planes = self._planes_around(rng, area, frame)
                raw_source, raw_target, valid = read_volume(pair, planes, rows, columns)
            if valid is None or valid.any():
                break
        geometry = self._geometry(rng, side, raw_target.shape[1:])
        source_codec, target_codec = self._codecs
        valid = self._leave_out("source", raw_source, source_codec, valid)
        valid = self._leave_out("target", raw_target, target_codec, valid)
        source = _encoded(raw_source, source_codec, geometry)
        target = _encoded(raw_target, target_codec, geometry)
        if self._changes is not None:
            source = self._changes.apply(source, rng)
        if valid is not None:
            # Interpolation mixes neighbours: only what is valid through and through stays so.
            valid = geometry.apply(valid.astype(np.float32), 1) > 0.999
        return source, target, valid, area.pair

    def _place(self, rng: np.random.Generator, side: int) -> tuple[Area, int, int, int]:
        """Draw area, frame, top and left of a window."""
        if self._content and rng.random() < self._content:
            number = _pick(rng.random() * self._content_ends[-1], self._content_ends)
            area, frame, rows, columns = self._blocks[number]
            y = int(rng.integers(rows.start, rows.stop))
            x = int(rng.integers(columns.start, columns.stop))
            box = area.box
            top = max(box.top, min(y - side // 2, box.bottom - side))
            left = max(box.left, min(x - side // 2, box.right - side))
            return area, frame, top, left
        area = self._areas[_pick(rng.integers(self._ends[-1]), self._ends)]
        numbers = area.numbers(self._pairs[area.pair])
        frame = numbers[int(rng.integers(len(numbers)))]
        box = area.box
        top = int(rng.integers(box.top, max(box.bottom - side, box.top) + 1))
        left = int(rng.integers(box.left, max(box.right - side, box.left) + 1))
        return area, frame, top, left

    def _planes_around(self, rng: np.random.Generator, area: Area, frame: int) -> range:
        """Draw a window of neighbouring planes that holds a plane, or all where there are fewer."""
        assert self._planes is not None
        runs = self._runs[next(i for i, one in enumerate(self._areas) if one is area)]
        run = next(run for run in runs if frame in run)
        low, high = max(run.start, frame - self._planes + 1), min(frame, run.stop - self._planes)
        first = int(rng.integers(low, high + 1)) if low <= high else run.start
        return range(first, min(first + self._planes, run.stop))

    def _leave_out(
        self, side: Side, raw: NDArray[Any], codec: Codec, valid: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_] | None:
        """Make pixels of unknown classes unlabelled, with one warning a side."""
        valid, unknown = leave_out_unknown(raw, codec, valid, side)
        if unknown and side not in self._warned:
            self._warned.add(side)
            warnings.warn(unknown_note(unknown, side), UserWarning, stacklevel=2)
        return valid

    def _geometry(self, rng: np.random.Generator, side: int, sizes: tuple[int, ...]) -> _Geometry:
        wanted = (side, side) if self._planes is None else (self._planes, side, side)
        missing = [max(most - size, 0) for most, size in zip(wanted, sizes, strict=True)]
        before = [int(rng.integers(number + 1)) for number in missing]
        turns = int(rng.integers(4)) if self._quarter_turns else 0
        flips = tuple(bool(rng.integers(2)) and wanted for wanted in self._flips)
        pad = tuple((b, number - b) for b, number in zip(before, missing, strict=True))
        return _Geometry(pad, self._patch, flips, turns)


def epoch_steps(
    pairs: Sequence[OpenPair], areas: Sequence[Area], patch: int, batch: int, planes: int = 1
) -> int:
    """Return the steps of an epoch: one draw per patch area, but 100 to 1000 steps."""
    draws = sum(_pixels(pairs, area) for area in areas) / (planes * patch**2)
    return min(_MOST_STEPS, max(_FEWEST_STEPS, math.ceil(draws / batch)))


def pass_steps(
    pairs: Sequence[OpenPair], areas: Sequence[Area], patch: int, batch: int, planes: int = 1
) -> float:
    """Return the steps in which patches draw as many pixels as the areas have."""
    # Of an area smaller than a patch, each patch draws all, and reflects it. Areas are drawn by
    # their pixels.
    pixels = np.array([_pixels(pairs, area) for area in areas], float)
    drawn = np.array([_drawn_pixels(pairs, area, patch, planes) for area in areas], float)
    return float(pixels.sum() ** 2 / (pixels * drawn).sum() / batch)


def _drawn_pixels(pairs: Sequence[OpenPair], area: Area, patch: int, planes: int) -> int:
    """Return the pixels that one patch draws of an area."""
    sides = min(area.box.height, patch) * min(area.box.width, patch)
    return sides * min(planes, len(area.numbers(pairs[area.pair])))


def patch_count(
    pairs: Sequence[OpenPair], areas: Sequence[Area], patch: int, planes: int = 1
) -> int:
    """Return how many patches have as many pixels as the areas, rounded up."""
    return math.ceil(sum(_pixels(pairs, area) for area in areas) / (planes * patch**2))


@dataclass(frozen=True)
class _Geometry:
    """What is done to source, target and mask alike: pad, resize, mirror, turn."""

    # Resized and turned within planes alone: planes seldom lie as far apart as pixels, and no
    # microscope sees as sharply along its axis as across it.
    pad: tuple[tuple[int, int], ...]
    patch: int
    flips: tuple[bool, ...]
    turns: int

    def apply(self, planes: FloatPlanes, order: int) -> FloatPlanes:
        if any(map(any, self.pad)):
            # Reflection; numpy repeats the edge where an axis has a single pixel.
            planes = np.pad(planes, ((0, 0), *self.pad), mode="reflect")
        if planes.shape[-1] != self.patch:
            flat = planes.reshape(-1, *planes.shape[-2:])
            flat = _resize(flat, self.patch, order)
            planes = flat.reshape(*planes.shape[:-2], self.patch, self.patch)
        planes = planes[:, *(slice(None, None, -1 if flip else 1) for flip in self.flips)]
        return np.rot90(planes, self.turns, axes=(-2, -1))


def _encoded(raw: NDArray[Any], codec: Codec, geometry: _Geometry) -> FloatPlanes:
    """Encode a window and transform it; labels first, since their planes have directions."""
    if codec.kind == "image":
        return geometry.apply(encode(codec, raw), 1)
    return encode(codec, np.ascontiguousarray(geometry.apply(raw, 0)))


def _resize(planes: FloatPlanes, side: int, order: int) -> FloatPlanes:
    """Resize planes (P, n, n) to (P, side, side), nearest (order 0) or linear (order 1)."""
    length = planes.shape[-1]
    position = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
    if order == 0:
        nearest = np.rint(position).astype(int)
        return planes[:, nearest[:, None], nearest]
    # Not as a product with a matrix of weights: the threads of numpy's BLAS go on spinning after
    # it, and the training step that follows has a core less.
    before = np.minimum(position.astype(int), max(length - 2, 0))
    after = np.minimum(before + 1, length - 1)
    part = (position - before).astype(np.float32)
    rows = planes[:, before] * (1 - part)[:, None] + planes[:, after] * part[:, None]
    mixed: FloatPlanes = rows[:, :, before] * (1 - part) + rows[:, :, after] * part
    return mixed


def _join_valid(
    valids: Sequence[NDArray[np.bool_] | None], size: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    masks = [valid for valid in valids if valid is not None]
    if all(mask.all() for mask in masks):
        return None
    joined = np.ones((len(valids), max(len(mask) for mask in masks), *size), bool)
    for row, valid in zip(joined, valids, strict=True):
        if valid is not None:
            row[:] = valid
    return joined


def _condition_indices(
    pairs: Sequence[OpenPair], conditions: Sequence[Hashable]
) -> NDArray[np.int64]:
    if not conditions:
        return np.zeros(len(pairs), np.int64)
    indices = {condition: index for index, condition in enumerate(conditions)}
    for pair in pairs:
        if pair.condition not in indices:
            raise InputError(
                f"The condition of {pair.name} is {pair.condition!r}, which is not among "
                f"{list(conditions)}."
            )
    return np.array([indices[pair.condition] for pair in pairs], np.int64)


def _content(block: SampleBlock, codec: Codec) -> float:
    """Return the standard deviation of a block's encoded target where it is valid."""
    encoded = flat_codec(codec).encode(block.target)
    inside = np.broadcast_to(block.valid, encoded.shape)
    return float(encoded[inside].std()) if inside.any() else 0.0


def _area_of(block: SampleBlock, areas: Sequence[Area]) -> Area:
    box = Box(block.rows.start, block.rows.stop, block.columns.start, block.columns.stop)
    for area in areas:
        inside = area.box.holds(box) and (area.frames is None or block.frame in area.frames)
        if inside and area.pair == block.pair:
            return area
    raise InputError("A content block lies outside the training areas; sample it inside them.")


def _pixels(pairs: Sequence[OpenPair], area: Area) -> int:
    return len(area.numbers(pairs[area.pair])) * area.box.pixels


def _pick(number: Any, ends: NDArray[Any]) -> int:
    return min(int(np.searchsorted(ends, number, side="right")), len(ends) - 1)
