"""Prepare a training: from pairs to codecs, patches, held-out blocks and the baseline.

Under a budget in seconds little of it is spent on reading, so that most is left for training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from napari_pix2pix.data.alignment import Alignment
from napari_pix2pix.data.checks import alpha_notes, check_blocks, copies_note, overlaps_note
from napari_pix2pix.data.codecs import Codec, InstanceCodec
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.data.intensity_changes import IntensityChanges
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.pair import OpenPair, Pair, stop_if_asked
from napari_pix2pix.data.patches import PatchSampler, epoch_steps, pass_steps, patch_count
from napari_pix2pix.data.sample import (
    SampleBlock,
    hot_pixel_notes,
    leave_out_hot_pixels,
    leave_out_of_blocks,
    sample_blocks,
)
from napari_pix2pix.data.split import Area
from napari_pix2pix.data.truth import match_truths
from napari_pix2pix.data.volume_blocks import sample_volumes
from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.baselines import Baselines
from napari_pix2pix.training._holdout import SplitPairs, measure_alignment, split_pairs
from napari_pix2pix.training._infer_codecs import (
    InferredCodecs,
    clipping_note,
    infer_codecs,
    sample_object_blocks,
)
from napari_pix2pix.training._pair_checks import ValidatedPairs, validate_pairs
from napari_pix2pix.training._schedule import steps_for_passes
from napari_pix2pix.training._target_content import TargetContent
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.fine_tuning import Pretrained
from napari_pix2pix.training.made_for import MadeFor, collect_made_for
from napari_pix2pix.training.model_info import NetworkPlanes, count_planes
from napari_pix2pix.training.summary import summarise
from napari_pix2pix.training.validation import Validation, fit_baselines, make_validation

# Shares of a budget in seconds for reading: for statistics, and for validation.
_STATISTICS_SHARE, _VALIDATION_SHARE = 0.1, 0.05
# Pixels of training targets that are registered at most: a minute or two on a CPU.
_MOST_UNWARPED = 32_000_000
# With fewer blocks than this read in time, the alignment is not measured.
_FEW_BLOCKS = 48
_STATISTICS_BLOCKS = 256
# Held-out windows that are scored, and their side: some seconds on a CPU.
_VALIDATION_BLOCKS = 16
_VALIDATION_SIZE = 512
# Of volumes fewer and smaller ones, which take as long.
_VALIDATION_VOLUMES, _VALIDATION_VOLUME, _VALIDATION_PLANES = 4, 128, 32


@dataclass(frozen=True)
class TrainingData:
    """Everything that the loop trains and validates on."""

    opened: tuple[OpenPair, ...]  # the training pairs, then the pairs given for validation
    areas: tuple[Area, ...]  # of the training
    sampler: PatchSampler  # draws the batch of any step
    source_codec: Codec  # fitted on the training part
    target_codec: Codec
    conditions: tuple[Hashable, ...]  # their names; empty without any
    config: TrainConfig  # with kinds and the defaults that depend on them
    baseline: Baselines  # one for each condition; none without a source
    validation: Validation | None  # None if nothing is held out
    class_weights: tuple[float, ...] | None  # of the target's classes; None if all weigh the same
    target_content: TargetContent | None  # of the target's channels; None if no content weighs more
    origin: tuple[int, int]  # row and column of each source at which the pairs begin
    cut_planes: tuple[int, int]  # of each source, first and last ones, that the pairs lack
    steps_per_epoch: int
    held_out: str  # in words; the reason where nothing is
    most_steps: int | None  # that the limit of passes allows; None without one
    summary: str  # one line
    notes: tuple[str, ...]  # for the user, warnings included
    warnings: tuple[str, ...]
    fingerprint: str  # of the pairs; a run is resumed only on those it began with
    intensities: tuple[Intensities, Intensities]  # of the sampled sources and targets
    # Blocks read for statistics and for validation. A resumed run reads as many, whatever time it
    # has, and so infers the same.
    sampled: tuple[int, int]
    start: Pretrained | None  # the model that the training begins from
    channel_names: tuple[tuple[str, ...], ...]  # of the targets, one tuple a condition, or one
    made_for: MadeFor
    alignment: Alignment
    target_looks_like: Kind | None  # labels that the target is not taken for; None if it is none

    @property
    def planes(self) -> NetworkPlanes:
        """Planes that the networks take and give."""
        conditions = len(self.conditions)
        return count_planes(self.config, self.source_codec, self.target_codec, conditions)

    def frame_of_source(self, pair: int, frame: int) -> int:
        """Return the number that a frame of a pair has in the source as it was given."""
        first, last = self.cut_planes
        if not (first or last):
            return frame
        depth = self.opened[pair].source.frame_shape[-1]
        volume, plane = divmod(frame, depth)
        return volume * (first + depth + last) + first + plane

    def frame_of_pair(self, pair: int, frame: int) -> int:
        """Return the frame of a pair that is, or lies next to, a frame of the given source."""
        first, last = self.cut_planes
        source = self.opened[pair].source
        if first or last:
            depth = source.frame_shape[-1]
            volume, plane = divmod(frame, first + depth + last)
            frame = volume * depth + min(max(plane - first, 0), depth - 1)
        return min(frame, source.frames - 1)


def prepare(
    pairs: Sequence[Pair],
    config: TrainConfig,
    *,
    held_out: Sequence[Pair] | None = None,
    start: Pretrained | None = None,
    sampled: Sequence[int] | None = None,  # `TrainingData.sampled` of the run that is resumed
) -> TrainingData:
    """Open and check pairs, hold data out, sample the rest and infer all that training needs."""
    validated = validate_pairs(pairs, held_out or (), config, start)
    config, conditions = validated.config, validated.conditions
    start = None if start is None else start.for_pairs(validated.opened)
    split = split_pairs(validated, config)
    opened, areas = split.opened, split.parts.train
    count, validation_count = sampled or (None, None)
    blocks, sample_note = _sample(split, config, count, validation=False)
    warnings = check_blocks(opened, blocks)
    stop_if_asked()

    inferred = infer_codecs(opened, areas, blocks, config, start)
    _check_unwarpable(opened, areas, inferred.config)
    config, codecs = inferred.config, (inferred.source_codec, inferred.target_codec)
    fingerprint, intensities = _fingerprint(split, blocks), _measure_intensities(blocks)
    split, truth_notes = _match_given(split, validated, codecs[1], intensities[1])
    windows = _sample_validation(split, config, validation_count)
    kinds = codecs[0].kind, codecs[1].kind
    # So that hot pixels count as unlabelled.
    opened = tuple(pair.knowing(kinds, intensities) for pair in split.opened)
    split = replace(split, opened=opened)
    hot_notes, many_hot = hot_pixel_notes(opened, [*blocks, *windows])
    blocks, windows = (leave_out_hot_pixels(opened, read) for read in (blocks, windows))
    seconds = _seconds(config, _VALIDATION_SHARE)
    leaks = [
        find(opened, split.parts, seed=config.seed, seconds=seconds)
        for find in (copies_note, overlaps_note)
    ]
    warnings += [*inferred.warnings, *many_hot, *leaks]
    quick = not sample_note or len(blocks) >= _FEW_BLOCKS
    alignment, alignment_note = measure_alignment(split, config, *codecs, quick=quick)
    if alignment.shifted:
        warnings.append(alignment_note)
    stop_if_asked()

    fitted = blocks
    if isinstance(codecs[1], InstanceCodec) and codecs[1].ndim == 3:  # objects of volumes
        fitted = sample_object_blocks(opened, areas, config)
    baseline = fit_baselines(opened, fitted, conditions, *codecs, start)
    validation_blocks, unknown_classes = leave_out_of_blocks(windows, *codecs)
    warnings += unknown_classes
    stop_if_asked()
    validation = make_validation(opened, validation_blocks, conditions, baseline, codecs[1])
    warnings.append(_validation_warning(split, validation, codecs[1].kind))
    if validation is None and config.keep == "best":
        warnings.append("Without validation there is no best: the last weights are applied.")
    warnings += alpha_notes(opened)

    notes = (
        *(*validated.notes, *inferred.notes, *hot_notes),
        clipping_note(codecs[1], blocks, config.activation, tuned=start is not None),
        *(split.parts.note, *truth_notes, sample_note, alignment_note),
    )
    batch, planes = config.batch * config.processes, config.patch_planes or 1
    return TrainingData(
        opened=opened,
        areas=tuple(areas),
        sampler=_make_sampler(split, blocks, inferred, conditions),
        source_codec=inferred.source_codec,
        target_codec=inferred.target_codec,
        conditions=conditions,
        config=config,
        baseline=baseline,
        validation=validation,
        class_weights=inferred.class_weights,
        target_content=inferred.target_content,
        origin=split.origin,
        cut_planes=split.cut_planes,
        steps_per_epoch=epoch_steps(opened, areas, config.patch, batch, planes),
        held_out=split.parts.note,
        most_steps=steps_for_passes(config, pass_steps(opened, areas, config.patch, batch, planes)),
        summary=summarise(
            opened[: validated.count],
            *codecs,
            patches=patch_count(opened, areas, config.patch, planes),
            alignment=alignment,
            z_context=config.z_context,
        ),
        notes=tuple(note for note in dict.fromkeys((*notes, *warnings)) if note),
        warnings=tuple(warning for warning in warnings if warning),
        fingerprint=fingerprint,
        intensities=intensities,
        sampled=(len(blocks), len(validation_blocks)),
        start=start,
        channel_names=_channel_names(opened[: validated.count], conditions, start),
        made_for=replace(
            _made_for(opened[: validated.count], conditions, config, start),
            images=len({area.pair for area in areas}),  # without those that are held out as a whole
        ),
        alignment=alignment,
        target_looks_like=inferred.target_looks_like,
    )


def _check_unwarpable(
    opened: Sequence[OpenPair], areas: Sequence[Area], config: TrainConfig
) -> None:
    """Raise an `InputError` if the targets can't be registered as `warp_tolerance` asks."""
    if not config.warp_tolerance:
        return
    if config.target_kind != "image":
        raise InputError(
            f"warp_tolerance registers targets that are images, and these hold "
            f"{config.target_kind}: leave it out, or register the pairs before."
        )
    pixels = sum(len(area.numbers(opened[area.pair])) * area.box.pixels for area in areas)
    if pixels > _MOST_UNWARPED:
        raise InputError(
            f"warp_tolerance registers every training target, {_MOST_UNWARPED / 1e6:.0f} "
            f"megapixels at most, and there are {pixels / 1e6:.0f}: give fewer or smaller images, "
            "or register the pairs before."
        )


