"""Batch norms with running statistics, folded into the convolutions before them."""

from __future__ import annotations

import itertools
from copy import deepcopy
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)

# For each network the state of the weights that were last folded, and the folded copy.
_cache: WeakKeyDictionary[nn.Module, tuple[tuple[object, ...], nn.Module]] = WeakKeyDictionary()


def folded(network: Network) -> Network:
    """Return a network that computes the same in eval mode, with fewer layers.

    A batch norm with running statistics is a factor and an offset for each channel, which the
    convolution before it can apply: that saves a tenth of a U-Net's time on a CPU. The copy is kept
    until the weights change; a network with nothing to fold is returned itself.

    Examples
    --------
    >>> from napari_pix2pix.core import UNet
    >>> network = UNet(1, 1, depth=2, width=8).eval()
    >>> x = torch.randn(1, 1, 8, 8)
    >>> torch.allclose(folded(network)(x), network(x), atol=1e-6)
    True
    """
    if not any(_foldable(module) for module in network.modules()):
        return network
    tensors = [*network.parameters(), *network.buffers()]
    if any(tensor.is_inference() for tensor in tensors):
        return _fold(network)  # tensors made in inference mode have no version counter
    state = tuple((id(tensor), tensor._version, tensor.device) for tensor in tensors)
    cached = _cache.get(network)
    if cached is None or cached[0] != state:
        cached = state, _fold(network)
        _cache[network] = cached
    return cached[1]  # type: ignore[return-value]


def _fold(network: Network) -> Network:
    copy = deepcopy(network).eval()
    with torch.no_grad():
        for module in copy.modules():
            for conv_name, norm_name in _foldable(module):
                convolution, norm = getattr(module, conv_name), getattr(module, norm_name)
                transposed = isinstance(convolution, nn.ConvTranspose2d)
                setattr(module, conv_name, fuse_conv_bn_eval(convolution, norm, transposed))
                setattr(module, norm_name, nn.Identity())
    copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copy


def _foldable(module: nn.Module) -> list[tuple[str, str]]:
    """Name each convolution of a sequence that is followed by a batch norm, and that norm."""
    if not isinstance(module, nn.Sequential):
        return []
    return [
        (layer_name, norm_name)
        for (layer_name, layer), (norm_name, norm) in itertools.pairwise(module.named_children())
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        and isinstance(norm, nn.BatchNorm2d)
        and norm.running_mean is not None
    ]
