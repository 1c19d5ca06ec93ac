"""The dock that applies a model to layers, in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.napari_layers import (
    KEY,
    discriminator_layer,
    generated_layer,
    result_record,
    unlikeness_layer,
)
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply._checks import InputCheck, SpeedTrial, estimate, sizes_differ
from napari_pix2pix.widgets.apply._corrections import CorrectionsForm
from napari_pix2pix.widgets.apply._discriminator_map import compute_map, map_request
from napari_pix2pix.widgets.apply._files import FilesForm
from napari_pix2pix.widgets.apply._forms import generate
from napari_pix2pix.widgets.apply._request import ApplyChoices, ApplyRequest, FormState
from napari_pix2pix.widgets.apply._run import ApplyRun, ExtraTask, NewLayer
from napari_pix2pix.widgets.apply._uncertainty import with_samples
from napari_pix2pix.widgets.apply._unlikeness_map import compare_with_training
from napari_pix2pix.widgets.apply._view import ApplyView
from napari_pix2pix.widgets.apply._view_tiles import Followers, is_followed
from napari_pix2pix.widgets.commands import bind_shortcuts, open_dock
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.layer_choice import is_image, unwrapped
from napari_pix2pix.widgets.common.legend import (
    DEVIATION,
    DISCRIMINATOR_MAP,
    UNLIKENESS_MAP,
    Meaning,
)
from napari_pix2pix.widgets.common.runner import Work
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.runs.gallery import show_gallery

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.data.lazy_image import LazyImage


class ApplyDock(ApplyChoices):
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
        self._meaning: Meaning | None = None
        self._followers = Followers(napari_viewer, self)
        self._applied_to: list[list[Any]] = []  # by the last run
        self._trial = SpeedTrial(self)
        self._input_check = InputCheck(self)
        self._view = ApplyView(self)
        self.files = FilesForm(napari_viewer, self._model_and_options)
        self._view.add_section("Files and folders", self.files)
        self.corrections = CorrectionsForm()
        self._view.add_section("Learn from corrections", self.corrections)
        self._connect()
        self._unbind = bind_shortcuts(napari_viewer, self)
        self.reset_choices()
        self._choose_selected()
        self._take_model()

    @property
    def warning(self) -> str:
        """What is unusual about the chosen layers for this model, known soon after `check`."""
        return " ".join(filter(None, (self._view.note.text(), self._view.seen.text())))

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
            self._generate()
            return
        request, planes = self._choices().request(self._viewer, copy="small")
        self._applied_to = self.layers
        request = replace(request, options=self._with_device(request.options))
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
        model = self.model
        if model is None:
            raise InputError("Choose a model that can be read: train one, or open a file.")
        request = map_request(
            self._viewer, self.layers, self.condition, has_source=not self._makes_images
        )
        device = self._with_device(self.options).device
        self._start_task(
            "Judging",
            lambda control: compute_map(control, model, request, device),
            lambda logits: discriminator_layer(logits, request.prediction[0]),
            "Done. Green looks real to the discriminator, pink looks false.",
            DISCRIMINATOR_MAP,
        )

    def show_unlikeness(self) -> None:
        """Show where the chosen image is unlike those that the model was trained on.

        Raises
        ------
        InputError
            When not one image is chosen that fits the model, or a model is being applied.
        """
        self._check_free()
        request, _ = self._choices().request(self._viewer, copy="small")
        if len(request.jobs) != 1:
            raise InputError("Choose one image under Layers, to show where it is unlike.")
        [job] = request.jobs
        options = self._with_device(request.options)
        self._start_task(
            "Comparing",
            lambda control: compare_with_training(control, request.model, job, options),
            lambda values: unlikeness_layer(values, job.sources[0]),
            "Done. 1 is above 99 % of the training images, and is orange; yellow is far above.",
            UNLIKENESS_MAP,
        )

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

    def resample(self) -> None:
        """Let images be computed at the pixel size of the model's training."""
        self.options = self.options.model_copy(update={"resample": True})

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
        self._trial.close()
        self._input_check.close()
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
        for signal in (
            view.layers.changed,
            view.options.changed,
            view.replaces.toggled,
            view.uncertainty.toggled,
            view.condition.currentIndexChanged,
            view.frames.currentIndexChanged,
            view.part.currentIndexChanged,
            view.generate.changed,
        ):
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
        self._task.added.connect(self._take_added)
        self._trial.found.connect(self._check_soon)
        self._input_check.found.connect(view.note.set_text)
        for form in (self.files, self.corrections):
            form.runner.ended.connect(self._show_state)
        self._run.made.connect(self._remember_results)
        self.corrections.start.clicked.connect(self._try_to_learn)
        self.corrections.learned.connect(self._apply_learned)

    def _take_added(self, added: NewLayer) -> None:
        self._run.add_to_history(added)
        if self._meaning is not None:
            self._view.legend.show_map(added.layer, self._meaning)

    def _explain_deviation(self) -> None:
        """Explain the colours of the deviation that the last run made, if it made one."""
        for layer in self.results:
            if layer.metadata.get(KEY, {}).get("shown") == "deviation":
                self._view.legend.show_map(layer, DEVIATION)

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
        device = self._with_device(PredictOptions()).device
        request = self._view.generate.request(self.condition, device)

        def make(result: tuple[Any, str]) -> Any:
            images, digest = result
            record = result_record(
                [],
                model=model.name,
                digest=digest,
                weights=card.applied,
                condition=request.condition,
                trained_on=card.summary,
                scores=card.scores_by_side,
                channel_names=card.output_names(request.condition),
                samples=len(images),
            )
            looks = card.output_looks(request.condition)
            return generated_layer(images, card.target_codec, record, looks)

        self._start_task(
            "Generating", lambda control: generate(control, model, request), make, "Done."
        )

    def _start_task(
        self,
        text: str,
        work: Work,
        make: Callable[[Any], Any],
        message: str,
        meaning: Meaning | None = None,  # of the colours of the layer that is made
    ) -> None:
        self._view.set_text("")
        self._meaning = meaning
        self._view.progress.begin(text)
        self._task.start(work, make, message)
        self._show_state()

    def _choices(self) -> FormState:
        options = self.options.model_copy(update={"condition": self.condition})
        if self.shows_uncertainty and self.card is not None:
            options = with_samples(options, self.card)
        return FormState(
            model=self.model,
            card=self.card,
            groups=self.layers,
            by_channel=self._view.layers.by_channel,
            options=options,
            current_frame=self.current_frame,
            visible_only=self.visible_only,
            follows_view=self.follows_view,
            replaces=self.replaces,
        )

    def _model_and_options(self) -> tuple[ModelEntry | None, PredictOptions]:
        options = self.options.model_copy(update={"condition": self.condition})
        return self.model, self._with_device(options)

    def apply_to_files(
        self,
        given: str | os.PathLike[str],
        out: str | os.PathLike[str],
        *,
        ending: str = ".tif",
        overwrite: bool = False,
    ) -> None:
        """Translate files into a folder; `files.ended` has the outcome, `files.summary` the rest.

        Parameters
        ----------
        given : path-like
            A file, a folder or a pattern.
        out : path-like
            The folder of the results, which is made if it is missing.
        ending : {".tif", ".ome.zarr"}
            The format of the results.
        overwrite : bool
            Replace existing files; otherwise what this model has finished is kept, and what was
            interrupted is continued.

        Raises
        ------
        InputError, FileError
            When there is no model that takes a source, or files are being translated.
        """
        self.files.choose(Path(given), Path(out), ending=ending, overwrite=overwrite)
        self.files.start()

    def learn(self) -> None:
        """Learn from the corrected result, and apply the new model again.

        `corrections.ended` has the outcome; what is learned from is chosen in `corrections`.

        Raises
        ------
        InputError
            When nothing was corrected, or a model is being applied.
        """
        self._check_free()
        self.corrections.begin(self._with_device(self.options).device or "auto")
        self._show_state()

    def _try_to_learn(self) -> None:
        try:
            self.learn()
        except Pix2PixError as error:
            self.corrections.show_error(str(error))

    def _remember_results(self, request: ApplyRequest, results: Sequence[Any]) -> None:
        self.corrections.remember(results, self._applied_to, request)
        self.corrections.offer(list(self._viewer.layers))

    def _apply_learned(self, model: ModelEntry, sources: Sequence[Any]) -> None:
        """Apply a model that has learned from a correction to the same layers."""
        self.set_model(model)
        self.set_layers(list(sources), by_channel=len(sources) > 1)
        self._try_to(self.apply)

    def _check(self) -> None:
        if self._makes_images:
            self._clear_notes()
        else:
            self._describe(*self._choices().request(self._viewer, copy=False))

    def _with_device(self, options: PredictOptions) -> PredictOptions:
        """Fill in the preferred device; looked up late, since napari reads all manifests for it."""
        if self.card is not None and self.card.engine != "torch":
            return options  # it runs where it can
        preferred = read_settings().device
        if options.device is not None or preferred == "auto":
            return options
        return options.model_copy(update={"device": preferred})

    def _describe(self, request: ApplyRequest, planes: list[LazyImage]) -> None:
        """Show what a run will cost, and what is unusual about the images."""
        self._input_check.check(request.card, planes, request.options)
        if request.follows_view:
            self._view.estimate.set_text("Tiles are translated where you look, and only there.")
            return
        translator = request.model.translator
        measured = None if translator is None else self._run.speeds.get(translator)
        self._view.estimate.set_text(
            estimate(
                request.card,
                request.jobs,
                planes,
                request.options,
                measured=measured,
                trial=self._trial.speed(request.model),
                tile=0 if self._view.options.whole else request.options.tile,
            )
        )
        options = request.options
        differ = any(sizes_differ(request.card, image, options) for image in planes)
        self._view.resample.setVisible(differ)

    def _take_model(self) -> None:
        if self.card is not None:
            self._view.fit(self.card)
            self._try_speed(self.card)
        self._check_soon()

    def _try_speed(self, card: ModelInfo) -> None:
        """Measure the speed of a model in memory, or of a file that the user chose."""
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
            self._clear_notes()

    def _clear_notes(self) -> None:
        self._view.estimate.set_text("")
        self._view.note.set_text("")
        self._view.resample.hide()
        self._input_check.forget()

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
        self._explain_deviation()
        super()._end(message, is_error)
        self._show_state()
        self._check_soon()

    def _question(self) -> str:
        return "A model is being applied. Stop it and close?" if self.running else ""
