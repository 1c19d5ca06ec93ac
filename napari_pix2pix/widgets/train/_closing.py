"""What happens to trainings, and to models that nobody saved, when a window closes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from napari_pix2pix.errors import plural
from napari_pix2pix.widgets.common.closing import WindowGuard, ask_what_to_keep
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.settings import in_bytes
from napari_pix2pix.widgets.runs.records import KeptRun, find_run

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtWidgets import QWidget

_MOST_NAMES = 5


class Training(Protocol):
    """A Train dock's session, as far as the window's end is concerned."""

    @property
    def in_progress(self) -> str:
        """Name and steps of the run that goes on; empty without one."""

    @property
    def kept(self) -> KeptRun | None:
        """What is kept of the run that goes on."""

    def close_work(self, *, discards: bool = False) -> None:
        """End the run."""


class TrainingsInWindow:
    """Asks what becomes of trainings and of unsaved models when their window closes.

    It stays with the window, so that it asks also where the Train dock was closed before.
    """

    def __init__(self, window: QWidget) -> None:
        self._window = window
        self._trainings: list[Training] = []
        self._trained: list[ModelEntry] = []  # in this window
        self._discards: list[KeptRun] | None = None  # None: all is kept

    @classmethod
    def of(cls, window: QWidget, viewer: napari.viewer.Viewer) -> TrainingsInWindow:
        """Return that of a window."""
        guard = WindowGuard.of(window, viewer)
        found: TrainingsInWindow | None = guard.find(cls)
        if found is None:
            found = cls(window)
            guard.add(found)
        return found

    def add(self, training: Training) -> None:
        """Care for a dock's training, too."""
        if training not in self._trainings:
            self._trainings.append(training)

    def remove(self, training: Training) -> None:
        """Care for it no more; the models that it has made stay."""
        if training in self._trainings:
            self._trainings.remove(training)

    def add_model(self, model: ModelEntry) -> None:
        """Care for a model that was trained."""
        # A file holds it: nothing of it need stay in memory.
        self._trained.append(replace(model, translator=None) if model.run else model)

    def may_close(self) -> bool | None:
        """Ask whether to keep or to discard what would otherwise be forgotten."""
        running = [training for training in self._trainings if training.in_progress]
        unsaved = [model for model in self._trained if _is_unsaved(model)]
        self._discards = None
        if not running and not unsaved:
            return None
        answer = ask_what_to_keep(self._window, _question(running, unsaved))
        if answer == "discard":
            runs = [None if model.run is None else find_run(model.run) for model in unsaved]
            self._discards = [run for run in runs if run is not None]
        return answer != "cancel"

    def close_work(self) -> None:
        """End all trainings, and delete what the user wants to discard."""
        discards, self._discards = self._discards, None
        for run in discards or ():
            models().delete(run)
        for training in tuple(self._trainings):
            training.close_work(discards=discards is not None)


def _is_unsaved(model: ModelEntry) -> bool:
    """Whether a model was neither saved nor deleted since it was trained."""
    if model.run is not None:
        run = find_run(model.run)
        return run is not None and run.record.saved is None
    known = next((entry for entry in models().known() if entry.is_same(model)), model)
    return known.path is None


def _question(running: list[Training], unsaved: list[ModelEntry]) -> str:
    facts = [f"{training.in_progress}." for training in running]
    if unsaved:
        verb = "is" if len(unsaved) == 1 else "are"
        facts.append(
            f"{plural(len(unsaved), 'trained model')} {verb} not saved: {_named(unsaved)}."
        )
    runs = [find_run(model.run) for model in unsaved if model.run is not None]
    kept = [run for run in (*runs, *(training.kept for training in running)) if run is not None]
    size = sum(run.size for run in kept)
    on_disk = f" That takes {in_bytes(size)} on the disk." if size else ""
    resumed = " A training that was stopped can be resumed." if running else ""
    in_memory = [model for model in unsaved if model.run is None]
    lost = (
        f"\n\n{_named(in_memory)} could not be written to the folder of runs: press Cancel, and "
        "save it, or it is lost."
        if in_memory
        else ""
    )
    return (
        f"{' '.join(facts)}\n\n"
        "Keep: what was learned stays under Runs, in the Train and the Apply dock, until you save "
        f"or delete it.{on_disk}{resumed}\n"
        "Discard: it is deleted.\n"
        f"Cancel: napari stays open, and nothing changes.{lost}"
    )


def _named(unsaved: list[ModelEntry]) -> str:
    names = [model.name for model in unsaved[:_MOST_NAMES]]
    more = len(unsaved) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
