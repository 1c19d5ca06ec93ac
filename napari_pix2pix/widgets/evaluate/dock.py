"""The dock that scores a prediction, or a model, against the truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.napari_layers import (
    KEY,
    CopyMode,
    difference_layer,
    mask_of,
    snapshot,
    with_model_channels,
)
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common.known_models import NO_MODEL, ModelEntry
from napari_pix2pix.widgets.common.last_result import find_last_result
from napari_pix2pix.widgets.common.layer_choice import insert_inactive
from napari_pix2pix.widgets.common.legend import DIFFERENCE, LABELS_DIFFER
from napari_pix2pix.widgets.common.model_dock import ModelDock
from napari_pix2pix.widgets.common.runner import Runner, errors_in_words
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.evaluate._objects import Place, go_to
from napari_pix2pix.widgets.evaluate._segmenters import Finder
from napari_pix2pix.widgets.evaluate._view import EvaluateView
from napari_pix2pix.widgets.evaluate._work import (
    Evaluated,
    EvaluationRequest,
    Result,
    evaluate_request,
    save_report,
)

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer


class EvaluateDock(ModelDock):
    """Scores a prediction, or a model, against the truth, beside the baseline.

    Everything that the mouse can do is a property or a method.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    _view: EvaluateView

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._view = EvaluateView(self, napari_viewer)
        self._runner = Runner(self, latest=(Evaluated,))
        self._request: EvaluationRequest | None = None
        self._result: Result | None = None
        self._difference: Layer | None = None
        self._connect()
        self.reset_choices()
        self._choose_last_result()
        self._take_model()

    def set_prediction(
        self,
        prediction: Layer | Sequence[Layer],
        truth: Layer | Sequence[Layer],
        source: Layer | Sequence[Layer] | None = None,
    ) -> None:
        """Compare two layers; with a source, the baseline is scored too.

        Several layers are the channels of one image.
        """
        self._view.what.setCurrentIndex(0)
        self._view.prediction.choose(_as_list(prediction))
        self._view.truth.choose(_as_list(truth))
        self._view.sources.choose([] if source is None else _as_list(source))
        self._check_soon()

    def set_model(
        self,
        model: ModelEntry | str | os.PathLike[str],
        sources: Sequence[Layer],
        truth: Layer | Sequence[Layer],
        condition: Hashable = None,
    ) -> None:
        """Compare a model's prediction of layers with the truth.

        Parameters
        ----------
        model : ModelEntry or path-like
        sources : sequence of layers
            Several are the channels of one image.
        truth : layer or sequence of layers
            Several are the channels of one image.
        condition : hashable, optional
            One of the model's.
        """
        self._view.what.setCurrentIndex(1)
        self._view.picker.choose(model)
        self._view.sources.choose(sources)
        self._view.truth.choose(_as_list(truth))
        if condition is not None:
            self._view.condition.choose(condition)
        self._check_soon()

    @property
    def model(self) -> ModelEntry | None:
        """The model that is evaluated; None if two layers are compared."""
        return self._view.picker.model if self._view.what.currentData() else None

    @property  # type: ignore[override]  # a widget has another mask
    def mask(self) -> Layer | None:
        """The layer of the mask, or None."""
        return self._view.mask.layer

    @mask.setter
    def mask(self, layer: Layer | None) -> None:
        self._view.mask.choose(layer)

    @property
    def adds_difference(self) -> bool:
        """Whether the difference is added as a layer."""
        return bool(self._view.difference.value)

    @adds_difference.setter
    def adds_difference(self, value: bool) -> None:
        self._view.difference.value = value

    @property
    def segmenter(self) -> Finder:
        """What finds objects in the images, which are scored too: "otsu", a model, or None."""
        return self._view.finder

    @segmenter.setter
    def segmenter(self, value: Finder | str | os.PathLike[str]) -> None:
        self._view.segmenter.choose(value)

    @property
    def true_objects(self) -> Layer | None:
        """The layer of the true objects; None where they are found in the truth."""
        return self._view.labels.layer

    @true_objects.setter
    def true_objects(self, layer: Layer | None) -> None:
        self._view.labels.choose(layer)

    @property
    def running(self) -> bool:
        """Whether an evaluation or a report is in progress."""
        return self._runner.running

    @property
    def scores(self) -> Mapping[str, Any] | None:
        """The last scores, read as those of `napari_pix2pix.evaluate`; None before any."""
        return None if self._result is None else self._result.scores

    @property
    def difference(self) -> Layer | None:
        """The layer of the last difference, or None."""
        return self._difference

    def evaluate(self) -> None:
        """Score what is chosen; `ended` has the outcome.

        Raises
        ------
        InputError
            When the layers don't fit each other or the model, or work is in progress.
        """
        if self.running:
            raise InputError("An evaluation is in progress: wait for its end, or cancel it.")
        request = self._request_of(copy="small")
        request.pair()
        self._view.set_text("")
        self._view.legend.forget()
        self._request = request
        preferred = read_settings().device
        card = self._view.picker.info
        by_torch = card is None or card.engine == "torch"  # others run where they can
        device = preferred if by_torch and preferred != "auto" else None
        self._view.progress.begin("Evaluating")
        self._runner.start(lambda control: evaluate_request(control, request, device))
        self._show_state()

    def cancel(self) -> None:
        """Stop after the current frame; the frames so far are scored."""
        self._runner.stop()
        self._show_state()

    def export_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the scores of all images; raises `FileError` if the file can't be written."""
        self._known_result().scores.to_csv(path)
        self._view.set_text(f"Written to {os.fspath(path)}.")

    def save_report(self, path: str | os.PathLike[str]) -> None:
        """Write a page with scores and pictures in a thread; `ended` has the outcome.

        Raises
        ------
        InputError
            When nothing was evaluated yet, or work is in progress.
        """
        result = self._known_result()
        if self.running:
            raise InputError("Work is in progress: wait for its end, or cancel it.")
        self._view.set_text("")
        self._view.progress.begin("Writing the report")
        self._runner.start(lambda control: save_report(control, result, path))
        self._show_state()

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layer list; napari calls it."""
        layers = list(reversed(list(self._viewer.layers)))
        view = self._view
        for choice in view.layer_choices():
            choice.offer(layers)
        view.legend.forget_removed(self._viewer.layers)
        self._check_soon()

    def close_down(self) -> None:
        """Stop all work and wait for it."""
        self._runner.close()
        self._view.picker.close_down()
        self._view.progress.finish()
        self._view.legend.forget()
        self._view.remember()

    def _connect(self) -> None:
        view = self._view
        view.what.currentIndexChanged.connect(view.show_what)
        view.picker.changed.connect(self._take_model)
        for choice in view.layer_choices():
            choice.changed.connect(self._check_soon)
        for combo in (view.what, view.condition):
            combo.currentIndexChanged.connect(self._check_soon)
        view.kind.changed.connect(self._check_soon)
        view.segmenter.chosen.connect(self._check_soon)
        view.segmenter.refused.connect(self._fail)
        view.kind.changed.connect(view.show_segmenter)
        view.truth.changed.connect(view.show_segmenter)
        view.segmenter.chosen.connect(view.show_segmenter)
        view.image.currentIndexChanged.connect(view.show_scores)
        view.evaluate.clicked.connect(self._try_to_evaluate)
        view.cancel.clicked.connect(self.cancel)
        view.compare.clicked.connect(self._compare)
        view.errors.chosen.connect(self._go_to)
        # Methods, not lambdas: PySide6 would keep a lambda, and with it the dock and its viewer.
        view.export.clicked.connect(self._ask_to_export)
        view.report.clicked.connect(self._ask_to_report)
        self._runner.reported.connect(self._take)
        self._runner.finished.connect(self._finish)
        self._runner.failed.connect(self._fail)
        self._runner.ended.connect(self._show_state)

    def _known_result(self) -> Result:
        if self._result is None:
            raise InputError("There are no scores yet: evaluate first.")
        return self._result

    def _choose_last_result(self) -> None:
        """Choose the uppermost result of a model, its source, and what may be its truth."""
        found = find_last_result(self._viewer.layers)
        if found is not None:
            self._view.prediction.choose(found.predictions)
            self._view.sources.choose([] if found.source is None else [found.source])
            self._view.truth.choose(found.truths)

    def _try_to_evaluate(self) -> None:
        self._try_to(self.evaluate)

    def _check(self) -> None:
        self._request_of(copy=False).pair()

    def _request_of(self, *, copy: CopyMode) -> EvaluationRequest:
        view = self._view
        by_model = bool(view.what.currentData())
        predictions = () if by_model else view.prediction.layers
        truth, sources = view.truth.layers, view.sources.layers
        if by_model and self.model is None:
            raise InputError(NO_MODEL)
        if by_model and not sources:
            raise InputError("Choose the source that the model translates.")
        if not by_model and not predictions:
            raise InputError("Choose the layer of the prediction.")
        if not truth:
            raise InputError("Choose the layer of the truth.")
        truths = [snapshot(layer, copy=copy) for layer in truth]
        given = [snapshot(layer, copy=copy) for layer in sources]
        labels = view.labels.layer if view.finder is not None else None
        card = view.picker.info if by_model else None
        if card is not None:
            truths = with_model_channels(truths, card.target_codec.layout)
            given = with_model_channels(given, card.source_codec.layout)
        return EvaluationRequest(
            truths=truths,
            predictions=[snapshot(layer, copy=copy) for layer in predictions],
            model=self.model,
            card=card,
            sources=given,
            mask=None if self.mask is None else mask_of(self.mask, truths[0]),
            condition=view.condition.value if by_model else None,
            options=view.options(),
            segmenter=view.finder,
            labels=None if labels is None else snapshot(labels, copy=copy),
            record=predictions[0].metadata.get(KEY, {}) if predictions else {},
        )

    def _take_dropped(self, path: Path) -> None:
        self._view.what.setCurrentIndex(1)
        super()._take_dropped(path)

    def _take_model(self) -> None:
        if self._view.picker.info is not None:
            self._view.fit(self._view.picker.info)
        self._check_soon()

    def _take(self, event: Any) -> None:
        if isinstance(event, Evaluated):
            text = f"Frame {event.done} of {event.total}"
            self._view.progress.show_part(event.done / event.total, text)

    def _finish(self, result: Result | str) -> None:
        if isinstance(result, str):
            self._end(result)
            return
        self._result = result
        self._view.show_result(result)
        if self.adds_difference:
            self._add_difference(result)
        cancelled = [] if result.complete else ["Cancelled: the frames so far are scored."]
        self._end(" ".join([*result.scores.notes, *cancelled]))

    def _add_difference(self, result: Result) -> None:
        """Show the difference where the truth lies, in place of an earlier one."""
        assert self._request is not None
        layer = difference_layer(
            result.difference, self._request.truths[0], layout=result.layout, kind=result.kind
        )
        layers = self._viewer.layers
        if self._difference is not None and self._difference in layers:
            layers.remove(self._difference)
        insert_inactive(layers, len(layers), layer)
        self._difference = layer
        if result.kind == "image":
            self._view.legend.show_map(layer, DIFFERENCE)
        else:
            shown = (1, 2) if result.kind == "instances" else tuple(LABELS_DIFFER)
            self._view.legend.show_labels(layer, {label: LABELS_DIFFER[label] for label in shown})

    def _go_to(self, place: Place) -> None:
        """Move the view to an object that is missed or false."""
        assert self._request is not None
        go_to(self._viewer, self._request.truths[0], place)

    def _compare(self) -> None:
        """Open the Compare dock with the layers that are chosen here."""
        view = self._view
        predictions = () if view.what.currentData() else view.prediction.layers
        chosen = (view.sources.layers, predictions, view.truth.layers)
        dock = open_dock(self._viewer, "Compare")
        dock.set_layers(*(layers[0] if layers else None for layers in chosen))

    def _ask_to_export(self) -> None:
        self._ask_where(self.export_csv, "scores.csv", "CSV (*.csv)")

    def _ask_to_report(self) -> None:
        self._ask_where(self.save_report, "report.html", "Web page (*.html)")

    def _ask_where(self, write: Callable[[str], None], name: str, kind: str) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save", name, kind)
        if not path:
            return
        try:
            with errors_in_words():
                write(path if Path(path).suffix else f"{path}{Path(name).suffix}")
        except Pix2PixError as error:
            self._view.set_text(str(error), is_error=True)

    def _fail(self, sentence: str) -> None:
        self._end(sentence, is_error=True)

    def _show_state(self) -> None:
        running = self.running
        self._view.evaluate.setEnabled(not running and not self._problem)
        self._view.cancel.setEnabled(running and not self._runner.stopping)
        for button in (self._view.export, self._view.report):
            button.setEnabled(self._result is not None and not running)


def _as_list(layers: Layer | Sequence[Layer]) -> list[Layer]:
    return list(layers) if isinstance(layers, list | tuple) else [layers]
