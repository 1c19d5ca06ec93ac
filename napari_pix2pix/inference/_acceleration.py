"""Faster networks: in half precision where that is near enough, or compiled once."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference.options import Precision

# Root mean square, where the network's range is 2: a PSNR of 46 dB.
BOUND = 0.01
_near: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def precisions(network: UNet | ResNet, planes: Tensor, precision: Precision) -> tuple[bool, ...]:
    """Say in which precisions planes (B, P, h, w) are run: half (True), full (False), or both.

    The first planes that a network is given in half precision are run in both, to compare.
    """
    # With AMX, oneDNN gets convolutions of stride 2 wrong that give a single column (torch 2.13).
    narrow = planes.device.type == "cpu" and planes.shape[-1] == network.stride
    if precision == "32-true" or narrow or _near.get(network) is False:
        return (False,)
    return (True,) if network in _near else (True, False)


def nearer(network: UNet | ResNet, outputs: Sequence[Tensor]) -> Tensor:
    """Return the one output, or of half and full precision the half where it is near enough."""
    if len(outputs) == 1:
        return outputs[0]
    half, full = outputs
    error = float((half - full).square().mean().sqrt())
    _near[network] = error <= BOUND
    if _near[network]:
        return half
    warnings.warn(
        f"In half precision this model is off by {error:.2g} (root mean square, of a range of 2; "
        f"{BOUND} is allowed): going on in full precision.",
        UserWarning,
        stacklevel=2,
    )
    return full


_COMPILERS = {"win32": "cl", "darwin": "clang++"}  # that torch.compile calls; elsewhere g++


def compiled(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a network that is compiled when it is first run, once for windows of any size."""
    check_compiler(next(network.parameters()).device)
    run: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=True)
    return run


def check_compiler(device: torch.device) -> None:
    """Raise `DeviceError` without a C++ compiler (CPU) or Triton (CUDA), or on other devices."""
    if device.type == "cpu":
        name = os.environ.get("CXX") or _COMPILERS.get(sys.platform, "g++")
        if shutil.which(name) is None:
            raise DeviceError(
                f"Compiling needs a C++ compiler, and there is no {name} here: install it, name "
                "another one in the variable CXX, or turn compile off."
            )
    elif device.type == "cuda":
        if find_spec("triton") is None:
            raise DeviceError(
                "Compiling needs Triton on a GPU, and it is not installed: install it "
                "(pip install triton; on Windows triton-windows), or turn compile off."
            )
    else:
        raise DeviceError(f"Compiling is for a CPU or CUDA, not for {device}: turn compile off.")
