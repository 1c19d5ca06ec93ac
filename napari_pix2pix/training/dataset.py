"""From pairs to all that the loop needs: codecs, patches, held-out blocks, the baseline.

How much is read before training: of a budget in seconds, most is left for training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from napari_pix2pix.data.checks import alpha_notes, check_blocks
from napari_pix2pix.data.class_values import leave_out_of_blocks
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.data.interruption import stop_if_asked
from napari_pix2pix.data.leaks import leak_note
from napari_pix2pix.data.pair import OpenPair, Pair
from napari_pix2pix.data.patches import PatchSampler, epoch_steps, patch_count
from napari_pix2pix.data.sample import SampleBlock, sample_blocks
from napari_pix2pix.data.split import Split
from napari_pix2pix.metrics.baselines import Baselines
from napari_pix2pix.training._holdout import SplitPairs, look_at_alignment, split_pairs
from napari_pix2pix.training._infer_codecs import InferredCodecs, infer_codecs, summarise
from napari_pix2pix.training._pair_checks import validate_pairs
from napari_pix2pix.training._validation import Validation, fit_baselines, make_validation
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.fine_tuning import Pretrained
from napari_pix2pix.training.model_info import NetworkPlanes, count_planes

# Where fewer blocks could be read in time, the alignment is not looked at.
_FEW_BLOCKS = 48


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
    baseline : TrivialMaps
        The baseline of each condition, fitted on the training part; none without a source.
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
    warnings : tuple of str
        Those of the notes that say what looks wrong.
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

    opened: tuple[OpenPair, ...]
    sampler: PatchSampler
    source_codec: Codec
    target_codec: Codec
    conditions: tuple[Hashable, ...]
    config: TrainConfig
    baseline: Baselines
    validation: Validation | None
    class_weights: tuple[float, ...] | None
    origin: tuple[int, int]
    steps_per_epoch: int
    summary: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    fingerprint: str
    intensities: tuple[Intensities, Intensities]
    sampled: tuple[int, int]
    start: Pretrained | None

    @property
    def planes(self) -> NetworkPlanes:
        """Planes that the networks take and give."""
        conditions = len(self.conditions)
        return count_planes(self.config, self.source_codec, self.target_codec, conditions)


def prepare(
    pairs: Sequence[Pair],
    config: TrainConfig,
    *,
    held_out: Sequence[Pair] | None = None,
    start: Pretrained | None = None,
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
    StoppedError
        Within `stops_when`, once that is asked.
    """
    given, config = validate_pairs(pairs, held_out or (), config, start)
    start = None if start is None else start.for_pairs(given.opened)
    placed = split_pairs(given, config)
    opened, parts = placed.opened, placed.parts
    count, validation_count = sampled or (None, None)
    blocks, sample_note = sample_training(opened, parts, config, count)
    warnings = check_blocks(opened, blocks)
    stop_if_asked()
    known = infer_codecs(opened, parts.train, blocks, config, start)
    config, codecs = known.config, (known.source_codec, known.target_codec)
    warnings += [*known.warnings, look_for_leaks(opened, parts, config)]
    quick = not sample_note or len(blocks) >= _FEW_BLOCKS
    alignment, aligned = look_at_alignment(placed, config, *codecs, quick=quick)
    if alignment.shifted:
        warnings.append(aligned)
    stop_if_asked()
    baseline = fit_baselines(opened, blocks, given.conditions, *codecs, start)
    windows, unknown = leave_out_of_blocks(
        sample_validation(opened, parts, config, validation_count), *codecs
    )
    warnings += unknown
    stop_if_asked()
    validation = make_validation(opened, windows, given.conditions, baseline, known.target_codec)
    if validation is None and config.keep == "best":
        warnings.append("Without validation there is no best: the last weights are applied.")
    patches = patch_count(opened, parts.train, config.patch)
    facts = *known.words, *alpha_notes(opened), parts.note, sample_note
    notes = dict.fromkeys((*facts, aligned, *warnings))
    return TrainingData(
        opened=opened,
        sampler=_make_sampler(placed, blocks, known, given.conditions),
        source_codec=known.source_codec,
        target_codec=known.target_codec,
        conditions=given.conditions,
        config=config,
        baseline=baseline,
        validation=validation,
        class_weights=known.class_weights,
        origin=placed.origin,
        steps_per_epoch=epoch_steps(
            opened, parts.train, patch=config.patch, batch=config.batch * config.processes
        ),
        summary=summarise(opened[: given.count], *codecs, patches=patches, alignment=alignment),
        notes=tuple(note for note in notes if note),
        warnings=tuple(note for note in warnings if note),
        fingerprint=_fingerprint(placed, blocks),
        intensities=_measure(blocks),
        sampled=(len(blocks), len(windows)),
        start=start,
    )


