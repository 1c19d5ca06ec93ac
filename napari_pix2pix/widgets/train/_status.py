"""What the Train dock shows of a run: its state and progress, and at the end its model."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QMovie
from qtpy.QtWidgets import QLabel, QProgressBar, QWidget

from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers.keep_responsive import Activity
from napari_pix2pix.training.config import AppliedWeights
from napari_pix2pix.training.events import Step
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common.elements import (
    Sentence,
    WeightsChoice,
    follow_font,
    lay_out_column,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.plots import ScoreTable
from napari_pix2pix.widgets.common.saving import ModelSaver, Written, remember_saved
from napari_pix2pix.widgets.common.settings import in_bytes, in_time_units
from napari_pix2pix.widgets.runs.records import find_run

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.translator import Translator

_PARTS = 1000  # of the bars
_PERIOD = 1000  # milliseconds between two updates
_MOST_SCORES = 6


class State(StrEnum):
    """What a Train dock is doing."""

    IDLE = "idle"
    PREPARING = "preparing"
    TRAINING = "training"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_busy(self) -> bool:
        """Whether a run is in progress."""
        return self in (State.PREPARING, State.TRAINING, State.PAUSED)


class RunStatus(QWidget):
    """State, progress bars and buttons of a run, always in view below the scroll area.

    Whatever is drawn, Qt composes the whole window, canvas included. Without a graphics card this
    slows the training down, so all that changes with the steps is drawn together, once a second.
    """

    train_clicked = Signal()
    pause_clicked = Signal()
    stop_clicked = Signal()
    shown = Signal()  # the progress is about to be drawn: drawing something else now costs least

    def __init__(self) -> None:
        super().__init__()
        self.state = State.IDLE
        self._activity = Activity()
        self._ready = False
        self._stopping = False
        self._step: Step | None = None  # the last
        self._epochs: int | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_PERIOD)
        self.message = Sentence()
        self.error = Sentence(is_error=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, _PARTS)
        self.train = push_button("Train", "Start training; you can go on using the viewer.")
        self.pause = push_button("Pause", "Pause or resume the training.")
        self.stop = push_button("Stop", "Stop the training and keep the model as it is now.")
        self._lay_out()
        self.train.clicked.connect(self.train_clicked)
        self.pause.clicked.connect(self.pause_clicked)
        self.stop.clicked.connect(self.stop_clicked)
        self._later.timeout.connect(self._show)
        self.enter(State.IDLE)

    def set_ready(self, ready: bool, reason: str = "") -> None:
        """Enable Train, or show in its tooltip why the choices can't be trained on."""
        self._ready = ready
        self.train.setToolTip(reason or "Start training; you can go on using the viewer.")
        self._update()

    def enter(self, state: State, details: str = "") -> None:
        """Enter a state; ``details`` are shown beside it, or the error of a failure."""
        self.state = state
        self._stopping = self._stopping and state in (State.TRAINING, State.PAUSED)
        failed = state is State.FAILED
        self.error.set_text(details if failed else "")
        if not self._stopping:
            shown = f": {details}" if details and not failed else ""
            self.message.set_text(f"{state.capitalize()}{shown}")
        self.bar.setVisible(state not in (State.IDLE, State.FAILED))
        if state is State.PREPARING:
            self.bar.setRange(0, 0)
            self.bar.setFormat("")
            self._activity.begin("Preparing to train")
            self._hold_spinners(True)
        elif not state.is_busy:
            self._later.stop()
            self.bar.setRange(0, _PARTS)
            self.bar.setFormat("%p%" if state in (State.DONE, State.STOPPED) else "")
            self.close_activity()
            if state is not State.STOPPED:
                self.bar.setValue(_PARTS if state is State.DONE else 0)
        self._update()

    def show_stopping(self) -> None:
        """Show that the run was asked to stop."""
        self._stopping = True
        self.message.set_text("Stopping…")
        self._update()

    def show_step(self, step: Step, epochs: int | None) -> None:
        """Show the progress soon; ``epochs`` is the budget, if that is in epochs."""
        self._step, self._epochs = step, epochs
        if not self._later.isActive():
            self._later.start()

    def close_activity(self) -> None:
        """Remove the bar from napari's activity dock."""
        self._activity.end()
        self._hold_spinners(False)

    def _show(self) -> None:
        step = self._step
        assert step is not None
        epoch = f"Epoch {step.epoch}" + ("" if self._epochs is None else f"/{self._epochs}")
        left = f"{in_time_units(step.seconds_left)} left"
        # First, since napari draws at once, with all that waits to be drawn.
        self._activity.show(step.progress, f"{epoch}, {left}")
        self.shown.emit()
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, _PARTS)
        self.bar.setValue(round(step.progress * _PARTS))
        self.bar.setFormat(f"{epoch}, step {step.step}, {left}")
        self.bar.setUpdatesEnabled(True)

    def _hold_spinners(self, hold: bool) -> None:
        """Pause or resume what is animated in the window, such as the activity dock's spinner."""
        window = self.window()
        assert window is not None  # a widget without a parent is its own
        for label in window.findChildren(QLabel):
            movie = label.movie()
            if movie is not None and movie.state() != QMovie.MovieState.NotRunning:
                movie.setPaused(hold)

    def _update(self) -> None:
        busy = self.state.is_busy
        self.train.setEnabled(self._ready and not busy)
        is_held = self._stopping or self.state is State.PREPARING
        self.pause.setEnabled(busy and not is_held)
        self.pause.setText("Resume" if self.state is State.PAUSED else "Pause")
        self.stop.setEnabled(busy and not self._stopping)

    def _lay_out(self) -> None:
        self.bar.setTextVisible(True)
        buttons = row_of(self.train, self.pause, self.stop)
        lay_out_column(self, self.error, self.message, self.bar, buttons, spacing=4)