def _validation_warning(split: SplitPairs, validation: Validation | None, kind: Kind) -> str:
    """Say that what is held out gives no scores; else ""."""
    if not split.parts.validation:
        return ""
    if validation is None:
        return (
            "No validation: no pixel of the held-out part lies inside the mask and is finite; give "
            "pairs for validation."
        )
    blocks = validation.blocks
    if kind == "image" or any((block.target * block.valid).any() for block in blocks):
        return ""
    return (
        "The held-out part holds nothing but background, so its scores only say whether nothing is "
        "found there: give pairs for validation that hold something."
    )


def _match_given(
    split: SplitPairs, validated: ValidatedPairs, codec: Codec, trained: Intensities
) -> tuple[SplitPairs, list[str]]:
    """Match the targets of pairs given for validation with what the model will make; notes."""
    if not validated.held_out:
        return split, []
    training, given = split.opened[: validated.count], split.opened[validated.count :]
    matched, notes = match_truths(given, codec, trained)
    return replace(split, opened=(*training, *matched)), notes


def _channel_names(
    opened: Sequence[OpenPair], conditions: Sequence[Hashable], start: Pretrained | None
) -> tuple[tuple[str, ...], ...]:
    """Return the channel names that all targets of a condition state, or else the pretrained's."""
    names = []
    for condition in conditions or (None,):
        stated = {pair.target.channel_names for pair in opened if pair.condition == condition}
        known = () if start is None else start.info.output_names(condition)
        names.append(stated.pop() if len(stated) == 1 and () not in stated else known)
    return tuple(names)


