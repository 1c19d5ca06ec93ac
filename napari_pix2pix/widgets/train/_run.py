"""A run of the Train dock: its work in a thread, and its autosave."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil
from pydantic import BaseModel, ValidationError

from napari_pix2pix.data.pair import Pair, stop_when
from napari_pix2pix.errors import FileError, StoppedError
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control, Done, Event, Region
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.runner import Work
from napari_pix2pix.widgets.common.settings import read_settings, remember_pace
from napari_pix2pix.widgets.train._data_source import ChosenPairs
from napari_pix2pix.widgets.train._file_choice import FileChoice, OpenSets, TrainingSets
from napari_pix2pix.widgets.train._pair_rows import LayerNames

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

_KEPT = 3  # checkpoints of runs that ended

AutosaveState = Literal["running", "closed", "ended"]


def training_work(
    pairs: Sequence[Pair] | OpenSets,
    config: TrainConfig,
    *,
    checkpoint: Path | None,
    resume: bool | None = None,
    start: Translator | Path | None = None,
    preview: Region | None = None,
) -> Work:
    """Return the work of a training; its result is None if stopped while pairs were being read.

    ``pairs`` may be what opens them, such as files.
    """

    def work(control: Control) -> Generator[Event, None, Translator | None]:
        # Imports torch, which the GUI thread must not wait for.
        from napari_pix2pix._train import training_events

        try:
            with stop_when(lambda: control.stopped):
                sets = (pairs() if callable(pairs) else TrainingSets(pairs)).copied()
            events = training_events(
                sets.train,
                config,
                held_out=sets.held_out or None,
                checkpoint=checkpoint,
                resume=resume,
                start=start,
                control=control,
                preview=preview,
                preview_first=True,
            )
            # The dock resumes once it has shown the preview: a new layer takes the viewer a fifth
            # of a second, and twice that while the network trains.
            control.pause()
            return (yield from events)
        except StoppedError:
            return None
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold the tensors
            raise

    return work


def release_memory() -> None:
    """Free a run's memory, including PyTorch's cache on the GPU; only in the GUI thread."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


class RunRecord(BaseModel):
    """What is needed to resume a run, in a JSON file beside its checkpoint."""

    rows: list[LayerNames]  # the layers of each pair; empty for files
    files: FileChoice | None = None
    fields: dict[str, Any]  # fields of `TrainConfig`
    began: str  # date and time
    state: AutosaveState  # ``closed`` if the run was interrupted by closing the dock
    has_source: bool = True
    pid: int  # the process that trains
    process_began: float


@dataclass(frozen=True)
class Autosave:
    """The checkpoint that a run writes, and its record."""

    path: Path
    record: RunRecord

    @classmethod
    def begin(
        cls,
        folder: Path,
        *,
        rows: list[LayerNames],
        fields: Mapping[str, Any],
        files: FileChoice | None = None,
        has_source: bool = True,
    ) -> Autosave:
        """Write the record of a new run; raises `FileError` if the folder can't be written."""
        now = datetime.now()
        process = psutil.Process()
        record = RunRecord(
            rows=rows,
            files=files,
            has_source=has_source,
            fields=dict(fields),
            began=now.isoformat(timespec="minutes", sep=" "),
            state="running",
            pid=process.pid,
            process_began=process.create_time(),
        )
        autosave = cls(folder / f"{now:%Y-%m-%d_%H%M%S_%f}.safetensors", record)
        autosave._write("running")
        return autosave

    def mark(self, state: AutosaveState) -> None:
        """Record the state; without a checkpoint, remove the record."""
        if self.path.exists():
            self._write(state)
        else:
            self.discard()
        if state == "ended":
            ended = [run for run in _read_all(self.path.parent) if run.record.state == "ended"]
            for old in ended[:-_KEPT]:
                old.discard()

    def discard(self) -> None:
        """Remove checkpoint and record."""
        self.path.unlink(missing_ok=True)
        self._record_path.unlink(missing_ok=True)

    @property
    def title(self) -> str:
        """The names of the layers or folders, such as ``stain → nuclei``."""
        if self.record.files is not None:
            return self.record.files.name
        return "; ".join(
            " → ".join(" + ".join(side) for side in (row.sources, row.targets) if side)
            for row in self.record.rows
        )

    @property
    def is_interrupted(self) -> bool:
        """Whether the run did not end, and no process works on it any more."""
        if self.record.state != "running":
            return self.record.state == "closed"
        try:
            process = psutil.Process(self.record.pid)
            # Another process may have got the same number since.
            return abs(process.create_time() - self.record.process_began) > 1
        except psutil.Error:
            return True

    @property
    def _record_path(self) -> Path:
        return self.path.with_suffix(".json")

    def _write(self, state: AutosaveState) -> None:
        self.record.state = state
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


def interrupted_runs(folder: Path) -> list[Autosave]:
    """Return the interrupted runs that can be resumed, the latest first."""
    return [run for run in reversed(_read_all(folder)) if run.is_interrupted and run.path.exists()]


def _read_all(folder: Path) -> list[Autosave]:
    runs = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
            runs.append(Autosave(path.with_suffix(".safetensors"), record))
        except (OSError, ValidationError):
            continue  # a record that can't be read can't be resumed
    return runs


@dataclass(eq=False)
class TrainRun:
    """One run."""

    config: TrainConfig
    name: str  # name of its model
    autosave: Autosave | None
    done: Done | None = None  # the run's last event

    @classmethod
    def of(
        cls, chosen: ChosenPairs, fields: Mapping[str, Any], autosave: Autosave | None
    ) -> TrainRun:
        """Begin a run, or resume that of an autosave; raises `ConfigError` or `FileError`."""
        config = TrainConfig(**fields)
        settings = read_settings()
        if autosave is None and settings.autosave:
            autosave = Autosave.begin(
                settings.autosave_folder,
                rows=chosen.layer_names,
                fields=fields,
                files=chosen.files,
                has_source=chosen.has_source,
            )
        return cls(config, chosen.name, autosave)

    def mark(self, state: AutosaveState) -> str:
        """Record the state of the autosave; return why that failed, or an empty string."""
        try:
            if self.autosave is not None:
                self.autosave.mark(state)
        except FileError as error:
            return str(error)
        return ""

    def give_up(self) -> None:
        """Keep nothing of a run without a step, but what an interrupted run wrote before it."""
        if self.done is None:
            self.mark("closed")
        elif self.autosave is not None:
            self.autosave.discard()

    def remember(self, translator: Translator) -> None:
        """Tell all docks about its model, and remember how long its steps took."""
        assert self.done is not None
        models().remember(translator, self.name)
        remember_pace(translator.config, self.done.seconds / self.done.step)
