"""Scores as a table, those of the prediction beside those of the trivial map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_pix2pix.errors import rounded
from napari_pix2pix.metrics.names import name_of

_SIDES = {"prediction": "Prediction", "trivial": "Trivial map"}


class ScoreTable(QTableWidget):
    """One line a score, as high as its lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setToolTip("Scores on the pixels that count; the trivial map is what has to be beaten")
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
            label, tip, better = name_of(name)
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
