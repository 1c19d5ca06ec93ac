"""The layout of the Train dock, and its offer to resume an interrupted run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFrame, QSizePolicy, QVBoxLayout, QWidget

from napari_pix2pix.training.events import (
    Done,
    Event,
    Health,
    Prepared,
    Preview,
    Step,
    Validated,
)
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common.elements import (
    Scroll,
    Sentence,
    lay_out_column,
    push_button,
    row_of,
    runs_button,
)
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.runs.gallery import delete_if_agreed, show_gallery
from napari_pix2pix.widgets.runs.records import KeptRun, interrupted_runs
from napari_pix2pix.widgets.train._curves import Curves
from napari_pix2pix.widgets.train._form import TrainForm
from napari_pix2pix.widgets.train._live_preview import LivePreview
from napari_pix2pix.widgets.train._status import Outcome, RunStatus
from napari_pix2pix.widgets.train._try_it import TryIt
from napari_pix2pix.widgets.train._welcome import Welcome

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.data.pair import Pair
    from napari_pix2pix.training.config import TrainConfig
    from napari_pix2pix.training.model_info import ModelInfo
    from napari_pix2pix.widgets.train._pair_rows import PairChoice


class ResumeOffer(QFrame):
    """Offers to resume an interrupted run; hidden without one."""

    resume_requested = Signal(object)  # the user wants to resume this `KeptRun`
    use_requested = Signal(object)  # the user wants to apply its model

    def __init__(self) -> None:
        super().__init__()
        self.run: KeptRun | None = None
        self.message = Sentence()
        self.resume = push_button(
            "Resume", "Continue where the run was interrupted, with the same layers or files."
        )
        self.use = push_button("Use as it is", "Apply what the run has learned so far.")
        self.delete = push_button("Delete…", "Delete what the run has learned, after a question.")
        lay_out_column(self, self.message, row_of(self.resume, self.use, self.delete))
        self.use.clicked.connect(self._on_use)
        self.resume.clicked.connect(self._on_resume)
        self.delete.clicked.connect(self._on_delete)
        models().changed.connect(self._on_changed)
        self.hide()

    def check(self, folder: Path) -> None:
        """Offer the latest interrupted run in a folder of autosaves."""
        runs = interrupted_runs(folder)
        self.run = runs[0] if runs else None
        self.setVisible(self.run is not None)
        if self.run is not None:
            self.message.set_text(
                f"A training of {self.run.record.began} ({self.run.name}) was interrupted. It can "
                f"be resumed while {self.run.needs}. Otherwise it stays under Runs."
            )

    def _on_resume(self) -> None:
        if self.run is not None:
            self.resume_requested.emit(self.run)

    def _on_use(self) -> None:
        if self.run is not None:
            self.use_requested.emit(self.run)

    def _on_changed(self) -> None:
        """Offer another run where this one was deleted in the gallery."""
        if self.run is not None and not self.run.path.exists():
            self.check(self.run.path.parent)

    def _on_delete(self) -> None:
        if self.run is not None:
            delete_if_agreed(self, self.run)


class TrainView:
    """The parts of the Train dock; state and buttons stay in view while the rest scrolls."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.panel = QWidget()  # all of them, which a dock shows
        # Otherwise napari adds an empty space below.
        grows = QSizePolicy.Policy.Expanding
        self.panel.setSizePolicy(grows, grows)
        self._viewer = viewer
        self.runs = runs_button()
        self.welcome = Welcome(viewer)
        self.trial = TryIt(viewer)
        self.offer = ResumeOffer()
        self.form = TrainForm(viewer)
        self.preview = LivePreview(viewer)
        self.curves = Curves(viewer)
        self.curves.hide()
        self.health = Sentence()
        self.outcome = Outcome(viewer)
        self.status = RunStatus()
        self.status.shown.connect(self.curves.draw)
        self.runs.clicked.connect(self._open_runs)
        self.offer.use_requested.connect(self._use)
        self.trial.ended.connect(self._show_trial)
        self.form.data.changed.connect(self.follow)
        self._lay_out()

    def begin(
        self,
        choices: Sequence[PairChoice],
        pairs: Sequence[Pair],
        before: ModelInfo | None = None,
    ) -> None:
        """Clear what the last run has shown; a resumed run keeps the curves that it has drawn."""
        self.preview.begin(choices, pairs)
        self.offer.hide()
        self.curves.clear()
        if before is not None:
            self.curves.add_history(before)
        self.health.set_text("")
        self.outcome.clear()

    def show_event(self, event: Event, config: TrainConfig) -> None:
        """Show an event of the run."""
        match event:
            case Prepared():
                self.curves.add(event)
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

    def follow(self) -> None:
        """Say what the dock is for only while there is nothing to train on."""
        self.welcome.follow(is_files=self.form.data.is_files)

    def warn(self, sentence: str) -> None:
        """Add a warning below the earlier ones."""
        self.health.set_text("\n".join(filter(None, [self.health.text(), sentence])))

    def _show_trial(self) -> None:
        self.body.show_soon(self.trial)

    def _open_runs(self) -> None:
        show_gallery(self._viewer, self.panel)

    def _use(self, run: KeptRun) -> None:
        open_dock(self._viewer, "Apply").set_model(models().of_run(run))

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(6)
        column.addWidget(self.runs, 0, Qt.AlignmentFlag.AlignRight)
        top = (self.welcome, self.trial, self.offer)
        parts = (*top, self.form, self.preview, self.curves, self.health, self.outcome)
        for widget in parts:
            column.addWidget(widget)
        column.addStretch(1)
        self.body = Scroll(inside)
        layout = QVBoxLayout(self.panel)
        layout.setContentsMargins(2, 2, 2, 6)
        layout.addWidget(self.body, 1)
        self.status.setContentsMargins(6, 0, 6, 0)  # as what scrolls above it
        layout.addWidget(self.status)
