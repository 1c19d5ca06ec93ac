"""Checks of sampled blocks before training: what can't be learned from, and what looks wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._overlaps import choose_squares, find_overlaps
from napari_pix2pix.data.box import middle
from napari_pix2pix.data.kinds import Side
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import SampleBlock, until
from napari_pix2pix.data.split import Split
from napari_pix2pix.errors import InputError, plural, rounded

# Share of an image that must be read before it is refused as empty.
_ENOUGH = 0.5
# Images that a sentence names.
_MOST_NAMES = 3
# Copies are found by the middle of an image, so many pixels wide and high.
_SIDE = 512
# Of larger sets a seeded choice of images is compared.
_MOST_PAIRS = 512


def check_blocks(pairs: Sequence[OpenPair], blocks: Sequence[SampleBlock]) -> list[str]:
    """Refuse what can't be learned from, and return a sentence for each thing that looks wrong."""
    if not any(block.valid.any() for block in blocks):
        _check_finite(pairs, blocks)
        raise InputError(
            "No pixel is left to train on: the masks leave nothing where both images are finite; "
            "give larger masks, or none."
        )
    _check_finite(pairs, blocks)
    warnings = _masked_warnings(pairs, blocks)
    for side in _sides(pairs):
        values = _measure(pairs, blocks, side)
        warnings += _missing_warnings(values, side)
        warnings += _constant_warnings(pairs, values, side)
    if all(_identical(block) for block in blocks):
        warnings.append(
            "Source and target are identical in every pixel sampled; check that the right "
            "images were given."
        )
    return warnings


def alpha_notes(pairs: Sequence[OpenPair]) -> list[str]:
    """Say that alpha channels are left out: a sentence for the sources, one for the targets."""
    sentences = []
    for images in ([pair.source for pair in pairs], [pair.target for pair in pairs]):
        notes = [image.note for image in images if image.note]
        more = f", as in {len(notes) - 1} more" if len(notes) > 1 else ""
        sentences += [f"{notes[0][:-1]}{more}."] if notes else []
    return sentences


def copies_note(
    pairs: Sequence[OpenPair], parts: Split, *, seed: int, seconds: float | None = None
) -> str:
    """Say which held-out sources are also trained on, in pairs of the same condition; else ""."""
    training = {area.pair for area in parts.train}
    held_out = {area.pair for area in parts.validation}
    if not held_out or len(pairs) == 1:
        return ""
    copies = []
    for group in _group_copies(pairs, seed, seconds):
        for index in sorted(held_out.intersection(group)):
            others = training.intersection(group) - {index}
            copies += [(index, min(others))] if others else []
    if not copies:
        return ""
    copies.sort()
    names = list_names([f"{pairs[i].name} = {pairs[j].name}" for i, j in copies])
    sources = plural(len(held_out), "held-out source")
    return (
        f"{len(copies)} of {sources} {'is' if len(copies) == 1 else 'are'} also trained on "
        f"({names}), so the scores are too good: leave copies out."
    )


def overlaps_note(
    pairs: Sequence[OpenPair], parts: Split, *, seed: int, seconds: float | None = None
) -> str:
    """Say which held-out sources share a part of their field with a training source; else ""."""
    training = {area.pair for area in parts.train}
    held_out = {area.pair for area in parts.validation} - training
    if not held_out:
        return ""
    order = np.random.default_rng(seed).permutation(len(pairs))[:_MOST_PAIRS].tolist()
    squares = {index: choose_squares(pairs[index]) for index in until(seconds, order)}
    overlaps = find_overlaps(dict(enumerate(pairs)), squares, held_out, training)
    if not overlaps:
        return ""
    names = list_names([f"{pairs[i].name} and {pairs[j].name}" for i, j in overlaps])
    sources = plural(len(held_out), "held-out source")
    return (
        f"{len(overlaps)} of {sources} {'shows' if len(overlaps) == 1 else 'show'} a part of a "
        f"field that is also trained on, as tiles of one image do that overlap ({names}), so the "
        "scores are too good: give pairs of other images for validation."
    )


def list_names(names: Sequence[str]) -> str:
    """Name a few images: "a, b, c and 2 more"."""
    shown, more = names[:_MOST_NAMES], len(names) - _MOST_NAMES
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _masked_warnings(pairs: Sequence[OpenPair], blocks: Sequence[SampleBlock]) -> list[str]:
    """Name the pairs whose blocks hold no valid pixel."""
    valid = {block.pair for block in blocks if block.valid.any()}
    empty = sorted({block.pair for block in blocks} - valid)
    if not empty:
        return []
    names = list_names([pairs[index].name for index in empty])
    missing = "no pixel sampled lies inside the mask and is finite"
    return [f"Nothing to train on was found in {names}: {missing}; leave it out if that is meant."]


