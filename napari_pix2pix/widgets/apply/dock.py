"""The dock that applies a model to layers, in place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import CallOptions
from napari_pix2pix.napari_layers import discriminator_layer, made_layer, result_record
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply._checks import InputCheck, SpeedTrial, estimate
from napari_pix2pix.widgets.apply._discriminator_map import ask, find_subject
from napari_pix2pix.widgets.apply._generate import generate
from napari_pix2pix.widgets.apply._request import ApplyRequest, FormState
from napari_pix2pix.widgets.apply._run import ApplyRun, ExtraTask
from napari_pix2pix.widgets.apply._view import ApplyView
from napari_pix2pix.widgets.apply._view_tiles import Followers, is_followed
from napari_pix2pix.widgets.commands import bind_shortcuts
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.layer_choice import is_image, unwrapped
from napari_pix2pix.widgets.common.model_dock import ModelDock
from napari_pix2pix.widgets.common.runner import Work
from napari_pix2pix.widgets.common.settings import read_settings

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.data.lazy_image import LazyImage


class ApplyDock(ModelDock):
    """Choose a model and layers, and get translated layers beside them.

    All that the mouse does is a property or a method here.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    _view: ApplyView

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._run = ApplyRun(napari_viewer, self)
        self._side = ExtraTask(napari_viewer, self)
        self._followers = Followers(napari_viewer, self)
        self._trial = SpeedTrial(self)
        self._oddness = InputCheck(self)
        self._view = ApplyView(self)
        self._connect()
        self._unbind = bind_shortcuts(napari_viewer, self)
        self.reset_choices()
        self._choose_selected()
        self._take_model()

    # What is chosen.

    @property
    def model(self) -> ModelEntry | None:
        """The model; None where there is none or its file can't be read."""
        return self._view.picker.model

    def set_model(self, model: Any) -> None:
        """Choose a `ModelEntry`, the path of a file, or a `Translator`."""
        if hasattr(model, "translate_planes"):
            known = [one for one in models().known() if one.translator is model]
            model = known[0] if known else models().remember(model, "model")
        self._view.picker.choose(model)

    @property
    def card(self) -> ModelInfo | None:
        """What the model is."""
        return self._view.picker.info

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
    def warning(self) -> str:
        """What is odd about the chosen layers for this model, found out soon after `check`."""
        return self._view.note.text()

    @property
    def running(self) -> bool:
        """Whether a model is being applied or asked."""
        return self._run.running or self._side.runner.running

    @property
    def results(self) -> list[Any]:
        """The layers that the last run made, updated or replaced."""
        return self._run.layers

    @property
    def followed(self) -> list[Any]:
        """The layers that are translated where they are looked at."""
        return [one.layer for one in self._followers.all if one.layer is not None]

    def apply(self) -> None:
        """Apply the model, or let it make images; `ended` tells how it went.

        Raises
        ------
        InputError
            When the model does not fit the layers, or one is being applied.
        """
        self._check_free()
        if self._makes_images:
            self._generate()
            return
        order, planes = self._choices().order(self._viewer, copy="small")
        order = replace(order, options=self._with_device(order.options))
        self._view.say("")
        if is_followed(order, planes):
            self._followers.begin(order)
            return
        text = "Applying" if order.model.translator is not None else "Loading the model"
        self._view.progress.begin(text)  # napari handles events there, such as the end of a run
        self._run.start(order)
        self._show_state()

    def ask_discriminator_map(self) -> None:
        """Show where the selected layer, or else the last result, looks false to the model.

        Raises
        ------
        InputError
            When no layer is meant, or a model is being applied.
        """
        self._check_free()
        model = self.model
        if model is None:
            raise InputError("Choose a model that can be read: train one, or open a file.")
        subject = find_subject(
            self._viewer, self.layers, self.condition, of_nothing=self._makes_images
        )
        device = self._with_device(self.options).device
        self._begin_aside(
            "Judging",
            lambda control: ask(control, model, subject, device),
            lambda found: discriminator_layer(found, subject.prediction),
            "Done. Green looks real to the discriminator, pink looks false.",
        )

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
        self._try_to(self.apply)

    def cancel(self) -> None:
        """Stop after the tile that is being done; what is done stays, marked as partial."""
        self._run.cancel()
        self._side.runner.stop()
        self._show_state()

    def undo(self) -> None:
        """Undo the last run."""
        self._run.undo()
        self._view.say("")
        self._show_state()

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layer list; napari calls it."""
        self._view.layers.offer(reversed(list(self._viewer.layers)))
        self._check_soon()

    def close_down(self) -> None:
        """Stop all work, wait for it, remember the options, and give the keys back."""
        self._run.close()
        self._side.runner.close()
        self._followers.close()
        self._trial.close()
        self._oddness.close()
        self._view.picker.close_down()
        self._view.progress.finish()
        self._view.remember()
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
            view.generate.changed,
        ):
            signal.connect(self._check_soon)
        view.apply.clicked.connect(self._try_to_apply)
        view.cancel.clicked.connect(self.cancel)
        view.undo.clicked.connect(self.undo)
        view.discriminator_map.clicked.connect(self._try_to_ask)
        for run in (self._run, self._side):
            run.progressed.connect(view.progress.show_part)
            run.ended.connect(self._end)
        self._followers.said.connect(self._end)
        self._side.added.connect(self._run.add_to_history)
        self._trial.found.connect(self._check_soon)
        self._oddness.found.connect(view.note.say)

    def _try_to_apply(self) -> None:
        self._try_to(self.apply)

    def _try_to_ask(self) -> None:
        self._try_to(self.ask_discriminator_map)

    def _check_free(self) -> None:
        if self.running:
            raise InputError("A model is being applied: wait for its end, or cancel it.")

    @property
    def _makes_images(self) -> bool:
        """Whether the model takes no source."""
        return self.card is not None and not self.card.channels

    def _generate(self) -> None:
        """Let the model make images of noise and the condition."""
        model, card = self.model, self.card
        assert model is not None
        assert card is not None
        device = self._with_device(CallOptions()).device
        request = self._view.generate.request(self.condition, device)

        def make(found: tuple[Any, str]) -> Any:
            images, digest = found
            record = result_record(
                [],
                model=model.name,
                digest=digest,
                condition=request.condition,
                trained_on=card.summary,
                scores=card.scores_by_side,
                samples=len(images),
            )
            return made_layer(images, card.target_codec, record)

        self._begin_aside(
            "Generating", lambda control: generate(control, model, request), make, "Done."
        )

    def _begin_aside(self, text: str, work: Work, make: Callable[[Any], Any], said: str) -> None:
        self._view.say("")
        self._view.progress.begin(text)
        self._side.start(work, make, said)
        self._show_state()

    def _choices(self) -> FormState:
        return FormState(
            model=self.model,
            card=self.card,
            groups=self.layers,
            by_channel=self._view.layers.by_channel,
            condition=self.condition,
            options=self.options,
            current_frame=self.current_frame,
            visible_only=self.visible_only,
            replaces=self.replaces,
        )

    def _check(self) -> None:
        if self._makes_images:
            self._say_nothing()
        else:
            self._describe(*self._choices().order(self._viewer, copy=False))

    @staticmethod
    def _with_device(options: CallOptions) -> CallOptions:
        """Fill in the preferred device; looked up late, since napari reads all manifests for it."""
        preferred = read_settings().device
        if options.device is not None or preferred == "auto":
            return options
        return options.model_copy(update={"device": preferred})

    def _describe(self, order: ApplyRequest, planes: list[LazyImage]) -> None:
        """Say what a run will cost, and what is odd about the images."""
        translator = order.model.translator
        measured = None if translator is None else self._run.speeds.get(translator)
        self._view.estimate.say(
            estimate(
                order.card,
                order.jobs,
                planes,
                measured=measured,
                trial=self._trial.speed(order.model),
                tile=0 if self._view.options.whole else order.options.tile,
                samples=order.options.samples,
            )
        )
        self._oddness.look(order.card, planes)

    def _take_model(self) -> None:
        if self.card is not None:
            self._view.fit(self.card)
            self._try_speed(self.card)
        self._check_soon()

    def _try_speed(self, card: ModelInfo) -> None:
        """Learn the speed of a model in memory, or of a file that the user chose."""
        model, chosen = self.model, self._view.picker.chosen
        if model is not None and card.channels and (model.translator is not None or chosen):
            self._trial.begin(model, self._with_device(self.options).device)

    def _choose_selected(self) -> None:
        selected = [unwrapped(layer) for layer in self._viewer.layers.selection]
        chosen = [layer for layer in selected if is_image(layer)]
        if chosen and not self.layers:
            self.set_layers(sorted(chosen, key=self._viewer.layers.index))

    def _show_problem(self, sentence: str) -> None:
        super()._show_problem(sentence)
        if sentence:
            self._say_nothing()

    def _say_nothing(self) -> None:
        self._view.estimate.say("")
        self._view.note.say("")
        self._oddness.forget()

    def _show_state(self) -> None:
        running = self.running
        self._view.apply.setEnabled(not running and not self._problem)
        stopping = self._run.runner.stopping or self._side.runner.stopping
        self._view.cancel.setEnabled(running and not stopping)
        judges = self.card is not None and self.card.has_discriminator
        self._view.discriminator_map.setEnabled(judges and not running)
        self._view.undo.setEnabled(self._run.can_undo)

    def _end(self, said: str, is_error: bool = False) -> None:
        super()._end(said, is_error)
        self._show_state()
        self._check_soon()

    def _question(self) -> str:
        return "A model is being applied. Stop it and close?" if self.running else ""
