"""From pairs to all that the loop needs: codecs, patches, held-out blocks, the trivial map."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.metrics.maps import Triple, TrivialMap, TrivialMaps, fit_trivial
from napari_pix2pix.pairs.alignment import Alignment, check_alignment
from napari_pix2pix.pairs.checks import check_blocks
from napari_pix2pix.pairs.class_codec import ClassCodec
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.intensities import Intensities
from napari_pix2pix.pairs.interpret import interpret
from napari_pix2pix.pairs.leaks import leak_note
from napari_pix2pix.pairs.pair import OpenPair, Pair, open_pair
from napari_pix2pix.pairs.patches import PatchSampler, epoch_steps, patch_count
from napari_pix2pix.pairs.sample import Block, sample_blocks
from napari_pix2pix.pairs.saturation import saturation_notes
from napari_pix2pix.pairs.split import Split, split, whole_areas
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.presets import LIGHT_FOR_LABELS
from napari_pix2pix.training.shift import describe_alignment, find_correction
from napari_pix2pix.training.sourceless import has_source, sourceless_note, without_source
from napari_pix2pix.training.start import Start
from napari_pix2pix.training.summary import summarise
from napari_pix2pix.training.validation import Validation, trivial_scores

# Held-out windows are scored at most at this many and this large: some seconds on a CPU.
_VALIDATION_BLOCKS = 16
_VALIDATION_SIZE = 512
# Shares of a budget in seconds after which no more is read for statistics, and for validation.
_SAMPLING, _VALIDATION_SAMPLING = 0.1, 0.05
# Where fewer blocks could be read in that time, the alignment is not looked at.
_FEW_BLOCKS = 48
_UNSEEN = Alignment(
    (math.nan, math.nan), 0.0, False, "Alignment: not looked at, as the images are slow to read."
)


@dataclass(frozen=True)
class TrainingData:
    """What the loop trains and validates on.

    Attributes
    ----------
    sampler : PatchSampler
        Gives the batch of any step.
    source_codec, target_codec : Codec
        Fitted on the training part.
    conditions : tuple of hashable
        Names of the conditions; empty without any.
    config : TrainConfig
        With what was left open for the pairs to tell: kinds, adversarial weight.
    trivial : TrivialMaps
        The best trivial map of each condition, fitted on the training part; none without a source.
    validation : Validation or None
        None when nothing is held out.
    class_weights : tuple of float or None
        For each class of the target its weight in the reconstruction loss; None when all weigh
        the same.
    origin : tuple of int
        Row and column of each source at which the pairs begin; not (0, 0) where a shift was
        corrected.
    steps_per_epoch : int
        Optimisation steps of one epoch.
    summary : str
        What was understood, in one line.
    notes : tuple of str
        What the user should know.
    fingerprint : str
        Changes when the pairs do; a run is only resumed on the pairs that it began with.
    intensities : pair of Intensities
        Of the sources and targets that were sampled.
    sampled : pair of int
        Blocks that were read for statistics and for validation. A run that goes on reads as many,
        whatever time it has, and so knows the same.
    start : Start or None
        The model that the training begins from.
    """

    sampler: PatchSampler
    source_codec: Codec
    target_codec: Codec
    conditions: tuple[Hashable, ...]
    config: TrainConfig
    trivial: TrivialMaps
    validation: Validation | None
    class_weights: tuple[float, ...] | None
    origin: tuple[int, int]
    steps_per_epoch: int
    summary: str
    notes: tuple[str, ...]
    fingerprint: str
    intensities: tuple[Intensities, Intensities]
    sampled: tuple[int, int]
    start: Start | None


def prepare(
    pairs: Sequence[Pair],
    config: TrainConfig,
    *,
    held_out: Sequence[Pair] | None = None,
    start: Start | None = None,
    sampled: Sequence[int] | None = None,
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
    start : Start, optional
        A model to begin from, whose codecs and conditions are kept.
    sampled : pair of int, optional
        `TrainingData.sampled` of the run that goes on. By default a tenth of
        ``config.max_seconds`` bounds the reading for statistics, and half of that the reading for
        validation.

    Raises
    ------
    InputError
        When the pairs can't be trained on; the sentence says which and why.
    """
    together = (*pairs, *(held_out or ()))
    opened = [open_pair(pair, config.z_context) for pair in together]
    if not (sourced := has_source(opened)):
        config = without_source(config, held_out=held_out is not None)
    elif config.noise == "pixel" and not config.noise_channels:
        raise ConfigError("noise='pixel' needs noise planes: set noise_channels to 1 or more.")
    _check_channels(opened)
    _check_context(opened, config.z_context)
    conditions = _conditions(opened, len(pairs))
    if start is not None:
        conditions = start.check_pairs(opened, conditions)
    parts = _split(opened, len(pairs), config, given=held_out is not None)
    if not sourced:
        parts = replace(parts, note=sourceless_note(config))
    correction = find_correction(opened, parts.train, config) if config.correct_shift else None
    if correction is not None and correction.found.shifted:
        opened = correction.open(together, config.z_context)
        parts = _split(opened, len(pairs), config, given=held_out is not None)
    counts = (None, None) if sampled is None else tuple(sampled)
    blocks, sample_note = sample_blocks(
        opened,
        parts.train,
        size=config.patch,
        seed=config.seed,
        seconds=_share_of(config, _SAMPLING, counts[0]),
        count=counts[0],
    )
    warnings = check_blocks(opened, blocks)
    if start is None:
        source_codec, target_codec, words = _fit_codecs(opened[0], blocks, config)
    else:
        start.check_values(blocks, config)
        source_codec, target_codec, words = *start.codecs, (start.note(config),)
    config = _resolve(config, source_codec, target_codec)
    warnings += _saturation(blocks, source_codec, target_codec)
    warnings.append(
        leak_note(
            opened, parts, seed=config.seed, seconds=_share_of(config, _VALIDATION_SAMPLING, None)
        )
    )
    class_weights = _class_weights(target_codec, blocks) if config.class_weights else None
    aligned, trivial, alignment = "", TrivialMaps(()), _UNSEEN
    if sourced:
        if correction is not None and not correction.found.shifted:
            alignment = correction.found
        elif not sample_note or len(blocks) >= _FEW_BLOCKS:
            alignment = check_alignment(
                opened,
                parts.train,
                seed=config.seed,
                source_kind=source_codec.kind,
                target_kind=target_codec.kind,
            )
        aligned = describe_alignment(alignment, correction)
        trivial = _fit_trivial(opened, blocks, conditions, source_codec, target_codec, start)
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
    validation, read = _validation(
        opened, parts, conditions, trivial, target_codec, config, counts[1]
    )
    if validation is None and config.keep == "best":
        warnings.append("Without validation there is no best: the last weights are applied.")
    steps = epoch_steps(opened, parts.train, patch=config.patch, batch=config.batch)
    return TrainingData(
        sampler=sampler,
        source_codec=source_codec,
        target_codec=target_codec,
        conditions=conditions,
        config=config,
        trivial=trivial,
        validation=validation,
        class_weights=class_weights,
        origin=(0, 0) if correction is None else correction.origin,
        steps_per_epoch=steps,
        summary=summarise(
            opened[: len(pairs)],
            source_codec,
            target_codec,
            patches=patch_count(opened, parts.train, config.patch),
            alignment=alignment,
        ),
        notes=tuple(n for n in (*words, parts.note, sample_note, aligned, *warnings) if n),
        fingerprint=_fingerprint(opened, parts, blocks),
        start=start,
        intensities=(
            Intensities.measure([block.source for block in blocks]),
            Intensities.measure(
                [block.target for block in blocks], [block.valid for block in blocks]
            ),
        ),
        sampled=(len(blocks), read),
    )


