"""What docks share: asking before they close, checking what is chosen, and their layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QLabel,
    QLayout,
    QVBoxLayout,
    QWidget,
)

from napari_pix2pix.errors import Pix2PixError
from napari_pix2pix.training.config import AppliedWeights
from napari_pix2pix.widgets.apply.condition_choice import ConditionChoice
from napari_pix2pix.widgets.apply.model_picker import ModelPicker
from napari_pix2pix.widgets.common._model_drops import ModelDrops
from napari_pix2pix.widgets.common.closing import ClosingGuard
from napari_pix2pix.widgets.common.elements import ProgressRow, Scroll, Sentence, row_of
from napari_pix2pix.widgets.common.runner import errors_in_words

if TYPE_CHECKING:
    import napari.viewer

_WAIT = 100  # milliseconds between a change and the check of all choices


class ModelDock(QWidget):
    """Base of the Apply and the Evaluate dock, which work with a model on chosen layers.

    They override `running`, `close_down`, `_check`, `_show_state`, and `_question` where there is
    something to ask.
    """

    ended = Signal(str, bool)  # the work is over: the dock's message, and whether it is an error
    _view: ModelView

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._problem = ""
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_WAIT)
        self._later.timeout.connect(self.check)
        self._guard = ClosingGuard(self, napari_viewer, self._question)
        self._guard.closing.connect(self.close_down)
        self._drops = ModelDrops(self)
        self._drops.dropped.connect(self._take_dropped)

    @property
    def problem(self) -> str:
        """Why the work can't be done with these choices; empty where it can."""
        return self._problem

    @property
    def running(self) -> bool:
        """Whether work is going on."""
        raise NotImplementedError

    def choose_weights(self, weights: AppliedWeights) -> None:
        """Choose the last weights of the model, or those of its best validation.

        Raises
        ------
        InputError
            When there is no model, or it lacks these weights.
        """
        self._view.picker.choose_weights(weights)

    def check(self) -> str:
        """Check now whether the choices fit each other, and return `problem`."""
        self._later.stop()
        try:
            with errors_in_words():
                self._check()
        except Pix2PixError as error:
            self._show_problem(str(error))
        else:
            self._show_problem("")
        return self._problem

    def close_down(self) -> None:
        """Stop all work and wait for it."""
        raise NotImplementedError

    def _check(self) -> None:
        """Raise a `Pix2PixError` where the choices don't fit each other."""
        raise NotImplementedError

    def _show_state(self) -> None:
        """Enable the buttons that can be used."""
        raise NotImplementedError

    def _question(self) -> str:
        """Return what to ask before the viewer closes; empty when there is nothing to ask."""
        return ""

    def _take_dropped(self, path: Path) -> None:
        """Choose a model whose file was dropped on the dock."""
        self._view.picker.choose(path)

    def _check_soon(self, *_: Any) -> None:
        self._later.start()

    def _try_to(self, work: Callable[[], None]) -> None:
        """Begin to work, or show why that is not possible."""
        try:
            with errors_in_words():
                work()
        except Pix2PixError as error:
            self._show_problem(str(error))

    def _show_problem(self, sentence: str) -> None:
        self._problem = sentence
        # The picker already shows what is wrong with a file.
        self._view.problem.set_text("" if self._view.picker.error.text() else sentence)
        self._show_state()

    def _end(self, message: str, is_error: bool = False) -> None:
        self._view.progress.finish()
        self._view.set_text(message, is_error=is_error)
        self.ended.emit(message, is_error)


class ModelView:
    """Controls of a `ModelDock`: a part that scrolls, and below it messages, a bar and buttons."""

    def __init__(self, title: str) -> None:
        self.picker = ModelPicker()
        self.condition = ConditionChoice()
        self.form = QFormLayout()
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.problem, self.error = Sentence(is_error=True), Sentence(is_error=True)
        self.status = Sentence()
        self.progress = ProgressRow(title)

    def set_text(self, text: str, *, is_error: bool = False) -> None:
        """Show how the work ended; nothing for an empty text."""
        self.error.set_text(text if is_error else "")
        self.status.set_text("" if is_error else text)

    def show_row(self, field: QWidget, visible: bool) -> None:
        """Show or hide a field of the form, and its label."""
        field.setVisible(visible)
        label = self.form.labelForField(field)
        if isinstance(label, QLabel):
            label.setVisible(visible)

    def lay_out(
        self,
        parent: QWidget,
        scrolled: Sequence[QWidget | QLayout],
        below: Sequence[QWidget],
        *rows: Sequence[QWidget],
    ) -> None:
        """Lay out everything in a dock; buttons in `rows`, at the bottom."""
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 6, 6, 6)
        for part in scrolled:
            if isinstance(part, QLayout):
                inner.addLayout(part)
            else:
                inner.addWidget(part)
        inner.addStretch(1)
        outer = QVBoxLayout(parent)
        outer.setContentsMargins(6, 4, 6, 6)
        outer.addWidget(Scroll(content), 1)
        for widget in (*below, self.status, self.error, self.progress):
            outer.addWidget(widget)
        for buttons in rows:
            outer.addLayout(row_of(*buttons))
