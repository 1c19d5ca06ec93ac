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

from pydantic import BaseModel, ValidationError

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import FileError, StoppedError
from napari_pix2pix.io.processes import ProcessRecord
from napari_pix2pix.napari_layers import copied_pair
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control, Done, Event, Region
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.runner import Work
from napari_pix2pix.widgets.common.settings import read_settings, remember_pace
from napari_pix2pix.widgets.train._pair_rows import LayerNames, PairChoice

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

_KEPT = 3  # checkpoints of runs that ended

AutosaveState = Literal["running", "closed", "ended"]


def training_work(
    pairs: Sequence[Pair],
    config: TrainConfig,
    *,
    checkpoint: Path | None,
    resume: bool | None = None,
    start: Translator | Path | None = None,
    preview: Region | None = None,
) -> Work:
    """Return the work of a training; its result is None if stopped while pairs were being read."""

    def work(control: Control) -> Generator[Event, None, Translator | None]:
        # Imports torch, which the GUI thread must not wait for.
        from napari_pix2pix._train import training_events

        try:
            events = training_events(
                [copied_pair(pair) for pair in pairs],
                config,
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

    rows: list[LayerNames]  # the layers of each pair
    fields: dict[str, Any]  # fields of `TrainConfig`
    began: str  # date and time
    state: AutosaveState  # ``closed`` if the run was interrupted by closing the dock
    process: ProcessRecord  # which trains


@dataclass(frozen=True)
class Autosave:
    """The checkpoint that a run writes, and its record."""

    path: Path
    record: RunRecord

    @classmethod
    def begin(cls, folder: Path, *, rows: list[LayerNames], fields: Mapping[str, Any]) -> Autosave:
        """Write the record of a new run; raises `FileError` if the folder can't be written."""
        now = datetime.now()
        record = RunRecord(
            rows=rows,
            fields=dict(fields),
            began=now.isoformat(timespec="minutes", sep=" "),
            state="running",
            process=ProcessRecord.here(),
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
        """The names of the layers, such as ``stain → nuclei``."""
        return "; ".join(
            f"{' + '.join(row.sources)} → {' + '.join(row.targets)}" for row in self.record.rows
        )

    @property
    def is_interrupted(self) -> bool:
        """Whether the run did not end, and no process works on it any more."""
        if self.record.state != "running":
            return self.record.state == "closed"
        return self.record.process.is_gone

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
        cls, choices: Sequence[PairChoice], fields: Mapping[str, Any], autosave: Autosave | None
    ) -> TrainRun:
        """Begin a run, or resume that of an autosave; raises `ConfigError` or `FileError`."""
        names = choices[0].names()
        config = TrainConfig(**fields)
        settings = read_settings()
        if autosave is None and settings.autosave:
            rows = [choice.names() for choice in choices]
            autosave = Autosave.begin(settings.autosave_folder, rows=rows, fields=fields)
        name = f"{' + '.join(names.sources)} → {' + '.join(names.targets)}"
        return cls(config, name, autosave)

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
