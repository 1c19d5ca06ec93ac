"""One pair in the Train dock: source, target, mask, condition, and whether it is held out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from napari_pix2pix.widgets.common.elements import (
    Sentence,
    follow_font,
    lay_out_column,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.layer_choice import (
    LayerChoice,
    LayersChoice,
    is_image,
    is_mask,
)
from napari_pix2pix.widgets.train._pair_choice import PairChoice

_LEAST_NAME = "a long name"  # what a box has room for; else the buttons go below it
_TO_TEXT = 4  # pixels from the top of a box to its text


class PairRow(QFrame):
    """The boxes of one pair, and below them what is wrong with it."""

    changed = Signal()
    removed = Signal(object)  # itself
    hold_out_clicked = Signal(object)  # itself, of which the frame shown is to be held out

    def __init__(self) -> None:
        super().__init__()
        self.source = LayersChoice(is_image, "choose a source", least_text=_LEAST_NAME)
        self.source.set_tip(
            "The network's input. Click a name to choose one layer; tick several to use them as "
            "channels."
        )
        self.target = LayersChoice(is_image, "choose a target", least_text=_LEAST_NAME)
        self.target.set_tip("What the network learns to predict; chosen in the same way.")
        self.mask_choice = LayerChoice(is_mask, "none")
        self.mask_choice.set_tip("Train and score only inside these labels or shapes.")
        self.condition = QLineEdit()
        self.condition.setPlaceholderText("none")
        self.condition.setToolTip(
            "What distinguishes this pair, such as its stain, for one model of several targets. "
            "Give a condition to every pair or to none."
        )
        self.held_out = QCheckBox("held out")
        self.held_out.setToolTip("Validate on this pair instead of training on it.")
        self.hold_out_frame = push_button(
            "Hold out this frame",
            "Add the frame that the viewer shows to those that are validated on, see hold out "
            "under Data. Of a series of volumes it is the time that is shown.",
        )
        self.swap = _tool("⇅", "Swap source and target.")
        self.expand = _tool("⋯", "Show mask, condition, and whether the pair is held out.")
        self.expand.setCheckable(True)
        self.remove = _tool("✕", "Remove this pair.")
        self.error = Sentence(is_error=True)
        self._lay_out()
        for signal in (self.source.changed, self.target.changed, self.mask_choice.changed):
            signal.connect(self.changed)
        self.condition.editingFinished.connect(self.changed)
        self.held_out.toggled.connect(self.changed)
        self.expand.toggled.connect(self.extra.setVisible)
        self.hold_out_frame.clicked.connect(self._on_hold_out)
        self.swap.clicked.connect(self.swap_sides)
        self.changed.connect(self._fit)
        self.remove.clicked.connect(self._on_remove)

    def choice(self) -> PairChoice:
        """Return what is chosen."""
        return PairChoice(
            self.source.layers,
            self.target.layers,
            self.mask_choice.layer,
            self.condition.text().strip() or None,
            self.held_out.isChecked(),
        )

    def show_source(self, shown: bool) -> None:
        """Show the source, or hide it where the training has none."""
        for widget in (self._source_label, self.source, self.swap):
            widget.setVisible(shown)

    def set(self, choice: PairChoice) -> None:
        """Choose layers."""
        self.source.choose(choice.sources)
        self.target.choose(choice.targets)
        self.mask_choice.choose(choice.mask)
        self.condition.setText(choice.condition or "")
        self.held_out.setChecked(choice.held_out)
        is_more = choice.mask is not None or bool(choice.condition) or choice.held_out
        self.expand.setChecked(is_more)

    def offer(self, layers: Iterable[Any]) -> None:
        """Offer other layers."""
        layers = list(layers)
        for combo in (self.source, self.target, self.mask_choice):
            combo.offer(layers)

    def swap_sides(self) -> None:
        """Make the source the target, and the target the source."""
        before = self.choice()
        self.set(replace(before, sources=before.targets, targets=before.sources))

    def _fit(self) -> None:
        """Offer to hold a frame out where the layers have several."""
        layers = (*self.source.layers, *self.target.layers)
        self.hold_out_frame.setVisible(any(layer.ndim > 2 for layer in layers))

    def _on_hold_out(self) -> None:
        self.hold_out_clicked.emit(self)

    def _on_remove(self) -> None:
        self.removed.emit(self)

    def _lay_out(self) -> None:
        first = QGridLayout()
        first.setHorizontalSpacing(3)
        first.setVerticalSpacing(2)
        first.setColumnStretch(1, 1)
        self._source_label, target_label = QLabel("Source"), QLabel("Target")
        sides = ((self._source_label, self.source), (target_label, self.target))
        for line, (label, box) in enumerate(sides):
            label.setBuddy(box)
            label.setContentsMargins(0, _TO_TEXT, 0, 0)
            first.addWidget(label, line, 0, Qt.AlignmentFlag.AlignTop)
        first.addWidget(self.source, 0, 1)
        first.addLayout(row_of(self.target, _beside(self.swap, self.expand, self.remove)), 1, 1)
        follow_font(target_label, self.swap, self.remove, self.expand, self.condition)
        self.extra = QWidget()
        second = QGridLayout(self.extra)
        second.setContentsMargins(0, 0, 0, 0)
        second.setVerticalSpacing(2)
        second.setColumnStretch(1, 1)
        for line, (text, widget) in enumerate(
            (("Mask", self.mask_choice), ("Condition", self.condition))
        ):
            second.addWidget(QLabel(text), line, 0)
            second.addWidget(widget, line, 1)
        second.addLayout(row_of(self.held_out, self.hold_out_frame), 2, 0, 1, 2)
        self.hold_out_frame.hide()
        self.extra.hide()
        lay_out_column(self, first, self.extra, self.error, spacing=2)


def _beside(*tools: QToolButton) -> QWidget:
    """Return a widget with small buttons beside each other, as wide as they are."""
    group = QWidget()
    group.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
    line = QHBoxLayout(group)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(0)
    for tool in tools:
        line.addWidget(tool)
    return group


def _tool(text: str, tip: str) -> QToolButton:
    """Return a small button without a frame."""
    button = QToolButton()
    button.setText(text)
    button.setAutoRaise(True)
    button.setToolTip(tip)
    return button
