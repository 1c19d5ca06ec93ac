"""The forms of the Apply dock: layers and channels, options, and images that a model makes."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout

from napari_pix2pix.data.lazy_image import EmptyImage
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.events import Control
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply._uncertainty import what_varies
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.common.elements import Choice
from napari_pix2pix.widgets.common.forms import Editor, OptionsForm, make_editor
from napari_pix2pix.widgets.common.known_models import ModelEntry
from napari_pix2pix.widgets.common.layer_choice import (
    LayerChoice,
    LayersChoice,
    is_image,
    unwrapped,
)

if TYPE_CHECKING:
    from napari.layers import Layer


_LABEL = 16  # letters of a label; a longer name is in the tooltip


class LayersForm(QObject):
    """Layers that are an image each, or one layer for each channel that a model takes."""

    changed = Signal()  # other layers are chosen

    def __init__(self, form: QFormLayout) -> None:
        super().__init__()
        self._form = form
        self._offered: list[Layer] = []
        self._visible = True
        self.images = LayersChoice(is_image, "choose layers")
        self.images.setToolTip(
            "The layers to translate, each on its own: click a name to choose it alone, or its "
            "box to add it"
        )
        self.mode = Choice()  # holds whether each channel is a layer
        self.mode.addItem("in one layer", False)
        self.mode.addItem("a layer each", True)
        self.mode.setToolTip(
            "Whether one layer has all channels of the image, or each channel is a layer"
        )
        self.channels: list[LayerChoice] = []
        self._names: list[str] = []  # of the channels
        self._form.addRow("Channels", self.mode)
        self._form.addRow("Layers", self.images)
        self.images.changed.connect(self.changed)
        self.mode.currentIndexChanged.connect(self._show_mode)
        # Nothing is shown before it is in the dock: it would be a window of its own for a moment.
        self._form.setRowVisible(self.mode, False)

    @property
    def by_channel(self) -> bool:
        """Whether each channel is a layer of its own."""
        return len(self.channels) > 0 and bool(self.mode.currentData())

    @property
    def groups(self) -> list[list[Layer]]:
        """The layers of each result: one layer, or its channels in order."""
        if self.by_channel:
            chosen = [choice.layer for choice in self.channels]
            return [chosen] if all(layer is not None for layer in chosen) else []
        return [[layer] for layer in self.images.layers]

    def choose(self, layers: Sequence[Layer], *, by_channel: bool = False) -> None:
        """Choose layers of the viewer: images, or the channels of one image."""
        self.mode.setCurrentIndex(int(by_channel))
        if self.by_channel:
            for choice, layer in zip(self.channels, layers, strict=True):
                choice.choose(layer)
        else:
            self.images.choose(layers)

    def offer(self, layers: Iterable[Layer]) -> None:
        """Offer other layers; those that are chosen stay chosen while they are offered."""
        self._offered = list(map(unwrapped, layers))
        self.images.offer(self._offered)
        for choice in self.channels:
            choice.offer(self._offered)

    def fit(self, card: ModelInfo | None, *, visible: bool = True) -> None:
        """Show as many channels as a model takes, and none for a model that takes no layers."""
        self._visible = visible
        count = card.channels if card is not None and card.takes_layers else 0
        known = () if card is None or not count else card.source_channels
        names = list(known) or [f"Channel {number + 1}" for number in range(count)]
        if names != self._names:
            for choice in self.channels:
                self._form.removeRow(choice)
            self._names = names
            self.channels = [self._add_channel(number, name) for number, name in enumerate(names)]
            self._choose_by_name()
            if self.channels:
                self.mode.setCurrentIndex(int(self._suggests_a_layer_each(count)))
        self._show_mode()

    def _suggests_a_layer_each(self, count: int) -> bool:
        """Whether there are layers enough, and those chosen have no channel axis themselves."""
        chosen = self.images.layers
        has_axis = bool(chosen) and all(count in layer.data.shape[:-2] for layer in chosen)
        return not has_axis and sum(map(is_image, self._offered)) >= count

    def _choose_by_name(self) -> None:
        """Choose the layer with the name of each channel; else the one that has it in its own."""
        free = list(filter(is_image, self._offered))
        for choice, name in zip(self.channels, self._names, strict=True):
            same = [layer for layer in free if layer.name.lower() == name.lower()]
            alike = [layer for layer in free if name.lower() in layer.name.lower()]
            found = same or (alike if len(alike) == 1 else [])
            if found and choice.layer is None:
                choice.choose(found[0])
                free.remove(found[0])

    def _add_channel(self, number: int, name: str) -> LayerChoice:
        choice = LayerChoice(is_image, "choose a layer")
        choice.setToolTip(f"The layer that is channel {number + 1} of the model's sources: {name}")
        choice.offer(self._offered)
        row, _ = self._form.getWidgetPosition(self.images)
        shown = name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"
        self._form.insertRow(row + 1 + number, shown, choice)
        choice.changed.connect(self.changed)
        return choice

    def _show_mode(self) -> None:
        self._form.setRowVisible(self.mode, bool(self.channels))
        self._form.setRowVisible(self.images, self._visible and not self.by_channel)
        for choice in self.channels:
            self._form.setRowVisible(choice, self.by_channel)
        self.changed.emit()


# The condition has a field of its own; compiling would keep a viewer waiting.
_ELSEWHERE = {"condition", "compile"}
# Texts and values to choose from, where any number or text would be too much.
_CHOICES: dict[str, list[tuple[str, Any]]] = {
    "tile": [("whole image", 0), ("256", 256), ("512", 512), ("1024", 1024)],
    "device": [("cpu", "cpu"), ("cuda", "cuda"), ("mps", "mps")],
}
_NONE_TEXTS = {
    "tile": "automatic",
    "batch": "automatic",
    "device": "preferred",
    "pixel_size": "the layer's",
    "plane_distance": "the layer's",
}


class PredictOptionsForm(OptionsForm):
    """Editors for the options; those that a model has no use for are disabled."""

    def __init__(self) -> None:
        names = [name for name in PredictOptions.model_fields if name not in _ELSEWHERE]
        super().__init__(map(_make_editor, names))
        self._model_measures = False
        self.set_options(PredictOptions())

    def options(self) -> PredictOptions:
        """Return what is shown; the options that the model has no use for have their defaults."""
        return PredictOptions(**self.values())

    @property
    def whole(self) -> bool:
        """Whether the network takes the whole image at once, as far as memory allows."""
        options = self.options()
        measures = self._model_measures or options.norm_statistics == "per-image"
        return options.tile == 0 or (measures and options.tile is None)

    def set_options(self, options: PredictOptions) -> None:
        """Show other options."""
        self.set_values({name: getattr(options, name) for name in self.editors})

    def fit(self, card: ModelInfo) -> None:
        """Disable the options that a model has no use for."""
        config = card.config
        self._model_measures = config.norm in ("instance", "group")
        is_ours = not card.is_external
        is_image = card.target_codec.kind == "image"
        turns = not self._model_measures
        drops = is_ours and config.dropout > 0
        self._allow("output", is_image, "Labels have no float form.")
        self._allow(
            "samples",
            what_varies(card) is not None,
            "Samples have a mean where targets are images and the model can vary.",
        )
        self._allow("turns", turns, "The model's norms measure each image, and so each turn.")
        self._allow("dropout", drops, "This model has no dropout layers.")
        has_batch_norm = is_ours and config.norm == "batch"
        self._allow("norm_statistics", has_batch_norm, "This model has no batch norm.")
        for name in ("tile", "precision", "compile"):
            if name in self.editors:
                self._allow(name, is_ours, "The model is run as its file has it.")
        size = card.made_for.pixel_size
        knows = size is not None
        for name in ("resample", "pixel_size"):
            self._allow(name, knows, "The model does not know the pixel size of its training.")
        knows = size is not None and size.z is not None
        self._allow("plane_distance", knows, "The model does not know how far apart planes were.")

    def _allow(self, name: str, allowed: bool, why_not: str) -> None:
        editor = self.editors[name]
        editor.enabled = allowed
        description = PredictOptions.model_fields[name].description or ""
        editor.tooltip = description if allowed else why_not


def _make_editor(name: str) -> Editor:
    return make_editor(
        name,
        PredictOptions.model_fields[name],
        none_text=_NONE_TEXTS.get(name, "not set"),
        choices=_CHOICES.get(name),
    )


class GenerateOptions(BaseModel):
    """What the form asks for."""

    model_config = ConfigDict(frozen=True)

    images: int = Field(4, title="Images", ge=1, description="How many images: frames of one layer")
    planes: int = Field(32, title="Planes", ge=1, description="Planes of each volume")
    height: int = Field(256, title="Height", ge=1, description="Height of each image in pixels")
    width: int = Field(256, title="Width", ge=1, description="Width of each image in pixels")
    seed: int = Field(
        0,
        title="Seed",
        ge=0,
        description="The same seed gives the same images, however many there are",
    )


class GenerateRequest(GenerateOptions):
    """The images to make, with the options of `Translator.sample`."""

    condition: Hashable = None
    device: str | None = None


class GenerateProgress(NamedTuple):
    """Progress: how many images or frames are done, of how many."""

    done: int
    total: int


class GenerateForm(OptionsForm):
    """Editors for the images to make."""

    def __init__(self) -> None:
        fields = GenerateOptions.model_fields
        super().__init__(make_editor(name, field) for name, field in fields.items())
        self.set_values(GenerateOptions().model_dump())

    def fit(self, card: ModelInfo) -> None:
        """Begin with images twice as large as the patches of the training."""
        side, planes = 2 * card.config.patch, card.config.patch_planes or 1
        self.set_values({"planes": planes, "height": side, "width": side})
        form = self.layout()
        assert isinstance(form, QFormLayout)
        form.setRowVisible(self.editors["planes"].native, card.config.ndim == 3)

    def request(self, condition: Hashable, device: str | None) -> GenerateRequest:
        """Return what the form asks for."""
        return GenerateRequest(**self.values(), condition=condition, device=device)


def generate(
    control: Control, model: ModelEntry, request: GenerateRequest
) -> Generator[GenerateProgress, None, tuple[np.ndarray, str] | None]:
    """Make images and yield the progress; returns the images made and the model's hash, or None."""
    translator = model.with_its_weights(load_known(model))
    copy = translator.detached_copy()  # another dock may use the model meanwhile
    planes = (request.planes,) if translator.ndim == 3 else ()
    empty = EmptyImage(request.height, request.width, planes)
    options = PredictOptions(condition=request.condition, device=request.device, seed=request.seed)
    images: list[np.ndarray] = []
    for number in range(request.images):
        if control.stopped:
            break
        images.append(copy.predict_frame(empty, 0, options.of_sample(number)))
        yield GenerateProgress(number + 1, request.images)
    if not images:
        return None
    layout = translator.target_codec.layout
    return layout.assemble(np.stack(images), (len(images),)), translator.digest
