"""Checkpoints of a training: where they lie, what they hold, and going on from one."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_pix2pix import __version__
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.model_file import read_container, write_container
from napari_pix2pix.metrics.names import headline
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import TrainingData
from napari_pix2pix.training.state import TrainingState

# Fields that may differ between a run and its continuation.
_RESUMABLE = {
    "epochs",
    "steps",
    "max_seconds",
    "default_epochs",
    "device",
    "devices",
    "num_nodes",
    "strategy",
    "precision",
    "compile",
    "checkpoint_seconds",
    "keep",
}


def checkpoint_paths(
    checkpoint: str | Path | None, resume: bool | str | Path | None
) -> tuple[Path | None, Path | None]:
    """Return the file to write checkpoints to and the one to go on from."""
    old = Path(resume) if isinstance(resume, str | Path) else None
    path = old if checkpoint is None else Path(checkpoint)
    if path is None:
        if resume:
            raise InputError("resume=True needs checkpoint: say which file to go on from.")
        return None, None
    _check_writable(path)
    if path.exists() and path != old and not isinstance(resume, bool):
        raise FileError(
            f"The checkpoint {path} of an earlier run exists: resume it, or say that it may be "
            "written over (resume=False, --overwrite)."
        )
    if resume is True and path.exists():
        old = path
    return path, old


def _check_writable(path: Path) -> None:
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
    """What a checkpoint holds."""

    path: Path
    tensors: Mapping[str, torch.Tensor]
    header: Mapping[str, Any]
    config: TrainConfig


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; a model without a run's counters is refused."""
    tensors, header = read_container(path)
    if "counters" not in header:
        raise FileError(f"{path} is a model and not a checkpoint: give the checkpoint's file.")
    return Checkpoint(path, tensors, header, TrainConfig(**header["config"]))


def go_on(state: TrainingState, data: TrainingData, before: Checkpoint) -> None:
    """Load a checkpoint into a fresh state, if it is one of the same run."""
    if before.header["fingerprint"] != data.fingerprint:
        raise InputError(
            f"The checkpoint {before.path} was made on other pairs or another split: give the same "
            "ones, or begin anew."
        )
    then, now = before.config.processes, state.config.processes
    if then != now:
        raise InputError(
            f"The checkpoint {before.path} was made by {then} processes with a batch each, got "
            f"{now}: a step would be another. Give devices and num_nodes that make {then}, or "
            "begin anew."
        )
    old = before.config.model_dump(exclude=_RESUMABLE)
    for name, value in state.config.model_dump(exclude=_RESUMABLE).items():
        if old[name] != value:
            raise InputError(
                f"The checkpoint {before.path} was made with {name}={old[name]!r}, got {value!r}: "
                "give the same, or begin anew."
            )
    state.load(before.tensors, before.header["counters"])


def write_checkpoint(path: Path, data: TrainingData, state: TrainingState) -> str:
    """Write a run as it stands, and return the file's name."""
    header = model_header(state, data) | {"counters": state.counters()}
    write_container(path, state.tensors(), header)
    return str(path)


def model_header(state: TrainingState, data: TrainingData) -> dict[str, Any]:
    """All of a model that is not a tensor."""
    return {
        "config": state.config.model_dump(mode="json"),
        "source_codec": data.source_codec.to_dict(),
        "target_codec": data.target_codec.to_dict(),
        "conditions": list(data.conditions),
        "trivial_map": data.trivial.to_dict(),
        "scores": _scores(state, data),
        "history": state.history,
        "summary": data.summary,
        "notes": list(data.notes),
        "step": state.step,
        "seconds": state.seconds,
        "intensities": {
            side: known.to_dict()
            for side, known in zip(("source", "target"), data.intensities, strict=True)
        },
        "sampled_blocks": list(data.sampled),
        "fingerprint": data.fingerprint,
        "started_from": None if data.start is None else dict(data.start.origin),
        "versions": {
            "napari-pix2pix": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }


def _scores(state: TrainingState, data: TrainingData) -> dict[str, dict[str, float]]:
    """Scores of the weights that are applied, beside the trivial map's."""
    validated = [record["validation"] for record in state.history if "validation" in record]
    if not validated or data.validation is None:
        return {}
    prediction = validated[-1]
    if state.config.keep == "best":
        # As TrainingState.keep_best has it: NaN, of a constant prediction, is never the best.
        known = [scores for scores in validated if not math.isnan(headline(scores)[1])]
        prediction = max(known or validated[-1:], key=lambda scores: headline(scores)[1])
    return {"prediction": prediction, "trivial": data.validation.trivial}
