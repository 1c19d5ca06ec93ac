"""Live curves of a training: losses above, the validation score below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import QGraphicsView, QLabel

from napari_pix2pix.training.events import Event, Step, Validated
from napari_pix2pix.widgets.common.plots import ThemedPlots

if TYPE_CHECKING:
    import napari.viewer

_HEIGHT = 140
_MOST = 4000  # points of a curve; beyond, every second one goes
_COLOURS = {
    "generator": "#4c9be8",
    "discriminator": "#e8834c",
    "L1": "#5fb87a",
    "score": "#4c9be8",
    "trivial map": "#9a9a9a",
}


class Curves(ThemedPlots):
    """Two plots that share the axis of steps; drawn when asked to, as far as they can be seen.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose theme the colours follow.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._points: dict[str, tuple[list[float], list[float]]] = {}
        self._lines: dict[str, Any] = {}
        self._behind: set[str] = set()  # names of curves with points that are not drawn
        self._waits = False  # until the plots can be seen
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.draw)

    def clear(self) -> None:
        """Begin anew."""
        self._points = {name: ([], []) for name in _COLOURS}
        self._behind = set(_COLOURS)
        self._draw_lines()

    def add(self, event: Event) -> None:
        """Add what a step or a validation tells."""
        if isinstance(event, Step):
            for name, value in _losses(event).items():
                self._append(name, event.step, value)
        elif isinstance(event, Validated):
            from napari_pix2pix.metrics.names import headline

            name, score = headline(event.prediction)
            self._append("score", event.step, score)
            trivial = headline(event.trivial)[1]
            if not self.points("trivial map")[0]:
                self._append("trivial map", 0, trivial)  # so that the first score has its line
            self._append("trivial map", event.step, trivial)
            self._make_plots()
            axis = self._plots[1].getAxis("left")
            axis.setLabel(name)
            axis.resizeEvent()  # by itself it puts in the middle what it was called before

    def draw(self) -> None:
        """Draw the points that were added; while the plots can't be seen, that waits."""
        self._waits = self.visibleRegion().isEmpty()
        if not self._waits:
            self._draw_lines()

    def paintEvent(self, a0: QPaintEvent | None) -> None:  # noqa: N802
        """Notice that the plots come into view."""
        super().paintEvent(a0)
        if self._waits:
            self._soon.start()

    def points(self, name: str) -> tuple[list[float], list[float]]:
        """Return steps and values of a curve: generator, discriminator, L1, score, trivial map."""
        return self._points.get(name, ([], []))

    def _append(self, name: str, step: int, value: float) -> None:
        steps, values = self._points.setdefault(name, ([], []))
        steps.append(step)
        values.append(value)
        self._behind.add(name)
        if len(steps) > _MOST:
            del steps[1:-1:2], values[1:-1:2]

    def _draw_lines(self) -> None:
        self._make_plots()
        for name in self._behind:
            steps, values = self._points[name]
            self._lines[name].setData(steps, values, connect="finite")
        self._behind = set()
        # Otherwise pyqtgraph fits the axes when it paints, and then paints again.
        for plot in self._plots:
            plot.getViewBox().updateAutoRange()
        for plot in self._plots:
            plot.scene().prepareForPaint()
            plot.viewport().update()

    def _make_plots(self) -> None:
        if self._plots:
            return
        import pyqtgraph as pg

        for names in (("generator", "discriminator", "L1"), ("score", "trivial map")):
            self._column.addWidget(_legend(names))
            plot = self._add_plot(_HEIGHT)
            # By itself each scene would draw the window anew.
            plot.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.NoViewportUpdate)
            plot.setMouseEnabled(x=False, y=False)
            plot.getViewBox().setDefaultPadding(0.1)  # room for the outermost numbers
            plot.getAxis("left").setWidth(52)
            for name in names:
                dashed = Qt.PenStyle.DashLine if name == "trivial map" else Qt.PenStyle.SolidLine
                pen = pg.mkPen(_COLOURS[name], width=1.5, style=dashed)
                symbol = "o" if name == "score" else None
                self._lines[name] = plot.plot(
                    pen=pen, symbol=symbol, symbolSize=4, symbolBrush=_COLOURS[name]
                )
        losses, scores = self._plots
        losses.setLogMode(y=True)
        losses.setLabel("left", "loss")
        losses.getAxis("left").logTickStrings = _tick_strings
        scores.setLabel("bottom", "step")
        scores.setXLink(losses)


def _legend(names: tuple[str, ...]) -> QLabel:
    """Name the curves above the plot, where they hide nothing."""
    marks = {"trivial map": "╌╌"}
    return QLabel(
        "&nbsp;&nbsp; ".join(
            f'<span style="color:{_COLOURS[name]}">{marks.get(name, "━━")}</span> {name}'
            for name in names
        )
    )


def _tick_strings(values: list[float], scale: float, spacing: float) -> list[str]:
    """Write 1, 2 and 5 of each decade; more would not fit."""
    return [
        f"{10**value:g}" if round(10 ** (value % 1), 6) in (1, 2, 5, 10) else "" for value in values
    ]


def _losses(step: Step) -> dict[str, float]:
    """Name the curves of a step; a loss that is zero or below has no place on a log axis."""
    told = step.losses
    named = {
        "generator": told.get("G_GAN"),
        "L1": told.get("G_L1", told.get("G_reconstruction")),
    }
    judged = [told[name] for name in ("D_real", "D_fake") if name in told]
    if judged:
        named["discriminator"] = sum(judged) / len(judged)
    return {
        name: value if value > 0 else float("nan")
        for name, value in named.items()
        if value is not None
    }
