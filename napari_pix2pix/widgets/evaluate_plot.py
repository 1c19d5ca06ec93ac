"""The prediction's intensities over the truth's, pixel by pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    import napari.viewer

_HEIGHT = 220


class Scatter(QWidget):
    """Points and the diagonal on which all of them should lie; hidden without any.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose theme the colours follow.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._plot: Any = None
        self._points: Any = None
        self._diagonal: Any = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setToolTip("Some pixels: the truth across, the prediction upwards")
        viewer.events.theme.connect(self._on_theme)
        self.hide()

    def show_points(self, points: np.ndarray) -> None:
        """Show points (2, N), truth and prediction."""
        self.setVisible(points.size > 0)
        if not points.size:
            return
        if self._plot is None:
            self._make()
        low, high = float(points.min()), float(points.max())
        self._points.setData(points[0], points[1])
        self._diagonal.setData([low, high], [low, high])

    def _make(self) -> None:
        # Imported with the first points: it takes half a second.
        import pyqtgraph as pg

        self._plot = pg.PlotWidget()
        self._plot.setFixedHeight(_HEIGHT)
        self._plot.setMinimumWidth(0)
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._plot.getPlotItem().setContentsMargins(0, 8, 8, 0)
        self._plot.setLabel("bottom", "truth")
        self._plot.setLabel("left", "prediction")
        for side in ("left", "bottom"):
            self._plot.getAxis(side).enableAutoSIPrefix(False)
        self._points = pg.ScatterPlotItem(size=2, pen=None, brush=pg.mkBrush(76, 155, 232, 90))
        pen = pg.mkPen("#9a9a9a", style=Qt.PenStyle.DashLine)
        self._diagonal = pg.PlotDataItem(pen=pen)
        self._plot.addItem(self._points)
        self._plot.addItem(self._diagonal)
        layout = self.layout()
        assert layout is not None
        layout.addWidget(self._plot)
        self._on_theme()

    def _on_theme(self, _event: Any = None) -> None:
        from napari.utils.theme import get_theme

        if self._plot is None:
            return
        theme = get_theme(self._viewer.theme)
        back, text = (QColor(str(colour.as_hex())) for colour in (theme.background, theme.text))
        self._plot.setBackground(back)
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(text)
            axis.setTextPen(text)
