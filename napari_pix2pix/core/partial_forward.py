"""Faster forward passes: batch norms are folded, and layers compute only what a window needs.

A window has a halo around the part that is wanted. Each level of a decoder, where most of a
U-Net's work is, needs less of it than the one before.
"""

from __future__ import annotations

import itertools
from copy import deepcopy
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_pix2pix.core.generators import ResNet, UNet
from napari_pix2pix.core.layers import (
    FixedNorm,
    Network,
    ResidualBlock,
    ResizeConvolution,
    Span,
    UNetLevel,
    input_span,
)

# For each network the state of the weights that were last folded, and the folded copy.
_cache: WeakKeyDictionary[nn.Module, tuple[tuple[object, ...], nn.Module]] = WeakKeyDictionary()


def folded(network: Network) -> Network:
    """Return a network that computes the same in eval mode, with batch norms folded away."""
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
    # A batch norm with running statistics is a factor and an offset a channel, which the
    # convolution before it can apply: that saves a tenth of a U-Net's time on a CPU.
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


_EVERYTHING: Span = (-(1 << 60), 1 << 60)
_DOUBLING = nn.ConvTranspose2d | ResizeConvolution
# Layers whose output pixel depends on its input pixel alone.
_POINTWISE = nn.ReLU | nn.LeakyReLU | nn.Tanh | nn.Identity | nn.Dropout | FixedNorm


def run_part(network: UNet | ResNet, x: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return ``network(x)[..., rows, columns]``, equal up to rounding, at a lower cost.

    `x` is (B, C, H, W), the network in eval mode. Layers that halve an image still see all of it,
    as do layers that depend on all of it: a norm that measures its input, or a layer that is not
    known here.

    Examples
    --------
    >>> from napari_pix2pix.core import UNet
    >>> network, x = UNet(1, 1, depth=3, width=8).eval(), torch.randn(1, 1, 64, 64)
    >>> part = run_part(network, x, slice(24, 40), slice(16, 48))
    >>> torch.allclose(part, network(x)[..., 24:40, 16:48], atol=1e-6)
    True
    """
    if (rows.stop - rows.start, columns.stop - columns.start) == x.shape[-2:]:
        return network(x)  # type: ignore[no-any-return]
    row_span, column_span = ((part.start, part.stop - 1) for part in (rows, columns))
    return _run(network.model, _Piece(x, 0, 0), row_span, column_span).tensor


@dataclass(frozen=True)
class _Piece:
    """A part (B, C, h, w) of a layer's input or output, and where it begins."""

    tensor: Tensor
    top: int
    left: int

    def cropped(self, rows: Span, columns: Span) -> _Piece:
        """Keep these rows and columns, as far as the piece has them."""
        height, width = self.tensor.shape[-2:]
        top, left = max(rows[0], self.top), max(columns[0], self.left)
        bottom, right = min(rows[1] + 1, self.top + height), min(columns[1] + 1, self.left + width)
        kept = self.tensor[
            ..., top - self.top : bottom - self.top, left - self.left : right - self.left
        ]
        return _Piece(kept, top, left)


def _run(layer: nn.Module, piece: _Piece, rows: Span, columns: Span) -> _Piece:
    """Run a layer and keep these rows and columns of its output, as far as it has them."""
    if isinstance(layer, nn.Sequential):
        return _run_sequence(list(layer), piece, rows, columns)
    if isinstance(layer, UNetLevel | ResidualBlock):
        [inner] = layer.children()
        output = _run(inner, piece, rows, columns)
        if isinstance(layer, UNetLevel) and not layer.skip:
            return output
        shortcut = piece.cropped(rows, columns).tensor
        if isinstance(layer, UNetLevel):
            return replace(output, tensor=torch.cat([shortcut, output.tensor], 1))
        return replace(output, tensor=shortcut + output.tensor)
    scale = 2 if isinstance(layer, _DOUBLING) else 1
    return _Piece(layer(piece.tensor), scale * piece.top, scale * piece.left).cropped(rows, columns)


def _run_sequence(layers: list[nn.Module], piece: _Piece, rows: Span, columns: Span) -> _Piece:
    """Run layers one after the other, each on what those after it need."""
    wanted = [(rows, columns)]  # spans of each layer's output, from the last layer back
    for layer in reversed(layers[1:]):
        row_span, column_span = wanted[-1]
        wanted.append((_needed_span(layer, row_span), _needed_span(layer, column_span)))
    for layer, spans in zip(layers, reversed(wanted), strict=True):
        piece = _run(layer, piece, *spans)
    return piece


def _needed_span(layer: nn.Module, output_span: Span) -> Span:
    return _EVERYTHING if _needs_everything(layer) else input_span(layer, output_span)


def _needs_everything(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Sequential | UNetLevel | ResidualBlock):
        return any(map(_needs_everything, layer.children()))
    if isinstance(layer, nn.Conv2d) and not isinstance(layer, ResizeConvolution):
        return layer.stride[0] > 1
    if isinstance(layer, nn.BatchNorm2d):
        return layer.running_mean is None
    return not isinstance(layer, _POINTWISE | _DOUBLING | nn.ReflectionPad2d)
