"""Hold out the images and frames that the user names, instead of a fraction."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.split import Split, whole_areas
from napari_pix2pix.errors import ConfigError, plural

_RANGE = re.compile(r"(\d+)(?:\s*-\s*(\d+))?")
_LINE_OF_TABLE = re.compile(r" \(.*, line \d+\)$")
_ADVICE = "write names or numbers of images, such as 3, 7-9 or field 2, and frames as field 2: 0-4"


@dataclass(frozen=True)
class _Chosen:
    """What is held out of a pair: numbers along the first axis of its stack, or all of it."""

    pair: int
    numbers: frozenset[int] | None  # None: the whole image


def hold_out(
    pairs: Sequence[OpenPair], wanted: str, *, z_context: int = 0, volumes: bool = False
) -> Split:
    """Split pairs into what `wanted` names, which is held out, and the rest.

    Parameters
    ----------
    pairs : sequence of OpenPair
    wanted : str
        Parts between commas: a name or number of an image, with frames behind a colon if not all
        of it is held out. Of a single stack numbers alone are its frames. All numbers begin with
        0, and those of frames go along the first axis.
    z_context : int
        So many planes beside a held-out plane are not trained on either, since the network would
        see the held-out one.
    volumes : bool
        Whether the last axis before Y is that of volumes, whose planes stay together.

    Returns
    -------
    Split

    Raises
    ------
    ConfigError
        When there is no such image or frame, or nothing is left to train on.
    """
    chosen = _merged(_read(part.strip(), pairs, volumes) for part in wanted.split(","))
    whole = whole_areas(pairs)
    train, validation = [], []
    for area, pair in zip(whole, pairs, strict=True):
        if area.pair not in chosen:
            train.append(area)
            continue
        numbers = chosen[area.pair]
        if numbers is None:
            validation.append(area)
            continue
        held, rest = _frames(pair, numbers, z_context)
        validation.append(replace(area, frames=held))
        if rest:
            train.append(replace(area, frames=rest))
    _check_rest(pairs, {area.pair for area in train})
    return Split(tuple(train), tuple(validation), _describe(pairs, chosen, volumes))


def _read(part: str, pairs: Sequence[OpenPair], volumes: bool) -> list[_Chosen]:
    """Read one part: an image, frames of an image, or frames of the only one."""
    if named := _named(part, pairs):
        return [_Chosen(pair, None) for pair in named]
    image, colon, frames = part.rpartition(":")
    if colon:
        indices = _named(image.strip(), pairs) or _images(image.strip(), pairs)
        return [_Chosen(i, _stack_numbers(frames.strip(), pairs[i], volumes)) for i in indices]
    if len(pairs) == 1:
        return [_Chosen(0, _stack_numbers(part, pairs[0], volumes))]
    return [_Chosen(pair, None) for pair in _images(part, pairs)]


def _named(name: str, pairs: Sequence[OpenPair]) -> list[int]:
    """Find the pairs that have a name, or whose source or target has it."""
    return [index for index, pair in enumerate(pairs) if name in _names(pair)]


def _names(pair: OpenPair) -> set[str]:
    name = _LINE_OF_TABLE.sub("", pair.name)
    sides = {name, *name.split(" -> ")}
    return sides | {side.rpartition(".")[0] for side in sides if "." in side} - {""}


def _images(text: str, pairs: Sequence[OpenPair]) -> Sequence[int]:
    numbers = _numbers(text)
    if numbers is None:
        known = ", ".join(dict.fromkeys(pair.name for pair in pairs[:3]))
        raise ConfigError(
            f"hold_out names {text!r}, and there is no such image among {known}"
            f"{' and others' if len(pairs) > 3 else ''}: {_ADVICE}."
        )
    _check_range(numbers, len(pairs), "image", "the set")
    return numbers


def _stack_numbers(text: str, pair: OpenPair, volumes: bool) -> frozenset[int]:
    """Read numbers along the first axis of a stack."""
    unit = "volume" if volumes else "frame"
    shape = pair.target.frame_shape
    numbers = _numbers(text)
    if numbers is None:
        raise ConfigError(f"hold_out should name {unit}s of {pair.name}, got {text!r}: {_ADVICE}.")
    if len(shape) < (2 if volumes else 1):
        raise ConfigError(
            f"hold_out asks for {unit} {text}, and {pair.name} has one alone: leave hold_out out, "
            "or give several images."
        )
    _check_range(numbers, shape[0], unit, pair.name)
    return frozenset(numbers)


def _numbers(text: str) -> range | None:
    """Read a number or a range such as 7-9; None for anything else."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first = int(found[1])
    return range(first, int(found[2] or first) + 1)


