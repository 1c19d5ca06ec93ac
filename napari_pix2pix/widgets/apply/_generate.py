"""Images of noise and a condition, for models without a source: what is asked, and the work."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_pix2pix.data.lazy_image import EmptyImage
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.control import Control
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.common.fields import Number
from napari_pix2pix.widgets.common.known_models import ModelEntry

_FIELDS = {
    "images": ("Images", 1, "How many images: frames of one layer"),
    "height": ("Height", 1, "Height of each image in pixels"),
    "width": ("Width", 1, "Width of each image in pixels"),
    "seed": ("Seed", 0, "The same seed gives the same images, however many there are"),
}


@dataclass(frozen=True)
class GenerateRequest:
    """What is to be made; as `Translator.sample` is called with."""

    images: int
    height: int
    width: int
    seed: int
    condition: Hashable = None
    device: str | None = None


class Made(NamedTuple):
    """How far it is: images or frames that are done, and all."""

    done: int
    total: int


class GenerateForm(QWidget):
    """Fields for what is to be made.

    Attributes
    ----------
    changed : Signal()
        Another number is shown.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        self._numbers = {}
        for name, (label, least, tip) in _FIELDS.items():
            number = Number(integer=True)
            number.setMinimum(least)
            number.setObjectName(name)
            number.setToolTip(tip)
            number.valueChanged.connect(self.changed)
            form.addRow(label, number)
            self._numbers[name] = number
        self.set_values(images=4, height=256, width=256, seed=0)

    def set_values(self, **values: int) -> None:
        """Show other numbers; names are those of `GenerateRequest`."""
        for name, value in values.items():
            self._numbers[name].setValue(value)

    def fit(self, card: ModelInfo) -> None:
        """Begin with images twice as large as the patches of the training."""
        self.set_values(height=2 * card.config.patch, width=2 * card.config.patch)

    def wish(self, condition: Hashable, device: str | None) -> GenerateRequest:
        """Return what is asked for."""
        numbers = {name: int(number.value()) for name, number in self._numbers.items()}
        return GenerateRequest(**numbers, condition=condition, device=device)


def generate(
    control: Control, known: ModelEntry, wish: GenerateRequest
) -> Generator[Made, None, tuple[np.ndarray, str] | None]:
    """Make images, and yield how far it is; returns those that are done and the model's hash."""
    translator = load_known(known)
    own = translator.detached_copy()  # another dock may use the model meanwhile
    planes, made = EmptyImage(wish.height, wish.width), []
    options = PredictOptions(condition=wish.condition, device=wish.device, seed=wish.seed)
    for number in range(wish.images):
        if control.stopped:
            break
        made.append(own.predict_frame(planes, 0, options.of_sample(number)))
        yield Made(number + 1, wish.images)
    if not made:
        return None
    layout = translator.target_codec.layout
    return layout.assemble(np.stack(made), (len(made),)), translator.digest
