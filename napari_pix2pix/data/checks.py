"""Refusals and warnings that need to look at values, on sampled blocks, before training.

Saturated channels: many pixels at the highest value, where brighter ones can't be told apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.class_values import Side
from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import Block
from napari_pix2pix.errors import InputError, rounded

# Share of an image that has to be seen before it is said to hold nothing.
_ENOUGH = 0.5
# Images that a sentence names.
_MOST_NAMES = 3


def check_blocks(pairs: Sequence[OpenPair], blocks: Sequence[Block]) -> list[str]:
    """Refuse what can't be learned from, and say what looks wrong.

    Parameters
    ----------
    pairs : sequence of OpenPair
    blocks : sequence of Block
        As read by `sample_blocks` from the training areas.

    Returns
    -------
    list of str
        Warnings, a sentence each: images of which a mask leaves nothing, NaN and infinite pixels
        (they count as unlabelled), single images and channels that are constant, source and target
        that are identical.

    Raises
    ------
    InputError
        If an image holds no finite pixel, if the source or the target is constant in the whole
        set, or if nothing is left inside the masks.
    """
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
    """Say that the alpha channels of sources, and of targets, are left out."""
    notes = []
    for images in ([pair.source for pair in pairs], [pair.target for pair in pairs]):
        said = [one.note for one in images if one.note]
        more = f", as in {len(said) - 1} more" if len(said) > 1 else ""
        notes += [f"{said[0][:-1]}{more}."] if said else []
    return notes


def named(names: Sequence[str]) -> str:
    """Name a few images, and say how many more there are.

    Examples
    --------
    >>> named(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    shown, more = names[:_MOST_NAMES], len(names) - _MOST_NAMES
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _masked_warnings(pairs: Sequence[OpenPair], blocks: Sequence[Block]) -> list[str]:
    """Name the pairs that have blocks, and no pixel in them that counts."""
    counting = {block.pair for block in blocks if block.valid.any()}
    bare = sorted({block.pair for block in blocks} - counting)
    if not bare:
        return []
    names = named([pairs[index].name for index in bare])
    sentence = (
        f"Nothing to train on was found in {names}: no pixel sampled lies inside the mask and is "
        "finite; leave it out if that is meant."
    )
    return [sentence]


class _Values:
    """What is known of one side of one pair, by channel."""

    def __init__(self, channels: int) -> None:
        self.pixels = self.nan = self.infinite = 0
        # Python's numbers, since float64 can't tell large integers apart.
        self.low: list[int | float | None] = [None] * channels
        self.high: list[int | float | None] = [None] * channels

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
                self.low[channel] = min(_known(self.low[channel], low), low)
                self.high[channel] = max(_known(self.high[channel], high), high)

    @property
    def empty(self) -> bool:
        """Whether no channel holds a finite pixel."""
        return all(low is None for low in self.low)

    def constant(self) -> dict[int | None, float]:
        """Return the value of each constant channel; of all under None, where that is the same."""
        ends = enumerate(zip(self.low, self.high, strict=True))
        known = {channel: (low, high) for channel, (low, high) in ends if low is not None}
        flat: dict[int | None, float]
        flat = {channel: float(low) for channel, (low, high) in known.items() if low == high}
        if flat and len(flat) == len(known) and len(set(flat.values())) == 1:
            return {None: next(iter(flat.values()))}
        return flat


def _known(value: int | float | None, other: int | float) -> int | float:
    return other if value is None else value


def _sides(pairs: Sequence[OpenPair]) -> tuple[Side, ...]:
    """Return the sides that have channels: there may be no source."""
    return ("source", "target") if pairs[0].source.channels else ("target",)


def _measure(pairs: Sequence[OpenPair], blocks: Iterable[Block], side: Side) -> dict[int, _Values]:
    values: dict[int, _Values] = {}
    for block in blocks:
        planes: Planes = getattr(pairs[block.pair], side)
        values.setdefault(block.pair, _Values(planes.channels)).add(
            getattr(block, side), planes.absent
        )
    return values


def _check_finite(pairs: Sequence[OpenPair], blocks: Sequence[Block]) -> None:
    """Refuse an image of nothing but NaN; a few blocks of a larger one prove nothing."""
    for side in _sides(pairs):
        values = _measure(pairs, blocks, side)
        empty = [index for index, one in values.items() if one.empty]
        for index in empty:
            planes: Planes = getattr(pairs[index], side)
            whole = planes.frames * planes.channels * planes.height * planes.width
            if len(empty) == len(values) or values[index].pixels >= _ENOUGH * whole:
                raise InputError(
                    f"The {side} of {pairs[index].name} holds no finite pixel, only NaN or Inf; "
                    "leave it out."
                )


def _missing_warnings(values: dict[int, _Values], side: Side) -> list[str]:
    pixels = sum(one.pixels for one in values.values())
    found = {
        "NaN": sum(one.nan for one in values.values()),
        "infinite": sum(one.infinite for one in values.values()),
    }
    return [
        f"{rounded(100 * count / pixels)} % of the {side}'s values are {name}; these pixels "
        "count as unlabelled."
        for name, count in found.items()
        if count
    ]


def _constant_warnings(
    pairs: Sequence[OpenPair], values: dict[int, _Values], side: Side
) -> list[str]:
    constant = {index: one.constant() for index, one in values.items()}
    if all(None in channels for channels in constant.values()):
        _refuse_constant({channels[None] for channels in constant.values()}, side)
    names: dict[tuple[int | None, float], list[str]] = {}
    for index, channels in constant.items():
        for key in channels.items():
            names.setdefault(key, []).append(pairs[index].name)
    return [
        f"{'The' if channel is None else f'Channel {channel} of the'} {side} of {named(its)} is "
        f"{'empty' if value == 0 else 'constant'} ({value:g} in every pixel sampled); leave it "
        "out if that is not meant."
        for (channel, value), its in names.items()
    ]


def _refuse_constant(levels: set[float], side: Side) -> None:
    if len(levels) == 1:
        value = levels.pop()
        raise InputError(
            f"The {side} is {'empty' if value == 0 else 'constant'}: {value:g} in every pixel; "
            "there is nothing to learn from it, so check the file or layer."
        )


def _identical(block: Block) -> bool:
    return block.source.shape == block.target.shape and bool(
        np.array_equal(block.source, block.target, equal_nan=block.source.dtype.kind == "f")
    )


# A larger share of the pixels at the highest value is said.
_SHARE = 0.01
# Fewer levels are labels, or light so dim that it is counted: their highest level is no plateau.
_LEVELS = 16
# A plateau holds so many times the pixels of any of the levels next to it.
_NEXT, _RATIO = 8, 2
# Values that are looked at in each channel.
_MOST_VALUES = 2**20


def saturation_note(
    images: Sequence[NDArray[Any]], what: str, valid: Sequence[NDArray[np.bool_]] | None = None
) -> str:
    """Say which channels are saturated.

    Parameters
    ----------
    images : sequence of arrays (C, h, w)
        Sample of a set of intensities.
    what : str
        "source" or "target", for the sentence.
    valid : sequence of bool arrays (1 or C, h, w), optional
        The pixels that count; all when not given.

    Returns
    -------
    str
        A sentence that names channels with more than 1 % of their finite values at the highest
        one, if that is a plateau: twice as many as at any of the eight levels below. Dark grounds,
        with many values at the lowest level, are no matter. Empty where there is none.

    Examples
    --------
    >>> ramp = np.arange(1000).reshape(1, 20, 50)
    >>> saturation_note([ramp], "source")
    ''
    >>> saturation_note([np.minimum(ramp, 899)], "source")
    "10 % of the source's values are 899, the highest: saturated, so what is brighter can't be \
told apart there."
    """
    masks = [np.ones((1, 1, 1), bool)] * len(images) if valid is None else valid
    inside = [np.broadcast_to(mask, image.shape) for image, mask in zip(images, masks, strict=True)]
    found: dict[int, tuple[float, float]] = {}
    for channel in range(len(images[0])):
        plateau = _plateau(
            [image[channel][mask[channel]] for image, mask in zip(images, inside, strict=True)]
        )
        if plateau:
            found[channel] = plateau
    if not found:
        return ""
    share, top = max(found.values())
    where = f"the {what}" if len(images[0]) == 1 else f"{_channels(list(found))} of the {what}"
    most = "Up to " if len(found) > 1 else ""
    return (
        f"{most}{rounded(100 * share)} % of {where}'s values are {top:g}, the highest: saturated, "
        "so what is brighter can't be told apart there."
    )


def _channels(numbers: Sequence[int]) -> str:
    """Name channels, as "channel 1" or "each of channels 0, 1, 2"."""
    if len(numbers) == 1:
        return f"channel {numbers[0]}"
    return f"each of channels {', '.join(map(str, numbers))}"


def _plateau(planes: Sequence[NDArray[Any]]) -> tuple[float, float] | None:
    """Return the share of values at the highest, and that, if it is a plateau."""
    step = max(1, -(-sum(plane.size for plane in planes) // _MOST_VALUES))
    values = np.concatenate([plane.ravel()[::step] for plane in planes])
    levels, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if len(levels) < _LEVELS:
        return None
    share = counts[-1] / counts.sum()
    if share <= _SHARE or counts[-1] < _RATIO * counts[-1 - _NEXT : -1].max():
        return None
    return float(share), float(levels[-1])