def _made_for(
    opened: Sequence[OpenPair],
    conditions: Sequence[Hashable],
    config: TrainConfig,
    start: Pretrained | None,
) -> MadeFor:
    """Return what the pairs state, or else what the pretrained model does."""
    stated = collect_made_for(
        opened, conditions, config.target_kind, config.pixel_size, config.plane_distance
    )
    return stated if start is None else stated.or_else(start.info.made_for)


def _make_sampler(
    split: SplitPairs,
    blocks: Sequence[SampleBlock],
    inferred: InferredCodecs,
    conditions: Sequence[Hashable],
) -> PatchSampler:
    config = inferred.config
    return PatchSampler(
        split.opened,
        split.parts.train,
        inferred.source_codec,
        inferred.target_codec,
        patch=config.patch,
        planes=config.patch_planes,
        batch=config.batch,
        seed=config.seed,
        content=config.content,
        content_blocks=blocks,
        flips=config.flips,
        vertical_flips=config.vertical_flips,
        plane_flips=config.plane_flips,
        quarter_turns=config.quarter_turns,
        zoom=config.zoom,
        changes=IntensityChanges.measure(
            inferred.source_codec,
            [block.source for block in blocks],
            jitter=config.intensity_jitter,
            noise=config.source_noise,
        ),
        conditions=conditions,
    )


