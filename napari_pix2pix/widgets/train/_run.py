"""A run of the Train dock: its work in a thread, and the files that are kept of it."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pix2pix.data.pair import stop_when
from napari_pix2pix.errors import FileError, Pix2PixError, StoppedError
from napari_pix2pix.napari_layers import gc_guard
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control, Done, Event, Health, PreviewWish
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.runner import Work, errors_in_words
from napari_pix2pix.widgets.common.settings import read_settings, remember_pace
from napari_pix2pix.widgets.runs.records import KeptRun, RunState
from napari_pix2pix.widgets.train._data_source import ChosenPairs
from napari_pix2pix.widgets.train._file_choice import OpenSets

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


@dataclass(eq=False)
class TrainRun:
    """One run."""

    config: TrainConfig
    name: str  # name of its model
    kept: KeptRun  # its files; none is there before the first checkpoint or the end
    has_checkpoints: bool  # whether it can be resumed
    done: Done | None = None  # the run's last event
    # Set where napari closes: what a resumption needs is then kept instead of the model so far.
    closes: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(
        cls, chosen: ChosenPairs, fields: Mapping[str, Any], resumed: KeptRun | None
    ) -> TrainRun:
        """Begin a run, or resume another; raises `ConfigError` or `FileError`."""
        config = TrainConfig(**fields)
        settings = read_settings()
        kept = resumed
        if kept is None:
            kept = KeptRun.new(
                settings.autosave_folder,
                name=chosen.name,
                rows=chosen.layer_names,
                fields=fields,
                files=chosen.files,
                has_source=chosen.has_source,
            )
        has_checkpoints = settings.autosave or resumed is not None
        if has_checkpoints:
            kept = kept.begun()
        return cls(config, kept.name, kept, has_checkpoints)

    @property
    def checkpoint(self) -> Path | None:
        """Where checkpoints are written, or None."""
        return self.kept.path if self.has_checkpoints else None

    def mark(self, state: RunState) -> str:
        """Record the state; return why that failed, or an empty string."""
        try:
            self.kept = self.kept.mark(state)
        except FileError as error:
            return str(error)
        return ""

    def give_up(self) -> None:
        """Keep nothing of a run without a step, but what an interrupted run wrote before it."""
        if self.done is None:
            self.mark("closed")
        else:
            self.kept.discard()

    def remember(self, translator: Translator) -> ModelEntry:
        """Tell all docks about its model, and remember how long its steps took."""
        assert self.done is not None
        remember_pace(translator.config, self.done.seconds / self.done.step)
        run = self.kept.path if self.kept.path.exists() else None
        return models().remember(translator, self.kept.name, run=run)


def training_work(
    open_sets: OpenSets,
    run: TrainRun,
    *,
    resume: bool | None = None,
    start: Translator | Path | None = None,
    preview: PreviewWish | None = None,
) -> Work:
    """Return the work of a training; its result is None if stopped while pairs were being read."""
    config, checkpoint, closes = run.config, run.checkpoint, run.closes

    def work(control: Control) -> Generator[Event, None, Translator | None]:
        # Imports torch, which the GUI thread must not wait for.
        from napari_pix2pix._train import training_events

        # Before the run makes its own objects, which are collected at its end.
        gc_guard.freeze()
        try:
            with stop_when(lambda: control.stopped):
                sets = open_sets().copied()
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
            translator = yield from _until_closed(events, closes if checkpoint else None)
        except StoppedError:
            return None
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold the tensors
            raise
        if translator is not None and translator.info.steps:
            for sentence in sets.changes():
                yield Health(translator.info.steps, sentence)
            problem = _keep(run, translator)
            if problem:
                yield Health(translator.info.steps, problem)
        return translator

    return work


def _keep(run: TrainRun, translator: Translator) -> str:
    """Write the model of a run that has ended; return why that failed, or an empty string."""
    problem = ""
    try:
        with errors_in_words():
            run.kept.write(translator)
    except Pix2PixError as error:  # whatever it was, the model is not lost
        problem = f"{error} The model is in memory alone: save it before you close napari."
    return " ".join(filter(None, [problem, run.mark("ended")]))


def _until_closed(
    events: Generator[Event, None, Translator], closes: threading.Event | None
) -> Generator[Event, None, Translator | None]:
    """Pass events on; where napari closes, the last checkpoint is enough, and nothing is made."""
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            translator: Translator = stop.value
            return translator
        yield event
        if isinstance(event, Done) and closes is not None and closes.is_set():
            events.close()
            return None


def empty_gpu_cache() -> None:
    """Give the memory of a run back, which PyTorch keeps on a GPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
