"""The dock in which a network learns from open layers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_pix2pix.errors import ConfigError, InputError, Pix2PixError
from napari_pix2pix.layers import snapshot
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.control import Control
from napari_pix2pix.training.events import Done, Event, Health, Prepared, Preview, Step, Validated
from napari_pix2pix.widgets.autosave import Autosave
from napari_pix2pix.widgets.closing import ClosingGuard
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.curves import Curves
from napari_pix2pix.widgets.layer_choice import unwrapped
from napari_pix2pix.widgets.live_preview import LivePreview
from napari_pix2pix.widgets.models import models
from napari_pix2pix.widgets.outcome import Outcome
from napari_pix2pix.widgets.pace import remember_pace
from napari_pix2pix.widgets.pair_rows import PairChoice
from napari_pix2pix.widgets.resume_offer import ResumeOffer
from napari_pix2pix.widgets.run_status import RunStatus, State
from napari_pix2pix.widgets.runner import Runner
from napari_pix2pix.widgets.scroll import Scroll
from napari_pix2pix.widgets.sentence import Sentence
from napari_pix2pix.widgets.settings import read_settings
from napari_pix2pix.widgets.train_form import TrainForm
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
        self._name = ""
        self._look: Mapping[str, Any] = {}
        self._config: TrainConfig | None = None  # of the run that is going on
        self._epochs: int | None = None
        self._autosave: Autosave | None = None
        self._done: Done | None = None
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
        if self.status.state is State.TRAINING:
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
            self.status.said.say("Stopping after this step ...")

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
        self._on_saved(Path(path))

    def resume_run(self, run: Autosave) -> None:
        """Go on with a run that died.

        Raises
        ------
        InputError
            When layers of its names are not open.
        """
        by_name = {layer.name: unwrapped(layer) for layer in self._viewer.layers}
        choices = [_choice_of(row, by_name) for row in run.record["rows"]]
        self.form.pairs.clear()
        for choice in choices:
            self.form.pairs.add(choice.sources, choice.targets, choice.mask, choice.condition)
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
            if self._autosave is not None:
                self._autosave.mark("closed")
            self._enter(State.STOPPED)
        self.status.close_activity()

    def _build(self) -> None:
        self._runner = Runner(self)
        self._saver = Runner(self)
        self.offer = ResumeOffer()
        self.form = TrainForm(self._viewer)
        self.preview = LivePreview(self._viewer)
        self.curves = Curves(self._viewer)
        self.curves.hide()
        self.health = Sentence()
        self.outcome = Outcome()
        self.status = RunStatus()
        self._guard = ClosingGuard(self, self._question)

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
        self._saver.finished.connect(self._on_saved)
        self._saver.failed.connect(self.outcome.said.say)
        self._guard.closing.connect(self.close_work)

    def _start(self, run: Autosave | None) -> None:
        if self._runner.running:
            raise InputError("A training is going on: stop it and wait for its end.")
        config = self.config
        pairs = self.form.open_pairs(copy=True)
        choices = self.form.pairs.choices()
        region = self.preview.region(choices, pairs)
        self._config, self._done = config, None
        self._epochs = config.epochs
        self._autosave = run or self._new_autosave(choices)
        self._name = " → ".join(
            choices[0].targets[0].name if side else choices[0].sources[0].name for side in (0, 1)
        )
        self._look = snapshot(choices[0].targets[0], copy=False).look
        self._translator = None
        self.form.remember()
        self.offer.hide()
        self.preview.begin(choices, pairs)
        self.curves.clear()
        self.health.say("")
        self.outcome.hide()
        self._enter(State.PREPARING)
        self._runner.start(
            training_work(
                pairs,
                config,
                checkpoint=None if self._autosave is None else self._autosave.path,
                resume=None if run is None else True,
                start=self.start_from,
                preview=region,
            )
        )

    def _new_autosave(self, choices: list[PairChoice]) -> Autosave | None:
        settings = read_settings()
        if not settings.autosave:
            return None
        rows = [_names_of(choice) for choice in choices]
        return Autosave.begin(settings.autosave_folder, rows=rows, fields=self.form.fields)

    def _on_event(self, event: Event) -> None:
        match event:
            case Prepared():
                self._enter(State.TRAINING, f"on {event.device}")
                self.curves.show()
                self.body.show_soon(self.curves)
            case Step():
                self.status.show_step(event, self._epochs)
                self.curves.add(event)
            case Validated():
                self.curves.add(event)
            case Preview():
                self.preview.add(event)
            case Health():
                self.health.say("\n".join(filter(None, [self.health.text(), event.message])))
            case Done():
                self._done = event

    def _on_finished(self, translator: Translator) -> None:
        done, config = self._done, self._config
        assert done is not None
        assert config is not None
        self._translator = translator
        if self._autosave is not None:
            self._autosave.mark("ended")
        if done.step:
            models().remember(translator, self._name, look=self._look)
            remember_pace(translator.config, done.seconds / done.step)
        self.outcome.show_scores(translator.scores)
        self.body.show_soon(self.outcome)
        state = State.DONE if done.reason == "budget" else State.STOPPED
        self._enter(state, f"{done.step} steps, the model is kept")

    def _on_failed(self, sentence: str) -> None:
        if self._autosave is not None:
            self._autosave.mark("closed")
            self.offer.look(self._autosave.path.parent)
        self._enter(State.FAILED, sentence)

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
        except (InputError, ConfigError) as error:
            self.offer.refuse(str(error))

    def _on_save(self) -> None:
        translator = self._translator
        folder = read_settings().models_folder
        name, _ = QFileDialog.getSaveFileName(
            self, "Save the model", str(folder / "model.safetensors"), "Models (*.safetensors)"
        )
        if name and translator is not None and not self._saver.running:
            path = Path(name) if Path(name).suffix else Path(name).with_suffix(".safetensors")

            def write(control: Control) -> Path:
                translator.save(path)
                return path

            self._saver.start(write)

    def _on_saved(self, path: Path) -> None:
        assert self._translator is not None
        models().remember(self._translator, path.stem, path=path)
        self.outcome.said.say(f"Saved as {path}.")

    def _on_apply(self) -> None:
        open_dock(self._viewer, "Apply").set_model(self._translator)
        self.apply_requested.emit(self._translator)

    def _enter(self, state: State, words: str = "") -> None:
        self.form.hold(state.is_busy)
        self.status.enter(state, words)
        self.state_changed.emit(str(state))

    def _question(self) -> str:
        if not self._runner.running:
            return ""
        kept = "What it has learnt stays in the autosave" if self._autosave else "It is lost"
        return f"A training is going on. {kept}. Stop it and close?"


def _as_list(layers: Any) -> list[Any]:
    return list(layers) if isinstance(layers, list | tuple) else [layers]


def _names_of(choice: PairChoice) -> dict[str, Any]:
    return {
        "sources": [layer.name for layer in choice.sources],
        "targets": [layer.name for layer in choice.targets],
        "mask": None if choice.mask is None else choice.mask.name,
        "condition": choice.condition,
    }


def _choice_of(row: Mapping[str, Any], by_name: Mapping[str, Any]) -> PairChoice:
    wanted = [*row["sources"], *row["targets"], *([row["mask"]] if row["mask"] else [])]
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise InputError(f"To go on, open these layers first: {', '.join(missing)}.")
    return PairChoice(
        tuple(by_name[name] for name in row["sources"]),
        tuple(by_name[name] for name in row["targets"]),
        by_name[row["mask"]] if row["mask"] else None,
        row["condition"],
    )
