"""Networks in half precision, where they lose little by it.

Networks compiled by torch.compile, once for all sizes.
"""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.errors import DeviceError, InputError
from napari_pix2pix.inference.devices import choose_device
from napari_pix2pix.inference.norm_statistics import norms_that_measure
from napari_pix2pix.inference.options import Precision, Statistics

# Root mean square, where the network's range is 2: a PSNR of 46 dB.
BOUND = 0.01
_near: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def run_network(
    network: UNet | ResNet,
    planes: Tensor,
    precision: Precision,
    run: Callable[[Tensor], Tensor],
) -> Tensor:
    """Run a network on planes (B, P, h, w), and return float32.

    Parameters
    ----------
    network, planes, precision
        What is run, on what, and how.
    run : callable
        Runs it: all of it or a part, compiled or not.

    Warns
    -----
    UserWarning
        Where it is too inexact in half precision.

    Notes
    -----
    In half precision the first planes that a network is given go through it twice: where the
    results are further apart than `BOUND`, it stays in full precision. So do, on a CPU, planes as
    narrow as the network's stride.
    """
    # With AMX, oneDNN gets convolutions of stride 2 wrong that give a single column (torch 2.13).
    narrow = planes.device.type == "cpu" and planes.shape[-1] == network.stride
    if precision == "32-true" or narrow or _near.get(network) is False:
        return run(planes).float()
    with torch.autocast(planes.device.type, torch.bfloat16):
        half = run(planes).float()
    if network in _near:
        return half
    full = run(planes).float()
    apart = float((half - full).square().mean().sqrt())
    _near[network] = apart <= BOUND
    if _near[network]:
        return half
    warnings.warn(
        f"In half precision this model is off by {apart:.2g} (root mean square, of a range of 2; "
        f"{BOUND} is allowed): going on in full precision.",
        UserWarning,
        stacklevel=2,
    )
    return full


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
