"""The first choices of a run: preset, budget, device, and what to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QHBoxLayout, QLabel, QWidget

from napari_pix2pix.training.config import PRESETS, TrainConfig
from napari_pix2pix.widgets.common.elements import Sentence
from napari_pix2pix.widgets.common.fields import Choice, Number
from napari_pix2pix.widgets.common.known_models import MODEL_FILES, models
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.train._config_form import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_pix2pix.training.hardware import Device
    from napari_pix2pix.translator import Translator

# What the fields of this form are in `TrainConfig`.
FIELDS = ("preset", "epochs", "max_seconds", "default_epochs", "device")


class RunOptions(QWidget):
    """Preset, budget, device and start.

    Attributes
    ----------
    changed : Signal()
    preset_changed : Signal(str)
    """

    changed = Signal()
    preset_changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        described = TrainConfig.model_fields
        self.preset = Choice()
        self.preset.setToolTip(described["preset"].description or "")
        for name in PRESETS:
            self.preset.addItem(name, name)
        self.budget = Number()
        self.unit = Choice()
        self.unit.addItems(["epochs", "minutes"])
        for widget in (self.budget, self.unit):
            widget.setToolTip(
                "When the training ends: after so many epochs (an epoch is at least 100 steps, at "
                "most 1,000), or minutes. Stop keeps the model at any time."
            )
        self.device = Choice()
        self.start = Choice()
        self.start.setToolTip(
            "Train a new model, or go on with one: the last one or a file, also on other pairs."
        )
        self.start_error = Sentence(is_error=True)
        self._file: Path | None = None
        self._known: list[Any] = []
        self._lay_out()
        self.show_devices([])
        self._offer_models()
        self._show_preset_budget()
        self.preset.currentIndexChanged.connect(self._on_preset)
        self.unit.currentIndexChanged.connect(self._on_unit)
        self.device.currentIndexChanged.connect(self._tell_device)
        for signal in (self.budget.valueChanged, self.device.currentIndexChanged):
            signal.connect(self.changed)
        self.start.activated.connect(self._on_start)
        models().changed.connect(self._offer_models)

    def values(self) -> dict[str, Any]:
        """Return the fields of `TrainConfig`."""
        told: dict[str, Any] = {"device": self.device.currentData()}
        if self.start_from is None:  # else the preset is the model's
            told["preset"] = self.preset.currentData()
        if self.unit.currentText() == "epochs":
            told["epochs"] = int(self.budget.value())
        else:
            told["max_seconds"] = 60 * self.budget.value()
        return told

    def set_values(self, fields: dict[str, Any]) -> None:
        """Show fields of `TrainConfig`; those that are not given stay as they are."""
        if "preset" in fields:
            self.preset.setCurrentIndex(self.preset.findData(fields["preset"]))
        if "device" in fields:
            self._choose_device(fields["device"])
        if fields.get("max_seconds"):
            self.unit.setCurrentIndex(1)
            self.budget.setValue(fields["max_seconds"] / 60)
        elif fields.get("epochs"):
            self.unit.setCurrentIndex(0)
            self.budget.setValue(fields["epochs"])

    def show_devices(self, found: Sequence[Device]) -> None:
        """Offer devices, the fastest first; before any is found only ``auto``."""
        before = self.device.currentData() or read_settings().device
        self.device.blockSignals(True)
        self.device.clear()
        best = found[0].name if found else "looking for devices ..."
        self.device.addItem(f"auto: {best}", "auto")
        for device in found:
            self.device.addItem(device.name, device.key)
        self._choose_device(before)
        self.device.blockSignals(False)
        self._tell_device()

    @property
    def start_from(self) -> Translator | Path | None:
        """The model to begin with; None for a new one."""
        index = self.start.currentIndex()
        if self.start.currentData() == "file":
            return self._file
        return self._known[index - 1].translator if 0 < index <= len(self._known) else None

    @start_from.setter
    def start_from(self, model: Translator | Path | None) -> None:
        if isinstance(model, Path):
            self._file = model
            self._offer_models()
            self.start.setCurrentIndex(self.start.findData("file"))
        else:
            if model is not None and model not in [one.translator for one in self._known]:
                models().remember(model, "a model")
            known = [one.translator for one in self._known]
            self.start.setCurrentIndex(known.index(model) + 1 if model in known else 0)
        self._show_start()
        self.changed.emit()

    def say_start_error(self, sentence: str) -> None:
        """Say below the start why it can't be started from; nothing for an empty sentence."""
        self.start_error.say(sentence)

    def _tell_device(self) -> None:
        """Let the tooltip say all of a name for which the box is too narrow."""
        description = TrainConfig.model_fields["device"].description or ""
        self.device.setToolTip(f"{self.device.currentText()}\n\n{description}")

    def _choose_device(self, key: str) -> None:
        if self.device.findData(key) < 0:
            self.device.addItem(key, key)
        self.device.setCurrentIndex(self.device.findData(key))

    def _offer_models(self) -> None:
        before = self.start_from
        self._known = [known for known in models().known() if known.translator is not None]
        self.start.blockSignals(True)
        self.start.clear()
        self.start.addItem("a new model")
        self.start.addItems([known.name for known in self._known])
        if self._file is not None:
            self.start.addItem(self._file.name, "file")
        self.start.addItem("a file ...", "browse")
        if isinstance(before, Path):
            self.start.setCurrentIndex(self.start.findData("file"))
        else:
            translators = [known.translator for known in self._known]
            place = translators.index(before) + 1 if before in translators else 0
            self.start.setCurrentIndex(place)
        self.start.blockSignals(False)
        self._show_start()

    def _on_start(self, index: int) -> None:
        if self.start.itemData(index) == "browse":
            folder = str(read_settings().models_folder)
            name, _ = QFileDialog.getOpenFileName(self, "Model to start from", folder, MODEL_FILES)
            self.start_from = Path(name) if name else None
        else:
            self._show_start()
            self.changed.emit()

    def _show_start(self) -> None:
        """Of a model to start from, the preset is known and can't be chosen."""
        self.start_error.say("")
        self.preset.setEnabled(self.start_from is None)

    def _on_preset(self) -> None:
        self._show_preset_budget()
        self.preset_changed.emit(self.preset.currentData())
        self.changed.emit()

    def _on_unit(self) -> None:
        if self.unit.currentText() == "epochs":
            self._show_preset_budget()
        else:
            self.budget.setDecimals(2)
            self.budget.setRange(0.01, 100_000)
            self.budget.setValue(10)
        self.changed.emit()

    def _show_preset_budget(self) -> None:
        if self.unit.currentText() == "epochs":
            self.budget.setDecimals(0)
            self.budget.setRange(1, 1_000_000)
            self.budget.setValue(TrainConfig(preset=self.preset.currentData()).default_epochs)

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(0, LABELS)
        budget = QWidget()
        row = QHBoxLayout(budget)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.budget, 1)
        row.addWidget(self.unit, 1)
        for line, (text, widget) in enumerate(
            (
                ("preset", self.preset),
                ("budget", budget),
                ("device", self.device),
                ("start from", self.start),
            )
        ):
            label = QLabel(text)
            label.setToolTip(widget.toolTip() or self.budget.toolTip())
            grid.addWidget(label, line, 0)
            grid.addWidget(widget, line, 1)
        grid.addWidget(self.start_error, grid.rowCount(), 0, 1, 2)
