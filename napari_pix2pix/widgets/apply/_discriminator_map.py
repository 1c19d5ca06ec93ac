"""The discriminator map of a layer: which layers are meant, and the work in a thread."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pix2pix.data.inputs import open_for_codec
from napari_pix2pix.data.lazy_image import EmptyImage, LazyImage, as_lazy_image
from napari_pix2pix.data.volumes import as_seen
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import (
    KEY,
    Snapshot,
    layers_of_result,
    lazy_image_of_layers,
    snapshot,
    with_model_channels,
)
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.apply._forms import GenerateProgress
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.common.known_models import ModelEntry
from napari_pix2pix.widgets.common.layer_choice import is_image, unwrapped


@dataclass(frozen=True, eq=False)
class MapRequest:
    """What is judged."""

    prediction: list[Snapshot]  # a layer, or one for each channel
    sources: list[Snapshot]  # a layer, or several that are its channels; none without a source
    condition: Hashable


def map_request(
    viewer: Any, groups: Sequence[list[Any]], condition: Hashable, *, has_source: bool
) -> MapRequest:
    """Find the layer to judge and its sources; raises `InputError` if there are none."""
    # The active layer, unless it is a source that is chosen in the dock (``groups``); then the
    # uppermost layer that a model made, which has its own condition.
    chosen = [layer for group in groups for layer in group]
    layers = [unwrapped(layer) for layer in viewer.layers]
    active = unwrapped(viewer.layers.selection.active)
    made = [layer for layer in reversed(layers) if KEY in layer.metadata]
    meant = [active] if active is not None and active not in chosen else made
    if not meant or not is_image(meant[0]):
        raise InputError("Apply the model first, or select the layer that is to be judged.")
    prediction = meant[0]
    record = prediction.metadata.get(KEY, {})
    sources = _sources_of(record, layers, groups) if has_source else []
    return MapRequest(
        [snapshot(layer, copy="small") for layer in layers_of_result(layers, prediction)],
        [snapshot(layer, copy="small") for layer in sources],
        record.get("condition", condition),
    )


def compute_map(
    control: Control, known: ModelEntry, request: MapRequest, device: str | None
) -> Generator[GenerateProgress, None, np.ndarray | None]:
    """Judge frame by frame, and yield the progress; returns (..., H, W), or None if stopped."""
    translator = load_known(known)
    target, source = translator.target_codec, translator.source_codec
    layers = with_model_channels(request.prediction, target.layout)
    image = as_lazy_image(lazy_image_of_layers(layers), like=target.layout, what="prediction")
    planes: LazyImage = EmptyImage(image.height, image.width, image.frame_shape)
    if source.channels:
        given = lazy_image_of_layers(with_model_channels(request.sources, source.layout))
        planes = open_for_codec(given, source, translator.z_context, translator.ndim)
    image = as_seen(image, translator.ndim)
    own = translator.for_dtypes(planes.dtype, image.dtype)
    discriminator, maps = own.discriminator_predictor(device), []
    for frame in range(image.frames):
        if control.stopped:
            return None
        maps.append(discriminator.predict_frame(planes, image, frame, request.condition))
        yield GenerateProgress(frame + 1, image.frames)
    return np.reshape(maps, (*image.frame_shape, *maps[0].shape))


def _sources_of(
    record: dict[str, Any], layers: Sequence[Any], groups: Sequence[list[Any]]
) -> list[Any]:
    """Return the layers that a layer was made of: by its record, or those that are chosen."""
    for group in groups:
        if str(group[0].unique_id) == record.get("source_id"):
            return group
    for layer in layers:
        if str(layer.unique_id) == record.get("source_id"):
            return [layer]
    if len(groups) != 1:
        raise InputError("Choose the one layer under Layers that this was made of.")
    return groups[0]
