"""What a Train dock knows of the run that is going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_pix2pix.errors import FileError
from napari_pix2pix.layers import snapshot
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Done
from napari_pix2pix.widgets.autosave import Autosave
from napari_pix2pix.widgets.models import models
from napari_pix2pix.widgets.pace import remember_pace
from napari_pix2pix.widgets.pair_rows import PairChoice
from napari_pix2pix.widgets.settings import read_settings

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


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
