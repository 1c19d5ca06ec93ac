"""Devices with their memory, options that fit them, and the memory that a training takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from napari_pix2pix.inference.devices import available_devices, free_memory, name_device
from napari_pix2pix.training.dataset import TrainingData
from napari_pix2pix.training.state import build_networks

_GB = 2**30
_FLOAT = 4  # bytes
# Copies of the weights: weights, gradients, Adam's two moments; for the generator also its average
# and last epoch's weights.
_COPIES = 6


@dataclass(frozen=True)
class Device:
    """A device that can be trained on."""

    key: str  # for `TrainConfig.device`
    name: str  # for people, with its memory
    free: int  # bytes


def find_devices() -> list[Device]:
    """List the devices of this machine, the fastest kind first."""
    devices = []
    for device in available_devices():
        free = free_memory(device)
        name = f"{name_device(device)}, {free / _GB:.0f} GB free"
        devices.append(Device(str(device), name, free))
    return devices


def suggest_fields(device: Device, preset: str = "light") -> dict[str, Any]:
    """Suggest fields of `TrainConfig` for a device, as differences from the preset."""
    if preset != "light":  # the others are recipes
        return {}
    if device.free < 2 * _GB:
        return {"batch": 4}
    if device.key.startswith("cuda") and device.free > 8 * _GB:
        return {"patch": 256}  # small patches leave a large GPU idle
    return {}


def training_memory(data: TrainingData) -> int:
    """Estimate the bytes that training takes on its device, beside PyTorch itself."""
    config, planes = data.config, data.planes
    # Layers run on the meta device, whose tensors have a shape and no data.
    with torch.device("meta"):
        generator, discriminator = build_networks(config, planes)
    side = config.patch
    size = (side, side) if config.patch_planes is None else (config.patch_planes, side, side)
    values = _activations(generator, planes.generator_in, size)
    weights = _weights(generator)
    if discriminator is not None:
        # Fake and real patches when it learns, and once more for the generator's gradient.
        values += 3 * _activations(discriminator, planes.discriminator_in, size)
        weights += _weights(discriminator)
    # Every layer's output is kept for the gradient; gradients and workspaces need as much again.
    return _FLOAT * (2 * config.batch * values + _COPIES * weights)


def _weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _activations(network: nn.Module, planes: int, size: tuple[int, ...]) -> int:
    """Count the values that all layers output for one patch."""
    total = 0

    def count(_layer: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal total
        total += output.numel() if isinstance(output, Tensor) else 0

    leaves = [layer for layer in network.modules() if not any(layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in leaves]
    with torch.no_grad():
        network(torch.empty(2, planes, *size, device="meta"))
    for hook in hooks:
        hook.remove()
    return total // 2
