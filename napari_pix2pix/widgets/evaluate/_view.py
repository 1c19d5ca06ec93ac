"""The prediction's intensities over the truth's, pixel by pixel.

Scores as a table, those of the prediction beside those of the baseline.

What the Evaluate dock looks like.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_pix2pix.errors import rounded
from napari_pix2pix.metrics.names import describe_score
from napari_pix2pix.widgets.apply.model_card import Card
from napari_pix2pix.widgets.common.fields import Choice, push_button
from napari_pix2pix.widgets.common.layer_choice import LayerChoice, LayersChoice, is_image, is_mask
from napari_pix2pix.widgets.common.model_dock import ModelView
from napari_pix2pix.widgets.common.plots import ThemedPlots

if TYPE_CHECKING:
    import napari.viewer

_HEIGHT = 220


class Scatter(ThemedPlots):
    """Points and the diagonal on which all of them should lie; hidden without any.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose theme the colours follow.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._points: Any = None
        self._diagonal: Any = None
        self.setToolTip("Some pixels: the truth across, the prediction upwards")
        self.hide()

    def show_points(self, points: np.ndarray) -> None:
        """Show points (2, N), truth and prediction."""
        self.setVisible(points.size > 0)
        if not points.size:
            return
        if not self._plots:
            self._make()
        low, high = float(points.min()), float(points.max())
        self._points.setData(points[0], points[1])
        self._diagonal.setData([low, high], [low, high])

    def _make(self) -> None:
        import pyqtgraph as pg

        plot = self._add_plot(_HEIGHT)
        plot.setLabel("bottom", "truth")
        plot.setLabel("left", "prediction")
        self._points = pg.ScatterPlotItem(size=2, pen=None, brush=pg.mkBrush(76, 155, 232, 90))
        pen = pg.mkPen("#9a9a9a", style=Qt.PenStyle.DashLine)
        self._diagonal = pg.PlotDataItem(pen=pen)
        plot.addItem(self._points)
        plot.addItem(self._diagonal)


_SIDES = {"prediction": "Prediction", "baseline": "Baseline"}


class ScoreTable(QTableWidget):
    """One line a score, as high as its lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setToolTip("Scores on the pixels that count; the baseline is what has to be beaten")
        # A header that the style draws has its text lower than the cells beside it.
        self.setStyleSheet("QHeaderView::section { border: none }")
        self.hide()

    def show_scores(self, scores: Mapping[str, Any]) -> None:
        """Show the scores of all images or of one; a side that is missing has no column."""
        sides = [side for side in _SIDES if side in scores]
        names = list(scores["prediction"])
        self.setRowCount(len(names))
        self.setColumnCount(len(sides))
        self.setHorizontalHeaderLabels([_SIDES[side] for side in sides])
        for row, name in enumerate(names):
            label, tip, better = describe_score(name)
            tip = f"{tip}; {better} is better"
            title = QTableWidgetItem(label)
            title.setToolTip(tip)
            self.setVerticalHeaderItem(row, title)
            for column, side in enumerate(sides):
                self.setItem(row, column, _cell(scores[side].get(name, math.nan), tip))
        self._fit()
        self.show()

    def _fit(self) -> None:
        across, down = self.horizontalHeader(), self.verticalHeader()
        assert across is not None
        assert down is not None
        across.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        down.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        height = across.sizeHint().height() + down.length() + 2 * self.frameWidth()
        self.setFixedHeight(height)


def _cell(value: float, tip: str) -> QTableWidgetItem:
    text = "–" if math.isnan(value) else rounded(value, 4)
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    item.setToolTip(tip)
    return item


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
            else "What the prediction was made of: with it, the baseline is scored too, "
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
