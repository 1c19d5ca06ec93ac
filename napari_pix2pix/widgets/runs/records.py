"""Kept runs: for each training a model (or its last checkpoint) and a record, in one folder.

A run is kept until the user deletes it: none is removed by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

from napari_pix2pix.errors import FileError, Pix2PixError, own_errors, plural
from napari_pix2pix.io.processes import ProcessRecord
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.training.config import AppliedWeights
from napari_pix2pix.training.model_info import ModelInfo, read_model_info
from napari_pix2pix.widgets.runs.file_choice import FileChoice

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

RunState = Literal["running", "closed", "ended"]

_MOST_READ = 500  # records and descriptions of models that are remembered


class LayerNames(BaseModel, frozen=True):
    """The names of a pair's layers, by which an interrupted run finds them again."""

    sources: list[str]
    targets: list[str]
    mask: str | None = None
    condition: str | None = None
    held_out: bool = False

    @property
    def title(self) -> str:
        """Source and target in words, such as ``stain → nuclei``."""
        return " → ".join(" + ".join(side) for side in (self.sources, self.targets) if side)


class RunRecord(BaseModel, frozen=True):
    """What is told of a run besides its model, in a JSON file beside that."""

    rows: list[LayerNames]  # the layers of each pair; empty for files
    files: FileChoice | None = None
    has_source: bool = True  # neither left out nor made of targets
    fields: dict[str, Any]  # fields of `TrainConfig`
    began: str  # date and time
    state: RunState  # ``closed`` if the run was interrupted by closing napari
    process: ProcessRecord  # which trains
    name: str = ""  # given by the user, or after the layers or files
    note: str = ""  # of the user
    weights: AppliedWeights | None = None  # chosen after the run; None for those that it names
    saved: Path | None = None  # where the user saved the model
    facts: str = ""  # steps and scores of the model, so that lists need not read it