def _share_of(config: TrainConfig, share: float, count: int | None) -> float | None:
    """Return the seconds that reading may take; None where there is no budget, or a count."""
    if config.max_seconds is None or count is not None:
        return None
    return share * config.max_seconds


def _saturation(blocks: Sequence[Block], source: Codec, target: Codec) -> list[str]:
    notes = []
    if source.kind == "image":
        notes += saturation_notes([block.source for block in blocks], "source")
    if target.kind == "image":
        notes += saturation_notes([block.target for block in blocks], "target")
    return notes


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
    if target.kind != "image" and source.channels and config.preset == "light":
        left_open = LIGHT_FOR_LABELS.keys() - config.model_fields_set
        found |= {name: LIGHT_FOR_LABELS[name] for name in left_open}
    return config.model_copy(update=found)


def _class_weights(codec: Codec, blocks: Sequence[Block]) -> tuple[float, ...]:
    if not isinstance(codec, ClassCodec):
        raise InputError(
            f"class_weights weighs classes, and the target is taken for {codec.kind}: leave "
            "class_weights out, or say target_kind='classes' if it holds classes."
        )
    return codec.class_weights([block.target for block in blocks], [b.valid for b in blocks])


def _fit_trivial(
    opened: Sequence[OpenPair],
    blocks: Sequence[Block],
    conditions: Sequence[Hashable],
    source: Codec,
    target: Codec,
    start: Start | None,
) -> TrivialMaps:
    """Fit the best trivial map of each condition, or keep that of the model to start from."""
    maps: list[TrivialMap] = []
    for index, condition in enumerate(conditions or (None,)):
        triples = _triples(opened, blocks, condition)
        if start is not None and not triples:
            maps.append(start.trivial.maps[index])
            continue
        maps.append(
            fit_trivial(
                triples,
                kind=target.kind,
                rgb=source.layout.rgb,
                smallest=getattr(target, "smallest", 1),
            )
        )
    return TrivialMaps(tuple(maps))


