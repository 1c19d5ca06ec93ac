"""Networks compiled by torch.compile, once for all sizes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from napari_pix2pix.errors import DeviceError, InputError
from napari_pix2pix.translation.devices import choose_device
from napari_pix2pix.translation.measuring import norms_that_measure
from napari_pix2pix.translation.options import Statistics

_COMPILERS = {"win32": "cl", "darwin": "clang++"}  # that torch.compile calls; elsewhere g++


def compiled(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a network that is compiled when it is first run, and then serves windows of any size.

    Another call for the same network compiles nothing anew.

    Raises
    ------
    DeviceError
        As `check_compiler`.
    """
    check_compiler(next(network.parameters()).device)
    run: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=True)
    return run


def check_compiler(device: torch.device) -> None:
    """Refuse a device for which there is nothing to compile with.

    Raises
    ------
    DeviceError
        Without a C++ compiler (CPU) or Triton (CUDA), and on other devices.
    """
    if device.type == "cpu":
        name = os.environ.get("CXX") or _COMPILERS.get(sys.platform, "g++")
        if shutil.which(name) is None:
            raise DeviceError(
                f"compile=True needs a C++ compiler, and there is no {name} here: install it, name "
                "another one in the variable CXX, or leave compile out."
            )
    elif device.type == "cuda":
        if find_spec("triton") is None:
            raise DeviceError(
                "compile=True needs Triton on a GPU, and it is not installed: install it "
                "(pip install triton; on Windows triton-windows), or leave compile out."
            )
    else:
        raise DeviceError(
            f"compile=True is for a CPU or CUDA, not for {device}: leave compile out."
        )


def check_can_be_compiled(
    generator: nn.Module, device: str | None, *, dropout: bool, statistics: Statistics
) -> None:
    """Refuse to compile what changes with every image.

    Raises
    ------
    InputError
        Where the network measures each image, or dropout is to drop.
    DeviceError
        As `check_compiler` and `choose_device`.
    """
    if dropout or norms_that_measure(generator, statistics):
        raise InputError(
            "compile=True is for networks that do the same with every image, and here dropout "
            "drops or norms measure each image: leave compile out."
        )
    check_compiler(choose_device(device or "auto"))