class Outcome(QWidget):
    """Scores of the trained model, with buttons to save and to apply it; hidden without a model."""

    apply_requested = Signal(object)  # the user wants to apply this `Translator`
    weights_chosen = Signal(object)  # the `Translator` with the weights that the user chose

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._model: ModelEntry | None = None
        self._saver = ModelSaver(self)
        self.weights = WeightsChoice()
        self.scores = ScoreTable()
        self.message = Sentence()
        self.save = push_button(
            "Save…", "Save the model to a file, or export it for PyTorch, ONNX or BioImage.IO."
        )
        self.apply = push_button("Apply to…", "Open the Apply dock with this model.")
        buttons = row_of(self.save, self.apply)
        follow_font(self.message, self.scores)
        lay_out_column(self, self.weights, self.scores, self.message, buttons, spacing=4)
        self.weights.activated.connect(self._on_weights)
        self.save.clicked.connect(self._on_save)
        self.apply.clicked.connect(self._on_apply)
        self._saver.saved.connect(self._on_saved)
        self._saver.failed.connect(self.message.set_text)
        models().exchanged.connect(self._on_exchanged)
        models().changed.connect(self._on_changed)
        self.hide()

    def show_model(self, model: ModelEntry) -> None:
        """Offer a model in memory, and show its scores beside those of the baseline."""
        self._model = model
        info = model.read_info()
        self.weights.offer(info)
        scores = info.scores_by_side
        self.scores.setVisible(bool(scores))
        if scores:
            names = [name for name in scores["prediction"] if name in scores["baseline"]]
            self.scores.show_scores(scores, names[:_MOST_SCORES])
        unscored = "" if scores else "Nothing was held out, so there are no scores."
        self.message.set_text(" ".join(filter(None, [unscored, _where_kept(model)])))
        self.show()

    def choose_weights(self, weights: AppliedWeights) -> None:
        """Take the last weights of the model or the best; raises `InputError` if it lacks them."""
        before = self._translator
        if before is None:
            raise InputError("There is no model yet: train one first.")
        models().exchange(before, before.with_weights(weights))

    def choose_step(self, step: int) -> None:
        """Take the weights after a step if they were kept, or say which were."""
        if self._model is None:
            return
        info = self._model.read_info()
        kept = {candidate.step: candidate.weights for candidate in info.candidates}
        kept = kept or {info.steps: info.applied}
        if step not in kept:
            steps = " and ".join(f"{weights} ({at:,} steps)" for at, weights in kept.items())
            self.message.set_text(f"The weights of step {step:,} were not kept: only {steps}.")
            return
        if kept[step] != info.applied:
            self.choose_weights(kept[step])
        self.message.set_text(f"The weights of step {step:,} are applied from now on.")

    def clear(self) -> None:
        """Forget the model."""
        self._model = None
        self.hide()

    def show_saved(self, translator: Translator, path: Path) -> None:
        """Show where a model was saved, and tell all docks."""
        remember_saved(translator, path, None if self._model is None else self._model.run)
        self.message.set_text(f"Saved as {path}.")

    def close_work(self) -> None:
        """Wait until a model is saved."""
        self._saver.close()

    @property
    def _translator(self) -> Translator | None:
        return None if self._model is None else self._model.translator

    def _on_exchanged(self, before: Translator, after: Translator) -> None:
        """Show what took the place of the model, here, in the gallery or in another dock."""
        if self._model is not None and before is self._model.translator:
            self.show_model(replace(self._model, translator=after))
            self.weights_chosen.emit(after)

    def _on_changed(self) -> None:
        """Forget a model whose run was deleted."""
        model = self._model
        is_known = any(entry.translator is self._translator for entry in models().known())
        if model is not None and model.run is not None and not model.run.exists() and not is_known:
            self.clear()

    def _on_saved(self, written: Written) -> None:
        if written.is_ours:
            self.show_saved(written.translator, written.path)
        else:
            self.message.set_text(" ".join([f"Saved as {written.path}.", *written.notes]))

    def _on_weights(self) -> None:
        self.choose_weights(self.weights.value)

    def _on_save(self) -> None:
        if self._model is not None:
            self._saver.ask(self._model)

    def _on_apply(self) -> None:
        open_dock(self._viewer, "Apply").set_model(self._translator)
        self.apply_requested.emit(self._translator)


def _where_kept(model: ModelEntry) -> str:
    """Say that a model stays, and what that costs."""
    run = None if model.run is None else find_run(model.run)
    if run is None:
        return "It is in memory alone: save it before you close napari."
    size = in_bytes(run.size)
    return f"It is kept under Runs ({size} on the disk) until you delete it there."
