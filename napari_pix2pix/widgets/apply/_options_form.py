"""The options of a call as a form, made from their declaration."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.common.fields import Choice, Editor, Number

_CHOICES: dict[str, dict[str, Any]] = {
    "tile": {"automatic": None, "whole image": 0, "256": 256, "512": 512, "1024": 1024},
    "device": {"as in Preferences": None, "cpu": "cpu", "cuda": "cuda", "mps": "mps"},
}
# The condition has a field of its own; compiling would keep a viewer waiting.
_ELSEWHERE = {"condition", "compile"}


class OptionsForm(QWidget):
    """Editors for the options; what a model has no use for is disabled.

    Attributes
    ----------
    changed : Signal()
        Another value is shown.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._editors: dict[str, Editor] = {}
        self._choices: dict[str, Choice] = {}
        self._measures = False  # each image
        layout = QFormLayout(self)
        layout.setContentsMargins(8, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, field in PredictOptions.model_fields.items():
            if name in _ELSEWHERE:
                continue
            widget = self._choice(name) if name in _CHOICES else self._editor(name)
            widget.setToolTip(field.description or "")
            widget.setObjectName(name)
            layout.addRow(name, widget)
            label = layout.labelForField(widget)
            if label is not None:
                label.setToolTip(field.description or "")
        self.set_options(PredictOptions())

    def options(self) -> PredictOptions:
        """Return what is shown; what the model has no use for is left out."""
        values = {name: editor.value() for name, editor in self._editors.items()}
        values |= {name: choice.currentData() for name, choice in self._choices.items()}
        defaults = PredictOptions()
        for name in values:
            if not self._widget(name).isEnabled():
                values[name] = getattr(defaults, name)
        return PredictOptions(**values)

    @property
    def whole(self) -> bool:
        """Whether the network is given the whole image at once, as far as memory allows."""
        options = self.options()
        measures = self._measures or options.norm_statistics == "per-image"
        return options.tile == 0 or (measures and options.tile is None)

    def set_options(self, options: PredictOptions) -> None:
        """Show other options."""
        for name, editor in self._editors.items():
            editor.set_value(getattr(options, name))
        for name, choice in self._choices.items():
            value = getattr(options, name)
            if choice.findData(value) < 0:
                choice.addItem(str(value), value)
            choice.setCurrentIndex(choice.findData(value))

    def fit(self, card: ModelInfo) -> None:
        """Disable what a model has no use for."""
        config = card.config
        self._measures = config.norm in ("instance", "group")
        self._allow("output", card.target_codec.kind == "image", "Labels have no float form.")
        draws = config.noise_channels > 0 or config.dropout > 0
        varies = card.target_codec.kind == "image" and draws
        one = "Draws have a mean where targets are images and the model has noise or dropout."
        self._allow("samples", varies, one)
        self._allow("dropout", config.dropout > 0, "This model has no dropout layers.")
        self._allow("norm_statistics", config.norm == "batch", "This model has no batch norm.")

    def _allow(self, name: str, allowed: bool, why_not: str) -> None:
        widget = self._widget(name)
        widget.setEnabled(allowed)
        said = PredictOptions.model_fields[name].description or ""
        widget.setToolTip(said if allowed else why_not)

    def _widget(self, name: str) -> QWidget:
        return self._choices[name] if name in self._choices else self._editors[name].widget

    def _editor(self, name: str) -> QWidget:
        editor = Editor(PredictOptions.model_fields[name])
        editor.changed.connect(self.changed)
        if isinstance(editor.widget, Number) and name != "samples":
            editor.widget.setSpecialValueText("automatic" if name == "batch" else "not set")
        self._editors[name] = editor
        return editor.widget

    def _choice(self, name: str) -> QWidget:
        choice = Choice()
        for text, value in _CHOICES[name].items():
            choice.addItem(text, value)
        choice.currentIndexChanged.connect(self.changed)
        self._choices[name] = choice
        return choice
