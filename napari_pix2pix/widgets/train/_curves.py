"""Live curves of a run: the losses above, the validation score below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QGraphicsView, QLabel

from napari_pix2pix.training.events import Event, Prepared, Step, Validated
from napari_pix2pix.widgets.common.plots import ThemedPlots

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.training.model_info import ModelInfo

_HEIGHT = 140
_MOST_POINTS = 4000  # of a curve; above, every second one is dropped
_COLOURS = {
    "generator": "#4c9be8",
    "discriminator": "#e8834c",
    "reconstruction": "#5fb87a",
    "score": "#4c9be8",
    "baseline": "#9a9a9a",
}
_PLOTS = ("generator", "discriminator", "reconstruction"), ("score", "baseline")
_RECONSTRUCTIONS = {"l1": "L1", "l2": "L2", "charbonnier": "Charbonnier"}


class Curves(ThemedPlots):
    """Two plots with a common axis of steps; `draw` draws them, if they are in view."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._points: dict[str, tuple[list[float], list[float]]] = {}
        self._lines: dict[str, Any] = {}
        self._undrawn: set[str] = set()  # curves with new points
        self._reconstruction = "L1"  # what that curve is called
        self._legends: list[QLabel] = []
        self._waits = False  # until the plots are in view
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.draw)

    def clear(self) -> None:
        """Remove all points."""
        self._points = {name: ([], []) for name in _COLOURS}
        self._undrawn = set(_COLOURS)
        self._draw_lines()

    def add(self, event: Event) -> None:
        """Add the points of a step or a validation, or name the curves of a run that begins."""
        if isinstance(event, Prepared):
            self._reconstruction = _RECONSTRUCTIONS[event.reconstruction]
            self._show_legends()
        elif isinstance(event, Step):
            for name, value in _losses(event.losses).items():
                self._append(name, event.step, value)
        elif isinstance(event, Validated):
            from napari_pix2pix.metrics.names import primary_metric

            name, score = primary_metric(event.prediction)
            self._append("score", event.step, score)
            self._add_baseline(event.step, primary_metric(event.baseline)[1])
            self._name_score(name)

    def add_history(self, info: ModelInfo) -> None:
        """Add what a resumed run did before: the mean losses and the scores of its epochs."""
        from napari_pix2pix.metrics.names import primary_metric

        for record in info.history:
            for name, value in _losses(record.losses).items():
                self._append(name, record.step, value)
            if record.validation is None:
                continue
            name, score = primary_metric(record.validation)
            self._append("score", record.step, score)
            self._name_score(name)
            if info.scores is not None:
                self._add_baseline(record.step, primary_metric(info.scores.baseline)[1])
        self.draw()

    def draw(self) -> None:
        """Draw the new points, as soon as the plots are in view."""
        self._waits = self.visibleRegion().isEmpty()
        if not self._waits:
            self._draw_lines()

    def paintEvent(self, a0: QPaintEvent | None) -> None:  # noqa: N802
        """Draw what waited for the plots to come into view."""
        super().paintEvent(a0)
        if self._waits:
            self._soon.start()

    def points(self, name: str) -> tuple[list[float], list[float]]:
        """Return steps and values of a curve, by its name in the colours."""
        return self._points.get(name, ([], []))

    def _add_baseline(self, step: int, score: float) -> None:
        if not self.points("baseline")[0]:
            self._append("baseline", 0, score)  # a line needs two points
        self._append("baseline", step, score)

    def _name_score(self, name: str) -> None:
        self._make_plots()
        axis = self._plots[1].getAxis("left")
        axis.setLabel(name)
        axis.resizeEvent()  # centres the new label; pyqtgraph would not

    def _append(self, name: str, step: int, value: float) -> None:
        steps, values = self._points.setdefault(name, ([], []))
        steps.append(step)
        values.append(value)
        self._undrawn.add(name)
        if len(steps) > _MOST_POINTS:
            del steps[1:-1:2], values[1:-1:2]

    def _draw_lines(self) -> None:
        self._make_plots()
        for name in self._undrawn:
            steps, values = self._points[name]
            self._lines[name].setData(steps, values, connect="finite")
        self._undrawn = set()
        # Otherwise pyqtgraph fits the axes while it paints, and paints twice.
        for plot in self._plots:
            plot.getViewBox().updateAutoRange()
        for plot in self._plots:
            plot.scene().prepareForPaint()
            plot.viewport().update()

    def _make_plots(self) -> None:
        if self._plots:
            return
        import pyqtgraph as pg

        for names in _PLOTS:
            self._legends.append(QLabel())
            self._column.addWidget(self._legends[-1])
            plot = self._add_plot(_HEIGHT)
            # Otherwise each scene would redraw the whole window.
            plot.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.NoViewportUpdate)
            plot.setMouseEnabled(x=False, y=False)
            plot.getViewBox().setDefaultPadding(0.1)  # for the outermost numbers
            plot.getAxis("left").setWidth(52)
            for name in names:
                dashed = Qt.PenStyle.DashLine if name == "baseline" else Qt.PenStyle.SolidLine
                pen = pg.mkPen(_COLOURS[name], width=1.5, style=dashed)
                symbol = "o" if name == "score" else None
                self._lines[name] = plot.plot(
                    pen=pen, symbol=symbol, symbolSize=4, symbolBrush=_COLOURS[name]
                )
        self._show_legends()
        losses, scores = self._plots
        losses.setLogMode(y=True)
        losses.setLabel("left", "loss")
        losses.getAxis("left").logTickStrings = _tick_strings
        scores.setLabel("bottom", "step")
        scores.setXLink(losses)

    def _show_legends(self) -> None:
        """Name the curves above the plots, where they hide nothing."""
        for label, names in zip(self._legends, _PLOTS, strict=False):
            texts = {"reconstruction": self._reconstruction}
            shown = [_coloured(name, texts.get(name, name)) for name in names]
            label.setText("&nbsp;&nbsp; ".join(shown))


def _coloured(name: str, text: str) -> str:
    """Return a piece of a curve, in its colour, and its name."""
    dashes = "╌╌" if name == "baseline" else "━━"
    return f'<span style="color:{_COLOURS[name]}">{dashes}</span> {text}'


def _tick_strings(values: list[float], scale: float, spacing: float) -> list[str]:
    """Label 1, 2 and 5 of each decade; more labels would not fit."""
    return [
        f"{10**value:g}" if round(10 ** (value % 1), 6) in (1, 2, 5, 10) else "" for value in values
    ]


def _losses(losses: Mapping[str, float]) -> dict[str, float]:
    """Return the losses that are drawn; a log axis has no place for zero and below."""
    drawn = {
        "generator": losses.get("G_GAN"),
        "reconstruction": losses.get("G_L1", losses.get("G_reconstruction")),
    }
    discriminator = [losses[name] for name in ("D_real", "D_fake") if name in losses]
    if discriminator:
        drawn["discriminator"] = sum(discriminator) / len(discriminator)
    return {
        name: value if value > 0 else float("nan")
        for name, value in drawn.items()
        if value is not None
    }
