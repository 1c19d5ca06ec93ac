"""Plots in the colours of the viewer's theme, and tables of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QColor, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_pix2pix.errors import rounded
from napari_pix2pix.metrics.names import describe_score
from napari_pix2pix.widgets.common.elements import lay_out_column

if TYPE_CHECKING:
    import napari.viewer


class ThemedPlots(QWidget):
    """A column of plots in the colours of the viewer's theme, made when first needed."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._plots: list[Any] = []
        self._column = lay_out_column(self, spacing=2)
        viewer.events.theme.connect(self._on_theme)

    def _add_plot(self, height: int) -> Any:
        """Add a plot below the others, ``height`` pixels high."""
        # Takes half a second, so it waits for the first plot.
        import pyqtgraph as pg

        plot = pg.PlotWidget()
        plot.setFixedHeight(height)
        plot.setMinimumWidth(0)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        # The numbers at the ends of an axis, and its name, need room beyond it.
        plot.getPlotItem().setContentsMargins(0, 8, 8, 5)
        for side in ("left", "bottom"):
            plot.getAxis(side).enableAutoSIPrefix(False)
        self._plots.append(plot)
        self._column.addWidget(plot)
        self._on_theme()
        return plot

    def _on_theme(self, _event: Any = None) -> None:
        from napari.utils.theme import get_theme

        theme = get_theme(self._viewer.theme)
        background = QColor(str(theme.background.as_hex()))
        text = QColor(str(theme.text.as_hex()))
        for plot in self._plots:
            plot.setBackground(background)
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.setPen(text)
                axis.setTextPen(text)
            plot.viewport().update()


_PADDING = 12  # pixels of a cell beside its text
_COLUMNS = {"prediction": "Prediction", "baseline": "Baseline"}


class ScoreTable(QTableWidget):
    """One row for each score; the prediction's beside the baseline's."""

    def __init__(self) -> None:
        super().__init__()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setToolTip("A useful model has better scores than the baseline; the better is bold")
        self.setStyleSheet("QHeaderView::section { border: none }")
        rows = self.verticalHeader()
        assert rows is not None
        rows.hide()  # titles are cells: those can wrap
        self.hide()

    def resizeEvent(self, e: QResizeEvent | None) -> None:  # noqa: N802
        """Wrap the titles anew."""
        super().resizeEvent(e)
        self._fit_height()

    def show_scores(
        self, scores: Mapping[str, Mapping[str, float]], names: Sequence[str] | None = None
    ) -> None:
        """Show some scores, by default all; with a baseline only if there is one."""
        predictors = [key for key in _COLUMNS if key in scores]
        names = list(scores["prediction"]) if names is None else names
        self.setRowCount(len(names))
        self.setColumnCount(1 + len(predictors))
        self.setHorizontalHeaderLabels(["", *(_COLUMNS[key] for key in predictors)])
        for row, name in enumerate(names):
            label, tip, better, pooled = describe_score(name)
            tip = f"{tip}; {better} is better; of several images: {pooled}"
            title = QTableWidgetItem(label)
            title.setToolTip(tip)
            self.setItem(row, 0, title)
            values = [scores[key].get(name, math.nan) for key in predictors]
            for column, value in enumerate(values, 1):
                item = _cell(value, tip)
                if len(values) > 1 and value == _best(values, better):
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                self.setItem(row, column, item)
        self._fit_width()
        self._fit_height()
        self.show()

    def changeEvent(self, a0: QEvent | None) -> None:  # noqa: N802
        """Give a larger font the room that it needs."""
        super().changeEvent(a0)
        if a0 is not None and a0.type() == QEvent.Type.FontChange:
            self._fit_width()
            self._fit_height()

    def _fit_width(self) -> None:
        """Leave room for the values and for the longest word of the titles."""
        columns = self.horizontalHeader()
        assert columns is not None
        columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        columns.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        titles = [item.text() for row in range(self.rowCount()) if (item := self.item(row, 0))]
        font = self.fontMetrics()
        words = [font.horizontalAdvance(word) for title in titles for word in title.split()]
        values = sum(columns.sectionSize(column) for column in range(1, self.columnCount()))
        self.setMinimumWidth(max(words, default=0) + _PADDING + values + 2 * self.frameWidth())

    def _fit_height(self) -> None:
        columns, rows = self.horizontalHeader(), self.verticalHeader()
        assert columns is not None
        assert rows is not None
        self.resizeRowsToContents()
        height = columns.sizeHint().height() + rows.length() + 2 * self.frameWidth()
        self.setFixedHeight(height)


def _best(values: Sequence[float], better: str) -> float:
    """Return the best of two values or more; NaN where they are equal or one is not known."""
    if any(map(math.isnan, values)) or len(set(values)) == 1:
        return math.nan
    return max(values) if better == "higher" else min(values)


def _cell(value: float, tip: str) -> QTableWidgetItem:
    text = "–" if math.isnan(value) else rounded(value, 4)
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    item.setToolTip(tip)
    return item
