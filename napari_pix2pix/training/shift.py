"""A shift between sources and targets: found before training, and taken out if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_pix2pix.pairs.alignment import Alignment, check_alignment, describe_offset
from napari_pix2pix.pairs.cropped import correct_shift
from napari_pix2pix.pairs.pair import OpenPair, Pair, open_pair
from napari_pix2pix.pairs.split import Area
from napari_pix2pix.training.config import TrainConfig


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