def _triples(
    opened: Sequence[OpenPair], blocks: Sequence[Block], condition: Hashable
) -> list[Triple]:
    """Return a condition's blocks, and for target channels that none of them shows all others."""
    its = [block for block in blocks if opened[block.pair].condition == condition]
    if not its:
        return []
    shown = np.any([np.broadcast_to(b.valid, b.target.shape).any(axis=(1, 2)) for b in its], axis=0)
    triples = [(block.source, block.target, block.valid) for block in its]
    if not shown.all():
        hidden = ~shown[:, np.newaxis, np.newaxis]
        triples += [(block.source, block.target, block.valid & hidden) for block in blocks]
    return triples


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
    count: int | None,
) -> tuple[Validation | None, int]:
    """Return what to validate on, and how many blocks were read for it."""
    if not parts.validation:
        return None, 0
    found, _ = sample_blocks(
        opened,
        parts.validation,
        size=_VALIDATION_SIZE,
        seed=config.seed,
        most=_VALIDATION_BLOCKS,
        seconds=_share_of(config, _VALIDATION_SAMPLING, count),
        count=count,
    )
    blocks = tuple(block for block in found if block.valid.any())
    if not blocks:
        return None, len(found)
    indices = tuple(
        conditions.index(opened[block.pair].condition) if conditions else 0 for block in blocks
    )
    validation = Validation(blocks, indices, trivial_scores(trivial, blocks, indices, codec))
    return validation, len(found)


def _fingerprint(opened: Sequence[OpenPair], parts: Split, blocks: Sequence[Block]) -> str:
    conditions = [pair.condition for pair in opened]
    digest = hashlib.sha256(repr((parts.train, parts.validation, conditions)).encode())
    for block in blocks:
        for array in (block.source, block.target, block.valid):
            digest.update(array.tobytes())
    return digest.hexdigest()
