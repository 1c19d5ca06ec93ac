"""The dock that scores a prediction, or a model, against the truth."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QFileDialog

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.napari_layers import KEY, Copy, as_trained, mask_of, output_layer, snapshot
from napari_pix2pix.widgets.common.known_models import ModelEntry
from napari_pix2pix.widgets.common.layer_choice import unwrapped
from napari_pix2pix.widgets.common.model_dock import ModelDock
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.evaluate._view import EvaluateView
from napari_pix2pix.widgets.evaluate._work import (
    Evaluated,
    EvaluationRequest,
    Result,
    evaluate_subject,
    report_result,
)

if TYPE_CHECKING:
    import napari.viewer


class EvaluateDock(ModelDock):
    """Choose a prediction and the truth, and get scores beside those of the baseline.

    All that the mouse does is a property or a method here.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    _view: EvaluateView

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._view = EvaluateView(self, napari_viewer)
        self._runner = Runner(self, latest=(Evaluated,))
        self._subject: EvaluationRequest | None = None
        self._result: Result | None = None
        self._layer: Any = None  # of the difference
        self._connect()
        self.reset_choices()
        self._choose_result()
        self._take_model()

    # What is chosen.

    def set_prediction(self, prediction: Any, truth: Any, source: Any = None) -> None:
        """Compare two layers; with the source's, the baseline is scored too."""
        self._view.what.setCurrentIndex(0)
        self._view.prediction.choose(prediction)
        self._view.truth.choose(truth)
        self._view.sources.choose([] if source is None else [source])
        self._check_soon()

    def set_model(
        self, model: Any, sources: Sequence[Any], truth: Any, condition: Any = None
    ) -> None:
        """Compare what a model makes of layers with the truth.

        Parameters
        ----------
        model : KnownModel or path-like
        sources : sequence of layers
            Several are the channels of one image.
        truth : layer
        condition : hashable, optional
            One of the model's.
        """
        self._view.what.setCurrentIndex(1)
        self._view.picker.choose(model)
        self._view.sources.choose(sources)
        self._view.truth.choose(truth)
        if condition is not None:
            self._view.condition.choose(condition)
        self._check_soon()

    @property
    def model(self) -> ModelEntry | None:
        """The model that is evaluated; None where a layer is."""
        return self._view.picker.model if self._view.what.currentData() else None

    @property
    def mask(self) -> Any:
        """The layer of the mask, or None."""
        return self._view.mask.layer

    @mask.setter
    def mask(self, layer: Any) -> None:
        self._view.mask.choose(layer)

    @property
    def adds_difference(self) -> bool:
        """Whether the difference is added as a layer."""
        return self._view.difference.isChecked()

    @adds_difference.setter
    def adds_difference(self, value: bool) -> None:
        self._view.difference.setChecked(value)

    @property
    def segments(self) -> bool:
        """Whether what Otsu's threshold finds in the images is scored, too."""
        return self._view.segments.isChecked()

    @segments.setter
    def segments(self, value: bool) -> None:
        self._view.segments.setChecked(value)

    # What it does.

    @property
    def running(self) -> bool:
        """Whether an evaluation is going on."""
        return self._runner.running

    @property
    def scores(self) -> Mapping[str, Any] | None:
        """The last scores, read as those of `napari_pix2pix.evaluate`; None before any."""
        return None if self._result is None else self._result.scores

    @property
    def difference(self) -> Any:
        """The layer of the last difference, or None."""
        return self._layer

    def evaluate(self) -> None:
        """Score what is chosen; `ended` tells how it went.

        Raises
        ------
        InputError
            When the layers don't fit each other or the model, or an evaluation is going on.
        """
        if self.running:
            raise InputError("An evaluation is going on: wait for its end, or cancel it.")
        subject = self._plan(copy="small")
        subject.pair()
        self._view.say("")
        self._subject = subject
        device = read_settings().device
        self._view.progress.begin("Evaluating")
        self._runner.start(
            lambda control: evaluate_subject(control, subject, None if device == "auto" else device)
        )
        self._show_state()

    def cancel(self) -> None:
        """Stop after the frame that is being done; the frames that are done are scored."""
        self._runner.stop()
        self._show_state()

    def export_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the scores of all images; raises `FileError` where it can't."""
        self._known_result().scores.to_csv(path)
        self._view.say(f"Written to {os.fspath(path)}.")

    def save_report(self, path: str | os.PathLike[str]) -> None:
        """Write a page with scores and pictures, beside other work; `ended` tells how it went.

        Raises
        ------
        InputError
            When nothing was evaluated yet, or work is going on.
        """
        result = self._known_result()
        if self.running:
            raise InputError("Work is going on: wait for its end, or cancel it.")
        self._view.say("")
        self._view.progress.begin("Writing the report")
        self._runner.start(lambda control: report_result(control, result, path))
        self._show_state()

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layer list; napari calls it."""
        layers = list(reversed(list(self._viewer.layers)))
        view = self._view
        for choice in (view.prediction, view.truth, view.sources, view.mask):
            choice.offer(layers)
        self._check_soon()

    def close_down(self) -> None:
        """Stop all work and wait for it."""
        self._runner.close()
        self._view.picker.close_down()
        self._view.progress.finish()

    # How.

    def _connect(self) -> None:
        view = self._view
        view.what.currentIndexChanged.connect(view.show_what)
        view.picker.changed.connect(self._take_model)
        for choice in (view.prediction, view.truth, view.sources, view.mask):
            choice.changed.connect(self._check_soon)
        for combo in (view.what, view.kind, view.condition):
            combo.currentIndexChanged.connect(self._check_soon)
        view.image.currentIndexChanged.connect(self._show_scores)
        view.evaluate.clicked.connect(self._try_to_evaluate)
        view.cancel.clicked.connect(self.cancel)
        # Methods, not lambdas: PySide6 would keep a lambda, and with it the dock and its viewer.
        view.export.clicked.connect(self._ask_where_to_export)
        view.report.clicked.connect(self._ask_where_to_report)
        self._runner.reported.connect(self._take)
        self._runner.finished.connect(self._finish)
        self._runner.failed.connect(self._fail)
        self._runner.ended.connect(self._show_state)

    def _known_result(self) -> Result:
        if self._result is None:
            raise InputError("There are no scores yet: evaluate first.")
        return self._result

    def _choose_result(self) -> None:
        """Choose what a model made, and what it was made of: the uppermost result."""
        layers = [unwrapped(layer) for layer in self._viewer.layers]
        by_id = {str(layer.unique_id): layer for layer in layers}
        for layer in reversed(layers):
            if KEY in layer.metadata:
                self._view.prediction.choose(layer)
                source = by_id.get(layer.metadata[KEY].get("source_id"))
                self._view.sources.choose([source] if source is not None else [])
                return

    def _try_to_evaluate(self) -> None:
        self._try_to(self.evaluate)

    def _check(self) -> None:
        self._plan(copy=False).pair()

    def _plan(self, *, copy: Copy) -> EvaluationRequest:
        view = self._view
        by_model = bool(view.what.currentData())
        truth, sources = view.truth.layer, view.sources.layers
        if by_model and self.model is None:
            raise InputError("Choose a model that can be read: train one, or open a file.")
        if by_model and not sources:
            raise InputError("Choose the source that the model translates.")
        if not by_model and view.prediction.layer is None:
            raise InputError("Choose the layer of the prediction.")
        if truth is None:
            raise InputError("Choose the layer of the truth.")
        like = [snapshot(truth, copy=copy)]
        given = [snapshot(layer, copy=copy) for layer in sources]
        card = view.picker.card if by_model else None
        if card is not None:
            like = as_trained(like, card.target_codec.layout)
            given = as_trained(given, card.source_codec.layout)
        return EvaluationRequest(
            truth=like[0],
            prediction=None if by_model else snapshot(view.prediction.layer, copy=copy),
            model=self.model,
            card=card,
            sources=given,
            mask=None if self.mask is None else mask_of(self.mask, like[0]),
            condition=view.condition.value if by_model else None,
            kind=view.kind.currentData(),
            segments=self.segments,
            record={} if by_model else view.prediction.layer.metadata.get(KEY, {}),
        )

    def _take_model(self) -> None:
        if self._view.picker.card is not None:
            self._view.fit(self._view.picker.card)
        self._check_soon()

    def _take(self, event: Any) -> None:
        if isinstance(event, Evaluated):
            text = f"Frame {event.done} of {event.total}"
            self._view.progress.show_part(event.done / event.total, text)

    def _finish(self, made: Result | str) -> None:
        if isinstance(made, str):
            self._end(made)
        else:
            self._show_result(made)

    def _show_result(self, result: Result) -> None:
        self._result = result
        images = [one["name"] for one in result.scores["images"]]
        self._view.image.blockSignals(True)
        self._view.image.clear()
        self._view.image.addItem("all images", result.scores.to_dict())
        for name, one in zip(images, result.scores["images"], strict=True):
            self._view.image.addItem(name, one)
        self._view.image.blockSignals(False)
        self._view.image.setVisible(len(images) > 1)
        self._show_scores()
        self._view.scatter.show_points(result.points)
        if self.adds_difference:
            self._add_difference(result)
        self._end("" if result.complete else "Cancelled: the frames that are done are scored.")

    def _show_scores(self) -> None:
        scores = self._view.image.currentData()
        if scores:
            self._view.table.show_scores(scores)

    def _add_difference(self, result: Result) -> None:
        """Show the difference where the truth lies; a later one takes the same layer."""
        assert self._subject is not None
        truth = self._subject.truth
        look: dict[str, Any] = {}
        if result.kind == "image":
            most = float(np.nanmax(np.abs(result.difference), initial=0)) or 1.0
            look = {"colormap": "PiYG", "contrast_limits": (-most, most)}
        layer = output_layer(
            result.difference,
            truth,
            layout=result.layout,
            kind=result.kind,
            name=f"{truth.name} [difference]",
            look=look,
        )
        layers = self._viewer.layers
        if self._layer is not None and self._layer in layers:
            layers.remove(self._layer)
        active = unwrapped(layers.selection.active)
        layers.append(layer)
        if active is not None and active in layers:
            layers.selection.active = active
        self._layer = layer

    def _ask_where_to_export(self) -> None:
        self._ask_where("scores.csv", "CSV (*.csv)")

    def _ask_where_to_report(self) -> None:
        self._ask_where("report.html", "Web page (*.html)")

    def _ask_where(self, name: str, kind: str) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save", name, kind)
        if not path:
            return
        try:
            (self.export_csv if name.endswith(".csv") else self.save_report)(path)
        except Pix2PixError as error:
            self._view.say(str(error), is_error=True)

    def _fail(self, sentence: str) -> None:
        self._end(sentence, is_error=True)

    def _show_state(self) -> None:
        running = self.running
        self._view.evaluate.setEnabled(not running and not self._problem)
        self._view.cancel.setEnabled(running and not self._runner.stopping)
        for button in (self._view.export, self._view.report):
            button.setEnabled(self._result is not None and not running)
