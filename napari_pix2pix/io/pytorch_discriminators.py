"""Discriminators in files of the PyTorch reference implementation (``latest_net_D.pth``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from napari_pix2pix.core import make_discriminator
from napari_pix2pix.errors import FileError
from napari_pix2pix.io.pytorch_files import (
    Described,
    Norm,
    Shapes,
    check_fit,
    filled,
    is_kernel,
    norm_of,
    read_weights,
    shapes_of,
    some,
    with_norm,
    without_idle_statistics,
    write_weights,
)

_LAYERS = 6  # most that a config can describe
_DEFAULT_LAYERS = 3  # of --netD basic


@dataclass(frozen=True)
class ReferenceDiscriminator(Described):
    """A discriminator that the reference implementation has.

    Parameters
    ----------
    in_channels : int
        Of source and image together, or of the image alone.
    width : int
        Channels of the first layer (``--ndf``).
    norm : {"batch", "instance", "none"}
    layers : int
        Of a PatchGAN; 0 is a PixelGAN.
    """

    in_channels: int
    width: int
    norm: Norm
    layers: int = _DEFAULT_LAYERS

    def __str__(self) -> str:
        layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
        kind = f"PatchGAN of {layers}" if self.layers else "PixelGAN"
        return f"{kind} and width {self.width} with {with_norm(self.norm)}"

    def build(self) -> nn.Module:
        """Build the network of ours that has these weights."""
        return make_discriminator(
            self.in_channels, layers=self.layers, width=self.width, norm=self.norm
        )

    def biases_without_norm(self, names: list[str]) -> list[str]:
        """Name those of the first and of a PatchGAN's last layer."""
        convolutions = [name.removesuffix(".weight") for name in names if name.endswith("weight")]
        kept = convolutions[:1] + (convolutions[-1:] if self.layers else [])
        return [f"{name}.bias" for name in kept]

    @property
    def flags(self) -> str:
        """The options of the reference's commands that make this network."""
        kinds = {0: "pixel", _DEFAULT_LAYERS: "basic"}
        kind = kinds.get(self.layers, f"n_layers --n_layers_D {self.layers}")
        return f"--netD {kind} --ndf {self.width} --norm {self.norm}"


def path_beside(generator: Path) -> Path | None:
    """Name the discriminator's file beside a generator's; None where the name does not tell.

    >>> path_beside(Path("facades/latest_net_G.pth")).name
    'latest_net_D.pth'
    """
    start, mark, end = generator.name.rpartition("_net_G")
    return generator.with_name(f"{start}_net_D{end}") if mark else None


def read_discriminator(path: Path) -> tuple[ReferenceDiscriminator, dict[str, Tensor]]:
    """Read a discriminator's file and find out which network it is of.

    Parameters
    ----------
    path : Path
        As for `read_reference`.

    Returns
    -------
    network : ReferenceDiscriminator
    weights : dict of str to Tensor
        For the network of ours that `ReferenceDiscriminator.build` makes.

    Raises
    ------
    FileError
        If the file can't be read or is of another network.
    """
    weights = without_idle_statistics(read_weights(path))
    shapes = shapes_of(weights)
    network = _infer(shapes)
    if network is None:
        raise FileError(
            f"{path} holds no discriminator of pix2pix: found {some(shapes)}; expected a PatchGAN "
            "(model.0.weight, model.2.weight, ...) or a PixelGAN (net.0.weight, ...)."
        )
    check_fit(path, network, network.shapes(), shapes)
    return network, filled(network.own_shapes(), weights)


def write_discriminator(
    path: Path, network: ReferenceDiscriminator, weights: Mapping[str, Tensor]
) -> None:
    """Write a discriminator as the reference's ``load_state_dict`` takes it.

    Parameters
    ----------
    path : Path
        Such as ``latest_net_D.pth``.
    network : ReferenceDiscriminator
    weights : mapping of str to Tensor
        Of our network, which may lack biases.

    Raises
    ------
    FileError
        If the file can't be written.
    """
    write_weights(path, filled(network.shapes(), weights))


def _infer(shapes: Shapes) -> ReferenceDiscriminator | None:
    if is_kernel(pixel := shapes.get("net.0.weight", ())):
        return ReferenceDiscriminator(pixel[1], pixel[0], norm_of(shapes, "net.2"), layers=0)
    first = shapes.get("model.0.weight", ())
    layers = 0
    while is_kernel(shapes.get(f"model.{2 + 3 * layers}.weight", ())):
        layers += 1
    layers -= 1  # the last gives the logits
    if not (is_kernel(first) and 1 <= layers <= _LAYERS):
        return None
    return ReferenceDiscriminator(first[1], first[0], norm_of(shapes, "model.2"), layers)
