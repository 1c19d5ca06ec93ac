"""The dock that trains a network on open layers."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.io.pair_files import Direction, Matching
from napari_pix2pix.napari_layers import gc_guard
from napari_pix2pix.training.config import AppliedWeights, TrainConfig
from napari_pix2pix.training.events import Done, Event, Prepared
from napari_pix2pix.widgets.common.model_dock import ClosingGuard
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.train._data_source import ChosenPairs
from napari_pix2pix.widgets.train._file_choice import FileChoice
from napari_pix2pix.widgets.train._pair_rows import PairChoice
from napari_pix2pix.widgets.train._run import Autosave, TrainRun, release_memory, training_work
from napari_pix2pix.widgets.train._status import State
from napari_pix2pix.widgets.train._view import TrainView

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_pix2pix.translator import Translator

_DRAWING = 50  # milliseconds in which the viewer draws a new layer
_log = logging.getLogger(__name__)


class TrainDock(QWidget):
    """Trains a network on pairs of layers.

    Everything that the mouse can do is a property or a method.

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
        self._run: TrainRun | None = None  # the one in progress, or the last
        self._chosen: ChosenPairs | None = None  # what it is trained on
        self._runner = Runner(self)
        self.view = TrainView(self, napari_viewer)
        self._guard = ClosingGuard(self, napari_viewer, self._question)
        self._connect()
        self.view.offer.check(read_settings().autosave_folder)

    @property
    def state(self) -> str:
        """One of idle, preparing, training, paused, stopped, done, failed."""
        return str(self.view.status.state)

    @property
    def translator(self) -> Translator | None:
        """The model of the last run, or None."""
        return self._translator

    @property
    def config(self) -> TrainConfig:
        """The config that the form shows; `set_fields` changes it.

        Raises
        ------
        ConfigError
            When the fields don't fit each other.
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
        """The model to start from, in memory or a file; None for a new one."""
        return self.view.form.options.start_from

    @start_from.setter
    def start_from(self, model: Translator | str | os.PathLike[str] | None) -> None:
        if isinstance(model, str | os.PathLike):
            model = Path(model)
        self.view.form.options.start_from = model

    def add_pair(
        self,
        source: Layer | Sequence[Layer],
        target: Layer | Sequence[Layer],
        mask: Layer | None = None,
        condition: str | None = None,
        *,
        held_out: bool = False,
    ) -> None:
        """Add a pair of layers.

        Parameters
        ----------
        source, target : layer or sequence of layers
            In this viewer; several are channels of one image.
        mask : Labels or Shapes layer, optional
        condition : str, optional
        held_out : bool
            Whether the run is validated on this pair instead of being trained on it.
        """
        pairs = self.view.form.pairs
        pairs.add(_as_list(source), _as_list(target), mask, condition, held_out=held_out)

    def set_folders(
        self,
        source: str | os.PathLike[str] | None,
        target: str | os.PathLike[str],
        *,
        mask: str | os.PathLike[str] | None = None,
        matching: Matching = "name",
    ) -> None:
        """Train on files, which are listed at once.

        Parameters
        ----------
        source, target, mask : path-like, optional
            A file, a folder or a pattern each; without a source see `set_source`.
        matching : {"name", "order"}
            Whether files belong together by their names, or as they are sorted.

        Raises
        ------
        InputError, FileError
            When the files don't tell which belong together, or there are none.
        """
        paths = [None if path is None else Path(path) for path in (source, target, mask)]
        choice = FileChoice(
            origin="folders", source=paths[0], target=paths[1], mask=paths[2], matching=matching
        )
        self.view.form.data.set_files(choice)

    def set_table(self, path: str | os.PathLike[str]) -> None:
        """Train on the files that a CSV table lists; raises `InputError` or `FileError`."""
        self.view.form.data.set_files(FileChoice(origin="table", path=Path(path)))

    def set_aligned(self, folder: str | os.PathLike[str], direction: Direction = "AtoB") -> None:
        """Train on A|B images, which show source and target side by side.

        Parameters
        ----------
        folder : path-like
            Holds the images, or folders ``train`` and ``val`` with them.
        direction : {"AtoB", "BtoA"}
            Whether the left half is the source, or the right one.

        Raises
        ------
        InputError, FileError
            When there are no images.
        """
        choice = FileChoice(origin="aligned", path=Path(folder), direction=direction)
        self.view.form.data.set_files(choice)

    def set_layers(self) -> None:
        """Train on layers again, after files."""
        self.view.form.data.set_files(None)

    def set_source(self, kind: str) -> None:
        """Choose what the network sees.

        Parameters
        ----------
        kind : str
            "" for the sources that are chosen, "none" for a training that generates images, or how
            sources are made of targets, see ``derive`` of `TrainConfig`.
        """
        self.view.form.data.set_source(kind)

    def clear_pairs(self) -> None:
        """Remove all pairs."""
        self.view.form.pairs.clear()

    def train(self) -> None:
        """Start a run; `state_changed` reports its states.

        Raises
        ------
        InputError, ConfigError
            When layers or config can't be trained on, or a run is in progress.
        """
        self._start(None)

    def pause(self) -> None:
        """Pause the run before its next step."""
        if self.view.status.state is State.TRAINING and not self._runner.stopping:
            self._runner.pause()
            self._enter(State.PAUSED)

    def resume(self) -> None:
        """Resume a paused run."""
        if self.view.status.state is State.PAUSED:
            self._runner.resume()
            self._enter(State.TRAINING)

    def stop(self) -> None:
        """Stop the run; the model so far is kept."""
        if self._runner.running:
            self._runner.stop()
            self.view.status.show_stopping()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the model of the last run to a file.

        Raises
        ------
        InputError
            When there is none.
        FileError
            When the file can't be written.
        """
        if self._translator is None:
            raise InputError("There is no model yet: train one first.")
        self._translator.save(path)
        self.view.outcome.show_saved(self._translator, Path(path))

    def choose_weights(self, weights: AppliedWeights) -> None:
        """Take the last weights of the run's model, or those of its best validation.

        Raises
        ------
        InputError
            When there is no model, or it lacks these weights.
        """
        self.view.outcome.choose_weights(weights)

    def resume_run(self, run: Autosave) -> None:
        """Resume an interrupted run.

        Raises
        ------
        InputError
            When its layers are not open.
        """
        record, data = run.record, self.view.form.data
        choices = [PairChoice.named(row, self._viewer.layers) for row in record.rows]
        has_source = record.has_source and not record.fields.get("derive")
        data.set_source("" if has_source else record.fields.get("derive") or "none")
        data.set_files(record.files)
        if record.files is None:
            self.view.form.pairs.clear()
        for choice in choices:
            self.view.form.pairs.add(
                choice.sources,
                choice.targets,
                choice.mask,
                choice.condition,
                held_out=choice.held_out,
            )
        self.start_from = None  # its checkpoint has the weights
        self.view.form.reset_fields()
        self.view.form.set_fields(run.record.fields)
        self._start(run)

    def reset_choices(self, event: Any = None) -> None:
        """Follow the viewer's layer list; napari calls it."""
        self.view.form.pairs.reset_choices()
        self.view.preview.reset_choices()

    def close_work(self) -> None:
        """Stop all work and wait for it; the autosave stays for the next start."""
        self.view.form.close_work()
        self.view.outcome.close_work()
        if self._runner.running:
            self._runner.close()
            release_memory()
            if self._run is not None:
                self._run.mark("closed")
            if self._is_saved:  # nobody is asked when a script closes the viewer
                _log.warning("A training was stopped: the next Train dock offers to resume it.")
            self._enter(State.STOPPED)
        self.view.preview.remove()
        self.view.status.close_activity()

    def _connect(self) -> None:
        self.view.form.ready_changed.connect(self.view.status.set_ready)
        self.view.offer.resume_requested.connect(self._on_resume)
        self.view.status.train_clicked.connect(self._on_train)
        self.view.status.pause_clicked.connect(self._on_pause)
        self.view.status.stop_clicked.connect(self.stop)
        self.view.outcome.apply_requested.connect(self.apply_requested)
        self.view.outcome.weights_chosen.connect(self._take_weights)
        self._runner.reported.connect(self._on_event)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        self._runner.ended.connect(release_memory)
        self._guard.closing.connect(self.close_work)

    def _start(self, resumed: Autosave | None) -> None:
        if self._runner.running:
            raise InputError("A training is in progress: stop it and wait for its end.")
        fields = self.view.form.fields if resumed is None else resumed.record.fields
        TrainConfig(**fields)  # refused before any layer is copied
        chosen = self._chosen = self.view.form.data.open(copy="small")
        region = self.view.preview.region(chosen.rows, chosen.pairs)
        run = self._run = TrainRun.of(chosen, fields, resumed)
        self._translator = None
        self.view.form.remember()
        self.view.begin(chosen.rows, chosen.pairs)
        self._enter(State.PREPARING)
        self._runner.start(
            training_work(
                chosen.open,
                run.config,
                checkpoint=None if run.autosave is None else run.autosave.path,
                resume=None if resumed is None else True,
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
            if self._chosen is not None and not self._chosen.rows:
                sets = self._chosen.open()  # the run has read them
                self.view.preview.place_files([*sets.train, *sets.held_out])
        self.view.show_event(event, self._run.config)
        if isinstance(event, Prepared):
            QTimer.singleShot(_DRAWING, self._begin_steps)

    def _begin_steps(self) -> None:
        """Let the first step begin, unless the user has paused or stopped the run."""
        if self.view.status.state is State.TRAINING:
            gc_guard.freeze()
            self._runner.resume()

    def _on_finished(self, translator: Translator | None) -> None:
        run = self._run
        assert run is not None
        if translator is None or run.done is None or not run.done.step:
            run.give_up()
            self._offer_resume()  # of the run that was to be resumed
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
        self._offer_resume()
        self._enter(State.FAILED, sentence)

    def _take_weights(self, translator: Translator) -> None:
        self._translator = translator

    def _offer_resume(self) -> None:
        if self._run is not None and self._run.autosave is not None:
            self.view.offer.check(self._run.autosave.path.parent)

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

    def _on_resume(self, run: Autosave) -> None:
        try:
            self.resume_run(run)
        except Pix2PixError as error:
            self.view.offer.message.set_text(str(error))

    def _enter(self, state: State, details: str = "") -> None:
        self.view.form.hold(state.is_busy)
        self.view.status.enter(state, details)
        self.state_changed.emit(str(state))

    @property
    def _is_saved(self) -> bool:
        return self._run is not None and self._run.autosave is not None

    def _question(self) -> str:
        if not self._runner.running:
            return ""
        kept = "What it has learned stays in the autosave" if self._is_saved else "It is lost"
        return f"A training is in progress. {kept}. Stop it and close?"


def _as_list(layers: Layer | Sequence[Layer]) -> list[Layer]:
    return list(layers) if isinstance(layers, Sequence) else [layers]
