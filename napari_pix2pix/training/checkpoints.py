"""Checkpoints of a training: where they are written, what they hold, and resuming from one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from napari_pix2pix import __version__
from napari_pix2pix.errors import FileError, InputError, Remedy
from napari_pix2pix.io.header_values import checked_values
from napari_pix2pix.io.model_file import read_container, write_container
from napari_pix2pix.io.model_header import CHECKPOINT_ENDINGS
from napari_pix2pix.io.outputs import check_replaceable_model
from napari_pix2pix.io.paths import as_path, check_ending
from napari_pix2pix.training._unlike_shares import UnlikeShares
from napari_pix2pix.training._warps import warps_fit, warps_note
from napari_pix2pix.training.config import CARD_FIELDS, RUN_FIELDS, TrainConfig
from napari_pix2pix.training.dataset import TrainingData
from napari_pix2pix.training.history import EpochRecord, HeldOutScores, best_record
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.training.state import Counters, TrainingState
from napari_pix2pix.training.stored_weights import check_moments, check_weights

# The key that a checkpoint's header has beside those of a model.
_COUNTERS = "counters"
_COUNTERS_IN_FILE = TypeAdapter(Counters)

# Fields that may differ between a run and its resumption.
_RESUMABLE = RUN_FIELDS | {"default_epochs", "passes", "keep", *CARD_FIELDS}


def checkpoint_paths(
    checkpoint: str | Path | None, resume: bool | str | Path | None
) -> tuple[Path | None, Path | None]:
    """Return the file to write checkpoints to, and the file to resume from."""
    if not isinstance(resume, bool | str | Path | None):
        raise InputError(f"resume must be True, False or the name of a file, got {resume!r:.60}.")
    old = as_path(resume) if isinstance(resume, str | Path) else None
    path = old if checkpoint is None else as_path(checkpoint)
    if path is None:
        if resume:
            raise InputError("resume=True needs checkpoint: say which file to resume from.")
        return None, None
    _check_writable(path)
    check_replaceable_model(path)
    if path.exists() and path != old and not isinstance(resume, bool):
        raise FileError(
            f"The checkpoint {path} of an earlier run exists: resume it, or overwrite it.",
            remedies=(Remedy.RESUME, Remedy.OVERWRITE),
        )
    if resume is True and path.exists():
        old = path
    return path, old


def _check_writable(path: Path) -> None:
    check_ending(path, *CHECKPOINT_ENDINGS, what="a checkpoint")
    if not path.parent.is_dir():
        raise FileError(f"There is no folder {path.parent} for the checkpoint: create it first.")
    if path.is_dir():
        raise FileError(f"The checkpoint {path} is a folder: give the name of a file.")
    if not os.access(path.parent, os.W_OK):
        raise FileError(
            f"There is no permission to write the checkpoint to {path.parent}: choose another "
            "folder."
        )


@dataclass(frozen=True)
class Checkpoint:
    """A model file with all that a run needs to continue."""

    path: Path
    tensors: Mapping[str, torch.Tensor]
    info: ModelInfo
    counters: Counters

    def fill(self, config: TrainConfig) -> TrainConfig:
        """Return a config whose fields that were not given are the run's; refuse others."""
        old = self.info.config
        given = config.model_fields_set
        differ = [
            name
            for name in sorted(given - _RESUMABLE)
            if getattr(config, name) not in (getattr(old, name), "auto")  # a kind is known by now
        ]
        if differ:
            then, now = (
                " and ".join(f"{name}={getattr(values, name)!r}" for name in differ)
                for values in (old, config)
            )
            raise InputError(
                f"The checkpoint {self.path} was made with {then}, got {now}: give the same, leave "
                f"{'it' if len(differ) == 1 else 'them'} out, or start a new run.",
                remedies=(Remedy.OVERWRITE,),
            )
        chosen = RUN_FIELDS | (given & _RESUMABLE)
        return TrainConfig(**old.model_dump() | {name: getattr(config, name) for name in chosen})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; refuse a model without the counters of a run."""
    tensors, header = read_container(path)
    if _COUNTERS not in header:
        raise FileError(f"{path} is a model and not a checkpoint: give the checkpoint's file.")
    counters = _read_counters(header.pop(_COUNTERS), path)
    info = ModelInfo.from_header(header, path)
    check_weights(tensors, info, path)
    check_moments(tensors, path)
    held = {name.partition(".")[0] for name in tensors}
    wanted = {"generator", "averaged"} if info.config.ema else {"generator"}
    if not wanted <= held or counters.step != info.steps:
        raise _damaged(path, "it lacks a part of the run")
    return Checkpoint(path, tensors, info, counters)


def _read_counters(values: Any, path: Path) -> Counters:
    try:
        return _COUNTERS_IN_FILE.validate_python(checked_values(values))
    except (ValueError, TypeError) as error:
        raise _damaged(path, "its counters are no counters") from error


def _damaged(path: Path, reason: str) -> FileError:
    return FileError(
        f"The checkpoint {path} is damaged: {reason}. Use another copy of it, or start a new run.",
        remedies=(Remedy.OVERWRITE,),
    )


def write_checkpoint(
    path: Path,
    data: TrainingData,
    state: TrainingState,
    thumbnail: NDArray[np.uint8] | None = None,
) -> str:
    """Write a run as it stands, and return the file's name."""
    counters = _COUNTERS_IN_FILE.dump_python(state.counters(), mode="json")
    header = describe_model(state, data, thumbnail).to_header() | {_COUNTERS: counters}
    write_container(path, state.tensors(), header)
    return str(path)


