"""From pairs to all that the loop needs: codecs, patches, held-out blocks, the trivial map."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.maps import TrivialMaps, fit_trivial
from napari_pix2pix.pairs.alignment import check_alignment
from napari_pix2pix.pairs.checks import check_blocks
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.interpret import interpret
from napari_pix2pix.pairs.pair import OpenPair, Pair, open_pair
from napari_pix2pix.pairs.patches import PatchSampler, epoch_steps
from napari_pix2pix.pairs.sample import Block, sample_blocks
from napari_pix2pix.pairs.split import Split, split, whole_areas
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.validation import Validation, trivial_scores

# Held-out windows are scored at most at this many and this large: some seconds on a CPU.
_VALIDATION_BLOCKS = 16
_VALIDATION_SIZE = 512


@dataclass(frozen=True)
class TrainingData:
    """What the loop trains and validates on.

    Attributes
    ----------
    opened : tuple of OpenPair
        The training set, then the pairs held out.
    sampler : PatchSampler
        Gives the batch of any step.
    source_codec, target_codec : Codec
        Fitted on the training part.
    conditions : tuple of hashable
        Names of the conditions; empty without any.
    config : TrainConfig
        With what was left open for the pairs to tell: kinds, adversarial weight.
    trivial : TrivialMaps
        The best trivial map of each condition, fitted on the training part.
    validation : Validation or None
        None when nothing is held out.
    steps_per_epoch : int
        Optimisation steps of one epoch.
    summary : str
        What was understood, in one line.
    notes : tuple of str
        What the user should know.
    fingerprint : str
        Changes when the pairs do; a run is only resumed on the pairs that it began with.
    """

    opened: tuple[OpenPair, ...]
    sampler: PatchSampler
    source_codec: Codec
    target_codec: Codec
    conditions: tuple[Hashable, ...]
    config: TrainConfig
    trivial: TrivialMaps
    validation: Validation | None
    steps_per_epoch: int
    summary: str
    notes: tuple[str, ...]
    fingerprint: str


def prepare(
    pairs: Sequence[Pair], config: TrainConfig, *, held_out: Sequence[Pair] | None = None
) -> TrainingData:
    """Open pairs, hold data out, check what is left and measure its intensities.

    Parameters
    ----------
    pairs : sequence of Pair
        The training set.
    config : TrainConfig
        Patches, normalisation, validation, seed.
    held_out : sequence of Pair, optional
        Pairs to validate on; without them ``config.validation`` says how much of ``pairs`` is
        held out.

    Raises
    ------
    InputError
        When the pairs can't be trained on; the sentence says which and why.
    """
    opened = [open_pair(pair, config.z_context) for pair in (*pairs, *(held_out or ()))]
    _check_channels(opened)
    _check_context(opened, config.z_context)
    conditions = _conditions(opened, len(pairs))
    parts = _split(opened, len(pairs), config, given=held_out is not None)
    blocks, sampled = sample_blocks(opened, parts.train, size=config.patch, seed=config.seed)
    warnings = check_blocks(opened, blocks)
    source_codec, target_codec, words = _fit_codecs(opened[0], blocks, config)
    config = _resolve(config, source_codec, target_codec)
    alignment = check_alignment(
        opened,
        parts.train,
        seed=config.seed,
        source_kind=source_codec.kind,
        target_kind=target_codec.kind,
    )
    trivial = _fit_trivial(opened, blocks, conditions, source_codec, target_codec)
    sampler = PatchSampler(
        opened,
        parts.train,
        source_codec,
        target_codec,
        patch=config.patch,
        batch=config.batch,
        seed=config.seed,
        content=config.content,
        content_blocks=blocks,
        flips=config.flips,
        quarter_turns=config.quarter_turns,
        zoom=config.zoom,
        intensity_jitter=config.intensity_jitter,
        conditions=conditions,
    )
    validation = _validation(opened, parts, conditions, trivial, target_codec, config)
    if validation is None and config.keep == "best":
        warnings.append("Without validation there is no best: the last weights are applied.")
    steps = epoch_steps(opened, parts.train, patch=config.patch, batch=config.batch)
    return TrainingData(
        opened=tuple(opened),
        sampler=sampler,
        source_codec=source_codec,
        target_codec=target_codec,
        conditions=conditions,
        config=config,
        trivial=trivial,
        validation=validation,
        steps_per_epoch=steps,
        summary=_summary(opened[: len(pairs)]),
        notes=tuple(n for n in (*words, parts.note, sampled, alignment.sentence, *warnings) if n),
        fingerprint=_fingerprint(opened, parts, blocks),
    )


def _split(opened: Sequence[OpenPair], count: int, config: TrainConfig, *, given: bool) -> Split:
    if not given:
        return split(opened, fraction=config.validation, patch=config.patch, seed=config.seed)
    areas = whole_areas(opened)
    train = tuple(area for area in areas if area.pair < count)
    held_out = tuple(area for area in areas if area.pair >= count)
    return Split(train, held_out, f"Validated on {len(opened) - count} pairs given for it.")


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


def _fit_codecs(
    first: OpenPair, blocks: Sequence[Block], config: TrainConfig
) -> tuple[Codec, Codec, tuple[str, ...]]:
    """Return the codecs of source and target, and what there is to say of them."""
    source, source_words = interpret(
        [block.source for block in blocks],
        [np.asarray(block.valid.any(axis=0, keepdims=True)) for block in blocks],
        kind=config.source_kind,
        method=config.source_normalisation,
        layout=first.source.layout,
        what="source",
    )
    target, target_words = interpret(
        [block.target for block in blocks],
        [block.valid for block in blocks],
        kind=config.target_kind,
        method=config.target_normalisation,
        layout=first.target.layout,
        what="target",
    )
    return source, target, (source_words, target_words)


def _resolve(config: TrainConfig, source: Codec, target: Codec) -> TrainConfig:
    """Return the config with what was left open for the pairs to tell."""
    found: dict[str, Any] = {"source_kind": source.kind, "target_kind": target.kind}
    if target.kind != "image" and "adversarial_weight" not in config.model_fields_set:
        found["adversarial_weight"] = 0.0
    return config.model_copy(update=found)


def _fit_trivial(
    opened: Sequence[OpenPair],
    blocks: Sequence[Block],
    conditions: Sequence[Hashable],
    source: Codec,
    target: Codec,
) -> TrivialMaps:
    """Fit the best trivial map of each condition."""
    maps = []
    for condition in conditions or (None,):
        chosen = [block for block in blocks if opened[block.pair].condition == condition]
        maps.append(
            fit_trivial(
                [(block.source, block.target, block.valid) for block in chosen],
                kind=target.kind,
                rgb=source.layout.rgb,
                smallest=getattr(target, "smallest", 1),
            )
        )
    return TrivialMaps(tuple(maps))


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
    trained = tuple(dict.fromkeys(plain[:count]))
    for name in plain[count:]:
        if name not in trained:
            raise InputError(
                f"A pair to validate on has the condition {name!r}, which no training pair has: "
                "leave it out, or train on one too."
            )
    return trained


def _validation(
    opened: Sequence[OpenPair],
    parts: Split,
    conditions: tuple[Hashable, ...],
    trivial: TrivialMaps,
    codec: Codec,
    config: TrainConfig,
) -> Validation | None:
    if not parts.validation:
        return None
    found, _ = sample_blocks(
        opened,
        parts.validation,
        size=_VALIDATION_SIZE,
        seed=config.seed,
        most=_VALIDATION_BLOCKS,
    )
    blocks = tuple(block for block in found if block.valid.any())
    if not blocks:
        return None
    indices = tuple(
        conditions.index(opened[block.pair].condition) if conditions else 0 for block in blocks
    )
    return Validation(blocks, indices, trivial_scores(trivial, blocks, indices, codec))


def _summary(opened: Sequence[OpenPair]) -> str:
    first = opened[0]
    frames = f", {first.frames} frames" if first.frames > 1 else ""
    more = f" and {len(opened) - 1} more pairs" if len(opened) > 1 else ""
    source, target = (
        f"{planes.dtype} {planes.channels} x {planes.height} x {planes.width}"
        for planes in (first.source, first.target)
    )
    return f"{source} -> {target}{frames}{more}"


def _fingerprint(opened: Sequence[OpenPair], parts: Split, blocks: Sequence[Block]) -> str:
    conditions = [pair.condition for pair in opened]
    digest = hashlib.sha256(repr((parts.train, parts.validation, conditions)).encode())
    for block in blocks:
        for array in (block.source, block.target, block.valid):
            digest.update(array.tobytes())
    return digest.hexdigest()
