"""Plots in the colours of the viewer's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

if TYPE_CHECKING:
    import napari.viewer


class ThemedPlots(QWidget):
    """A column of plots in the colours of the viewer's theme, made when first needed.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._plots: list[Any] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
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
