"""Pairs opened and compared: what one training set must have in common."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_pix2pix.data.pair import OpenPair, Pair, open_pair
from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.training._sourceless import has_source, without_source
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.fine_tuning import Start


@dataclass(frozen=True)
class OpenSet:
    """Pairs that go together: those to train on, then those that were given to validate on.

    Attributes
    ----------
    pairs : tuple of Pair
        As they were given.
    opened : tuple of OpenPair
        The same, readable.
    count : int
        How many of them there are to train on.
    conditions : tuple of hashable
        In the order in which the pairs to train on have them, or as the model to start from has
        them; empty without any.
    """

    pairs: tuple[Pair, ...]
    opened: tuple[OpenPair, ...]
    count: int
    conditions: tuple[Hashable, ...]

    @property
    def sourced(self) -> bool:
        """Whether the pairs have a source: all or none of them."""
        return bool(self.opened[0].source.channels)

    @property
    def held_out(self) -> int:
        """How many pairs were given to validate on."""
        return len(self.opened) - self.count


def open_set(
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    config: TrainConfig,
    start: Start | None,
) -> tuple[OpenSet, TrainConfig]:
    """Open pairs and refuse what does not go together.

    Parameters
    ----------
    pairs, held_out : sequence of Pair
        To train on, and to validate on.
    config : TrainConfig
    start : Start or None
        The model that the pairs have to fit.

    Returns
    -------
    OpenSet
    TrainConfig
        Without a source: what was not set is as such a training needs it.

    Raises
    ------
    InputError, ConfigError
        The sentence says which pair, and what it has.
    """
    together = (*pairs, *held_out)
    opened = tuple(open_pair(pair, config.z_context) for pair in together)
    sourced = has_source(opened)
    if start is not None:
        start.check_source(sourced)
    if not sourced:
        config = without_source(config, held_out=bool(held_out))
    elif config.noise == "pixel" and not config.noise_channels:
        raise ConfigError("noise='pixel' needs noise planes: set noise_channels to 1 or more.")
    _check_channels(opened)
    _check_context(opened, config.z_context)
    conditions = _conditions(opened, len(pairs))
    if start is not None:
        conditions = start.check_pairs(opened, conditions)
    return OpenSet(together, opened, len(pairs), conditions), config


def _check_channels(opened: Sequence[OpenPair]) -> None:
    first = opened[0]
    for pair in opened[1:]:
        for what in ("source", "target"):
            wanted, got = getattr(first, what), getattr(pair, what)
            if got.channels != wanted.channels or got.dtype != wanted.dtype:
                raise InputError(
                    f"The {what} of {pair.name} has {got.channels} channels of {got.dtype}, that "
                    f"of {first.name} {wanted.channels} of {wanted.dtype}: all pairs of a training "
                    "set need the same channels and dtype."
                )


def _check_context(opened: Sequence[OpenPair], z_context: int) -> None:
    if z_context and all(pair.frames == 1 for pair in opened):
        raise InputError(
            f"z_context={z_context} asks for neighbouring planes, and the images have one plane "
            "each: give stacks, or leave z_context out."
        )


def _conditions(opened: Sequence[OpenPair], count: int) -> tuple[Hashable, ...]:
    """Return the conditions of the first ``count`` pairs, in the order in which they are met."""
    given = [pair.condition for pair in opened]
    if all(condition is None for condition in given):
        return ()
    if any(condition is None for condition in given):
        raise InputError("Some pairs have a condition and some have none: give one to each.")
    plain = [name.item() if isinstance(name, np.generic) else name for name in given]
    for name in plain:
        try:
            hash(name), json.dumps(name)
        except TypeError:
            raise InputError(
                f"A condition must be text, a number or a tuple of them, got {name!r}: a model "
                "file can't keep anything else."
            ) from None
        if name != name:  # NaN, which is not even the condition of its own pair
            raise InputError("A condition is NaN, which equals nothing: give each pair a name.")
    trained = tuple(dict.fromkeys(plain[:count]))
    for name in plain[count:]:
        if name not in trained:
            raise InputError(
                f"A pair to validate on has the condition {name!r}, which no training pair has: "
                "leave it out, or train on one too."
            )
    return trained
