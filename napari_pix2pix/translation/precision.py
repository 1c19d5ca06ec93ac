"""Networks in half precision, where they lose little by it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.translation.options import Precision

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
