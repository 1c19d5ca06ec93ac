"""Batch norms of fixed statistics, folded into the convolutions before them."""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

N = TypeVar("N", bound=nn.Module)

# The last copy of each network, and which weights it was made of.
_folded: WeakKeyDictionary[nn.Module, tuple[tuple[object, ...], nn.Module]] = WeakKeyDictionary()


def folded(network: N) -> N:
    """Return a network that computes the same in eval mode, with fewer layers.

    A batch norm that applies its running statistics is a factor and an offset for each channel,
    so the convolution before it can do both: a tenth of the time of a U-Net on a CPU.

    Parameters
    ----------
    network : nn.Module
        It is not changed.

    Returns
    -------
    nn.Module
        A copy in eval mode, which is kept until the weights change; the network itself where there
        is nothing to fold.

    Examples
    --------
    >>> from napari_pix2pix.core import UNet
    >>> network = UNet(1, 1, depth=2, width=8).eval()
    >>> x = torch.randn(1, 1, 8, 8)
    >>> torch.allclose(folded(network)(x), network(x), atol=1e-6)
    True
    """
    if not any(_pairs(module) for module in network.modules()):
        return network
    tensors = [*network.parameters(), *network.buffers()]
    if any(one.is_inference() for one in tensors):
        return _fold(network)  # tensors made in inference mode do not count their changes
    state = tuple((id(one), one._version, one.device) for one in tensors)
    made = _folded.get(network)
    if made is None or made[0] != state:
        made = state, _fold(network)
        _folded[network] = made
    return made[1]  # type: ignore[return-value]


def _fold(network: N) -> N:
    copy = deepcopy(network).eval()
    with torch.no_grad():
        for module in copy.modules():
            for first, second in _pairs(module):
                convolution, norm = getattr(module, first), getattr(module, second)
                transposed = isinstance(convolution, nn.ConvTranspose2d)
                setattr(module, first, fuse_conv_bn_eval(convolution, norm, transposed))
                setattr(module, second, nn.Identity())
    copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copy


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Name the convolutions of a sequence whose output goes into a batch norm and nowhere else."""
    if not isinstance(module, nn.Sequential):
        return []
    return [
        (first, second)
        for (first, one), (second, other) in itertools.pairwise(module.named_children())
        if isinstance(one, nn.Conv2d | nn.ConvTranspose2d)
        and isinstance(other, nn.BatchNorm2d)
        and other.running_mean is not None
    ]
