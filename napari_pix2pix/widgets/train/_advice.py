"""Grave warnings about the chosen pairs, each with the button that mends what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QSizePolicy, QWidget

from napari_pix2pix.widgets.common.elements import Sentence, lay_out_column, push_button

if TYPE_CHECKING:
    from napari_pix2pix.training.dataset import TrainingData


class Mend(StrEnum):
    """What a button does about a warning; the value is its text."""

    CORRECT_SHIFT = "Correct shift"
    SWAP = "Swap"
    USE_AS_LABELS = "Use as labels"
    RESAMPLE = "Resample"


_TIPS: dict[str, str] = {
    Mend.CORRECT_SHIFT: "Shift the targets by whole pixels and planes (correct_shift).",
    Mend.SWAP: "Make the source the target, and the target the source.",
    Mend.USE_AS_LABELS: "Learn the target as labels (target_kind).",
    Mend.RESAMPLE: "Add a layer with the target on the pixels of the source, and choose that.",
}


@dataclass(frozen=True)
class Advice:
    """A warning, and what mends it; None if no button does."""

    sentence: str
    mend: Mend | None = None
    pair: int = 0  # index of the row that the button changes


def advise(data: TrainingData) -> tuple[Advice, ...]:
    """Return what is grave about a training set, the mendable first."""
    advice = [_advice_of(warning, data) for warning in data.warnings]
    kinds = data.source_codec.kind, data.target_codec.kind
    is_given = bool(data.source_codec.channels) and data.config.derive is None
    if is_given and kinds[0] != "image" and kinds[1] == "image":
        sentence = (
            "The source holds labels and the target an image: the model will draw images from "
            "labels. Swap them to find labels in images."
        )
        advice.append(Advice(sentence, Mend.SWAP))
    return tuple(sorted(advice, key=lambda one: one.mend is None))


def _advice_of(warning: str, data: TrainingData) -> Advice:
    alignment = data.alignment
    if alignment.shifted and warning.startswith(alignment.sentence.removesuffix(".")):
        return Advice(alignment.sentence, Mend.CORRECT_SHIFT)
    if data.target_looks_like is not None and "target_kind" in warning:
        return Advice(warning, Mend.USE_AS_LABELS)
    return Advice(warning)


class AdvicePanel(QWidget):
    """Warnings in amber, each above its button."""

    mend_wanted = Signal(object)  # an `Advice`

    def __init__(self) -> None:
        super().__init__()
        self.advice: tuple[Advice, ...] = ()
        self._lines: list[_Line] = []
        self._column = lay_out_column(self, spacing=4)
        self.hide()

    def show_advice(self, advice: Sequence[Advice]) -> None:
        """Show these warnings and no others."""
        if tuple(advice) == self.advice:
            return
        self.advice = tuple(advice)
        for line in self._lines:
            self._column.removeWidget(line)
            line.setParent(None)
            line.deleteLater()
        self._lines = [_Line(one) for one in advice]
        for line in self._lines:
            line.mend_wanted.connect(self.mend_wanted)
            self._column.addWidget(line)
        self.setVisible(bool(advice))

    def text(self) -> str:
        """Return all sentences."""
        return "\n".join(one.sentence for one in self.advice)

    def click(self, mend: Mend) -> None:
        """Do what a click on the first button of this kind does."""
        next(line for line in self._lines if line.advice.mend is mend).button.click()


class _Line(QFrame):
    """A warning and its button."""

    mend_wanted = Signal(object)

    def __init__(self, advice: Advice) -> None:
        super().__init__()
        self.advice = advice
        sentence = Sentence(is_warning=True)
        sentence.set_text(advice.sentence)
        column = lay_out_column(self, sentence, spacing=2)
        self.button = push_button(advice.mend or "", _TIPS.get(advice.mend or "", ""))
        self.button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        if advice.mend is not None:
            column.addWidget(self.button)
        self.button.clicked.connect(self._on_clicked)

    def _on_clicked(self) -> None:
        self.mend_wanted.emit(self.advice)
