"""Networks whose package holds a PyTorch state dict: built here, where the architecture is known.

No code of a package is run. Networks of ours are told by the library that a package names, those of
the PyTorch implementation of pix2pix by the names and shapes of their weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet, make_generator
from napari_pix2pix.errors import ConfigError, FileError
from napari_pix2pix.external._description import Architecture
from napari_pix2pix.io.pytorch_files import list_some, parse_weights, shapes_of
from napari_pix2pix.io.pytorch_networks import parse_generator
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.state import plan_generator

_OURS: dict[str, Callable[..., nn.Module]] = {
    "make_generator": make_generator,
    "UNet": UNet,
    "ResNet": ResNet,
}
_LIBRARY = "napari_pix2pix"
_REFERENCE = "UnetGenerator", "ResnetGenerator", "define_G"  # as the PyTorch implementation has it
_KNOWN = ", ".join((*(f"{_LIBRARY}.core.{name}" for name in _OURS), *_REFERENCE))


def build_network(
    architecture: Architecture, content: bytes, path: Path, channels: tuple[int, int]
) -> nn.Module:
    """Build a network of a known architecture with the weights of a state dict.

    `path` is what errors name, `channels` are those of the images that go in and come out.
    """
    check_known(architecture, path)
    weights = parse_weights(BytesIO(content), path)
    odd = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    if odd:
        raise FileError(
            f"{path} has weights ({odd[0]}) that are NaN or infinite, so nothing but NaN could "
            "come out: train it again, or take another copy."
        )
    if architecture.is_in(_LIBRARY):
        network = _build_ours(architecture, weights, path, channels)
    else:
        described, weights = parse_generator(path, weights)
        if (described.in_channels, described.out_channels) != channels:
            raise FileError(
                f"{path} holds a network of {described.in_channels} to {described.out_channels} "
                f"channels, and its package describes {channels[0]} to {channels[1]}: take another "
                "copy of the package."
            )
        network = described.build()
    network.load_state_dict(weights)
    return network


def check_known(architecture: Architecture, path: Path) -> None:
    """Refuse an architecture that would need code of the package, or of another library."""
    name = architecture.name
    if name in _OURS if architecture.is_in(_LIBRARY) else name in _REFERENCE:
        return
    raise FileError(
        f"{path} holds PyTorch weights of an architecture that is not known here "
        f"({architecture}), and no code of a package is run: known are {_KNOWN}; or export it as "
        "ONNX."
    )


def _build_ours(
    architecture: Architecture,
    weights: Mapping[str, Tensor],
    path: Path,
    channels: tuple[int, int],
) -> nn.Module:
    config = _config(architecture, path, channels)
    plan = partial(plan_generator, config, planes_in=channels[0], planes_out=channels[1])
    with torch.device("meta"):  # where tensors have a shape and no memory
        planned = shapes_of(plan().state_dict())
    held = shapes_of(weights)
    if held != planned:
        odd = [name for name in {**planned, **held} if held.get(name) != planned.get(name)]
        raise FileError(
            f"{path} holds other weights than {architecture} has ({list_some(odd, 2)}): take "
            "another copy of the package."
        )
    return plan()


def _config(architecture: Architecture, path: Path, channels: tuple[int, int]) -> TrainConfig:
    """Return the config that describes a generator of ours, whose fields have limits."""
    try:
        signature = inspect.signature(_OURS[architecture.name])
        bound = signature.bind(**architecture.kwargs)
        bound.apply_defaults()
        fields: dict[str, Any] = dict(bound.arguments)
        has = fields.pop("in_channels"), fields.pop("out_channels")
        if has != channels:
            raise ValueError(f"it has {has[0]} to {has[1]} channels, not {channels}")
        skips = fields.pop("skips", True)
        usual = "resnet" if architecture.name == "ResNet" else "unet"
        fields["generator"] = fields.pop("kind", usual if skips else "encoder_decoder")
        if fields["ndim"] == 2:  # those of volumes are not said of planes
            fields["plane_levels"] = None
        return TrainConfig(preset="reference", **fields)
    except (TypeError, ValueError, ConfigError) as error:
        raise FileError(
            f"{path} describes no network that {architecture} can make "
            f"({' '.join(str(error).split())[:200].rstrip('. ')}): take another copy of the "
            "package."
        ) from error
