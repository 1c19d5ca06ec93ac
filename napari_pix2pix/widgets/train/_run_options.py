"""The first choices of a run: preset, budget, device, and the model to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QWidget

from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.widgets.common.elements import Choice, Sentence, lay_out_column, row_of
from napari_pix2pix.widgets.common.forms import NumberBox, make_editor
from napari_pix2pix.widgets.common.known_models import WEIGHT_FILES, ModelEntry, models
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.train._config_form import LABELS

if TYPE_CHECKING:
    from napari_pix2pix.training.hardware import Device
    from napari_pix2pix.translator import Translator

# The fields of `TrainConfig` that this form sets.
FIELDS = ("preset", "epochs", "max_seconds", "default_epochs", "device")


class RunOptions(QWidget):
    """Preset, budget, device, and the model to start from."""

    changed = Signal()  # another choice is shown
    preset_changed = Signal(str)  # another preset is chosen

    def __init__(self) -> None:
        super().__init__()
        self.preset = make_editor("preset", TrainConfig.model_fields["preset"])
        self.budget = NumberBox()
        self.unit = Choice(least_text="minutes")
        self.unit.addItems(["epochs", "minutes"])
        for widget in (self.budget, self.unit):
            widget.setToolTip(
                "When the training ends: after a number of epochs (an epoch has 100 to 1,000 "
                "steps), or of minutes. Stop keeps the model at any time."
            )
        self.device = Choice()
        self.start = Choice()
        self.start.setToolTip(
            "Train a new model, or continue from one: a model in memory or a file. The pairs may "
            "be others."
        )
        self.start_error = Sentence(is_error=True)
        self._file: Path | None = None
        self._models: list[ModelEntry] = []  # those in memory, and those of kept runs
        self._lay_out()
        self.show_devices([])
        self._offer_models()
        self._show_preset_budget()
        self.preset.changed.connect(self._on_preset)
        self.unit.currentIndexChanged.connect(self._on_unit)
        self.device.currentIndexChanged.connect(self._show_device_tip)
        for signal in (self.budget.valueChanged, self.device.currentIndexChanged):
            signal.connect(self.changed)
        self.start.activated.connect(self._on_start)
        models().changed.connect(self._offer_models)

    def values(self) -> dict[str, Any]:
        """Return the fields of `TrainConfig`."""
        fields: dict[str, Any] = {"device": self.device.currentData()}
        if self.start_from is None:  # else the preset is the model's
            fields["preset"] = self.preset.value
        if self.unit.currentText() == "epochs":
            fields["epochs"] = int(self.budget.value())
        else:
            fields["max_seconds"] = 60 * self.budget.value()
        return fields

    def set_values(self, fields: Mapping[str, Any]) -> None:
        """Show fields of `TrainConfig`; those that are not given stay as they are."""
        if "preset" in fields:
            self.preset.value = fields["preset"]
        if "device" in fields:
            self._choose_device(fields["device"])
        if fields.get("max_seconds"):
            self.unit.setCurrentIndex(1)
            self.budget.setValue(fields["max_seconds"] / 60)
        elif fields.get("epochs"):
            self.unit.setCurrentIndex(0)
            self.budget.setValue(fields["epochs"])

    def show_devices(self, devices: Sequence[Device]) -> None:
        """Offer devices, the fastest first; before any is found only ``auto``."""
        before = self.device.currentData() or read_settings().device
        self.device.blockSignals(True)
        self.device.clear()
        best = devices[0].name if devices else "looking for devices…"
        self.device.addItem(f"auto: {best}", "auto")
        for device in devices:
            self.device.addItem(device.name, device.key)
        self._choose_device(before)
        self.device.blockSignals(False)
        self._show_device_tip()

    @property
    def start_from(self) -> Translator | Path | None:
        """The model to start from; None for a new one."""
        index = self.start.currentIndex()
        if self.start.currentData() == "file":
            return self._file
        if not 0 < index <= len(self._models):
            return None
        model = self._models[index - 1]
        return model.file if model.translator is None else model.translator

    @start_from.setter
    def start_from(self, model: Translator | Path | None) -> None:
        if isinstance(model, Path):
            if not any(entry.run == model for entry in self._models):
                self._file = model
                self._offer_models()
        elif model is not None and not self._index_of(model):
            models().remember(model, "a model")
        self.start.setCurrentIndex(self._index_of(model))
        self._on_start_changed()
        self.changed.emit()

    def show_start_error(self, sentence: str) -> None:
        """Show why the run can't start from the model; an empty sentence hides it."""
        self.start_error.set_text(sentence)

    def _show_device_tip(self) -> None:
        """Show the whole name, for which the box may be too narrow, in the tooltip."""
        description = TrainConfig.model_fields["device"].description or ""
        self.device.setToolTip(f"{self.device.currentText()}\n\n{description}")

    def _choose_device(self, key: str) -> None:
        if self.device.findData(key) < 0:
            self.device.addItem(key, key)
        self.device.setCurrentIndex(self.device.findData(key))

    def _offer_models(self) -> None:
        before = self.start_from
        listed = models().listed()
        self._models = [entry for entry in listed if entry.translator or entry.run]
        self.start.blockSignals(True)
        self.start.clear()
        self.start.addItem("a new model")
        for entry in self._models:
            self.start.addItem(f"{entry.name} ({entry.details})" if entry.details else entry.name)
        if self._file is not None:
            self.start.addItem(self._file.name, "file")
        self.start.addItem("a file…", "browse")
        self.start.setCurrentIndex(self._index_of(before))
        self.start.blockSignals(False)
        self._on_start_changed()

    def _index_of(self, model: Translator | Path | None) -> int:
        """Return a model's place among the choices; 0, a new model, if it has none."""
        if isinstance(model, Path):
            runs = [entry.run for entry in self._models]
            if model in runs:
                return runs.index(model) + 1
            return max(self.start.findData("file"), 0)
        same = [model is not None and entry.translator is model for entry in self._models]
        return same.index(True) + 1 if True in same else 0

    def _on_start(self, index: int) -> None:
        if self.start.itemData(index) == "browse":
            folder = str(read_settings().models_folder)
            name, _ = QFileDialog.getOpenFileName(self, "Model to start from", folder, WEIGHT_FILES)
            self.start_from = Path(name) if name else None
        else:
            self._on_start_changed()
            self.changed.emit()

    def _on_start_changed(self) -> None:
        """Let no preset be chosen for a model that has one."""
        self.start_error.set_text("")
        self.preset.enabled = self.start_from is None

    def _on_preset(self) -> None:
        self._show_preset_budget()
        self.preset_changed.emit(self.preset.value)
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
            self.budget.setValue(TrainConfig(preset=self.preset.value).default_epochs)

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(0, LABELS)
        budget = QWidget()
        self.budget.setStyleSheet("min-width: 70px")  # so that 0.25 can be read
        # They share the width; in a narrow dock one stands below the other.
        lay_out_column(budget, row_of(self.budget, self.unit))
        rows = {
            "preset": self.preset.native,
            "budget": budget,
            "device": self.device,
            "start from": self.start,
        }
        tips = {text: widget.toolTip() for text, widget in rows.items()}
        tips["budget"] = self.budget.toolTip()
        tips["device"] = TrainConfig.model_fields["device"].description or ""
        for line, (text, widget) in enumerate(rows.items()):
            label = QLabel(text)
            label.setToolTip(tips[text])
            grid.addWidget(label, line, 0)
            grid.addWidget(widget, line, 1)
        grid.addWidget(self.start_error, grid.rowCount(), 0, 1, 2)
