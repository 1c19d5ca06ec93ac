"""How much is read before training: of a budget in seconds, most is left for training."""

from __future__ import annotations

from collections.abc import Sequence

from napari_pix2pix.pairs.leaks import leak_note
from napari_pix2pix.pairs.pair import OpenPair
from napari_pix2pix.pairs.sample import Block, sample_blocks
from napari_pix2pix.pairs.split import Split
from napari_pix2pix.training.config import TrainConfig

# Shares of a budget in seconds after which no more is read for statistics, and for validation.
_STATISTICS, _VALIDATION = 0.1, 0.05
# Held-out windows are scored at most at this many and this large: some seconds on a CPU.
_VALIDATION_BLOCKS = 16
_VALIDATION_SIZE = 512


def sample_training(
    opened: Sequence[OpenPair], parts: Split, config: TrainConfig, count: int | None
) -> tuple[list[Block], str]:
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
) -> list[Block]:
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