@dataclass(frozen=True)
class KeptRun:
    """The files of a run: its record, and its model or, until it has ended, its checkpoint."""

    path: Path  # of the model or the checkpoint
    record: RunRecord

    @classmethod
    def new(
        cls,
        folder: Path,
        *,
        name: str,
        rows: list[LayerNames],
        fields: Mapping[str, Any],
        files: FileChoice | None = None,
        has_source: bool = True,
    ) -> KeptRun:
        """Return the run that begins now in this process; nothing is written yet."""
        now = datetime.now()
        record = RunRecord(
            rows=rows,
            files=files,
            has_source=has_source,
            fields=dict(fields),
            began=now.isoformat(timespec="minutes", sep=" "),
            state="running",
            process=ProcessRecord.here(),
            name=name,
        )
        return cls(folder / f"{now:%Y-%m-%d_%H%M%S_%f}.safetensors", record)

    def write(self, translator: Translator) -> None:
        """Write a finished model over the last checkpoint; raises `FileError` if that fails."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            folder = self.path.parent
            raise FileError(f"Can't make the folder {folder} ({error.strerror}).") from error
        translator.save(self.path)

    def begun(self) -> KeptRun:
        """Record that this process trains it; raises `FileError` where that can't be written."""
        return self.changed(state="running", process=ProcessRecord.here())

    def mark(self, state: RunState) -> KeptRun:
        """Record the state; without a model or checkpoint, remove the record."""
        if self.path.exists():
            return self.changed(state=state, facts=_facts(self))
        self.discard()
        return self

    def with_weights(self, weights: AppliedWeights) -> KeptRun:
        """Record which weights are applied from now on; `InputError` where it lacks them."""
        self.info().with_weights(weights)
        chosen = KeptRun(self.path, self.record.model_copy(update={"weights": weights}))
        return self.changed(weights=weights, facts=_facts(chosen))

    def changed(self, **changes: Any) -> KeptRun:
        """Write other values of the record: what others changed meanwhile stays."""
        record = _read(self._record_path) or self.record
        return KeptRun(self.path, record.model_copy(update=changes))._written()

    def discard(self) -> None:
        """Delete model or checkpoint, and record."""
        self.path.unlink(missing_ok=True)
        self._record_path.unlink(missing_ok=True)

    def info(self) -> ModelInfo:
        """Return what is true of its model, with the weights that were chosen.

        Raises
        ------
        FileError
            When the file is damaged.
        """
        try:
            stat = self.path.stat()
        except OSError as error:
            raise FileError(f"There is no file {self.path} any more.") from error
        info = _read_info(self.path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
        chosen = self.record.weights
        return info.with_weights(chosen) if chosen in info.weights else info

    @property
    def name(self) -> str:
        """The name that the user sees."""
        return self.record.name or self.title

    @property
    def title(self) -> str:
        """The names of the layers or folders, such as ``stain → nuclei``."""
        if self.record.files is not None:
            return self.record.files.name
        return "; ".join(row.title for row in self.record.rows)

    @property
    def needs(self) -> str:
        """What must be there for the run to be resumed, in words."""
        return "the same layers are open" if self.record.files is None else "its files are there"

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def is_alive(self) -> bool:
        """Whether a process still trains it."""
        return self.record.state == "running" and not self.record.process.is_gone

    @property
    def is_interrupted(self) -> bool:
        """Whether the run did not end, and no process works on it any more."""
        return self.record.state != "ended" and not self.is_alive

    @property
    def _record_path(self) -> Path:
        return self.path.with_suffix(".json")

    def _written(self) -> KeptRun:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = self.path.with_suffix(".new")
            new.write_text(self.record.model_dump_json(indent=2), encoding="utf-8")
            os.replace(new, self._record_path)
        except OSError as error:
            raise FileError(
                f"Can't write the autosave to {self.path.parent} ({error.strerror}): choose "
                "another folder in the preferences, or turn autosave off."
            ) from error
        return self


def kept_runs(folder: Path) -> list[KeptRun]:
    """Return all runs that have a model or a checkpoint and are not going on, the latest first."""
    runs = []
    for path in sorted(folder.glob("*.json"), reverse=True):
        record = _read(path)
        run = None if record is None else KeptRun(path.with_suffix(".safetensors"), record)
        if run is not None and run.path.exists() and not run.is_alive:
            runs.append(run)
    return runs


def interrupted_runs(folder: Path) -> list[KeptRun]:
    """Return the interrupted runs that can be resumed, the latest first."""
    return [run for run in kept_runs(folder) if run.is_interrupted]


def find_run(path: Path) -> KeptRun | None:
    """Return the run whose model lies at a path; None where there is none."""
    record = _read(path.with_suffix(".json"))
    return KeptRun(path, record) if record is not None and path.exists() else None


def describe_run(run: KeptRun) -> str:
    """Say when a run began, its steps and its score beside the baseline's."""
    end = ["interrupted"] if run.is_interrupted else []
    return ", ".join([run.record.began, run.record.facts or _facts(run), *end])


def _facts(run: KeptRun) -> str:
    """Say how many steps a run has done, and its score beside the baseline's."""
    try:
        with own_errors():
            info = run.info()
    except Pix2PixError:
        return "can't be read"
    facts = plural(info.steps, "step")
    if info.scores is None:
        return facts
    name, score = primary_metric(info.scores.prediction)
    return f"{facts}, {name} {score:.3f} (baseline {primary_metric(info.scores.baseline)[1]:.3f})"


def _read(path: Path) -> RunRecord | None:
    """Read a record; None where it is missing or damaged."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return _read_record(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)


@lru_cache(_MOST_READ)
def _read_record(path: Path, *_state: int) -> RunRecord | None:
    # The file's state belongs to the key: one that is written anew is read anew.
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


@lru_cache(_MOST_READ)
def _read_info(path: Path, *_state: int) -> ModelInfo:
    return read_model_info(path)
