"""Register training targets to what a model draws early on, where pairs are warped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.warps import (
    UnwarpedImage,
    WarpedArea,
    displacements_shape,
    find_displacements,
)
from napari_pix2pix.inference.predictor import Predictor

if TYPE_CHECKING:
    from napari_pix2pix.training.dataset import TrainingData


def find_warps(model: Predictor, data: TrainingData) -> dict[str, Tensor]:
    """Find the displacements (2, rows, columns) of the training targets, by area and frame."""
    found = {}
    for name, number, frame in _training_frames(data):
        area = data.areas[number]
        pair = data.opened[area.pair]
        source, target, _ = pair.read(frame, area.box.rows, area.box.columns)
        condition = data.conditions.index(pair.condition) if data.conditions else 0
        drawn = model.predict_window(source, condition, decoded=False)
        encoded = data.target_codec.encode(target)
        displacements = find_displacements(drawn, encoded, data.config.warp_tolerance)
        if displacements is not None:
            found[name] = torch.from_numpy(displacements)
    return found


def unwarped(data: TrainingData, warps: Mapping[str, Tensor]) -> tuple[OpenPair, ...]:
    """Return the pairs with targets that are read through their displacements."""
    frames: dict[int, dict[int, NDArray[np.float32]]] = defaultdict(dict)
    for name, number, frame in _training_frames(data):
        if name in warps:
            frames[number][frame] = warps[name].numpy()
    by_pair = defaultdict(list)
    for number, displacements in frames.items():
        area = data.areas[number]
        by_pair[area.pair].append(WarpedArea(area.box, displacements))
    return tuple(
        replace(pair, target=UnwarpedImage(pair.target, by_pair[number]))
        if number in by_pair
        else pair
        for number, pair in enumerate(data.opened)
    )


def warps_fit(data: TrainingData, warps: Mapping[str, Tensor]) -> bool:
    """Tell whether displacements are those of the training areas and frames."""
    shapes = {
        name: displacements_shape(data.areas[number].box)
        for name, number, _ in _training_frames(data)
    }
    return all(
        tuple(tensor.shape) == shapes.get(name) and bool(tensor.isfinite().all())
        for name, tensor in warps.items()
    )


def warps_note(warps: Mapping[str, Tensor]) -> str:
    """Say how far the training targets lay from what the model drew."""
    lengths = torch.cat([tensor.norm(dim=0).ravel() for tensor in warps.values()])
    return (
        "The training targets were registered to what the model drew after a quarter of the "
        f"training: they lay {lengths.mean():.1f} px from it on average, {lengths.max():.1f} px at "
        "most. Held-out targets stay where they are, and their scores tell of their warps too."
    )


def _training_frames(data: TrainingData) -> Iterator[tuple[str, int, int]]:
    """Yield name, area and frame of all that is trained on."""
    for number, area in enumerate(data.areas):
        for frame in area.numbers(data.opened[area.pair]):
            yield f"{number}.{frame}", number, frame