def _check_range(numbers: range, count: int, unit: str, where: str) -> None:
    if not numbers:
        raise ConfigError(
            f"hold_out has a range from {numbers.start} to {numbers.stop - 1}: write the smaller "
            "number first."
        )
    if numbers.stop > count:
        raise ConfigError(
            f"hold_out names {unit} {numbers.stop - 1}, and {where} has {plural(count, unit)}, "
            f"numbered from 0 to {count - 1}: choose others."
        )


def _merged(parts: Iterable[list[_Chosen]]) -> dict[int, frozenset[int] | None]:
    chosen: dict[int, frozenset[int] | None] = {}
    for one in (one for part in parts for one in part):
        before = chosen.get(one.pair, frozenset())
        both = None if before is None or one.numbers is None else before | one.numbers
        chosen[one.pair] = both
    return chosen


def _frames(
    pair: OpenPair, numbers: frozenset[int], z_context: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the frames of these numbers along the first axis, and those to train on."""
    shape = pair.target.frame_shape
    count = shape[0]
    held = np.isin(np.arange(count), list(numbers))
    near = held.copy()
    if len(shape) == 1:  # the neighbours lie along the last axis, which is this one
        for number in numbers:
            near[max(number - z_context, 0) : number + z_context + 1] = True
    frames = np.arange(pair.frames).reshape(count, -1)
    return tuple(frames[held].ravel().tolist()), tuple(frames[~near].ravel().tolist())


def _check_rest(pairs: Sequence[OpenPair], trained: set[int]) -> None:
    if not trained:
        raise ConfigError("hold_out leaves nothing to train on: hold out less.")
    left = {pairs[index].condition for index in trained}
    for pair in pairs:
        if pair.condition not in left:
            raise ConfigError(
                f"hold_out leaves nothing to train on of the condition {pair.condition!r}: hold "
                "out less of it."
            )


def _describe(
    pairs: Sequence[OpenPair], chosen: dict[int, frozenset[int] | None], volumes: bool
) -> str:
    """Say in words what is held out."""
    whole = [pairs[index].name for index in sorted(chosen) if chosen[index] is None]
    words = []
    if whole:
        words.append(f"{_listed(whole)} ({len(whole)} of {plural(len(pairs), 'image')})")
    for index in sorted(chosen):
        numbers = chosen[index]
        if numbers is None:
            continue
        unit = "volume" if volumes else "frame"
        which = f"{unit}{'s' if len(numbers) > 1 else ''} {_ranges(numbers)}"
        of = f" of {pairs[index].name}" if len(pairs) > 1 else ""
        words.append(f"{which}{of} ({len(numbers)} of {pairs[index].target.frame_shape[0]})")
    return f"Held out, as asked: {_listed(words)}."


def _ranges(numbers: Iterable[int]) -> str:
    """Write 0, 1, 2 and 7 as ``0 to 2 and 7``."""
    runs = groupby(enumerate(sorted(numbers)), key=lambda one: one[1] - one[0])
    words = []
    for _, run in runs:
        first, *others = [number for _, number in run]
        words.append(f"{first} to {others[-1]}" if others else str(first))
    return _listed(words)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
