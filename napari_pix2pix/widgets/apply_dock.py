"""The dock that applies a model to layers, in place."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.pairs.sets import foreign_dtype
from napari_pix2pix.translation.options import CallOptions
from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.apply_estimate import estimate
from napari_pix2pix.widgets.apply_jobs import make_job
from napari_pix2pix.widgets.apply_run import ApplyRun, Order
from napari_pix2pix.widgets.apply_view import ApplyView
from napari_pix2pix.widgets.apply_work import Speed, try_speed
from napari_pix2pix.widgets.closing import ClosingGuard
from napari_pix2pix.widgets.layer_choice import is_image, unwrapped
from napari_pix2pix.widgets.models import KnownModel, models
from napari_pix2pix.widgets.runner import Runner
from napari_pix2pix.widgets.settings import read_settings
from napari_pix2pix.widgets.shortcuts import bind_shortcuts

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.pairs.planes import Planes
    from napari_pix2pix.translator import Translator

_WAIT = 100  # milliseconds between a change and the check of all


class ApplyDock(QWidget):
    """Choose a model and layers, and get translated layers beside them.

    All that the mouse does is a property or a method here.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.

    Attributes
    ----------
    ended : Signal(str, bool)
        A run is over: what the dock says of it, and whether that is an error.
    """

    ended = Signal(str, bool)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._speeds: WeakKeyDictionary[Translator, Speed] = WeakKeyDictionary()
        self._run = ApplyRun(napari_viewer, self)
        self._trial = Runner(self)
        self._view = ApplyView(self)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_WAIT)
        self._problem = ""
        self._connect()
        self._guard = ClosingGuard(self, self._question)
        self._guard.closing.connect(self.close_down)
        self._unbind = bind_shortcuts(napari_viewer, self)
        self.reset_choices()
        self._choose_selected()
        self._take_model()

    # What is chosen.

    @property
    def model(self) -> KnownModel | None:
        """The model; None where there is none or its file can't be read."""
        return self._view.picker.model

    def set_model(self, model: Any) -> None:
        """Choose a `KnownModel`, the path of a file, or a `Translator`."""
        if hasattr(model, "translate_planes"):
            known = [one for one in models().known() if one.translator is model]
            model = known[0] if known else models().remember(model, "model")
        self._view.picker.choose(model)

    @property
    def card(self) -> Card | None:
        """What the model is."""
        return self._view.picker.card

    @property
    def layers(self) -> list[list[Any]]:
        """One list a result: a layer, or the layers that are its channels."""
        return self._view.layers.groups

    def set_layers(self, layers: Sequence[Any], *, by_channel: bool = False) -> None:
        """Choose the layers to translate, or with ``by_channel`` the channels of one image."""
        self._view.layers.choose(layers, by_channel=by_channel)

    @property
    def condition(self) -> Hashable:
        """The condition; None for a model without any."""
        return self._view.condition.value

    @condition.setter
    def condition(self, value: Hashable) -> None:
        self._view.condition.choose(value)

    @property
    def current_frame(self) -> bool:
        """Whether only the frames that are shown are translated."""
        return bool(self._view.frames.currentData())

    @current_frame.setter
    def current_frame(self, value: bool) -> None:
        self._view.frames.setCurrentIndex(int(value))

    @property
    def visible_only(self) -> bool:
        """Whether only the part in view is translated."""
        return bool(self._view.part.currentData())

    @visible_only.setter
    def visible_only(self, value: bool) -> None:
        self._view.part.setCurrentIndex(int(value))

    @property
    def replaces(self) -> bool:
        """Whether results take the places of their sources."""
        return self._view.replaces.isChecked()

    @replaces.setter
    def replaces(self, value: bool) -> None:
        self._view.replaces.setChecked(value)

    @property
    def options(self) -> CallOptions:
        """The advanced options."""
        return self._view.options.options()

    @options.setter
    def options(self, value: CallOptions) -> None:
        self._view.options.set_options(value)

    # What it does.

    @property
    def problem(self) -> str:
        """Why the model can't be applied as things are chosen; empty where it can."""
        return self._problem

    @property
    def running(self) -> bool:
        """Whether a model is being applied."""
        return self._run.running

    @property
    def results(self) -> list[Any]:
        """The layers that the last run made, updated or replaced."""
        return self._run.layers

    def apply(self) -> None:
        """Apply the model; `ended` tells how it went.

        Raises
        ------
        InputError
            When the model does not fit the layers, or one is being applied.
        """
        if self.running:
            raise InputError("A model is being applied: wait for its end, or cancel it.")
        order, _ = self._plan(copy=True)
        order = replace(order, options=self._with_device(order.options))
        self._view.say("")
        self._run.start(order)
        text = "Applying" if order.model.translator is not None else "Loading the model"
        self._view.progress.begin(text)
        self._show_state()

    def apply_last(self, layer: Any = None) -> None:
        """Apply the last model to a layer, by default the active one."""
        layer = self._viewer.layers.selection.active if layer is None else layer
        if layer is None or not is_image(unwrapped(layer)):
            self._view.say("Select an Image or Labels layer to translate.", is_error=True)
            return
        last = models().last()
        if last is not None and (self.model is None or self.model is not last):
            self._view.picker.choose(last)
        self.set_layers([layer])
        self._try_to_apply()

    def cancel(self) -> None:
        """Stop after the tile that is being done; what is done stays, marked as partial."""
        self._run.cancel()
        self._show_state()

    def undo(self) -> None:
        """Undo the last run."""
        self._run.undo()
        self._view.say("")
        self._show_state()

    def check(self) -> str:
        """Check now whether the model fits, and return `problem`."""
        self._later.stop()
        try:
            order, planes = self._plan(copy=False)
        except Pix2PixError as error:
            self._show_problem(str(error))
        else:
            self._show_problem("")
            self._describe(order, planes)
        return self._problem

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layer list; napari calls it."""
        self._view.layers.offer(reversed(list(self._viewer.layers)))
        self._check_soon()

    def close_down(self) -> None:
        """Stop all work, wait for it, and give the keys back."""
        self._run.close()
        self._trial.close()
        self._view.picker.close_down()
        self._view.progress.finish()
        self._unbind()

    # How.

    def _connect(self) -> None:
        view = self._view
        view.picker.changed.connect(self._take_model)
        for signal in (
            view.layers.changed,
            view.options.changed,
            view.replaces.toggled,
            view.condition.currentIndexChanged,
            view.frames.currentIndexChanged,
            view.part.currentIndexChanged,
        ):
            signal.connect(self._check_soon)
        self._later.timeout.connect(self.check)
        view.apply.clicked.connect(self._try_to_apply)
        view.cancel.clicked.connect(self.cancel)
        view.undo.clicked.connect(self.undo)
        self._run.progressed.connect(view.progress.show_part)
        self._run.ended.connect(self._end)
        self._trial.finished.connect(self._take_speed)

    def _check_soon(self, *_: Any) -> None:
        self._later.start()

    def _try_to_apply(self) -> None:
        try:
            self.apply()
        except Pix2PixError as error:
            self._show_problem(str(error))

    def _plan(self, *, copy: bool) -> tuple[Order, list[Planes]]:
        """Say what is to be done; raises `InputError` where it can't be."""
        model, card, condition = self.model, self.card, self.condition
        if model is None or card is None:
            raise InputError("Choose a model that can be read: train one, or open a file.")
        if not card.channels:
            raise InputError(
                "This model was trained without a source and takes no layer: it makes images with "
                "translator.sample or on the command line."
            )
        self._check_samples(card)
        groups = self.layers
        if not groups:
            raise InputError(
                f"Choose a layer for each of the {card.channels} channels that the model takes."
                if self._view.layers.by_channel
                else "Choose the layers to translate."
            )
        made = [
            make_job(
                self._viewer,
                group,
                card,
                condition=condition,
                current_frame=self.current_frame,
                visible_only=self.visible_only,
                copy=copy,
            )
            for group in groups
        ]
        order = Order(
            model=model,
            card=card,
            sources=[group[0] for group in groups],
            jobs=[job for job, _ in made],
            condition=condition,
            options=self.options,
            replaces=self.replaces,
        )
        return order, [planes for _, planes in made]

    @staticmethod
    def _with_device(options: CallOptions) -> CallOptions:
        """Fill in the preferred device; looked up late, since napari reads all manifests for it."""
        preferred = read_settings().device
        if options.device is not None or preferred == "auto":
            return options
        return options.model_copy(update={"device": preferred})

    def _check_samples(self, card: Card) -> None:
        options = self.options
        if options.samples == 1:
            return
        if not (options.dropout or card.config.noise_channels):
            raise InputError(
                f"All {options.samples} samples would be the same: tick dropout as well."
            )
        if self.replaces:
            raise InputError(
                "Mean and deviation of samples are two layers and replace none: untick Replace "
                "the source, or take 1 sample."
            )

    def _describe(self, order: Order, planes: list[Planes]) -> None:
        """Say what a run will cost, and what is odd about the images."""
        translator = order.model.translator
        measured = trial = None
        if translator is not None:
            measured, trial = self._run.speeds.get(translator), self._speeds.get(translator)
        whole = self._view.options.whole
        self._view.estimate.say(
            estimate(
                order.card,
                order.jobs,
                planes,
                measured=measured,
                trial=trial,
                whole=whole,
                samples=order.options.samples,
            )
        )
        notes = {foreign_dtype(order.card.source_codec, one.dtype) for one in planes}
        self._view.note.say(" ".join(sorted(notes - {""})))

    def _take_model(self) -> None:
        if self.card is not None:
            self._view.fit(self.card)
            if self.card.channels:
                self._try_speed()
        self._check_soon()

    def _try_speed(self) -> None:
        """Learn the speed of a model in memory, or of a file that the user chose."""
        model, chosen = self.model, self._view.picker.chosen
        if model is None or (model.translator is None and not chosen) or self._trial.running:
            return
        if model.translator not in self._speeds:
            device = self._with_device(self.options).device
            self._trial.start(lambda _control: (model, try_speed(model, device)))

    def _take_speed(self, found: tuple[KnownModel, Speed]) -> None:
        model, speed = found
        self._speeds[speed.translator] = speed
        if model.translator is None:
            models().remember(speed.translator, model.name, path=model.path, look=model.look)
        self._try_speed()  # of the model that was chosen meanwhile
        self._check_soon()

    def _choose_selected(self) -> None:
        selected = [unwrapped(layer) for layer in self._viewer.layers.selection]
        chosen = [layer for layer in selected if is_image(layer)]
        if chosen and not self.layers:
            self.set_layers(sorted(chosen, key=self._viewer.layers.index))

    def _show_problem(self, sentence: str) -> None:
        self._problem = sentence
        # What is wrong with a file stands below the model already.
        self._view.problem.say("" if self._view.picker.error.text() else sentence)
        if sentence:
            self._view.estimate.say("")
            self._view.note.say("")
        self._show_state()

    def _show_state(self) -> None:
        running = self.running
        self._view.apply.setEnabled(not running and not self._problem)
        self._view.cancel.setEnabled(running and not self._run.runner.stopping)
        self._view.undo.setEnabled(self._run.can_undo)

    def _end(self, said: str, is_error: bool) -> None:
        self._view.progress.finish()
        self._view.say(said, is_error=is_error)
        # The runner tells its end before it is free again.
        QTimer.singleShot(0, self._show_state)
        self._check_soon()
        self.ended.emit(said, is_error)

    def _question(self) -> str:
        return "A model is being applied. Stop it and close?" if self.running else ""
