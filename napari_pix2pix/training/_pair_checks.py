"""Pairs opened and compared: what one training set must have in common, with or without a source.

Without a source noise and condition go in and an image comes out (Mirza and Osindero 2014).
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_pix2pix.data.derived import with_derived_source
from napari_pix2pix.data.kinds import Side
from napari_pix2pix.data.label_sets import read_as_labels
from napari_pix2pix.data.lazy_image import LabelImage, LazyImage
from napari_pix2pix.data.pair import OpenPair, Pair, open_pair
from napari_pix2pix.errors import ConfigError, InputError, plural
from napari_pix2pix.training._volumes import describe_volumes, fit_to_volumes
from napari_pix2pix.training.config import (
    LIGHT_VOLUMES_WITHOUT_SOURCE,
    LIGHT_WITHOUT_SOURCE,
    WITHOUT_SOURCE,
    TrainConfig,
    find_conflict,
)
from napari_pix2pix.training.fine_tuning import Pretrained


@dataclass(frozen=True)
class ValidatedPairs:
    """Pairs that go together: those to train on, then those that were given for validation."""

    pairs: tuple[Pair, ...]
    opened: tuple[OpenPair, ...]
    count: int  # of pairs to train on
    conditions: tuple[Hashable, ...]  # of the training pairs or the pretrained model, in order
    config: TrainConfig  # adapted, if there is no source
    notes: tuple[str, ...]  # on how labels are read

    @property
    def has_source(self) -> bool:
        """Whether the pairs have a source: all or none of them."""
        return bool(self.opened[0].source.channels)

    @property
    def held_out(self) -> int:
        """Number of pairs that were given for validation."""
        return len(self.opened) - self.count

    def reopen(self, pairs: Sequence[Pair]) -> tuple[OpenPair, ...]:
        """Open other versions of the pairs, with labels read as they are here."""
        opened = (open_pair(pair, self.config.z_context) for pair in pairs)
        return tuple(
            replace(
                other,
                source=_read_like(pair.source, other.source),
                target=_read_like(pair.target, other.target),
            )
            for pair, other in zip(self.opened, opened, strict=True)
        )


def validate_pairs(
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    config: TrainConfig,
    start: Pretrained | None,
) -> ValidatedPairs:
    """Open pairs and refuse those that do not go together or do not fit the pretrained model."""
    together = (*pairs, *held_out)
    if config.derive is not None:
        together = tuple(
            with_derived_source(pair, config.derive, seed=config.seed, **config.derive_options)
            for pair in together
        )
    opened = tuple(open_pair(pair, config.z_context) for pair in together)
    has_source = _have_source(opened)
    if start is not None:
        start.check_source(has_source)
    if not has_source:
        config = _config_without_source(config, held_out=bool(held_out))
    elif config.noise == "pixel" and not config.noise_channels:
        raise ConfigError("noise='pixel' needs noise planes: set noise_channels to 1 or more.")
    opened, notes = _read_labels(opened, config, start)
    _check_channels(opened)
    _check_context(opened, config.z_context)
    config = fit_to_volumes(config, opened)
    conditions = _conditions(opened, len(pairs))
    if start is not None:
        conditions = start.check_pairs(opened, conditions)
    notes = (*notes, *describe_volumes(config))
    return ValidatedPairs(together, opened, len(pairs), conditions, config, notes)


def _read_labels(
    opened: Sequence[OpenPair], config: TrainConfig, start: Pretrained | None
) -> tuple[tuple[OpenPair, ...], tuple[str, ...]]:
    """Read labels in one dtype, that of the pretrained model if there is one; also return notes."""
    codecs = (None, None) if start is None else start.codecs
    notes: list[str] = []
    sides: tuple[Side, Side] = ("source", "target")
    for side, codec in zip(sides, codecs, strict=True):
        kind = getattr(config, f"{side}_kind")
        if kind == "auto" and codec is not None:
            kind = codec.kind
        if kind == "auto" and side == "target" and config.classes is not None:
            kind = "classes"
        if kind == "image":
            continue
        images, found = read_as_labels(
            [getattr(pair, side) for pair in opened],
            side,
            known=kind != "auto",
            dtype=None if codec is None else np.dtype(codec.dtype),
        )
        opened = [
            replace(pair, source=image) if side == "source" else replace(pair, target=image)
            for pair, image in zip(opened, images, strict=True)
        ]
        notes += found
    return tuple(opened), tuple(notes)


def _read_like(image: LazyImage, other: LazyImage) -> LazyImage:
    return image.over(other) if isinstance(image, LabelImage) else other


def _have_source(pairs: Sequence[OpenPair]) -> bool:
    """Tell whether pairs have a source; refuse a mixture."""
    with_source = [pair for pair in pairs if pair.source.channels]
    if with_source and len(with_source) < len(pairs):
        without = next(pair for pair in pairs if not pair.source.channels)
        raise InputError(
            f"There is a source in {with_source[0].name} and none in {without.name}: give one in "
            "all pairs or in none."
        )
    return bool(with_source)


def _check_channels(opened: Sequence[OpenPair]) -> None:
    first = opened[0]
    for pair in opened[1:]:
        for side in ("source", "target"):
            wanted, got = getattr(first, side), getattr(pair, side)
            if got.channels != wanted.channels or got.dtype != wanted.dtype:
                raise InputError(
                    f"The {side} of {pair.name} has {plural(got.channels, 'channel')} of "
                    f"{got.dtype}, that of {first.name} has {plural(wanted.channels, 'channel')} "
                    f"of {wanted.dtype}: all pairs of a training set need the same channels and "
                    "dtype."
                )


def _check_context(opened: Sequence[OpenPair], z_context: int) -> None:
    if z_context and all(pair.frames == 1 for pair in opened):
        raise InputError(
            f"z_context={z_context} asks for neighbouring planes, and the images have one plane "
            "each: give stacks, or leave z_context out."
        )


def _conditions(opened: Sequence[OpenPair], count: int) -> tuple[Hashable, ...]:
    """Return the conditions of the first `count` pairs, in the order of their first pair."""
    conditions = [pair.condition for pair in opened]
    if all(condition is None for condition in conditions):
        return ()
    if any(condition is None for condition in conditions):
        raise InputError("Some pairs have a condition and some have none: give one to each.")
    plain = [name.item() if isinstance(name, np.generic) else name for name in conditions]
    for name in plain:
        try:
            hash(name), json.dumps(name)
        except TypeError:
            raise InputError(
                f"A condition must be text, a number or a tuple of them, got {name!r}: a model "
                "file can't keep anything else."
            ) from None
        if name != name:  # NaN does not even equal itself
            raise InputError("A condition is NaN, which equals nothing: give each pair a name.")
    trained = tuple(dict.fromkeys(plain[:count]))
    for name in plain[count:]:
        if name not in trained:
            raise InputError(
                f"A pair for validation has the condition {name!r}, which no training pair has: "
                "leave it out, or train on one too."
            )
    return trained


def _config_without_source(config: TrainConfig, *, held_out: bool) -> TrainConfig:
    """Adapt the fields that were not set; refuse those that need a source."""
    unused = {
        "z_context": (0,),
        "source_kind": ("auto", "image"),
        "hold_out": ("",),
        "correct_shift": (False,),
        "warp_tolerance": (0,),
        "feature_matching": (0,),
    }
    for name, allowed in unused.items():
        if (value := getattr(config, name)) not in allowed:
            raise ConfigError(f"{name}={value!r} needs a source, and there is none: leave it out.")
    if held_out:
        raise InputError(
            "Pairs for validation need a source, and there is none: leave validation out, and "
            "look at samples."
        )
    # The discriminator is the only teacher, so it learns from the beginning.
    start = config.adversarial_start if "adversarial_start" in config.model_fields_set else 0.0
    defaults = {**WITHOUT_SOURCE, "adversarial_start": start, "adversarial_full": start}
    if config.preset == "light":
        is_volume = config.ndim == 3
        defaults |= LIGHT_VOLUMES_WITHOUT_SOURCE if is_volume else LIGHT_WITHOUT_SOURCE
    unset = {key: defaults[key] for key in defaults if key not in config.model_fields_set}
    config = config.model_copy(update={"validation": 0.0, **unset})
    if conflict := find_conflict(config) or _noise_conflict(config):
        raise ConfigError(f"Without a source: {conflict}.")
    return config


def _noise_conflict(config: TrainConfig) -> str | None:
    """Describe why the noise would not make images differ."""
    if not config.noise_channels:
        return "noise_channels is 0, so all images would be the same: give 1 or more"
    one_at_a_time = config.norm == "batch" and config.batch == 1
    if config.noise == "image" and (config.norm == "instance" or one_at_a_time):
        fields = "batch=1 with norm='batch'" if one_at_a_time else "norm='instance'"
        return (
            f"{fields} removes what is constant over an image, and so the noise: set "
            "noise='pixel', or norm='batch' with a larger batch"
        )
    return None
