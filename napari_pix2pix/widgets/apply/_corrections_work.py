"""What is learned from corrected results, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.errors import InputError, StoppedError
from napari_pix2pix.napari_layers import Snapshot
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control, Event
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply.work import Job, load_known
from napari_pix2pix.widgets.common.known_models import ModelEntry
from napari_pix2pix.widgets.runs.keeping import keep_model

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_pix2pix.translator import Translator

_SUFFIX = " corrected"
_LARGE = 2**24  # bytes, whose copy takes some milliseconds


class CopiedResult:
    """A copy of a result as it is now, channels first; a large one is copied in a thread."""

    def __init__(self, channels: Sequence[np.ndarray]) -> None:
        self._array: np.ndarray | None = None
        self._thread: threading.Thread | None = None
        if sum(channel.nbytes for channel in channels) > _LARGE:
            self._thread = threading.Thread(target=self._copy, args=[channels], daemon=True)
            self._thread.start()
        else:
            self._copy(channels)

    @property
    def array(self) -> np.ndarray:
        """The copy, as soon as it is there."""
        if self._thread is not None:
            self._thread.join()
        assert self._array is not None
        return self._array

    def _copy(self, channels: Sequence[np.ndarray]) -> None:
        self._array = joined(channels)


@dataclass(frozen=True, eq=False)
class MadeResult:
    """A result as the model made it, and what it was made of."""

    layers: tuple[Layer, ...]  # one, or one for each channel
    copy: CopiedResult
    sources: tuple[Layer, ...]  # a layer, or several that are its channels
    model: ModelEntry
    info: ModelInfo
    condition: Hashable


@dataclass(frozen=True, eq=False)
class CorrectionRequest:
    """What is to be learned."""

    model: ModelEntry
    info: ModelInfo
    sources: tuple[Snapshot, ...]
    before: np.ndarray  # laid out like the targets
    after: np.ndarray
    mask: np.ndarray | None
    condition: Hashable
    steps: int
    device: str


@dataclass(frozen=True)
class Learned:
    """A model that has learned from a correction."""

    translator: Translator
    name: str
    run: Path | None  # where it is kept; None where that can't be written


def learn(
    control: Control, request: CorrectionRequest, folder: Path
) -> Generator[Event, None, Learned | None]:
    """Fine-tune a model on a corrected result, in a thread, and keep it in the folder of runs."""
    from napari_pix2pix._train import training_events
    from napari_pix2pix.corrections import correction_fields, correction_pairs

    source = Job([one.copied() for one in request.sources], []).planes(
        request.info.source_codec, 0, 2
    )
    pairs = correction_pairs(
        request.info,
        source,
        request.before,
        request.after,
        mask=request.mask,
        condition=request.condition,
    )
    fields = correction_fields(request.info)
    config = TrainConfig(steps=request.steps, device=request.device, **fields)
    model = request.model.with_its_weights(load_known(request.model))
    try:
        translator = yield from training_events(pairs, config, start=model, control=control)
    except StoppedError:
        return None
    name = request.model.name.removesuffix(_SUFFIX) + _SUFFIX
    return Learned(translator, name, keep_model(translator, folder, name))


def joined(channels: Sequence[Any]) -> np.ndarray:
    """Return a copy of a result's data: of several layers, which are its channels, as one."""
    if len({np.shape(channel) for channel in channels}) > 1:
        raise InputError(
            "The correction has another size than the result's other channels: give one of the "
            "same size."
        )
    return np.stack(channels) if len(channels) > 1 else np.array(channels[0])


def like_target(data: np.ndarray, info: ModelInfo) -> np.ndarray:
    """Lay a layer's data out like the model's targets: layers have their channels first."""
    layout = info.target_codec.layout
    if layout.channel_axis is None or layout.rgb:
        return data
    return np.moveaxis(data, 0, max(layout.channel_axis, -data.ndim))