def _measure_intensities(blocks: Sequence[SampleBlock]) -> tuple[Intensities, Intensities]:
    """Return the intensities of sources and targets."""
    sources, targets = [block.source for block in blocks], [block.target for block in blocks]
    valid = [block.valid for block in blocks]
    return Intensities.measure(sources), Intensities.measure(targets, valid)


def _fingerprint(split: SplitPairs, blocks: Sequence[SampleBlock]) -> str:
    conditions = [pair.condition for pair in split.opened]
    parts = split.parts
    digest = hashlib.sha256(repr((parts.train, parts.validation, conditions)).encode())
    for block in blocks:
        for array in (block.source, block.target, block.valid):
            digest.update(array.tobytes())
    return digest.hexdigest()


def _sample(
    split: SplitPairs, config: TrainConfig, count: int | None, *, validation: bool
) -> tuple[list[SampleBlock], str]:
    """Read blocks for statistics or validation, and describe how many; `count` ignores the time."""
    areas = split.parts.validation if validation else split.parts.train
    if validation and not areas:
        return [], ""
    share = _VALIDATION_SHARE if validation else _STATISTICS_SHARE
    return sample_blocks(
        split.opened,
        areas,
        size=_VALIDATION_SIZE if validation else config.patch,
        seed=config.seed,
        most=_VALIDATION_BLOCKS if validation else _STATISTICS_BLOCKS,
        seconds=_seconds(config, share) if count is None else None,
        count=count,
    )


def _sample_validation(
    split: SplitPairs, config: TrainConfig, count: int | None
) -> list[SampleBlock]:
    """Read held-out windows of images, or blocks of volumes."""
    if config.ndim == 2 or not split.parts.validation:
        return _sample(split, config, count, validation=True)[0]
    return sample_volumes(
        split.opened,
        split.parts.validation,
        size=_VALIDATION_VOLUME,
        planes=_VALIDATION_PLANES,
        seed=config.seed,
        most=_VALIDATION_VOLUMES,
        seconds=_seconds(config, _VALIDATION_SHARE) if count is None else None,
        count=count,
    )


def _seconds(config: TrainConfig, share: float) -> float | None:
    return None if config.max_seconds is None else share * config.max_seconds
