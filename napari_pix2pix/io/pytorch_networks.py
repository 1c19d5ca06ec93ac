"""Networks in files of the PyTorch reference implementation of pix2pix (``latest_net_G.pth``).

Our networks name their weights as the reference's do, so that no name needs translation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet, make_discriminator, make_generator
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.pytorch_files import (
    Norm,
    ReferenceNetwork,
    Shapes,
    check_shapes,
    complete_weights,
    infer_norm,
    is_kernel,
    list_some,
    read_weights,
    shapes_of,
    without_idle_statistics,
    write_weights,
)

_DEPTHS = range(2, 11)  # of the U-Nets that a config can describe
_DEEPEST_WITHOUT_DROPOUT = 5
_MOST_LAYERS = 6  # of the discriminators that a config can describe
_BASIC_LAYERS = 3  # of --netD basic
_EXPECTED = (
    "expected a U-Net (model.model.0.weight, model.model.1.model.1.weight, ...) or a ResNet "
    "(model.1.weight, model.4.weight, ..., model.10.conv_block.1.weight, ...)"
)


@dataclass(frozen=True)
class ReferenceGenerator(ReferenceNetwork):
    """A generator of the reference implementation; `width` is its ``--ngf``."""

    kind: Literal["unet", "resnet"]
    in_channels: int
    out_channels: int
    width: int
    norm: Norm
    depth: int = 8  # halvings of a U-Net
    blocks: int = 9  # of a ResNet
    dropout: bool = False  # moves names in a ResNet and leaves no trace in a U-Net

    def __str__(self) -> str:
        size = f"U-Net-{2**self.depth}" if self.kind == "unet" else f"ResNet-{self.blocks}"
        return f"{size} of width {self.width} with {self.norm_text}"

    def build(self) -> UNet | ResNet:
        """Build the network of ours that has these weights."""
        return make_generator(
            self.kind,
            self.in_channels,
            self.out_channels,
            depth=self.depth,
            blocks=self.blocks,
            width=self.width,
            norm=self.norm,
            dropout=0.5 * self.dropout,
        )

    def biases_without_norm(self, names: list[str]) -> list[str]:
        """Name the bias of the last layer."""
        return names[-1:]

    @property
    def known_dropout(self) -> bool | None:
        """Whether it has dropout; None for a U-Net, whose file does not say."""
        if self.kind == "unet" and self.depth > _DEEPEST_WITHOUT_DROPOUT:
            return None
        return self.dropout

    @property
    def flags(self) -> str:
        """The options of the reference's commands that make this network."""
        name = f"unet_{2**self.depth}" if self.kind == "unet" else f"resnet_{self.blocks}blocks"
        dropout = "" if self.dropout else " --no_dropout"
        channels = f"--input_nc {self.in_channels} --output_nc {self.out_channels}"
        return f"--netG {name} --ngf {self.width} --norm {self.norm} {channels}{dropout}"

    @property
    def has_flags(self) -> bool:
        """Whether the reference's commands can make it; its classes can make all."""
        return self.depth in (7, 8) if self.kind == "unet" else self.blocks in (6, 9)


@dataclass(frozen=True)
class ReferenceDiscriminator(ReferenceNetwork):
    """A discriminator of the reference implementation; `width` is its ``--ndf``."""

    in_channels: int  # of source and image together, or of the image alone
    width: int
    norm: Norm
    layers: int = _BASIC_LAYERS  # of a PatchGAN; 0 is a PixelGAN

    def __str__(self) -> str:
        layers = "1 layer" if self.layers == 1 else f"{self.layers} layers"
        kind = f"PatchGAN of {layers}" if self.layers else "PixelGAN"
        return f"{kind} and width {self.width} with {self.norm_text}"

    def build(self) -> nn.Module:
        """Build the network of ours that has these weights."""
        return make_discriminator(
            self.in_channels, layers=self.layers, width=self.width, norm=self.norm
        )

    def biases_without_norm(self, names: list[str]) -> list[str]:
        """Name the biases of the first layer and of a PatchGAN's last."""
        convolutions = [name.removesuffix(".weight") for name in names if name.endswith("weight")]
        kept = convolutions[:1] + (convolutions[-1:] if self.layers else [])
        return [f"{name}.bias" for name in kept]

    @property
    def flags(self) -> str:
        """The options of the reference's commands that make this network."""
        kinds = {0: "pixel", _BASIC_LAYERS: "basic"}
        kind = kinds.get(self.layers, f"n_layers --n_layers_D {self.layers}")
        return f"--netD {kind} --ndf {self.width} --norm {self.norm}"


def discriminator_path(generator: Path) -> Path | None:
    """Name the discriminator's file that goes with a generator's; None for another kind of name.

    >>> discriminator_path(Path("facades/latest_net_G.pth")).name
    'latest_net_D.pth'
    """
    start, mark, end = generator.name.rpartition("_net_G")
    return generator.with_name(f"{start}_net_D{end}") if mark else None


