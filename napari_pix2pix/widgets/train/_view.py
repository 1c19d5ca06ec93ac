"""What the Train dock looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pix2pix.training.events import (
    Done,
    Event,
    Health,
    Prepared,
    Preview,
    Step,
    Validated,
)
from napari_pix2pix.widgets.common.elements import Scroll, Sentence
from napari_pix2pix.widgets.train._autosave import ResumeOffer
from napari_pix2pix.widgets.train._curves import Curves
from napari_pix2pix.widgets.train._form import TrainForm
from napari_pix2pix.widgets.train._live_preview import LivePreview
from napari_pix2pix.widgets.train._outcome import Outcome
from napari_pix2pix.widgets.train._status import RunStatus

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.data.pair import Pair
    from napari_pix2pix.training.config import TrainConfig
    from napari_pix2pix.widgets.train._pair_rows import PairChoice


class TrainView:
    """The parts of the dock, laid out in a widget; state and buttons stay while the rest scrolls.

    Parameters
    ----------
    parent : QWidget
        The dock.
    viewer : napari.viewer.Viewer
    """

    def __init__(self, parent: QWidget, viewer: napari.viewer.Viewer) -> None:
        self.offer = ResumeOffer()
        self.form = TrainForm(viewer)
        self.preview = LivePreview(viewer)
        self.curves = Curves(viewer)
        self.curves.hide()
        self.health = Sentence()
        self.outcome = Outcome(viewer)
        self.status = RunStatus()
        self.status.shown.connect(self.curves.draw)
        self._lay_out(parent)

    def begin(self, choices: Sequence[PairChoice], pairs: Sequence[Pair]) -> None:
        """Show nothing of the last run any more."""
        self.preview.begin(choices, pairs)
        self.offer.hide()
        self.curves.clear()
        self.health.say("")
        self.outcome.clear()

    def show_event(self, event: Event, config: TrainConfig) -> None:
        """Show what a run tells."""
        match event:
            case Prepared():
                self.curves.show()
                self.body.show_soon(self.curves)
                if event.preview is not None:
                    self.preview.add(event.preview)
            case Step():
                self.status.show_step(event, config.epochs)
                self.curves.add(event)
            case Validated():
                self.curves.add(event)
                self.curves.draw()
            case Done():
                self.curves.draw()
            case Preview():
                self.preview.add(event)
            case Health():
                self.warn(event.message)

    def warn(self, sentence: str) -> None:
        """Say what is amiss, below what was said before."""
        self.health.say("\n".join(filter(None, [self.health.text(), sentence])))

    def _lay_out(self, parent: QWidget) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(6)
        parts = (self.offer, self.form, self.preview, self.curves, self.health, self.outcome)
        for widget in parts:
            column.addWidget(widget)
        column.addStretch(1)
        self.body = Scroll(inside)
        layout = QVBoxLayout(parent)
        layout.setContentsMargins(2, 2, 2, 6)
        layout.addWidget(self.body, 1)
        layout.addWidget(self.status)
