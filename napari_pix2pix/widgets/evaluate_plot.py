"""The prediction's intensities over the truth's, pixel by pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt

from napari_pix2pix.widgets.plots import ThemedPlots

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
