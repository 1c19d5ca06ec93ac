"""What the hardware allows: devices with their memory, what a run will take, defaults that fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from napari_pix2pix.inference.devices import available_devices, name_device
from napari_pix2pix.inference.memory import free_memory
from napari_pix2pix.training.dataset import TrainingData
from napari_pix2pix.training.networks import build_discriminator, build_generator

_GB = 2**30
_FLOAT = 4  # bytes
# Weights, gradients and Adam's two moments; of the generator also its average and the copy of the
# last epoch's weights.
_COPIES = 6


@dataclass(frozen=True)
class Device:
    """A device that can be trained on.

    Attributes
    ----------
    key : str
        As `TrainConfig.device` takes it.
    name : str
        For people, with its memory.
    free : int
        Bytes that can be allocated now.
    """

    key: str
    name: str
    free: int


def find_devices() -> list[Device]:
    """List the devices of this machine, the fastest kind first."""
    found = []
    for device in available_devices():
        free = free_memory(device)
        found.append(Device(str(device), f"{name_device(device)}, {free / _GB:.0f} GB free", free))
    return found


def suggest_fields(device: Device, preset: str = "light") -> dict[str, Any]:
    """Suggest fields of `TrainConfig` for a device, as differences from the preset.

    Patches and batches that fit into a small memory; on a large GPU, which a batch of small
    patches leaves idle, larger patches. A preset that is a recipe from a paper stays as it is.

    Examples
    --------
    >>> suggest_fields(Device("cpu", "CPU", 2**30))
    {'batch': 4}
    >>> suggest_fields(Device("cuda:0", "GPU", 40 * 2**30))
    {'patch': 256}
    """
    if preset != "light":
        return {}
    if device.free < 2 * _GB:
        return {"batch": 4}
    if device.key.startswith("cuda") and device.free > 8 * _GB:
        return {"patch": 256}
    return {}


def training_memory(data: TrainingData) -> int:
    """Estimate the bytes that training takes on its device, beside PyTorch itself.

    What all layers put out is kept for the gradient, and as much again is needed for gradients and
    workspaces; found on tensors that have a shape and no data.
    """
    config, planes = data.config, data.planes
    with torch.device("meta"):
        generator = build_generator(
            config, planes_in=planes.generator_in, planes_out=planes.generator_out
        )
        discriminator = build_discriminator(config, planes_in=planes.discriminator_in)
    side = config.patch
    pixels = _activations(generator, planes.generator_in, side)
    weights = _weights(generator)
    if discriminator is not None:
        # Fake and real patches when it learns, and once more for the generator's gradient.
        pixels += 3 * _activations(discriminator, planes.discriminator_in, side)
        weights += _weights(discriminator)
    return _FLOAT * (2 * config.batch * pixels + _COPIES * weights)


def _weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _activations(network: nn.Module, planes: int, side: int) -> int:
    """Count the numbers that the layers put out for one patch."""
    total = 0

    def count(_layer: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal total
        total += output.numel() if isinstance(output, Tensor) else 0

    leaves = [layer for layer in network.modules() if not any(layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in leaves]
    with torch.no_grad():
        network(torch.empty(2, planes, side, side, device="meta"))
    for hook in hooks:
        hook.remove()
    return total // 2