def _make_sampler(
    placed: SplitPairs,
    blocks: Sequence[SampleBlock],
    known: InferredCodecs,
    conditions: Sequence[Hashable],
) -> PatchSampler:
    config = known.config
    return PatchSampler(
        placed.opened,
        placed.parts.train,
        known.source_codec,
        known.target_codec,
        patch=config.patch,
        batch=config.batch,
        seed=config.seed,
        content=config.content,
        content_blocks=blocks,
        flips=config.flips,
        vertical_flips=config.vertical_flips,
        quarter_turns=config.quarter_turns,
        zoom=config.zoom,
        intensity_jitter=config.intensity_jitter,
        conditions=conditions,
    )


def _measure(blocks: Sequence[SampleBlock]) -> tuple[Intensities, Intensities]:
    """Return the intensities of sources and targets."""
    targets, valid = [block.target for block in blocks], [block.valid for block in blocks]
    return (
        Intensities.measure([block.source for block in blocks]),
        Intensities.measure(targets, valid),
    )


def _fingerprint(placed: SplitPairs, blocks: Sequence[SampleBlock]) -> str:
    conditions = [pair.condition for pair in placed.opened]
    parts = placed.parts
    digest = hashlib.sha256(repr((parts.train, parts.validation, conditions)).encode())
    for block in blocks:
        for array in (block.source, block.target, block.valid):
            digest.update(array.tobytes())
    return digest.hexdigest()


# Shares of a budget in seconds after which no more is read for statistics, and for validation.
_STATISTICS, _VALIDATION = 0.1, 0.05
# Held-out windows are scored at most at this many and this large: some seconds on a CPU.
_VALIDATION_BLOCKS = 16
_VALIDATION_SIZE = 512


def sample_training(
    opened: Sequence[OpenPair], parts: Split, config: TrainConfig, count: int | None
) -> tuple[list[SampleBlock], str]:
    """Read the blocks that all statistics are of, and say how many there are of how many.

    Parameters
    ----------
    opened : sequence of OpenPair
    parts : Split
        What is held out is not read.
    config : TrainConfig
    count : int or None
        Read so many, however long it takes.
    """
    return sample_blocks(
        opened,
        parts.train,
        size=config.patch,
        seed=config.seed,
        seconds=_seconds(config, _STATISTICS) if count is None else None,
        count=count,
    )


def sample_validation(
    opened: Sequence[OpenPair], parts: Split, config: TrainConfig, count: int | None
) -> list[SampleBlock]:
    """Read the held-out windows that are scored; parameters as in `sample_training`."""
    if not parts.validation:
        return []
    blocks, _ = sample_blocks(
        opened,
        parts.validation,
        size=_VALIDATION_SIZE,
        seed=config.seed,
        most=_VALIDATION_BLOCKS,
        seconds=_seconds(config, _VALIDATION) if count is None else None,
        count=count,
    )
    return blocks


def look_for_leaks(opened: Sequence[OpenPair], parts: Split, config: TrainConfig) -> str:
    """Say which held-out sources are also trained on; empty where none is."""
    return leak_note(opened, parts, seed=config.seed, seconds=_seconds(config, _VALIDATION))


def _seconds(config: TrainConfig, share: float) -> float | None:
    return None if config.max_seconds is None else share * config.max_seconds
