"""Generators in files of the PyTorch reference implementation of pix2pix (``latest_net_G.pth``).

Our networks have the names and shapes of the reference's, so that a name needs no translation. What
a file does not say, and what the two treat differently, is settled here: which network it is, and
which convolutions have a bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from napari_pix2pix.core import ResNet, UNet, make_generator
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.pytorch_files import (
    Described,
    Norm,
    Shapes,
    check_fit,
    filled,
    foreign_weights,
    is_kernel,
    norm_of,
    read_weights,
    shapes_of,
    some,
    with_norm,
    without_idle_statistics,
    write_weights,
)

_DEPTHS = range(2, 11)  # of the U-Nets that a config can describe
_DEEPEST_WITHOUT_DROPOUT = 5
_EXPECTED = (
    "expected a U-Net (model.model.0.weight, model.model.1.model.1.weight, ...) or a ResNet "
    "(model.1.weight, model.4.weight, ..., model.10.conv_block.1.weight, ...)"
)


@dataclass(frozen=True)
class ReferenceNetwork(Described):
    """A generator that the reference implementation has.

    Parameters
    ----------
    kind : {"unet", "resnet"}
    in_channels, out_channels : int
    width : int
        Channels of the first layer (``--ngf``).
    norm : {"batch", "instance", "none"}
    depth : int
        Halvings of a U-Net.
    blocks : int
        Residual blocks of a ResNet.
    dropout : bool
        Whether it drops out. It moves names in a ResNet and leaves no trace in a U-Net.
    """

    kind: Literal["unet", "resnet"]
    in_channels: int
    out_channels: int
    width: int
    norm: Norm
    depth: int = 8
    blocks: int = 9
    dropout: bool = False

    def __str__(self) -> str:
        size = f"U-Net-{2**self.depth}" if self.kind == "unet" else f"ResNet-{self.blocks}"
        return f"{size} of width {self.width} with {with_norm(self.norm)}"

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
        """Name that of the last layer."""
        return names[-1:]

    @property
    def known_dropout(self) -> bool | None:
        """Whether it has dropout; None for a U-Net, whose file does not tell."""
        if self.kind == "unet" and self.depth > _DEEPEST_WITHOUT_DROPOUT:
            return None
        return self.dropout

    @property
    def flags(self) -> str:
        """The options of the reference's commands that make this network."""
        name = f"unet_{2**self.depth}" if self.kind == "unet" else f"resnet_{self.blocks}blocks"
        drops = "" if self.dropout else " --no_dropout"
        channels = f"--input_nc {self.in_channels} --output_nc {self.out_channels}"
        return f"--netG {name} --ngf {self.width} --norm {self.norm} {channels}{drops}"

    @property
    def has_flags(self) -> bool:
        """Whether the reference's commands can make it; its classes can make all."""
        return self.depth in (7, 8) if self.kind == "unet" else self.blocks in (6, 9)


def read_reference(path: Path) -> tuple[ReferenceNetwork, dict[str, Tensor]]:
    """Read a generator's file and find out which network it is of.

    Parameters
    ----------
    path : Path
        A state dict; with or without ``module.`` before the names, and with or without the
        statistics that instance norm had in old versions, which nothing uses.

    Returns
    -------
    network : ReferenceNetwork
    weights : dict of str to Tensor
        For the network of ours that `ReferenceNetwork.build` makes.

    Raises
    ------
    FileError
        If the file can't be read or is of another network; the sentence says what was found and
        what was expected.
    """
    weights = without_idle_statistics(read_weights(path))
    shapes = shapes_of(weights)
    _check_family(path, shapes)
    network = _infer_unet(shapes) if "model.model.0.weight" in shapes else _infer_resnet(shapes)
    if network is None:
        raise FileError(f"{path} holds no generator of pix2pix: found {some(shapes)}; {_EXPECTED}.")
    check_fit(path, network, network.shapes(), shapes)
    return network, filled(network.own_shapes(), weights)


def write_reference(path: Path, network: ReferenceNetwork, weights: Mapping[str, Tensor]) -> None:
    """Write a generator as the reference's ``load_state_dict`` takes it.

    Parameters
    ----------
    path : Path
        Such as ``latest_net_G.pth``.
    network : ReferenceNetwork
    weights : mapping of str to Tensor
        Of our network, which may lack biases.

    Raises
    ------
    InputError
        If the network has biases where the reference has none.
    FileError
        If the file can't be written.
    """
    shapes = network.shapes()
    if foreign := foreign_weights(shapes, weights):
        raise InputError(
            f"The PyTorch implementation has no biases beside norm='none', and the model has "
            f"{len(foreign)} ({some(foreign)}): train it with bias=False or with a norm."
        )
    write_weights(path, filled(shapes, weights))


def _check_family(path: Path, shapes: Shapes) -> None:
    """Refuse, with its own sentence, what is taken for a generator's file most easily."""
    deep = [name for name, shape in shapes.items() if len(shape) == 5]
    if deep:
        raise FileError(
            f"{path} holds 3D weights: {deep[0]} has shape {shapes[deep[0]]}, expected 4 axes. "
            "pix2pix translates planes; a stack's neighbouring planes can be channels (z_context)."
        )
    if {"model.0.weight", "net.0.weight"} & set(shapes):
        raise FileError(
            f"{path} holds a discriminator: found {some(shapes)}; {_EXPECTED}. Give the "
            "generator's file, such as latest_net_G.pth."
        )


def _infer_unet(shapes: Shapes) -> ReferenceNetwork | None:
    first, last = (shapes.get(f"model.model.{n}.weight", ()) for n in (0, 3))
    # Each level is within the one above: model.model.1.model.3.model.1.weight.
    depth = max(name.count("model.") for name in shapes) - 1
    if not (is_kernel(first) and is_kernel(last) and depth in _DEPTHS):
        return None
    norm = norm_of(shapes, "model.model.0")
    return ReferenceNetwork("unet", first[1], last[1], first[0], norm, depth=depth)


def _infer_resnet(shapes: Shapes) -> ReferenceNetwork | None:
    blocks = 0
    while f"model.{10 + blocks}.conv_block.1.weight" in shapes:
        blocks += 1
    first, last = (shapes.get(f"model.{n}.weight", ()) for n in (1, 17 + blocks))
    if not (blocks and is_kernel(first) and is_kernel(last)):
        return None
    # Dropout has no weights, but stands before the second convolution.
    dropout = len(shapes.get("model.10.conv_block.6.weight", ())) == 4
    norm = norm_of(shapes, "model.1")
    return ReferenceNetwork(
        "resnet", first[1], last[0], first[0], norm, blocks=blocks, dropout=dropout
    )
