"""What the Evaluate dock looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.apply_condition import ConditionChoice
from napari_pix2pix.widgets.apply_model import ModelPicker
from napari_pix2pix.widgets.evaluate_plot import Scatter
from napari_pix2pix.widgets.evaluate_table import ScoreTable
from napari_pix2pix.widgets.fields import Choice, push_button
from napari_pix2pix.widgets.layer_choice import LayerChoice, LayersChoice, is_image, is_mask
from napari_pix2pix.widgets.progress_row import ProgressRow
from napari_pix2pix.widgets.scroll import Scroll
from napari_pix2pix.widgets.sentence import Sentence

if TYPE_CHECKING:
    import napari.viewer

_KINDS = {"automatic": "auto", "intensities": "image", "classes": "classes", "objects": "instances"}


class EvaluateView:
    """The controls of the dock, laid out in a widget; the buttons stay while the rest scrolls.

    Parameters
    ----------
    parent : QWidget
        The dock.
    viewer : napari.viewer.Viewer
    """

    def __init__(self, parent: QWidget, viewer: napari.viewer.Viewer) -> None:
        self.what = _choice("What is compared with the truth", a_layer=False, a_model=True)
        self.picker = ModelPicker()
        self.prediction = LayerChoice(is_image, "choose a layer")
        self.prediction.setToolTip("The layer that a model made")
        self.truth = LayerChoice(is_image, "choose a layer")
        self.truth.setToolTip("The layer that it should be")
        self.sources = LayersChoice(is_image, "none")
        self.mask = LayerChoice(is_mask, "none")
        self.mask.setToolTip(
            "Labels or Shapes: only what lies inside counts; all pixels without any"
        )
        self.condition = ConditionChoice()
        self.kind = Choice()
        for text, value in _KINDS.items():
            self.kind.addItem(text, value)
        self.kind.setToolTip("What the values of the truth mean, which decides on the scores")
        self.difference = QCheckBox("Add the difference as a layer")
        self.difference.setToolTip(
            "Prediction minus truth; of labels 1 is only in the prediction, 2 only in the truth"
        )
        self.difference.setChecked(True)
        self.segments = QCheckBox("Score what Otsu's threshold finds")
        self.segments.setToolTip(
            "Bright objects in the prediction and in the truth, compared: for images of one channel"
        )
        self.problem, self.error = Sentence(is_error=True), Sentence(is_error=True)
        self.status = Sentence()
        self.image = Choice()
        self.image.setToolTip("The image or frame whose scores are shown")
        self.table = ScoreTable()
        self.scatter = Scatter(viewer)
        self.progress = ProgressRow("Evaluating")
        self.evaluate = push_button("Evaluate", "Score the prediction against the truth")
        self.cancel = push_button("Cancel", "Stop; the frames that are done are scored")
        self.export = push_button("Export CSV…", "Write the scores of all images to a file")
        self.report = push_button(
            "Save report…", "Write a page with the scores, the best, the median and the worst image"
        )
        self._lay_out(parent)
        self.show_what()

    def show_what(self) -> None:
        """Show what a layer needs, or what a model needs."""
        model = bool(self.what.currentData())
        self._show(self.prediction, not model)
        self._show(self.kind, not model)
        self.picker.setVisible(model)
        self._show(self.condition, model and self.condition.count() > 0)
        self.sources.setToolTip(
            "The layer that the model translates; several are its channels"
            if model
            else "What the prediction was made of: with it, the best trivial map is scored too, "
            "fitted on these very pixels"
        )

    def fit(self, card: Card) -> None:
        """Show the conditions of a model."""
        self.condition.offer(card.conditions)
        self.show_what()

    def _show(self, field: QWidget, visible: bool) -> None:
        field.setVisible(visible)
        label = self._form.labelForField(field)
        if isinstance(label, QLabel):
            label.setVisible(visible)

    def _lay_out(self, parent: QWidget) -> None:
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 6, 6, 6)
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows = {
            "Compare": self.what,
            "Prediction": self.prediction,
            "Source": self.sources,
            "Truth": self.truth,
            "Mask": self.mask,
            "Condition": self.condition,
            "Values are": self.kind,
        }
        for label, field in rows.items():
            self._form.addRow(label, field)
            if field is self.what:
                self._form.addRow(self.picker)
        inner.addWidget(self.problem)
        inner.addLayout(self._form)
        for one in (self.difference, self.segments, self.image, self.table):
            inner.addWidget(one)
        self.image.hide()
        inner.addWidget(self.scatter)
        inner.addStretch(1)
        row = QHBoxLayout()
        for button in (self.evaluate, self.cancel, self.export, self.report):
            row.addWidget(button)
        outer = QVBoxLayout(parent)
        outer.setContentsMargins(4, 4, 4, 4)
        outer.addWidget(Scroll(content), 1)
        for below in (self.status, self.error, self.progress):
            outer.addWidget(below)
        outer.addLayout(row)


def _choice(tip: str, **values: bool) -> Choice:
    choice = Choice()
    for name, value in values.items():
        choice.addItem(name.replace("_", " "), value)
    choice.setToolTip(tip)
    return choice