def resume_run(state: TrainingState, data: TrainingData, before: Checkpoint) -> TrainingData:
    """Load a checkpoint into a fresh state, if it is of the same run; its notes are the data's."""
    if before.info.fingerprint != data.fingerprint:
        raise InputError(
            f"The checkpoint {before.path} was made on other pairs or another split: give the same "
            "ones, or start a new run.",
            remedies=(Remedy.OVERWRITE,),
        )
    then, now = before.info.config.processes, state.config.processes
    if then != now:
        # Each process has its own batch, so the effective batch size would change.
        raise InputError(
            f"The checkpoint {before.path} was made by {then} processes, got {now}, and the "
            f"effective batch size would change: give devices and num_nodes that make {then}, or "
            "start a new run."
        )
    state.load(before.tensors, before.counters)
    if not warps_fit(data, state.warps or {}):
        raise _damaged(before.path, "its displacements are not those of the training targets")
    return replace(data, notes=before.info.notes)


def describe_model(
    state: TrainingState,
    data: TrainingData,
    thumbnail: NDArray[np.uint8] | None = None,
    unlike: UnlikeShares | None = None,
) -> ModelInfo:
    """Collect all that is true of the model as it is now; `thumbnail` is (h, 3 w, 3)."""
    return ModelInfo(
        config=state.config,
        source_codec=data.source_codec,
        target_codec=data.target_codec,
        conditions=data.conditions,
        baselines=data.baseline,
        has_discriminator=state.discriminator is not None,
        scores=_held_out_scores(state, data),
        history=tuple(EpochRecord(**record) for record in state.history),
        summary=data.summary,
        # A run that is resumed has its first half's notes.
        notes=tuple(dict.fromkeys((*data.notes, *_later_notes(state, unlike)))),
        steps=state.step,
        seconds=state.seconds,
        versions={
            "napari-pix2pix": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
        intensities=data.intensities,
        thumbnail=thumbnail,
        started_from=None if data.start is None else data.start.origin,
        fingerprint=data.fingerprint,
        sampled_blocks=data.sampled,
        channel_names=data.channel_names,
        made_for=data.made_for,
        source_channels=data.opened[0].source.channel_names,
        unlike=unlike,
    )


def _later_notes(state: TrainingState, unlike: UnlikeShares | None) -> Iterator[str]:
    """Yield notes on what is known only during or after the training."""
    if state.warps:
        yield warps_note(state.warps)
    if unlike is not None:
        yield unlike.note


def _held_out_scores(state: TrainingState, data: TrainingData) -> HeldOutScores | None:
    """Return the scores of the weights that are applied, beside the baseline's."""
    validated = [EpochRecord(**record) for record in state.history if "validation" in record]
    if not validated or data.validation is None:
        return None
    record = best_record(validated) if state.config.keep == "best" else validated[-1]
    return HeldOutScores(record.validation or {}, data.validation.baseline)
