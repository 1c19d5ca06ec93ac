"""The controls of the Evaluate dock, and its scatter plot."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QWidget,
)

from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.common.elements import (
    Choice,
    Sentence,
    follow_font,
    push_button,
    wrap_text,
)
from napari_pix2pix.widgets.common.forms import make_editor
from napari_pix2pix.widgets.common.layer_choice import (
    LayerChoice,
    LayersChoice,
    is_image,
    is_labels,
    is_mask,
)
from napari_pix2pix.widgets.common.legend import Legend
from napari_pix2pix.widgets.common.model_dock import ModelView
from napari_pix2pix.widgets.common.plots import ScoreTable, ThemedPlots
from napari_pix2pix.widgets.common.settings import remember_fields, remembered_fields
from napari_pix2pix.widgets.evaluate._objects import ObjectTable
from napari_pix2pix.widgets.evaluate._segmenters import Finder, SegmenterChoice
from napari_pix2pix.widgets.evaluate._work import EvaluateOptions

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.widgets.evaluate._work import Result

_HEIGHT = 220
_REMEMBERED = "evaluate/options"


class Scatter(ThemedPlots):
    """Truth against prediction, pixel by pixel, with the diagonal; hidden without points."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._points: Any = None
        self._diagonal: Any = None
        self.setToolTip("A sample of the pixels: truth on the x axis, prediction on the y axis")
        self.hide()

    def show_points(self, points: np.ndarray) -> None:
        """Show truth and prediction of some pixels, (2, N)."""
        self.setVisible(points.size > 0)
        if not points.size:
            return
        if not self._plots:
            self._make_plot()
        low, high = float(points.min()), float(points.max())
        self._points.setData(points[0], points[1])
        self._diagonal.setData([low, high], [low, high])

    def _make_plot(self) -> None:
        import pyqtgraph as pg

        plot = self._add_plot(_HEIGHT)
        plot.setLabel("bottom", "truth")
        plot.setLabel("left", "prediction")
        self._points = pg.ScatterPlotItem(size=2, pen=None, brush=pg.mkBrush(76, 155, 232, 90))
        pen = pg.mkPen("#9a9a9a", style=Qt.PenStyle.DashLine)
        self._diagonal = pg.PlotDataItem(pen=pen)
        plot.addItem(self._points)
        plot.addItem(self._diagonal)


_KINDS = {"automatic": "auto", "intensities": "image", "classes": "classes", "objects": "instances"}
_VOLUMES = {"automatic": "auto", "plane by plane": "planes", "in three dimensions": "volumes"}


