"""A model as its file holds it: tensors by name, a header, and the networks that they make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.data.codecs import codec_from_dict
from napari_pix2pix.io.model_file import write_container
from napari_pix2pix.io.model_header import conditions_in
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.state import (
    Discriminator,
    Weights,
    build_discriminator,
    build_generator,
    part_of,
)

if TYPE_CHECKING:
    from torch import Tensor


class StoredModel:
    """Tensors and header of a model file.

    Parameters
    ----------
    tensors : mapping of str to torch.Tensor
        ``generator.*`` and, where there are any, ``averaged.*``, ``best.*`` and
        ``discriminator.*``.
    header : mapping
        As `checkpoints.model_header` makes it.

    Attributes
    ----------
    tensors, header : dict
    config : TrainConfig
    source_codec, target_codec : Codec
    conditions : tuple of hashable
    """

    def __init__(self, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
        self.tensors, self.header = dict(tensors), dict(header)
        self.config = TrainConfig(**header["config"])
        self.source_codec = codec_from_dict(header["source_codec"])
        self.target_codec = codec_from_dict(header["target_codec"])
        self.conditions = conditions_in(header)
        self._applied = _applied_weights(self.tensors, self.config)

    def build_generator(self) -> UNet | ResNet:
        """Build the generator of the weights that are applied, which it shares."""
        conditions = len(self.conditions)
        generator = build_generator(
            self.config,
            planes_in=self.source_codec.planes + conditions + self.config.noise_channels,
            planes_out=self.target_codec.planes,
        )
        generator.load_state_dict(part_of(self.tensors, self._applied))
        # Without gradients this is the fastest on every device.
        generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # One copy of the weights that are applied is enough.
        self.tensors |= self._named(generator.state_dict())
        return generator.eval()

    def build_discriminator(self) -> Discriminator | None:
        """Build the discriminator as it was at the end of training; None in a slim model."""
        weights = part_of(self.tensors, "discriminator")
        if not weights:
            return None
        network = build_discriminator(
            self.config,
            source_planes=self.source_codec.planes,
            conditions=len(self.conditions),
            target_planes=self.target_codec.planes,
        )
        assert network is not None
        network.load_state_dict(weights)
        return network.eval()

    def write(self, path: Path, generator: Weights, *, slim: bool) -> None:
        """Write the file, with the weights of a generator as those that are applied.

        Parameters
        ----------
        path : Path
        generator : dict of str to torch.Tensor
        slim : bool
            Leave out all other weights.
        """
        applied = self._named(generator)
        tensors = applied if slim else {**self.tensors, **applied}
        write_container(path, tensors, self.header)

    def _named(self, generator: Weights) -> Weights:
        return {f"{self._applied}.{name}": value for name, value in generator.items()}


def _applied_weights(tensors: Mapping[str, Tensor], config: TrainConfig) -> str:
    """Which weights of a model file are applied."""
    order = ["averaged", "generator", "best"]
    if config.keep == "best":
        order = ["best", "averaged", "generator"]
    for name in order:
        if any(key.startswith(f"{name}.") for key in tensors):
            return name
    raise KeyError("generator")
