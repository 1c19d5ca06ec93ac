"""The work of a training, as a `Runner` does it in its thread.

What a Train dock knows of the run that is going on.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import FileError, StoppedError
from napari_pix2pix.napari_layers import copied_pair, snapshot
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.control import Control
from napari_pix2pix.training.events import Done, Event, Region
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.runner import Work
from napari_pix2pix.widgets.common.settings import read_settings, remember_pace
from napari_pix2pix.widgets.train._autosave import Autosave
from napari_pix2pix.widgets.train._pair_rows import PairChoice

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


def training_work(
    pairs: Sequence[Pair],
    config: TrainConfig,
    *,
    checkpoint: Path | None,
    resume: bool | None = None,
    start: Any = None,
    preview: Region | None = None,
) -> Work:
    """Return what trains on pairs; parameters are those of `fitting.training_events`.

    The result is a `Translator`, or None where it was stopped while the pairs were being read.

    Parameters
    ----------
    start : Translator or path-like, optional
        The model to begin with; a new one when not given.
    """

    def work(control: Control) -> Generator[Event, None, Translator | None]:
        # torch comes with it: only a thread may wait for that.
        from napari_pix2pix._train import training_events

        given = {} if start is None else {"start": start}
        try:
            events = training_events(
                [copied_pair(pair) for pair in pairs],
                config,
                checkpoint=checkpoint,
                resume=resume,
                control=control,
                preview=preview,
                preview_first=True,
                **given,
            )
            # Until the dock has shown what there is by now: a new layer takes the viewer a fifth of
            # a second, and twice that beside a training.
            control.pause()
            return (yield from events)
        except StoppedError:
            return None
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold the tensors
            raise

    return work


def release_memory() -> None:
    """Give back the memory of a run that has ended, also what PyTorch keeps of a device's.

    Call it in the GUI thread: see `garbage`.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass(eq=False)
class TrainRun:
    """One run.

    Attributes
    ----------
    config : TrainConfig
    name : str
        What its model will be called.
    look : mapping of str to object
        How the targets are shown.
    autosave : Autosave or None
    done : Done or None
        What is told at its end.
    """

    config: TrainConfig
    name: str
    look: Mapping[str, Any] = field(repr=False)
    autosave: Autosave | None
    done: Done | None = None

    @classmethod
    def of(
        cls,
        choices: Sequence[PairChoice],
        fields: Mapping[str, Any],
        autosave: Autosave | None,
    ) -> TrainRun:
        """Begin a run, or go on with the one of an autosave.

        Raises
        ------
        ConfigError
            When the fields don't go together.
        FileError
            When the autosave can't be written.
        """
        source, target = choices[0].sources[0], choices[0].targets[0]
        config = TrainConfig(**fields)
        settings = read_settings()
        if autosave is None and settings.autosave:
            rows = [choice.names() for choice in choices]
            autosave = Autosave.begin(settings.autosave_folder, rows=rows, fields=fields)
        look = snapshot(target, copy=False).look
        return cls(config, f"{source.name} → {target.name}", look, autosave)

    def mark(self, state: str) -> str:
        """Write down how it ended, as `Autosave.mark` does; return why that failed, if it did."""
        try:
            if self.autosave is not None:
                self.autosave.mark(state)
        except FileError as error:
            return str(error)
        return ""

    def give_up(self) -> None:
        """Leave nothing of a run without a step; one that was to go on can do so later."""
        if self.done is None:
            self.mark("closed")  # which keeps what an earlier run has written
        elif self.autosave is not None:
            self.autosave.discard()

    def remember(self, translator: Translator) -> None:
        """Let all docks know its model, and how long its steps took."""
        assert self.done is not None
        models().remember(translator, self.name, look=self.look)
        remember_pace(translator.config, self.done.seconds / self.done.step)