class _Values:
    """Counts and extremes of the source or target of one pair, by channel."""

    def __init__(self) -> None:
        self.pixels = self.nan = self.infinite = 0
        # Python's numbers, since float64 can't tell large integers apart.
        self.ends: dict[int, tuple[int | float, int | float]] = {}

    def add(self, array: NDArray[Any], absent: Collection[int]) -> None:
        for channel in set(range(len(array))).difference(absent):
            values = array[channel]
            self.pixels += values.size
            if values.dtype.kind == "f":
                self.nan += int(np.isnan(values).sum())
                self.infinite += int(np.isinf(values).sum())
                values = values[np.isfinite(values)]
            if values.size:
                low, high = values.min().item(), values.max().item()
                lowest, highest = self.ends.get(channel, (low, high))
                self.ends[channel] = min(low, lowest), max(high, highest)

    def constant(self) -> dict[int | None, float]:
        """Return the value of each constant channel, or {None: value} if all have the same."""
        flat: dict[int | None, float]
        flat = {channel: float(low) for channel, (low, high) in self.ends.items() if low == high}
        if flat and len(flat) == len(self.ends) and len(set(flat.values())) == 1:
            return {None: next(iter(flat.values()))}
        return flat


def _sides(pairs: Sequence[OpenPair]) -> tuple[Side, ...]:
    """Return the sides that have channels: there may be no source."""
    return ("source", "target") if pairs[0].source.channels else ("target",)


def _measure(
    pairs: Sequence[OpenPair], blocks: Iterable[SampleBlock], side: Side
) -> dict[int, _Values]:
    values: dict[int, _Values] = {}
    for block in blocks:
        image: LazyImage = getattr(pairs[block.pair], side)
        values.setdefault(block.pair, _Values()).add(getattr(block, side), image.absent)
    return values


def _check_finite(pairs: Sequence[OpenPair], blocks: Sequence[SampleBlock]) -> None:
    """Refuse images of nothing but NaN, if enough of them was read to know."""
    for side in _sides(pairs):
        values = _measure(pairs, blocks, side)
        empty = [index for index, counts in values.items() if not counts.ends]
        for index in empty:
            image: LazyImage = getattr(pairs[index], side)
            whole = image.frames * image.channels * image.height * image.width
            if len(empty) == len(values) or values[index].pixels >= _ENOUGH * whole:
                raise InputError(
                    f"The {side} of {pairs[index].name} holds no finite pixel, only NaN or Inf; "
                    "leave it out."
                )


def _missing_warnings(values: dict[int, _Values], side: Side) -> list[str]:
    pixels = sum(counts.pixels for counts in values.values())
    missing = {
        "NaN": sum(counts.nan for counts in values.values()),
        "infinite": sum(counts.infinite for counts in values.values()),
    }
    return [
        f"{rounded(100 * count / pixels)} % of the {side}'s values are {name}; these pixels "
        "count as unlabelled."
        for name, count in missing.items()
        if count
    ]


def _constant_warnings(
    pairs: Sequence[OpenPair], values: dict[int, _Values], side: Side
) -> list[str]:
    constant = {index: counts.constant() for index, counts in values.items()}
    levels = {channels.get(None) for channels in constant.values()}
    if len(levels) == 1 and (level := levels.pop()) is not None:
        raise InputError(
            f"The {side} is {'empty' if level == 0 else 'constant'}: {level:g} in every pixel; "
            "there is nothing to learn from it, so check the file or layer."
        )
    names: dict[tuple[int | None, float], list[str]] = {}
    for index, channels in constant.items():
        for key in channels.items():
            names.setdefault(key, []).append(pairs[index].name)
    return [
        f"{'The' if channel is None else f'Channel {channel} of the'} {side} of "
        f"{list_names(images)} is {'empty' if value == 0 else 'constant'} ({value:g} in every "
        "pixel sampled); leave it out if that is not meant."
        for (channel, value), images in names.items()
    ]


def _identical(block: SampleBlock) -> bool:
    return block.source.shape == block.target.shape and bool(
        np.array_equal(block.source, block.target, equal_nan=block.source.dtype.kind == "f")
    )


def _group_copies(
    pairs: Sequence[OpenPair], seed: int, seconds: float | None
) -> Iterable[Collection[int]]:
    groups: dict[Hashable, set[int]] = {}
    order = np.random.default_rng(seed).permutation(len(pairs))[:_MOST_PAIRS].tolist()
    for index in until(seconds, order):
        groups.setdefault(_fingerprint(pairs[index]), set()).add(index)
    groups.pop(None, None)
    return groups.values()


def _fingerprint(pair: OpenPair) -> Hashable:
    """Return what copies have in common; None if the window that is compared is constant."""
    rows, columns = middle(slice(0, pair.height), _SIDE), middle(slice(0, pair.width), _SIDE)
    window = pair.source.read(pair.frames // 2, rows, columns)
    if not window.size or (window == window.flat[0]).all():
        return None
    digest = hashlib.sha256(np.ascontiguousarray(window).tobytes()).hexdigest()
    return pair.condition, pair.height, pair.width, pair.frames, window.dtype.str, digest
