"""What the Apply dock looks like."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.apply_condition import ConditionChoice
from napari_pix2pix.widgets.apply_layers import LayersForm
from napari_pix2pix.widgets.apply_model import ModelPicker
from napari_pix2pix.widgets.apply_options import OptionsForm
from napari_pix2pix.widgets.fields import Choice, push_button
from napari_pix2pix.widgets.progress_row import ProgressRow
from napari_pix2pix.widgets.scroll import Scroll
from napari_pix2pix.widgets.section import Section
from napari_pix2pix.widgets.sentence import Sentence


class ApplyView:
    """The controls of the dock, laid out in a widget; the buttons stay while the rest scrolls.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    def __init__(self, parent: QWidget) -> None:
        self.picker = ModelPicker()
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.layers = LayersForm(self._form)
        self.condition = ConditionChoice()
        self.frames = _choice("Which frames of a stack are translated", "all", "the one shown")
        self.part = _choice("Which part of each frame is translated", "all", "what is in view")
        self.replaces = QCheckBox("Replace the source")
        self.replaces.setToolTip(
            "When it is done, the result takes the source's data where kind and channels match; "
            "otherwise its place and name, and the source is kept, hidden, as “… (before)”"
        )
        self.options = OptionsForm()
        self.problem, self.note = Sentence(is_error=True), Sentence()
        self.estimate, self.status = Sentence(), Sentence()
        self.error = Sentence(is_error=True)
        self.progress = ProgressRow("Applying a model")
        self.apply = push_button("Apply", "Translate the layers; the result appears beside them")
        self.cancel = push_button("Cancel", "Stop; what is done is kept and marked as partial")
        self.undo = push_button(
            "Undo", "Take the last results out again, or put back what was there"
        )
        self._lay_out(parent)

    def fit(self, card: Card) -> None:
        """Show what a model has to choose from."""
        self.layers.fit(card)
        self.options.fit(card)
        self.condition.offer(card.conditions)
        self._show_condition(bool(card.conditions))

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Tell how a run ended; nothing for an empty text."""
        self.error.say(text if is_error else "")
        self.status.say("" if is_error else text)

    def _show_condition(self, visible: bool) -> None:
        self.condition.setVisible(visible)
        label = self._form.labelForField(self.condition)
        assert label is not None
        label.setVisible(visible)

    def _lay_out(self, parent: QWidget) -> None:
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(6, 6, 6, 6)
        self._form.addRow("Condition", self.condition)
        self._form.addRow("Frames", self.frames)
        self._form.addRow("Part", self.part)
        self._show_condition(False)
        # Above the fields that it is about: a model of many channels has a long list of them.
        for above in (_heading("Model"), self.picker, _heading("Layers"), self.problem):
            inner.addWidget(above)
        inner.addLayout(self._form)
        advanced = Section("Advanced", self.options)
        for under in (self.replaces, self.note, advanced):
            inner.addWidget(under)
        inner.addStretch(1)
        row = QHBoxLayout()
        for button in (self.apply, self.cancel, self.undo):
            row.addWidget(button)
        outer = QVBoxLayout(parent)
        outer.setContentsMargins(4, 4, 4, 4)
        outer.addWidget(Scroll(content), 1)
        for below in (self.estimate, self.status, self.error, self.progress):
            outer.addWidget(below)
        outer.addLayout(row)


def _heading(text: str) -> QLabel:
    return QLabel(f"<b>{text}</b>")


def _choice(tip: str, *texts: str) -> Choice:
    choice = Choice()
    for number, text in enumerate(texts):
        choice.addItem(text, bool(number))
    choice.setToolTip(tip)
    return choice
