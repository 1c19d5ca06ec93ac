"""Where is trained and where validated, and where the targets lie there.

A shift between sources and targets: found before training, and taken out if asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari_pix2pix.data.alignment import Alignment, check_alignment, describe_offset
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.pair import OpenPair, Pair, correct_shift, open_pair
from napari_pix2pix.data.split import Area, Split, split, whole_areas
from napari_pix2pix.training._pair_checks import ValidatedPairs
from napari_pix2pix.training._sourceless import sourceless_note
from napari_pix2pix.training.config import TrainConfig

_UNSEEN = Alignment(
    (math.nan, math.nan), 0.0, False, "Alignment: not looked at, as the images are slow to read."
)


@dataclass(frozen=True)
class SplitPairs:
    """Pairs as they are trained on, and which parts of them are.

    Attributes
    ----------
    opened : tuple of OpenPair
        Cropped, where a shift was taken out.
    parts : Split
        Where to train, where to validate.
    correction : Correction or None
        None where none was asked for.
    """

    opened: tuple[OpenPair, ...]
    parts: Split
    correction: Correction | None

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of each source at which the pairs begin."""
        return (0, 0) if self.correction is None else self.correction.origin


def split_pairs(given: ValidatedPairs, config: TrainConfig) -> SplitPairs:
    """Split a set, and take a shift out of it if the config asks for that."""
    parts = _split(given.opened, given, config)
    correction = (
        find_correction(given.opened, parts.train, config) if config.correct_shift else None
    )
    if correction is None or not correction.found.shifted:
        return SplitPairs(given.opened, parts, correction)
    opened = tuple(correction.open(given.pairs, config.z_context))
    return SplitPairs(opened, _split(opened, given, config), correction)


def look_at_alignment(
    placed: SplitPairs, config: TrainConfig, source: Codec, target: Codec, *, quick: bool
) -> tuple[Alignment, str]:
    """Measure how the pairs lie, and say it.

    Parameters
    ----------
    placed : PlacedSet
    config : TrainConfig
    source, target : Codec
        A source of no channel lies nowhere, and nothing is said.
    quick : bool
        Whether the images can be read in time for it.
    """
    if not source.channels:
        return _UNSEEN, ""
    correction, alignment = placed.correction, _UNSEEN
    if correction is not None and not correction.found.shifted:
        alignment = correction.found
    elif quick:
        alignment = check_alignment(
            placed.opened,
            placed.parts.train,
            seed=config.seed,
            source_kind=source.kind,
            target_kind=target.kind,
        )
    return alignment, describe_alignment(alignment, correction)


def _split(opened: Sequence[OpenPair], given: ValidatedPairs, config: TrainConfig) -> Split:
    if given.held_out:
        areas = whole_areas(opened)
        return Split(
            areas[: given.count],
            areas[given.count :],
            f"Validated on {given.held_out} pairs given for it.",
        )
    parts = split(opened, fraction=config.validation, patch=config.patch, seed=config.seed)
    return parts if given.sourced else replace(parts, note=sourceless_note(config))


@dataclass(frozen=True)
class Correction:
    """What the check found before any correction, and what follows from it.

    Attributes
    ----------
    found : Alignment
        One offset for the whole set.
    """

    found: Alignment

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of each source at which its corrected pair begins."""
        if not self.found.shifted:
            return 0, 0
        down, right = (round(value) for value in self.found.offset)
        return max(-down, 0), max(-right, 0)

    def open(self, pairs: Sequence[Pair], z_context: int) -> list[OpenPair]:
        """Open pairs, each cropped to what its source shares with its target moved back."""
        moved = [correct_shift(pair, self.found.offset) for pair in pairs]
        return [open_pair(pair, z_context) for pair in moved]


def find_correction(
    opened: Sequence[OpenPair], areas: Sequence[Area], config: TrainConfig
) -> Correction:
    """Measure the offset in the training areas, of labels by the kinds that the config names."""
    source_kind, target_kind = (
        None if kind == "auto" else kind for kind in (config.source_kind, config.target_kind)
    )
    return Correction(
        check_alignment(
            opened, areas, seed=config.seed, source_kind=source_kind, target_kind=target_kind
        )
    )


def describe_alignment(alignment: Alignment, correction: Correction | None) -> str:
    """Say how the pairs lie, what was done about it, or what could be.

    Parameters
    ----------
    alignment : Alignment
        Of the pairs as they are trained on.
    correction : Correction or None
        None where none was asked for.
    """
    if correction is None:
        if not alignment.shifted:
            return alignment.sentence
        return f"{alignment.sentence.removesuffix('.')} (correct_shift=True)."
    if not correction.found.shifted:
        return f"{alignment.sentence} Nothing was shifted."
    return (
        f"The target lay {describe_offset(correction.found.offset)} of the source (confidence "
        f"{correction.found.confidence:.1f}): corrected by whole pixels, the same in all pairs, "
        f"which are cropped to what source and target share. {alignment.sentence}"
    )