class EvaluateView(ModelView):
    """The controls of the Evaluate dock."""

    def __init__(self, parent: QWidget, viewer: napari.viewer.Viewer) -> None:
        super().__init__("Evaluating")
        self.what = _choice(
            "What is compared with the truth: a layer, or the prediction of a model",
            a_layer=False,
            a_model=True,
        )
        self.prediction = LayersChoice(is_image, "choose a layer")
        self.prediction.setToolTip(
            "The layer with the prediction of a model; several are its channels"
        )
        self.truth = LayersChoice(is_image, "choose a layer")
        self.truth.setToolTip(
            "The layer with the true image or labels; several are its channels, in the order in "
            "which you tick them"
        )
        self.sources = LayersChoice(is_image, "none")
        self.mask = LayerChoice(is_mask, "none")
        self.mask.setToolTip(
            "Labels or Shapes: only the pixels inside are scored; without a mask, all"
        )
        fields = EvaluateOptions.model_fields
        self.kind = make_editor("kind", fields["kind"], choices=_KINDS.items())
        self.volumes = make_editor("objects", fields["objects"], choices=_VOLUMES.items())
        self.difference = make_editor("difference", fields["difference"])
        wrap_text(self.difference.native)
        self.segmenter = SegmenterChoice()
        self.labels = LayerChoice(is_labels, "from the truth")
        self.labels.setToolTip(
            "The true objects, a number each; without them, objects are compared with what is "
            "found in the truth"
        )
        self._recall()
        self.image = Choice()
        self.image.setToolTip("The image or frame whose scores are shown")
        self.verdict, self.objects = Sentence(), Sentence()
        self.verdict.setStyleSheet("font-weight: bold")
        self.legend = Legend()
        self.errors = ObjectTable()
        self.table = ScoreTable()
        follow_font(self.objects, self.table, self.errors)
        self.scatter = Scatter(viewer)
        self.evaluate = push_button("Evaluate", "Score the prediction against the truth")
        self.cancel = push_button("Cancel", "Stop; the frames so far are scored")
        self.compare = push_button(
            "Compare…", "Swipe between source, prediction and truth, or show them side by side"
        )
        self.export = push_button("Export CSV…", "Write the scores of all images into a table")
        self.report = push_button(
            "Save report…",
            "Write a web page with the scores and the best, the median and the worst image",
        )
        self._fill_form()
        self._scores: list[Mapping[str, Any]] = []  # of all images, then of each
        self.image.hide()
        self.lay_out(
            parent,
            [
                *(self.problem, self.form, self.difference.native),
                *(self.errors, self.image, self.table, self.scatter),
            ],
            [self.verdict, self.objects, self.legend],
            [self.evaluate, self.cancel, self.compare],
            [self.export, self.report],
        )
        self.show_what()

    def layer_choices(self) -> tuple[LayerChoice | LayersChoice, ...]:
        """Return the boxes of layers."""
        return self.prediction, self.truth, self.sources, self.mask, self.labels

    def show_what(self) -> None:
        """Show the fields of a layer, or of a model."""
        model = bool(self.what.currentData())
        self.show_row(self.prediction, not model)
        self.show_row(self.kind.native, not model)
        self.picker.setVisible(model)
        self.show_row(self.condition, model and self.condition.count() > 0)
        self.sources.setToolTip(
            "The layer that the model translates; several are its channels"
            if model
            else "The layer that the prediction was made from. With it, a baseline is scored too, "
            "fitted to the pixels that are scored"
        )
        self.show_segmenter()

    def options(self) -> EvaluateOptions:
        """Return what is chosen besides layers and models."""
        objects = self.volumes.value if self._has_stacks else "auto"
        return EvaluateOptions(
            kind=self.kind.value, objects=objects, difference=self.difference.value
        )

    @property
    def finder(self) -> Finder:
        """What finds the objects that are scored; None where the truth holds labels."""
        return self.segmenter.value if self._has_images else None

    @property
    def _has_images(self) -> bool:
        """Whether the truth is an image, as far as that is known."""
        if self.what.currentData():
            info = self.picker.info
            return info is None or info.target_codec.kind == "image"
        labels = any(map(is_labels, self.truth.layers))
        return self.kind.value == "image" or (self.kind.value == "auto" and not labels)

    @property
    def _has_stacks(self) -> bool:
        """Whether a layer of labels is scored that has planes or times."""
        is_stack = any(layer.ndim > 2 for layer in self.truth.layers)
        return not self.what.currentData() and not self._has_images and is_stack

    def show_segmenter(self) -> None:
        """Show what finds objects where the truth is an image, and what holds for labels."""
        self.show_row(self.volumes.native, self._has_stacks)
        self.show_row(self.segmenter, self._has_images)
        self.show_row(self.labels, self.finder is not None)

    def remember(self) -> None:
        """Remember the options for the next start."""
        otsu = self.segmenter.value == "otsu"
        chosen = {
            "by_model": bool(self.what.currentData()),
            "otsu": otsu,
            "objects": self.volumes.value,
        }
        remember_fields(_REMEMBERED, self.options().model_dump(mode="json") | chosen)

    def _recall(self) -> None:
        """Show the options of the last time; those of another version may not be valid."""
        fields = remembered_fields(_REMEMBERED)
        self.what.setCurrentIndex(int(bool(fields.pop("by_model", False))))
        self.segmenter.choose("otsu" if fields.pop("otsu", False) else None)
        with suppress(ValueError):
            options = EvaluateOptions(**fields)
            self.kind.value = options.kind
            self.volumes.value = options.objects
            self.difference.value = options.difference

    def fit(self, card: ModelInfo) -> None:
        """Show the conditions of a model."""
        self.condition.offer(card.conditions)
        self.show_what()

    def show_result(self, result: Result) -> None:
        """Show the scores and the scatter plot of a result."""
        images = result.scores["images"]
        self.image.blockSignals(True)
        self.image.clear()
        # Not as data of the combo box: Qt would sort the scores by name.
        self._scores = [result.scores.to_dict(), *images]
        self.image.addItem("all images")
        self.image.addItems([image["name"] for image in images])
        self.image.blockSignals(False)
        self.image.setVisible(len(images) > 1)
        self.show_scores()
        self.verdict.set_text(result.scores.verdict)
        self.objects.set_text(result.scores.objects)
        self.errors.show_errors(result.scores.image_scores)
        self.scatter.show_points(result.points)

    def show_scores(self) -> None:
        """Show the scores of the chosen image."""
        if self._scores:
            self.table.show_scores(self._scores[self.image.currentIndex()])

    def _fill_form(self) -> None:
        rows = {
            "Compare": self.what,
            "Prediction": self.prediction,
            "Source": self.sources,
            "Truth": self.truth,
            "Mask": self.mask,
            "Condition": self.condition,
            self.kind.label: self.kind.native,
            "Objects": self.segmenter,
            "True objects": self.labels,
            self.volumes.label: self.volumes.native,
        }
        for label, field in rows.items():
            self.form.addRow(label, field)
            if field is self.what:
                self.form.addRow(self.picker)


def _choice(tip: str, **values: bool) -> Choice:
    choice = Choice()
    for name, value in values.items():
        choice.addItem(name.replace("_", " "), value)
    choice.setToolTip(tip)
    return choice
