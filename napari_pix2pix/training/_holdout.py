"""Split pairs into training and validation areas; optionally correct a shift."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from napari_pix2pix.data.alignment import Alignment, check_alignment, describe_offset
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.hold_out import hold_out
from napari_pix2pix.data.pair import OpenPair, correct_shift
from napari_pix2pix.data.split import Split, split, whole_areas
from napari_pix2pix.errors import plural
from napari_pix2pix.training._pair_checks import ValidatedPairs
from napari_pix2pix.training.config import TrainConfig

_NOT_MEASURED = Alignment(
    (math.nan, math.nan), 0.0, False, "Alignment: not measured, as the images are slow to read."
)
_NO_VALIDATION = (
    "No validation: without a source no pixel of an image is prescribed; look at samples."
)


@dataclass(frozen=True)
class SplitPairs:
    """Pairs, cropped if a shift was corrected, and their training and validation areas."""

    opened: tuple[OpenPair, ...]
    parts: Split
    found_shift: Alignment | None  # before correction; None if that was not asked for

    @property
    def cut_planes(self) -> tuple[int, int]:
        """How many planes of each source, the first and the last ones, the pairs lack."""
        if self.found_shift is None or not self.found_shift.shifted:
            return 0, 0
        return max(-self.found_shift.planes, 0), max(self.found_shift.planes, 0)

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of each source at which the pairs begin."""
        if self.found_shift is None or not self.found_shift.shifted:
            return 0, 0
        down, right = (round(value) for value in self.found_shift.offset)
        return max(-down, 0), max(-right, 0)


def split_pairs(validated: ValidatedPairs, config: TrainConfig) -> SplitPairs:
    """Split a set, and correct a shift if the config asks for it."""
    parts = _split(validated.opened, validated, config)
    if not config.correct_shift:
        return SplitPairs(validated.opened, parts, None)
    source_kind, target_kind = (
        None if kind == "auto" else kind for kind in (config.source_kind, config.target_kind)
    )
    shift = check_alignment(
        validated.opened,
        parts.train,
        seed=config.seed,
        source_kind=source_kind,
        target_kind=target_kind,
        volumes=config.ndim == 3,
    )
    if not shift.shifted:
        return SplitPairs(validated.opened, parts, shift)
    corrected = [correct_shift(pair, shift.offset, shift.planes) for pair in validated.pairs]
    opened = validated.reopen(corrected)
    return SplitPairs(opened, _split(opened, validated, config), shift)


def _split(opened: tuple[OpenPair, ...], validated: ValidatedPairs, config: TrainConfig) -> Split:
    chosen = None
    if config.hold_out:
        chosen = hold_out(
            opened[: validated.count],
            config.hold_out,
            z_context=config.z_context,
            volumes=config.ndim == 3,
        )
    if validated.held_out:
        areas = whole_areas(opened)
        given = areas[validated.count :]
        note = f"Validated on {plural(validated.held_out, 'pair')} given for it."
        if chosen is None:
            return Split(areas[: validated.count], given, note)
        return Split(chosen.train, (*chosen.validation, *given), f"{chosen.note} {note}")
    if chosen is not None:
        return chosen
    parts = split(
        opened,
        fraction=config.validation,
        patch=config.patch,
        seed=config.seed,
        # A frame is seen by its neighbours otherwise.
        by_frame=not config.z_context and config.ndim == 2,
        volumes=config.ndim == 3,
    )
    return parts if validated.has_source else replace(parts, note=_note_without_source(config))


def _note_without_source(config: TrainConfig) -> str:
    if config.noise == "pixel":
        return _NO_VALIDATION
    stride = 4 if config.generator == "resnet" else 2**config.depth
    return (
        f"{_NO_VALIDATION} With noise='image' an image repeats itself away from its edges, every "
        f"{stride} pixels; with noise='pixel' it does not."
    )


def measure_alignment(
    pairs: SplitPairs, config: TrainConfig, source: Codec, target: Codec, *, quick: bool
) -> tuple[Alignment, str]:
    """Measure how the pairs are aligned, unless reading is slow, and describe it."""
    if not source.channels:
        return _NOT_MEASURED, ""
    alignment = _NOT_MEASURED
    if pairs.found_shift is not None and not pairs.found_shift.shifted:
        alignment = pairs.found_shift
    elif quick:
        alignment = check_alignment(
            pairs.opened,
            pairs.parts.train,
            seed=config.seed,
            source_kind=source.kind,
            target_kind=target.kind,
            volumes=config.ndim == 3,
        )
    return alignment, _describe(alignment, pairs.found_shift)


def _describe(alignment: Alignment, found_shift: Alignment | None) -> str:
    """Describe the alignment, and what was or can be done about it."""
    if found_shift is None:
        if not alignment.shifted:
            return alignment.sentence
        return f"{alignment.sentence.removesuffix('.')} (correct_shift=True)."
    if not found_shift.shifted:
        return f"{alignment.sentence} Nothing was shifted."
    return (
        f"The target lay {describe_offset(found_shift.offset, found_shift.planes)} of the source "
        f"(confidence {found_shift.confidence:.1f}): corrected by whole pixels, the same in all "
        f"pairs, which are cropped to what source and target share. {alignment.sentence}"
    )
