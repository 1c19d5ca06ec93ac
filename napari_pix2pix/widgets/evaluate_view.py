"""What the Evaluate dock looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QWidget

from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.evaluate_plot import Scatter
from napari_pix2pix.widgets.evaluate_table import ScoreTable
from napari_pix2pix.widgets.fields import Choice, push_button
from napari_pix2pix.widgets.layer_choice import LayerChoice, LayersChoice, is_image, is_mask
from napari_pix2pix.widgets.model_view import ModelView

if TYPE_CHECKING:
    import napari.viewer

_KINDS = {"automatic": "auto", "intensities": "image", "classes": "classes", "objects": "instances"}


class EvaluateView(ModelView):
    """The controls of the dock, laid out in a widget; the buttons stay while the rest scrolls.

    Parameters
    ----------
    parent : QWidget
        The dock.
    viewer : napari.viewer.Viewer
    """

    def __init__(self, parent: QWidget, viewer: napari.viewer.Viewer) -> None:
        super().__init__("Evaluating")
        self.what = _choice("What is compared with the truth", a_layer=False, a_model=True)
        self.prediction = LayerChoice(is_image, "choose a layer")
        self.prediction.setToolTip("The layer that a model made")
        self.truth = LayerChoice(is_image, "choose a layer")
        self.truth.setToolTip("The layer that it should be")
        self.sources = LayersChoice(is_image, "none")
        self.mask = LayerChoice(is_mask, "none")
        self.mask.setToolTip(
            "Labels or Shapes: only what lies inside counts; all pixels without any"
        )
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
        self.image = Choice()
        self.image.setToolTip("The image or frame whose scores are shown")
        self.table = ScoreTable()
        self.scatter = Scatter(viewer)
        self.evaluate = push_button("Evaluate", "Score the prediction against the truth")
        self.cancel = push_button("Cancel", "Stop; the frames that are done are scored")
        self.export = push_button("Export CSV…", "Write the scores of all images to a file")
        self.report = push_button(
            "Save report…", "Write a page with the scores, the best, the median and the worst image"
        )
        self._fill_form()
        self.image.hide()
        self.lay_out(
            parent,
            [
                *(self.problem, self.form, self.difference, self.segments),
                *(self.image, self.table, self.scatter),
            ],
            [],
            [self.evaluate, self.cancel, self.export, self.report],
        )
        self.show_what()

    def show_what(self) -> None:
        """Show what a layer needs, or what a model needs."""
        model = bool(self.what.currentData())
        self.show_row(self.prediction, not model)
        self.show_row(self.kind, not model)
        self.picker.setVisible(model)
        self.show_row(self.condition, model and self.condition.count() > 0)
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

    def _fill_form(self) -> None:
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
            self.form.addRow(label, field)
            if field is self.what:
                self.form.addRow(self.picker)


def _choice(tip: str, **values: bool) -> Choice:
    choice = Choice()
    for name, value in values.items():
        choice.addItem(name.replace("_", " "), value)
    choice.setToolTip(tip)
    return choice
