"""What the Apply and the Evaluate dock do alike: check what is chosen, tell how work ended.

What the Apply and the Evaluate dock look like in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QLayout, QVBoxLayout, QWidget

from napari_pix2pix.errors import Pix2PixError
from napari_pix2pix.widgets.apply.model_picker import ConditionChoice, ModelPicker
from napari_pix2pix.widgets.common.closing import ClosingGuard
from napari_pix2pix.widgets.common.elements import ProgressRow, Scroll, Sentence

if TYPE_CHECKING:
    import napari.viewer

_WAIT = 100  # milliseconds between a change and the check of all


class ModelDock(QWidget):
    """A dock that works with a model on chosen layers.

    Those override `running`, `close_down`, `_check`, `_show_state`, and `_question` where there is
    something to ask.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.

    Attributes
    ----------
    ended : Signal(str, bool)
        The work is over: what the dock says of it, and whether that is an error.
    """

    ended = Signal(str, bool)
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

    @property
    def problem(self) -> str:
        """Why the work can't be done as things are chosen; empty where it can."""
        return self._problem

    @property
    def running(self) -> bool:
        """Whether there is work going on."""
        raise NotImplementedError

    def check(self) -> str:
        """Check now whether what is chosen fits, and return `problem`."""
        self._later.stop()
        try:
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
        """Raise a `Pix2PixError` where what is chosen does not fit."""
        raise NotImplementedError

    def _show_state(self) -> None:
        """Enable the buttons that can be used."""
        raise NotImplementedError

    def _question(self) -> str:
        """Return what to ask before the viewer closes; empty when there is nothing to ask."""
        return ""

    def _check_soon(self, *_: Any) -> None:
        self._later.start()

    def _try_to(self, work: Callable[[], None]) -> None:
        """Begin to work, or show why that can't be."""
        try:
            work()
        except Pix2PixError as error:
            self._show_problem(str(error))

    def _show_problem(self, sentence: str) -> None:
        self._problem = sentence
        # What is wrong with a file stands below the model already.
        self._view.problem.say("" if self._view.picker.error.text() else sentence)
        self._show_state()

    def _end(self, said: str, is_error: bool = False) -> None:
        self._view.progress.finish()
        self._view.say(said, is_error=is_error)
        self.ended.emit(said, is_error)


class ModelView:
    """A part that scrolls, and below it what stays in view: words, a bar and buttons.

    Parameters
    ----------
    title : str
        What the activity dock calls the work.

    Attributes
    ----------
    picker : ModelPicker
    condition : ConditionChoice
    form : QFormLayout
        For the fields.
    problem, error, status : Sentence
        Why the work can't be done; how it failed, or ended.
    progress : ProgressRow
    """

    def __init__(self, title: str) -> None:
        self.picker = ModelPicker()
        self.condition = ConditionChoice()
        self.form = QFormLayout()
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.problem, self.error = Sentence(is_error=True), Sentence(is_error=True)
        self.status = Sentence()
        self.progress = ProgressRow(title)

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Tell how the work ended; nothing for an empty text."""
        self.error.say(text if is_error else "")
        self.status.say("" if is_error else text)

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
        buttons: Sequence[QWidget],
    ) -> None:
        """Put everything into a dock."""
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 6, 6, 6)
        for one in scrolled:
            if isinstance(one, QLayout):
                inner.addLayout(one)
            else:
                inner.addWidget(one)
        inner.addStretch(1)
        row = QHBoxLayout()
        for button in buttons:
            row.addWidget(button)
        outer = QVBoxLayout(parent)
        outer.setContentsMargins(4, 4, 4, 4)
        outer.addWidget(Scroll(content), 1)
        for widget in (*below, self.status, self.error, self.progress):
            outer.addWidget(widget)
        outer.addLayout(row)
