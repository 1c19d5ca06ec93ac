"""A Train dock's content and run, which go on where the dock itself is closed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pix2pix.errors import InputError, Pix2PixError, plural
from napari_pix2pix.training.config import AppliedWeights, TrainConfig
from napari_pix2pix.training.events import Done, Event, Prepared, Step
from napari_pix2pix.widgets.common.layer_choice import unwrapped
from napari_pix2pix.widgets.common.runner import Runner, errors_in_words
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.runs.records import KeptRun
from napari_pix2pix.widgets.samples import open_sample
from napari_pix2pix.widgets.train import _try_it
from napari_pix2pix.widgets.train._closing import TrainingsInWindow
from napari_pix2pix.widgets.train._data_source import ChosenPairs
from napari_pix2pix.widgets.train._pair_choice import PairChoice
from napari_pix2pix.widgets.train._run import TrainRun, empty_gpu_cache, training_work
from napari_pix2pix.widgets.train._status import State
from napari_pix2pix.widgets.train._view import TrainView

if TYPE_CHECKING:
    import napari.viewer
    from qtpy.QtWidgets import QWidget

    from napari_pix2pix.translator import Translator

_log = logging.getLogger(__name__)
_DRAWING = 50  # milliseconds in which the viewer draws a new layer

# Those whose dock was closed while they trained, by their viewer.
_without_dock: dict[int, TrainSession] = {}


class TrainSession(QObject):
    """What a Train dock shows and does; the next dock of a viewer finds one that goes on."""

    state_changed = Signal(str)

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._window: TrainingsInWindow | None = None
        self._steps = 0  # of the run so far
        self._chosen: ChosenPairs | None = None  # what it is trained on
        self.translator: Translator | None = None  # of the last run
        self.run: TrainRun | None = None  # the one in progress, or the last
        self.runner = Runner(self)
        self.view = TrainView(viewer)
        self._connect()
        self.view.offer.check(read_settings().autosave_folder)

    @classmethod
    def of(cls, viewer: napari.viewer.Viewer) -> TrainSession:
        """Return the session of this viewer that has no dock any more, or a new one."""
        found = _without_dock.pop(id(unwrapped(viewer)), None)
        if found is None:
            return cls(viewer)
        found.reset_choices()
        return found

    @property
    def in_progress(self) -> str:
        """Name and steps of the run that goes on; empty without one."""
        if not self.runner.running or self.run is None:
            return ""
        return f"{self.run.kept.name} is being trained, {plural(self._steps, 'step')} so far"

    @property
    def kept(self) -> KeptRun | None:
        """What is kept of the run in progress, or of the last."""
        return None if self.run is None else self.run.kept

    def enter_window(self, window: QWidget) -> None:
        """Care for what happens when the window that the dock is in closes."""
        self._window = TrainingsInWindow.of(window, self._viewer)
        self._window.add(self)

    def leave_dock(self) -> None:
        """Let a run go on without the dock, which was closed; the next dock shows it."""
        if not self.runner.running:
            self.close_work()
            return
        # Qt would delete it with the dock.
        self.view.panel.hide()
        self.view.panel.setParent(None)
        _without_dock[id(unwrapped(self._viewer))] = self
        _say("The training goes on. Open Train again to see it, to pause or to stop it.")

    def start(self, resumed: KeptRun | None = None, *, remember: bool = True) -> None:
        """Begin a run; raises `InputError` or `ConfigError` where that can't be."""
        self._check_free()
        fields = self.view.form.fields if resumed is None else resumed.record.fields
        TrainConfig(**fields)  # refused before any layer is copied
        chosen = self._chosen = self.view.form.data.open(copy="small")
        wish = self.view.preview.wish(chosen.rows, chosen.pairs)
        before = None if resumed is None else resumed.info()
        run = self.run = TrainRun.of(chosen, fields, resumed)
        self.translator = None
        self._steps = 0 if before is None else before.steps
        if remember:  # what a trial has is not what the user chose
            self.view.form.remember()
        self.view.begin(chosen.rows, chosen.pairs, before)
        self.enter(State.PREPARING)
        self.runner.start(
            training_work(
                chosen.open,
                run,
                resume=None if resumed is None else True,
                start=self.view.form.options.start_from,
                preview=wish,
            )
        )

    def resume_run(self, run: KeptRun) -> None:
        """Resume an interrupted run.

        Raises `InputError` when its layers are not open, or `FileError` when its files are gone.
        """
        self._check_free()
        record, data = run.record, self.view.form.data
        choices = [PairChoice.named(row, self._viewer.layers) for row in record.rows]
        has_source = record.has_source and not record.fields.get("derive")
        data.set_source("" if has_source else record.fields.get("derive") or "none")
        data.set_files(record.files)
        if record.files is None:
            data.set_rows(choices)
        self.view.form.options.start_from = None  # its checkpoint has the weights
        self.view.form.reset_fields()
        self.view.form.set_fields(record.fields)
        self.start(run)

    def try_it(self) -> None:
        """Train on a sample, apply the model and compare; raises `InputError` during a run."""
        self._check_free()
        sample, form = open_sample(self._viewer, _try_it.SAMPLE), self.view.form
        form.data.set_source("")
        form.data.set_files(None)
        form.pairs.clear()
        layers = self._viewer.layers
        form.pairs.add([layers[sample.train_source]], [layers[sample.train_target]], None, None)
        form.options.start_from = None
        form.reset_fields()
        form.set_fields({"preset": "light", **_try_it.FIELDS})
        self.view.trial.begin(sample)
        self.start(remember=False)

    def pause(self) -> None:
        """Pause the run before its next step."""
        if self.view.status.state is State.TRAINING and not self.runner.stopping:
            self.runner.pause()
            self.enter(State.PAUSED)

    def resume(self) -> None:
        """Resume a paused run."""
        if self.view.status.state is State.PAUSED:
            self.runner.resume()
            self.enter(State.TRAINING)

    def stop(self) -> None:
        """Stop the run; the model so far is kept."""
        if self.runner.running:
            self.runner.stop()
            self.view.status.show_stopping()

    def choose_weights(self, weights: AppliedWeights) -> None:
        """Take the last weights of the run's model, or those of its best validation."""
        self.view.outcome.choose_weights(weights)

    def reset_choices(self) -> None:
        """Follow the viewer's layer list."""
        self.view.follow()
        self.view.form.pairs.reset_choices()
        self.view.preview.reset_choices()

    def enter(self, state: State, details: str = "") -> None:
        """Enter a state, and say so."""
        self.view.form.hold(state.is_busy)
        self.view.status.enter(state, details)
        self.state_changed.emit(str(state))

    def close_work(self, *, discards: bool = False) -> None:
        """Stop all work and wait for it; what a run has learned is kept, unless it is discarded."""
        self.view.form.close_work()
        self.view.outcome.close_work()
        if self.runner.running:
            self._end_run(discards=discards)
            self.enter(State.STOPPED)
        self.view.preview.close_work()
        self.view.status.close_activity()
        if self._window is not None:
            self._window.remove(self)
            self._window = None
        if _without_dock.pop(id(unwrapped(self._viewer)), None) is self:
            self.view.panel.deleteLater()

    def _end_run(self, *, discards: bool) -> None:
        run = self.run
        assert run is not None
        run.closes.set()
        self.runner.close()
        empty_gpu_cache()
        if discards:
            run.kept.discard()
        else:
            run.mark("closed" if run.has_checkpoints else "ended")
            _log.warning("A training was stopped: what it has learned is kept under Runs.")

    def _connect(self) -> None:
        view = self.view
        view.form.ready_changed.connect(view.status.set_ready)
        view.offer.resume_requested.connect(self._on_resume)
        view.welcome.try_clicked.connect(self._on_try_it)
        view.status.train_clicked.connect(self._on_train)
        view.status.pause_clicked.connect(self._on_pause)
        view.status.stop_clicked.connect(self.stop)
        view.outcome.weights_chosen.connect(self._take_weights)
        view.preview.weights_wanted.connect(view.outcome.choose_step)
        self.runner.reported.connect(self._on_event)
        self.runner.finished.connect(self._on_finished)
        self.runner.failed.connect(self._on_failed)
        self.runner.ended.connect(empty_gpu_cache)

    def _on_event(self, event: Event) -> None:
        assert self.run is not None
        if isinstance(event, Step):
            self._steps = event.step
        elif isinstance(event, Done):
            self.run.done = event
        elif isinstance(event, Prepared):
            self.enter(State.TRAINING, f"on {event.device}")
            if self._chosen is not None and not self._chosen.rows:
                sets = self._chosen.open()  # the run has read them
                self.view.preview.place_files([*sets.train, *sets.held_out])
        self.view.show_event(event, self.run.config)
        if isinstance(event, Prepared):
            QTimer.singleShot(_DRAWING, self._begin_steps)

    def _begin_steps(self) -> None:
        """Let the first step begin, unless the user has paused or stopped the run."""
        if self.view.preview.is_adding:
            QTimer.singleShot(_DRAWING, self._begin_steps)
        elif self.view.status.state is State.TRAINING:
            self.runner.resume()

    def _on_finished(self, translator: Translator | None) -> None:
        run = self.run
        assert run is not None
        if translator is None or run.done is None or not run.done.step:
            run.give_up()
            self._offer_resume()  # of the run that was to be resumed
            self.enter(State.STOPPED, "before the first step, so there is no model")
            self._give_up_trial("Stopped before the first step, so there is no model.")
            return
        self.translator = translator
        model = run.remember(translator)
        if self._window is not None:
            self._window.add_model(model)
        self.view.outcome.show_model(model)
        self.view.preview.offer_weights(True)
        self.view.body.show_soon(self.view.outcome)
        state = State.DONE if run.done.reason in ("budget", "passes") else State.STOPPED
        self.enter(state, f"{plural(run.done.step, 'step')}, the model is kept")
        self.view.warn(run.done.note)
        if self.view.trial.is_running:
            self.view.trial.apply(translator)
        if id(unwrapped(self._viewer)) in _without_dock:
            _say(f"The training has ended: {model.name} is in the Apply dock, and under Runs.")

    def _on_failed(self, sentence: str) -> None:
        assert self.run is not None
        self.view.warn(self.run.mark("closed"))
        self._offer_resume()
        self.enter(State.FAILED, sentence)
        self._give_up_trial(sentence)

    def _give_up_trial(self, sentence: str) -> None:
        if self.view.trial.is_running:
            self.view.trial.give_up(sentence)

    def _take_weights(self, translator: Translator) -> None:
        self.translator = translator

    def _offer_resume(self) -> None:
        if self.run is not None and self.run.has_checkpoints:
            self.view.offer.check(self.run.kept.path.parent)

    def _check_free(self) -> None:
        if self.runner.running:
            raise InputError("A training is in progress: stop it and wait for its end.")

    def _on_train(self) -> None:
        self._try_to(self.start)

    def _on_try_it(self) -> None:
        self._try_to(self.try_it)

    def _try_to(self, work: Callable[[], None]) -> None:
        try:
            with errors_in_words():
                work()
        except Pix2PixError as error:
            self.enter(State.FAILED, str(error))
            self._give_up_trial(str(error))

    def _on_pause(self) -> None:
        if self.view.status.state is State.PAUSED:
            self.resume()
        else:
            self.pause()

    def _on_resume(self, run: KeptRun) -> None:
        try:
            with errors_in_words():
                self.resume_run(run)
        except Pix2PixError as error:
            self.view.offer.message.set_text(str(error))


def _say(sentence: str) -> None:
    from napari.utils.notifications import show_info

    show_info(sentence)
