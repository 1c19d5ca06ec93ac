"""What the Apply dock looks like."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QLabel, QWidget

from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.apply_layers import LayersForm
from napari_pix2pix.widgets.apply_options import OptionsForm
from napari_pix2pix.widgets.fields import Choice, push_button
from napari_pix2pix.widgets.model_view import ModelView
from napari_pix2pix.widgets.section import Section
from napari_pix2pix.widgets.sentence import Sentence


class ApplyView(ModelView):
    """The controls of the dock, laid out in a widget; the buttons stay while the rest scrolls.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Applying a model")
        self.layers = LayersForm(self.form)
        self.frames = _choice("Which frames of a stack are translated", "all", "the one shown")
        self.part = _choice("Which part of each frame is translated", "all", "what is in view")
        self.replaces = QCheckBox("Replace the source")
        self.replaces.setToolTip(
            "When it is done, the result takes the source's data where kind and channels match; "
            "otherwise its place and name, and the source is kept, hidden, as “… (before)”"
        )
        self.options = OptionsForm()
        self.note, self.estimate = Sentence(is_warning=True), Sentence()
        self.apply = push_button("Apply", "Translate the layers; the result appears beside them")
        self.cancel = push_button("Cancel", "Stop; what is done is kept and marked as partial")
        self.undo = push_button(
            "Undo", "Take the last results out again, or put back what was there"
        )
        self._fill_form()
        self.lay_out(
            parent,
            # The problem above the fields: a model of many channels has a long list of them.
            [
                _heading("Model"),
                self.picker,
                _heading("Layers"),
                self.problem,
                self.form,
                self.replaces,
                self.note,
                Section("Advanced", self.options),
            ],
            [self.estimate],
            [self.apply, self.cancel, self.undo],
        )

    def fit(self, card: Card) -> None:
        """Show what a model has to choose from."""
        self.layers.fit(card)
        self.options.fit(card)
        self.condition.offer(card.conditions)
        self.show_row(self.condition, bool(card.conditions))

    def _fill_form(self) -> None:
        self.form.addRow("Condition", self.condition)
        self.form.addRow("Frames", self.frames)
        self.form.addRow("Part", self.part)
        self.show_row(self.condition, False)


def _heading(text: str) -> QLabel:
    return QLabel(f"<b>{text}</b>")


def _choice(tip: str, *texts: str) -> Choice:
    choice = Choice()
    for number, text in enumerate(texts):
        choice.addItem(text, bool(number))
    choice.setToolTip(tip)
    return choice
