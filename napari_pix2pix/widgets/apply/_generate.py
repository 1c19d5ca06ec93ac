"""Images of noise and a condition, for models without a source: the form, and the work."""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_pix2pix.data.lazy_image import EmptyImage
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.control import Control
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.common.forms import OptionsForm, make_editor
from napari_pix2pix.widgets.common.known_models import ModelEntry


class GenerateOptions(BaseModel):
    """What the form asks for."""

    model_config = ConfigDict(frozen=True)

    images: int = Field(4, title="Images", ge=1, description="How many images: frames of one layer")
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
        self.set_values({"height": 2 * card.config.patch, "width": 2 * card.config.patch})

    def request(self, condition: Hashable, device: str | None) -> GenerateRequest:
        """Return what the form asks for."""
        return GenerateRequest(**self.values(), condition=condition, device=device)


def generate(
    control: Control, model: ModelEntry, request: GenerateRequest
) -> Generator[GenerateProgress, None, tuple[np.ndarray, str] | None]:
    """Make images and yield the progress; returns the images made and the model's hash, or None."""
    translator = load_known(model)
    copy = translator.detached_copy()  # another dock may use the model meanwhile
    empty = EmptyImage(request.height, request.width)
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