def read_generator(path: Path) -> tuple[ReferenceGenerator, dict[str, Tensor]]:
    """Read a generator's file: which network it holds, and the weights for our form of it."""
    return parse_generator(path, read_weights(path))


def parse_generator(
    path: Path, weights: Mapping[str, Tensor]
) -> tuple[ReferenceGenerator, dict[str, Tensor]]:
    """Return the network that has these weights, and the weights for our form of it."""
    weights = without_idle_statistics(weights)
    shapes = shapes_of(weights)
    _check_family(path, shapes)
    network = _infer_unet(shapes) if "model.model.0.weight" in shapes else _infer_resnet(shapes)
    if network is None:
        raise FileError(
            f"{path} holds no generator of pix2pix: found {list_some(shapes)}; {_EXPECTED}."
        )
    check_shapes(path, network, shapes)
    return network, complete_weights(network.our_shapes(), weights)


def read_discriminator(path: Path) -> tuple[ReferenceDiscriminator, dict[str, Tensor]]:
    """Read a discriminator's file, as `read_generator` reads a generator's."""
    weights = without_idle_statistics(read_weights(path))
    shapes = shapes_of(weights)
    network = _infer_discriminator(shapes)
    if network is None:
        raise FileError(
            f"{path} holds no discriminator of pix2pix: found {list_some(shapes)}; expected a "
            "PatchGAN (model.0.weight, model.2.weight, ...) or a PixelGAN (net.0.weight, ...)."
        )
    check_shapes(path, network, shapes)
    return network, complete_weights(network.our_shapes(), weights)


def write_network(path: Path, network: ReferenceNetwork, weights: Mapping[str, Tensor]) -> None:
    """Write our weights of a network as the reference's ``load_state_dict`` takes them."""
    if surplus := network.surplus_weights(weights):
        raise InputError(
            f"With norm='none' the PyTorch implementation has no biases, and the model has "
            f"{len(surplus)} ({list_some(surplus)}): train it with bias=False or with a norm."
        )
    write_weights(path, complete_weights(network.shapes(), weights))


def _check_family(path: Path, shapes: Shapes) -> None:
    """Refuse 3D networks and discriminators, each with its own sentence."""
    deep = [name for name, shape in shapes.items() if len(shape) == 5]
    if deep:
        raise FileError(
            f"{path} holds 3D weights: {deep[0]} has shape {shapes[deep[0]]}, expected 4 axes. "
            "pix2pix translates planes; a stack's neighbouring planes can be channels (z_context)."
        )
    if {"model.0.weight", "net.0.weight"} & set(shapes):
        raise FileError(
            f"{path} holds a discriminator: found {list_some(shapes)}; {_EXPECTED}. Give the "
            "generator's file, such as latest_net_G.pth."
        )


def _infer_unet(shapes: Shapes) -> ReferenceGenerator | None:
    first, last = (shapes.get(f"model.model.{n}.weight", ()) for n in (0, 3))
    # Each level is within the one above: model.model.1.model.3.model.1.weight.
    depth = max(name.count("model.") for name in shapes) - 1
    if not (is_kernel(first) and is_kernel(last) and depth in _DEPTHS):
        return None
    norm = infer_norm(shapes, "model.model.0")
    return ReferenceGenerator("unet", first[1], last[1], first[0], norm, depth=depth)


def _infer_resnet(shapes: Shapes) -> ReferenceGenerator | None:
    blocks = 0
    while f"model.{10 + blocks}.conv_block.1.weight" in shapes:
        blocks += 1
    first, last = (shapes.get(f"model.{n}.weight", ()) for n in (1, 17 + blocks))
    if not (blocks and is_kernel(first) and is_kernel(last)):
        return None
    # A dropout layer has no weights, but moves the second convolution from 5 to 6.
    dropout = len(shapes.get("model.10.conv_block.6.weight", ())) == 4
    norm = infer_norm(shapes, "model.1")
    return ReferenceGenerator(
        "resnet", first[1], last[0], first[0], norm, blocks=blocks, dropout=dropout
    )


def _infer_discriminator(shapes: Shapes) -> ReferenceDiscriminator | None:
    if is_kernel(pixel := shapes.get("net.0.weight", ())):
        return ReferenceDiscriminator(pixel[1], pixel[0], infer_norm(shapes, "net.2"), layers=0)
    first = shapes.get("model.0.weight", ())
    layers = 0
    while is_kernel(shapes.get(f"model.{2 + 3 * layers}.weight", ())):
        layers += 1
    layers -= 1  # the last gives the logits
    if not (is_kernel(first) and 1 <= layers <= _MOST_LAYERS):
        return None
    return ReferenceDiscriminator(first[1], first[0], infer_norm(shapes, "model.2"), layers)
