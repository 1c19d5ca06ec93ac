"""The dock in which a network learns from open layers."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.napari_layers import gc_guard
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Done, Event, Prepared
from napari_pix2pix.widgets.common.model_dock import ClosingGuard
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.train._autosave import Autosave
from napari_pix2pix.widgets.train._pair_rows import PairChoice
from napari_pix2pix.widgets.train._run import TrainRun, release_memory, training_work
from napari_pix2pix.widgets.train._status import State
from napari_pix2pix.widgets.train._view import TrainView

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.translator import Translator

_DRAWN = 50  # milliseconds after which the viewer has drawn a layer that was added
_log = logging.getLogger(__name__)


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
        self._runner = Runner(self)
        self.view = TrainView(self, napari_viewer)
        self._guard = ClosingGuard(self, napari_viewer, self._question)
        self._connect()
        self.view.offer.look(read_settings().autosave_folder)

    @property
    def state(self) -> str:
        """One of idle, preparing, training, paused, stopped, done, failed."""
        return str(self.view.status.state)

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
        return TrainConfig(**self.view.form.fields)

    def set_fields(self, **fields: Any) -> None:
        """Set fields of `TrainConfig` in the form; those that are not given stay as they are.

        Raises
        ------
        ConfigError
            When there is no such field or its value is out of range; nothing is then changed.
        """
        self.view.form.set_fields(fields)

    @property
    def start_from(self) -> Translator | Path | None:
        """The model to begin with: one in memory or a file; None for a new one."""
        return self.view.form.options.start_from

    @start_from.setter
    def start_from(self, model: Translator | str | os.PathLike[str] | None) -> None:
        if isinstance(model, str | os.PathLike):
            model = Path(model)
        self.view.form.options.start_from = model

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
        self.view.form.pairs.add(_as_list(source), _as_list(target), mask, condition)

    def clear_pairs(self) -> None:
        """Remove all pairs."""
        self.view.form.pairs.clear()

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
        if self.view.status.state is State.TRAINING and not self._runner.stopping:
            self._runner.pause()
            self._enter(State.PAUSED)

    def resume(self) -> None:
        """Go on with a held run."""
        if self.view.status.state is State.PAUSED:
            self._runner.resume()
            self._enter(State.TRAINING)

    def stop(self) -> None:
        """End the run; the model so far is kept."""
        if self._runner.running:
            self._runner.stop()
            self.view.status.show_stopping()

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
        self.view.outcome.show_saved(self._translator, Path(path))

    def resume_run(self, run: Autosave) -> None:
        """Go on with a run that died.

        Raises
        ------
        InputError
            When layers of its names are not open.
        """
        choices = [PairChoice.named(row, self._viewer.layers) for row in run.record["rows"]]
        self.view.form.pairs.clear()
        for choice in choices:
            self.view.form.pairs.add(choice.sources, choice.targets, choice.mask, choice.condition)
        self.start_from = None  # the run remembers what it began from
        self.view.form.reset_fields()
        self.view.form.set_fields(run.record["fields"])
        self._start(run)

    def reset_choices(self, event: Any = None) -> None:
        """Follow the list of layers; napari calls it."""
        self.view.form.pairs.reset_choices()
        self.view.preview.reset_choices()

    def close_work(self) -> None:
        """Stop what is running, wait for it, and keep its autosave for the next start."""
        self.view.form.close_work()
        self.view.outcome.close_work()
        if self._runner.running:
            self._runner.close()
            release_memory()
            if self._run is not None:
                self._run.mark("closed")
            if self._is_saved:  # of a viewer that a script closed nobody was asked
                _log.warning("A training was stopped: the next Train dock offers to go on with it.")
            self._enter(State.STOPPED)
        self.view.preview.remove()
        self.view.status.close_activity()

    def _connect(self) -> None:
        self.view.form.ready_changed.connect(self.view.status.set_ready)
        self.view.offer.wanted.connect(self._on_resume_wanted)
        self.view.status.train_clicked.connect(self._on_train)
        self.view.status.pause_clicked.connect(self._on_pause)
        self.view.status.stop_clicked.connect(self.stop)
        self.view.outcome.apply_requested.connect(self.apply_requested)
        self._runner.reported.connect(self._on_event)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        self._runner.ended.connect(release_memory)
        self._guard.closing.connect(self.close_work)

    def _start(self, died: Autosave | None) -> None:
        if self._runner.running:
            raise InputError("A training is going on: stop it and wait for its end.")
        fields = self.view.form.fields if died is None else died.record["fields"]
        TrainConfig(**fields)  # before anything is copied
        pairs = self.view.form.open_pairs(copy="small")
        choices = self.view.form.pairs.choices()
        region = self.view.preview.region(choices, pairs)
        run = self._run = TrainRun.of(choices, fields, died)
        self._translator = None
        self.view.form.remember()
        self.view.begin(choices, pairs)
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
        if isinstance(event, Done):
            self._run.done = event
        elif isinstance(event, Prepared):
            self._enter(State.TRAINING, f"on {event.device}")
        self.view.show_event(event, self._run.config)
        if isinstance(event, Prepared):
            QTimer.singleShot(_DRAWN, self._go)

    def _go(self) -> None:
        """Let the first step begin, unless the user holds the run by now."""
        if self.view.status.state is State.TRAINING:
            gc_guard.freeze()
            self._runner.resume()

    def _on_finished(self, translator: Translator | None) -> None:
        run = self._run
        assert run is not None
        if translator is None or run.done is None or not run.done.step:
            run.give_up()
            self._look_for_dead_runs()  # one that was to go on is offered again
            self._enter(State.STOPPED, "before the first step, so there is no model")
            return
        problem = run.mark("ended")
        self._translator = translator
        run.remember(translator)
        self.view.outcome.show_model(translator)
        self.view.body.show_soon(self.view.outcome)
        state = State.DONE if run.done.reason == "budget" else State.STOPPED
        self._enter(state, f"{run.done.step} steps, the model is kept")
        self.view.warn(problem)

    def _on_failed(self, sentence: str) -> None:
        assert self._run is not None
        self.view.warn(self._run.mark("closed"))
        self._look_for_dead_runs()
        self._enter(State.FAILED, sentence)

    def _look_for_dead_runs(self) -> None:
        if self._run is not None and self._run.autosave is not None:
            self.view.offer.look(self._run.autosave.path.parent)

    def _on_train(self) -> None:
        try:
            self.train()
        except Pix2PixError as error:
            self._enter(State.FAILED, str(error))

    def _on_pause(self) -> None:
        if self.view.status.state is State.PAUSED:
            self.resume()
        else:
            self.pause()

    def _on_resume_wanted(self, run: Autosave) -> None:
        try:
            self.resume_run(run)
        except Pix2PixError as error:
            self.view.offer.refuse(str(error))

    def _enter(self, state: State, words: str = "") -> None:
        self.view.form.hold(state.is_busy)
        self.view.status.enter(state, words)
        self.state_changed.emit(str(state))

    @property
    def _is_saved(self) -> bool:
        return self._run is not None and self._run.autosave is not None

    def _question(self) -> str:
        if not self._runner.running:
            return ""
        kept = "What it has learnt stays in the autosave" if self._is_saved else "It is lost"
        return f"A training is going on. {kept}. Stop it and close?"


def _as_list(layers: Any) -> list[Any]:
    return list(layers) if isinstance(layers, list | tuple) else [layers]
