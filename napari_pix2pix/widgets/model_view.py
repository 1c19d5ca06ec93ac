"""What the Apply and the Evaluate dock look like in common."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QLayout, QVBoxLayout, QWidget

from napari_pix2pix.widgets.apply_condition import ConditionChoice
from napari_pix2pix.widgets.apply_model import ModelPicker
from napari_pix2pix.widgets.progress_row import ProgressRow
from napari_pix2pix.widgets.scroll import Scroll
from napari_pix2pix.widgets.sentence import Sentence


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
