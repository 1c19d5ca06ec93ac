"""The dock that applies a model to layers, in place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_pix2pix.napari_layers import KEY
from napari_pix2pix.widgets.apply._notes import RunNotes
from napari_pix2pix.widgets.apply._request import with_preferred_device
from napari_pix2pix.widgets.apply._run import ApplyRun, FollowedLayer, NewLayer
from napari_pix2pix.widgets.apply._sections import ApplySections
from napari_pix2pix.widgets.apply._tasks import ExtraTask
from napari_pix2pix.widgets.apply._view import ApplyView
from napari_pix2pix.widgets.apply._view_tiles import Followers, is_followed
from napari_pix2pix.widgets.commands import bind_shortcuts, open_dock
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.layer_choice import is_image, unwrapped
from napari_pix2pix.widgets.common.legend import DEVIATION, Meaning
from napari_pix2pix.widgets.runs.gallery import show_gallery

if TYPE_CHECKING:
    import napari.viewer


class ApplyDock(ApplySections):
    """Choose a model and layers, and get translated layers beside them.

    All that the mouse does is a property or a method here.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._run = ApplyRun(napari_viewer, self)
        self._task = ExtraTask(napari_viewer, self)
        self._followers = Followers(napari_viewer, self)
        self._view = ApplyView(self)
        self._notes = RunNotes(self._view, self)
        self._add_sections()
        self._connect()
        self._unbind = bind_shortcuts(napari_viewer, self)
        self.reset_choices()
        self._choose_selected()
        self._take_model()

    @property
    def running(self) -> bool:
        """Whether a model is being applied or asked."""
        others = self.files.running or self.corrections.running
        return self._run.running or self._task.runner.running or others

    @property
    def results(self) -> list[Any]:
        """The layers that the last run made, updated or replaced."""
        return self._run.layers

    @property
    def followed(self) -> list[Any]:
        """The layers of which only tiles in view are translated."""
        return [layer for tiled in self._followers.all for layer in tiled.layers]

    def apply(self) -> None:
        """Apply the model, or let it make images; `ended` has the outcome.

        Raises
        ------
        InputError
            When the model does not fit the layers, or one is being applied.
        """
        self._check_free()
        if self._makes_images:
            self._task.generate(self._choices(), self._view.generate)
            self._show_state()
            return
        request, planes = self._choices().request(self._viewer, copy="small")
        self._applied_to = self.layers
        request = replace(request, options=with_preferred_device(request.options, request.card))
        self._view.set_text("")
        self._view.forget_seen()
        if is_followed(request, planes):
            self._followers.begin(request)
            return
        text = "Applying" if request.model.translator is not None else "Loading the model"
        self._view.progress.begin(text)  # napari handles events there, such as the end of a run
        self._run.start(request)
        self._show_state()

    def ask_discriminator_map(self) -> None:
        """Show where the selected layer, or else the last result, looks false to the model.

        Raises
        ------
        InputError
            When no layer is meant, or a model is being applied.
        """
        self._check_free()
        self._task.map_discriminator(self._choices())
        self._show_state()

    def show_unlikeness(self) -> None:
        """Show where the chosen image is unlike those that the model was trained on.

        Raises
        ------
        InputError
            When not one image is chosen that fits the model, or a model is being applied.
        """
        self._check_free()
        self._task.map_unlikeness(self._choices())
        self._show_state()

    def apply_last(self, layer: Any = None) -> None:
        """Apply the last model to a layer, by default the active one."""
        layer = self._viewer.layers.selection.active if layer is None else layer
        if layer is None or not is_image(unwrapped(layer)):
            self._view.set_text("Select an Image or Labels layer to translate.", is_error=True)
            return
        last = models().last()
        if last is not None and (self.model is None or not self.model.is_same(last)):
            self._view.picker.choose(last)
        self.set_layers([layer])
        self._try_to(self.apply)

    def cancel(self) -> None:
        """Stop after the tile that is being done; what is done stays, marked as partial."""
        self._run.cancel()
        self.files.runner.stop()
        self.corrections.runner.stop()
        self._task.runner.stop()
        self._show_state()

    def undo(self) -> None:
        """Undo the last run."""
        self._run.undo()
        self._view.set_text("")
        self._show_state()

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layer list; napari calls it."""
        self._view.layers.offer(reversed(list(self._viewer.layers)))
        self._view.legend.forget_removed(self._viewer.layers)
        self.corrections.offer(list(self._viewer.layers))
        self._check_soon()

    def close_down(self) -> None:
        """Stop all work, wait for it, remember the options, and give the keys back."""
        self._run.close()
        self.files.close_work()
        self.corrections.close_work()
        self._task.runner.close()
        self._followers.close()
        self._notes.close()
        self._view.picker.close_down()
        self._view.progress.finish()
        self._view.legend.forget()
        self._view.remember()
        self._unbind()

    def _connect(self) -> None:
        view = self._view
        view.picker.changed.connect(self._take_model)
        view.picker.runs.clicked.connect(self._open_runs)
        view.picker.runs.show()
        for signal in view.choice_signals():
            signal.connect(self._check_soon)
        view.apply.clicked.connect(self._try_to_apply)
        view.cancel.clicked.connect(self.cancel)
        view.undo.clicked.connect(self.undo)
        view.compare.clicked.connect(self.compare)
        view.resample.clicked.connect(self.resample)
        view.discriminator_map.clicked.connect(self._try_to_ask)
        view.unlikeness_map.clicked.connect(self._try_to_show_unlikeness)
        for run in (self._run, self._task):
            run.progressed.connect(view.progress.show_part)
            run.ended.connect(self._end)
        self._run.unusual.connect(view.add_seen)
        view.layers.changed.connect(view.forget_seen)
        view.picker.changed.connect(view.forget_seen)
        self._followers.message.connect(self._end)
        self._followers.added.connect(self._take_followed)
        self._task.began.connect(self._begin_task)
        self._task.added.connect(self._take_added)
        self._notes.outdated.connect(self._check_soon)
        self._run.made.connect(self._remember_results)

    def _begin_task(self, text: str) -> None:
        self._view.set_text("")
        self._view.progress.begin(text)

    def _take_added(self, added: list[NewLayer], meaning: Meaning | None) -> None:
        self._run.add_to_history(added)
        if meaning is not None:
            self._view.legend.show_map(added[0].layer, meaning)

    def _take_followed(self, layers: list[Any]) -> None:
        self._run.add_to_history([FollowedLayer(self._viewer, layer) for layer in layers])
        self._show_state()

    def compare(self) -> Any:
        """Open the Compare dock with the last result and its source, and return it."""
        return open_dock(self._viewer, "Compare").choose_result(self.results)

    def _open_runs(self) -> None:
        show_gallery(self._viewer, self)

    def _try_to_apply(self) -> None:
        self._try_to(self.apply)

    def _try_to_ask(self) -> None:
        self._try_to(self.ask_discriminator_map)

    def _try_to_show_unlikeness(self) -> None:
        self._try_to(self.show_unlikeness)

    def _check(self) -> None:
        if self._makes_images:
            self._notes.clear()
            return
        request, planes = self._choices().request(self._viewer, copy=False)
        self._notes.show(request, planes, self._run.speed(request.model))

    def _take_model(self) -> None:
        if self.card is not None:
            self._view.fit(self.card)
            self._notes.try_speed(self._choices())
        self._check_soon()

    def _show_problem(self, sentence: str) -> None:
        super()._show_problem(sentence)
        if sentence:
            self._notes.clear()

    def _show_state(self) -> None:
        running = self.running
        self._view.apply.setEnabled(not running and not self._problem)
        stopping = self._run.runner.stopping or self._task.runner.stopping
        self._view.cancel.setEnabled(running and not stopping)
        judges = self.card is not None and self.card.has_discriminator
        self._view.discriminator_map.setEnabled(judges and not running)
        knows = self.card is not None and self.card.usual is not None
        self._view.unlikeness_map.setEnabled(knows and not running and not self._problem)
        self._view.undo.setEnabled(self._run.can_undo)

    def _end(self, message: str, is_error: bool = False) -> None:
        for layer in self.results:
            if layer.metadata.get(KEY, {}).get("shown") == "deviation":
                self._view.legend.show_map(layer, DEVIATION)
        super()._end(message, is_error)
        self._show_state()
        self._check_soon()

    def _question(self) -> str:
        return "A model is being applied. Stop it and close?" if self.running else ""
