"""The dock in which a network learns from open layers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Done, Event, Health, Prepared, Preview, Step, Validated
from napari_pix2pix.widgets.autosave import Autosave
from napari_pix2pix.widgets.closing import ClosingGuard
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.curves import Curves
from napari_pix2pix.widgets.live_preview import LivePreview
from napari_pix2pix.widgets.model_saver import ModelSaver
from napari_pix2pix.widgets.models import models
from napari_pix2pix.widgets.outcome import Outcome
from napari_pix2pix.widgets.pair_rows import PairChoice
from napari_pix2pix.widgets.resume_offer import ResumeOffer
from napari_pix2pix.widgets.run_status import RunStatus, State
from napari_pix2pix.widgets.runner import Runner
from napari_pix2pix.widgets.scroll import Scroll
from napari_pix2pix.widgets.sentence import Sentence
from napari_pix2pix.widgets.settings import read_settings
from napari_pix2pix.widgets.train_form import TrainForm
from napari_pix2pix.widgets.train_run import TrainRun
from napari_pix2pix.widgets.training_work import training_work

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.translator import Translator


class TrainDock(QWidget):
    """Pairs of layers in, a trained model out.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer

    Attributes
    ----------
    state_changed : Signal(str)
        One of idle, preparing, training, paused, stopped, done, failed.
    apply_requested : Signal(object)
        The user wants to apply this `Translator`.

    Examples
    --------
    >>> dock, widget = viewer.window.add_plugin_dock_widget(
    ...     "napari-pix2pix", "Train"
    ... )  # doctest: +SKIP
    >>> widget.add_pair(viewer.layers["stain"], viewer.layers["nuclei"])  # doctest: +SKIP
    >>> widget.set_fields(epochs=5)  # doctest: +SKIP
    >>> widget.train()  # doctest: +SKIP
    """

    state_changed = Signal(str)
    apply_requested = Signal(object)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._translator: Translator | None = None
        self._run: TrainRun | None = None  # that is going on, or was the last
        self._build()
        self._lay_out()
        self._connect()
        self.offer.look(read_settings().autosave_folder)

    @property
    def state(self) -> str:
        """One of idle, preparing, training, paused, stopped, done, failed."""
        return str(self.status.state)

    @property
    def translator(self) -> Translator | None:
        """The model that was trained last, or None."""
        return self._translator

    @property
    def config(self) -> TrainConfig:
        """What the form says; `set_fields` changes it.

        Raises
        ------
        ConfigError
            When that does not go together.
        """
        return TrainConfig(**self.form.fields)

    def set_fields(self, **fields: Any) -> None:
        """Set fields of `TrainConfig` in the form; those that are not given stay as they are.

        Raises
        ------
        ConfigError
            When there is no such field or its value is out of range; nothing is then changed.
        """
        self.form.set_fields(fields)

    @property
    def start_from(self) -> Translator | Path | None:
        """The model to begin with: one in memory or a file; None for a new one."""
        return self.form.options.start_from

    @start_from.setter
    def start_from(self, model: Translator | str | os.PathLike[str] | None) -> None:
        if isinstance(model, str | os.PathLike):
            model = Path(model)
        self.form.options.start_from = model

    def add_pair(
        self, source: Any, target: Any, mask: Any = None, condition: str | None = None
    ) -> None:
        """Add a pair of layers.

        Parameters
        ----------
        source, target : layer or sequence of layers
            In this viewer; several are channels of one image.
        mask : Labels or Shapes layer, optional
        condition : str, optional
        """
        self.form.pairs.add(_as_list(source), _as_list(target), mask, condition)

    def clear_pairs(self) -> None:
        """Remove all pairs."""
        self.form.pairs.clear()

    def train(self) -> None:
        """Begin to train; `state_changed` tells how it goes.

        Raises
        ------
        InputError, ConfigError
            When layers or config can't be trained on, or a run is going on.
        """
        self._start(None)

    def pause(self) -> None:
        """Hold the run before its next step."""
        if self.status.state is State.TRAINING and not self._runner.stopping:
            self._runner.pause()
            self._enter(State.PAUSED)

    def resume(self) -> None:
        """Go on with a held run."""
        if self.status.state is State.PAUSED:
            self._runner.resume()
            self._enter(State.TRAINING)

    def stop(self) -> None:
        """End the run; the model so far is kept."""
        if self._runner.running:
            self._runner.stop()
            self.status.show_stopping()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model that was trained last into a file.

        Raises
        ------
        InputError
            When there is none.
        FileError
            When it can't be written.
        """
        if self._translator is None:
            raise InputError("There is no model yet: train one first.")
        self._translator.save(path)
        self._on_saved(self._translator, Path(path))

    def resume_run(self, run: Autosave) -> None:
        """Go on with a run that died.

        Raises
        ------
        InputError
            When layers of its names are not open.
        """
        choices = [PairChoice.named(row, self._viewer.layers) for row in run.record["rows"]]
        self.form.pairs.clear()
        for choice in choices:
            self.form.pairs.add(choice.sources, choice.targets, choice.mask, choice.condition)
        self.start_from = None  # the run remembers what it began from
        self.form.reset_fields()
        self.form.set_fields(run.record["fields"])
        self._start(run)

    def reset_choices(self, event: Any = None) -> None:
        """Follow the list of layers; napari calls it."""
        self.form.pairs.reset_choices()
        self.preview.reset_choices()

    def close_work(self) -> None:
        """Stop what is running, wait for it, and keep its autosave for the next start."""
        self.form.close_work()
        self._saver.close()
        if self._runner.running:
            self._runner.close()
            if self._run is not None:
                self._run.mark("closed")
            self._enter(State.STOPPED)
        self.preview.remove()
        self.status.close_activity()

    def _build(self) -> None:
        self._runner = Runner(self)
        self._saver = ModelSaver(self)
        self.offer = ResumeOffer()
        self.form = TrainForm(self._viewer)
        self.preview = LivePreview(self._viewer)
        self.curves = Curves(self._viewer)
        self.curves.hide()
        self.health = Sentence()
        self.outcome = Outcome()
        self.status = RunStatus()
        self._guard = ClosingGuard(self, self._question, self._is_emptied)

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(6)
        parts = (self.offer, self.form, self.preview, self.curves, self.health, self.outcome)
        for widget in parts:
            column.addWidget(widget)
        column.addStretch(1)
        self.body = Scroll(inside)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 6)
        layout.addWidget(self.body, 1)
        layout.addWidget(self.status)

    def _connect(self) -> None:
        self.form.ready_changed.connect(self.status.set_ready)
        self.offer.wanted.connect(self._on_resume_wanted)
        self.status.train_clicked.connect(self._on_train)
        self.status.pause_clicked.connect(self._on_pause)
        self.status.stop_clicked.connect(self.stop)
        self.outcome.save_clicked.connect(self._on_save)
        self.outcome.apply_clicked.connect(self._on_apply)
        self._runner.reported.connect(self._on_event)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        self._saver.saved.connect(self._on_saved)
        self._saver.failed.connect(self.outcome.said.say)
        self._guard.closing.connect(self.close_work)

    def _start(self, died: Autosave | None) -> None:
        if self._runner.running:
            raise InputError("A training is going on: stop it and wait for its end.")
        fields = self.form.fields if died is None else died.record["fields"]
        TrainConfig(**fields)  # before anything is copied
        pairs = self.form.open_pairs(copy=True)
        choices = self.form.pairs.choices()
        region = self.preview.region(choices, pairs)
        self.preview.begin(choices, pairs)
        run = self._run = TrainRun.of(choices, fields, died)
        self._translator = None
        self.form.remember()
        self.offer.hide()
        self.curves.clear()
        self.health.say("")
        self.outcome.hide()
        self._enter(State.PREPARING)
        self._runner.start(
            training_work(
                pairs,
                run.config,
                checkpoint=None if run.autosave is None else run.autosave.path,
                resume=None if died is None else True,
                start=self.start_from,
                preview=region,
            )
        )

    def _on_event(self, event: Event) -> None:
        assert self._run is not None
        match event:
            case Prepared():
                self._enter(State.TRAINING, f"on {event.device}")
                self.curves.show()
                self.body.show_soon(self.curves)
            case Step():
                self.status.show_step(event, self._run.config.epochs)
                self.curves.add(event)
            case Validated():
                self.curves.add(event)
            case Preview():
                self.preview.add(event)
            case Health():
                self._warn(event.message)
            case Done():
                self._run.done = event

    def _on_finished(self, translator: Translator) -> None:
        run = self._run
        assert run is not None
        assert run.done is not None
        if not run.done.step:
            run.discard()
            self._enter(State.STOPPED, "before the first step, so there is no model")
            return
        problem = run.mark("ended")
        self._translator = translator
        run.remember(translator)
        self.outcome.show_scores(translator.scores)
        self.body.show_soon(self.outcome)
        state = State.DONE if run.done.reason == "budget" else State.STOPPED
        self._enter(state, f"{run.done.step} steps, the model is kept")
        self._warn(problem)

    def _on_failed(self, sentence: str) -> None:
        assert self._run is not None
        self._warn(self._run.mark("closed"))
        if self._run.autosave is not None:
            self.offer.look(self._run.autosave.path.parent)
        self._enter(State.FAILED, sentence)

    def _warn(self, sentence: str) -> None:
        self.health.say("\n".join(filter(None, [self.health.text(), sentence])))

    def _on_train(self) -> None:
        try:
            self.train()
        except Pix2PixError as error:
            self._enter(State.FAILED, str(error))

    def _on_pause(self) -> None:
        if self.status.state is State.PAUSED:
            self.resume()
        else:
            self.pause()

    def _on_resume_wanted(self, run: Autosave) -> None:
        try:
            self.resume_run(run)
        except Pix2PixError as error:
            self.offer.refuse(str(error))

    def _on_save(self) -> None:
        if self._translator is not None:
            self._saver.ask(self._translator)

    def _on_saved(self, translator: Translator, path: Path) -> None:
        models().remember(translator, path.stem, path=path)
        self.outcome.said.say(f"Saved as {path}.")

    def _on_apply(self) -> None:
        open_dock(self._viewer, "Apply").set_model(self._translator)
        self.apply_requested.emit(self._translator)

    def _enter(self, state: State, words: str = "") -> None:
        self.form.hold(state.is_busy)
        self.status.enter(state, words)
        self.state_changed.emit(str(state))

    @property
    def _is_saved(self) -> bool:
        return self._run is not None and self._run.autosave is not None

    def _is_emptied(self) -> bool:
        """Whether the viewer is empty, as Viewer.close() makes it, but no shortcut or menu."""
        return not self._viewer.layers

    def _question(self) -> str:
        if not self._runner.running:
            return ""
        kept = "What it has learnt stays in the autosave" if self._is_saved else "It is lost"
        return f"A training is going on. {kept}. Stop it and close?"


def _as_list(layers: Any) -> list[Any]:
    return list(layers) if isinstance(layers, list | tuple) else [layers]
