"""The controls of the Compare dock."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QSlider, QVBoxLayout, QWidget

from napari_pix2pix.widgets.common.elements import (
    Choice,
    Sentence,
    pass_wheel_on,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.layer_choice import LayerChoice, is_image

STEPS = 1000  # of the slider
_PAIRS = ("prediction", "truth"), ("source", "prediction"), ("source", "truth")
# The left and the right side by what the box says; the usual ones come first.
SIDES = {f"{left} | {right}": (left, right) for left, right in _PAIRS}
SIDES |= {f"{right} | {left}": (right, left) for left, right in _PAIRS}


class CompareView:
    """Three layers, how they are compared, and where the line is."""

    def __init__(self, parent: QWidget) -> None:
        self.source = _layer("The image that the prediction was made from")
        self.prediction = _layer("What the model made")
        self.truth = _layer("The true image or labels")
        self.sides = Choice()
        self.sides.addItems(SIDES)
        self.sides.setToolTip("What is left and right of the line when you swipe")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setToolTip("Where the line is; or drag the line on the canvas")
        pass_wheel_on(self.slider)
        self.swipe = push_button(
            "Swipe", "Put a line on the canvas: one layer left of it, the other one right of it"
        )
        self.beside = push_button(
            "Side by side", "Show the chosen layers beside each other; their views move together"
        )
        self.stop = push_button("End", "Show the layers as they were before")
        self.problem, self.status = Sentence(is_error=True), Sentence()
        self._lay_out(parent)

    def choices(self) -> dict[str, LayerChoice]:
        """Return the boxes by what they hold."""
        return {"source": self.source, "prediction": self.prediction, "truth": self.truth}

    def show_sides(self, left: str, right: str) -> None:
        """Let the box say what is left and right of the line."""
        self.sides.blockSignals(True)
        self.sides.setCurrentText(f"{left} | {right}")
        self.sides.blockSignals(False)

    def _lay_out(self, parent: QWidget) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, choice in self.choices().items():
            form.addRow(name.capitalize(), choice)
        form.addRow("Swipe", self.sides)
        form.addRow("Line", self.slider)
        column = QVBoxLayout(parent)
        column.addLayout(form)
        column.addWidget(self.problem)
        column.addLayout(row_of(self.swipe, self.beside, self.stop))
        column.addWidget(self.status)
        column.addStretch(1)


def _layer(tip: str) -> LayerChoice:
    choice = LayerChoice(is_image, "none")
    choice.setToolTip(tip)
    return choice
