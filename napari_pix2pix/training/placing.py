"""Where is trained and where validated, and where the targets lie there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari_pix2pix.pairs.alignment import Alignment, check_alignment
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.pair import OpenPair
from napari_pix2pix.pairs.split import Split, split, whole_areas
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.opening import OpenSet
from napari_pix2pix.training.shift import Correction, describe_alignment, find_correction
from napari_pix2pix.training.sourceless import sourceless_note

_UNSEEN = Alignment(
    (math.nan, math.nan), 0.0, False, "Alignment: not looked at, as the images are slow to read."
)


@dataclass(frozen=True)
class PlacedSet:
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


def place_set(given: OpenSet, config: TrainConfig) -> PlacedSet:
    """Split a set, and take a shift out of it if the config asks for that."""
    parts = _split(given.opened, given, config)
    correction = (
        find_correction(given.opened, parts.train, config) if config.correct_shift else None
    )
    if correction is None or not correction.found.shifted:
        return PlacedSet(given.opened, parts, correction)
    opened = tuple(correction.open(given.pairs, config.z_context))
    return PlacedSet(opened, _split(opened, given, config), correction)


def look_at_alignment(
    placed: PlacedSet, config: TrainConfig, source: Codec, target: Codec, *, quick: bool
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


def _split(opened: Sequence[OpenPair], given: OpenSet, config: TrainConfig) -> Split:
    if given.held_out:
        areas = whole_areas(opened)
        return Split(
            areas[: given.count],
            areas[given.count :],
            f"Validated on {given.held_out} pairs given for it.",
        )
    parts = split(opened, fraction=config.validation, patch=config.patch, seed=config.seed)
    return parts if given.sourced else replace(parts, note=sourceless_note(config))
