"""The controls of the Apply dock."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from qtpy.QtWidgets import QCheckBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply._forms import GenerateForm, LayersForm, PredictOptionsForm
from napari_pix2pix.widgets.apply._uncertainty import explain_uncertainty, what_varies
from napari_pix2pix.widgets.common.elements import Choice, Section, Sentence, push_button
from napari_pix2pix.widgets.common.legend import Legend
from napari_pix2pix.widgets.common.model_dock import ModelView
from napari_pix2pix.widgets.common.settings import remember_fields, remembered_fields

_REMEMBERED = "apply/options"
_TICK, _QUANTILES = "uncertainty", "quantiles"
_OF_AN_IMAGE = {"seed", "resample", "pixel_size", "plane_distance"}

PARTS = "all", "what is in view", "where I look"
_APPLY = "Translate the layers; each result appears where its source lies, on top"
_GENERATE = "Generate images from noise and the condition: an image in each frame of the layer"
_RESAMPLE = (
    "Compute at the pixel size that the model was trained on; results come back on the layer's own "
    "pixels"
)
_DISCRIMINATOR_MAP = (
    "Show where the selected layer, or else the last result, looks real (green) or false (pink) "
    "to the model's discriminator"
)

_UNLIKENESS_MAP = (
    "Show where the chosen image is unlike those that the model was trained on: 99 % of these lie "
    "below 1"
)


class ApplyView(ModelView):
    """The controls of the Apply dock; the buttons stay in view while the rest scrolls."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Applying a model")
        self.layers = LayersForm(self.form)
        self.frames = _choice("Which frames of a stack are translated", "all", "the one shown")
        self.part = _choice(
            "Which part of each frame is translated: all of it, what is in view now, or tile by "
            "tile where you look from now on, which takes memory for these tiles alone",
            *PARTS,
        )
        self.replaces = QCheckBox("Replace the source")
        self.replaces.setToolTip(
            "When done, put the result into the source's layer if kind and channels match. "
            "Otherwise it takes the source's name, and the source stays, hidden, as “… (before)”"
        )
        self.options = PredictOptionsForm()
        self._advanced = Section("Advanced", self.options)
        self.uncertainty = QCheckBox("Uncertainty")
        self.quantiles = QLineEdit()
        self.quantiles.setPlaceholderText("none; such as q5,q95")
        self.quantiles.setToolTip(
            "Quantiles of the samples, pixel by pixel, a layer each: q5 is what 5 % of them lie "
            "below. The layers come hidden"
        )
        self._recall()
        self._heading = _heading("Layers")
        self.generate = GenerateForm()
        self.generate.hide()
        self.note, self.estimate = Sentence(is_warning=True), Sentence()
        self.seen = Sentence(is_warning=True)  # while the model was applied
        self.resample = push_button("Resample", _RESAMPLE)
        self.resample.hide()
        self.apply = push_button("Apply", _APPLY)
        self.cancel = push_button("Cancel", "Stop; the result so far is kept and marked as partial")
        self.undo = push_button("Undo", "Remove the last results, or restore what was there before")
        self.discriminator_map = push_button("Discriminator map", _DISCRIMINATOR_MAP)
        self.unlikeness_map = push_button("Unlikeness map", _UNLIKENESS_MAP)
        self.compare = push_button(
            "Compare…", "Swipe between source and result, or show them side by side"
        )
        self.legend = Legend()
        self._fill_form()
        self._sections = QVBoxLayout()
        self.lay_out(
            parent,
            # The problem stands above the fields, since many channels make a long list.
            [
                _heading("Model"),
                self.picker,
                self._heading,
                self.problem,
                self.form,
                self.generate,
                self.replaces,
                self.note,
                self.seen,
                self.resample,
                self._advanced,
                self._sections,
            ],
            [self.legend, self.estimate],
            [self.apply, self.uncertainty, self.cancel],
            [self.undo, self.compare],
            [self.discriminator_map, self.unlikeness_map],
        )

    def choice_signals(self) -> tuple[Any, ...]:
        """Return the signals after which a run may be another one."""
        return (
            self.layers.changed,
            self.options.changed,
            self.replaces.toggled,
            self.uncertainty.toggled,
            self.quantiles.textChanged,
            self.condition.currentIndexChanged,
            self.frames.currentIndexChanged,
            self.part.currentIndexChanged,
            self.generate.changed,
        )

    def add_section(self, title: str, content: QWidget) -> None:
        """Add a section below the advanced options."""
        self._sections.addWidget(Section(title, content))

    def fit(self, card: ModelInfo) -> None:
        """Show the choices that a model has."""
        takes_layers = bool(card.channels)
        self.layers.fit(card, visible=takes_layers)
        self.options.fit(card)
        self.condition.offer(card.conditions)
        self.show_row(self.condition, bool(card.conditions))
        for field in (self.frames, self.part):
            self.show_row(field, takes_layers)
        self.uncertainty.setEnabled(what_varies(card) is not None)
        self.uncertainty.setToolTip(explain_uncertainty(card))
        for widget in (self.replaces, self._advanced, self.uncertainty):
            widget.setVisible(takes_layers)
        self._show_quantiles()
        self.generate.setVisible(not takes_layers)
        if not takes_layers:
            self.generate.fit(card)
        self._heading.setText(_bold("Layers" if takes_layers else "Images"))
        self.apply.setText("Apply" if takes_layers else "Generate")
        self.apply.setToolTip(_APPLY if takes_layers else _GENERATE)
        self.discriminator_map.setToolTip(
            _DISCRIMINATOR_MAP if card.has_discriminator else "This model has no discriminator."
        )
        self.unlikeness_map.setToolTip(
            _UNLIKENESS_MAP
            if card.usual is not None
            else "This model does not know what its training images looked like."
        )

    def add_seen(self, sentence: str) -> None:
        """Show what a run has seen that is unusual."""
        self.seen.set_text(f"{self.seen.text()} {sentence}".strip())

    def forget_seen(self) -> None:
        """Drop it, before another run or when something else is chosen."""
        self.seen.set_text("")

    def remember(self) -> None:
        """Remember the options for the next start, but not those that belong to an image."""
        options = self.options.options().model_dump(mode="json", exclude=_OF_AN_IMAGE)
        remember_fields(
            _REMEMBERED,
            options | {_TICK: self.uncertainty.isChecked(), _QUANTILES: self.quantiles.text()},
        )

    def _recall(self) -> None:
        """Show the options of the last time; options of another version may not be valid."""
        fields = remembered_fields(_REMEMBERED)
        self.uncertainty.setChecked(bool(fields.pop(_TICK, False)))
        self.quantiles.setText(str(fields.pop(_QUANTILES, "")))
        with suppress(ValueError):
            options = PredictOptions(**fields)
            self.options.set_options(options)
            if options != PredictOptions():
                self._advanced.expand(animate=False)  # so that the user sees them

    def _fill_form(self) -> None:
        self.form.addRow("Condition", self.condition)
        self.form.addRow("Frames", self.frames)
        self.form.addRow("Part", self.part)
        self.form.addRow("Quantiles", self.quantiles)
        for field in (self.condition, self.quantiles):
            self.show_row(field, False)
        for signal in (self.uncertainty.toggled, self.options.changed):
            signal.connect(self._show_quantiles)

    def _show_quantiles(self) -> None:
        """Show the quantiles where several samples are drawn."""
        takes_layers = not self.uncertainty.isHidden()
        by_tick = self.uncertainty.isEnabled() and self.uncertainty.isChecked()
        several = by_tick or self.options.values().get("samples", 1) not in (None, 1)
        self.show_row(self.quantiles, takes_layers and several)


def _heading(text: str) -> QLabel:
    return QLabel(_bold(text))


def _bold(text: str) -> str:
    return f"<b>{text}</b>"


def _choice(tip: str, *texts: str) -> Choice:
    choice = Choice()
    for number, text in enumerate(texts):
        choice.addItem(text, number)
    choice.setToolTip(tip)
    return choice
