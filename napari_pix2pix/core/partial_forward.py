"""A part of a generator's output, for which no layer computes more than that part needs.

A window of an image has a halo around what is wanted of it. The encoder needs all of the halo, but
from level to level of the decoder less of it counts, and at full size a pixel or two: most of a
U-Net's work is there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from napari_pix2pix.core._layers import (
    ResidualBlock,
    ResizeConvolution,
    Span,
    UNetLevel,
    needed_span,
)
from napari_pix2pix.core.generators import ResNet, UNet
from napari_pix2pix.core.norms import FixedNorm

_ALL: Span = (-(1 << 60), 1 << 60)
_DOUBLING = nn.ConvTranspose2d | ResizeConvolution
# What treats a pixel alike whatever lies around it.
_POINTWISE = nn.ReLU | nn.LeakyReLU | nn.Tanh | nn.Identity | nn.Dropout | FixedNorm


def run_part(network: UNet | ResNet, x: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return ``network(x)[..., rows, columns]``, to rounding, at less than the cost of all of it.

    Parameters
    ----------
    network : UNet or ResNet
        In eval mode.
    x : Tensor
        (B, C, H, W), which the network takes.
    rows, columns : slice
        Which part is wanted, with start and stop.

    Returns
    -------
    Tensor
        (B, C', h, w).

    Notes
    -----
    What halves an image is given all of it, as is what looks at all of it: a norm that measures,
    or a layer that is not known here.

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
    down, over = ((part.start, part.stop - 1) for part in (rows, columns))
    return _run(network.model, _Piece(x, 0, 0), down, over).tensor


@dataclass(frozen=True)
class _Piece:
    """What of a layer's input or output there is, and where it begins."""

    tensor: Tensor  # (B, C, h, w)
    top: int
    left: int

    def cropped(self, rows: Span, columns: Span) -> _Piece:
        """Keep these rows and columns, as far as there are such."""
        height, width = self.tensor.shape[-2:]
        top, left = max(rows[0], self.top), max(columns[0], self.left)
        bottom, right = min(rows[1] + 1, self.top + height), min(columns[1] + 1, self.left + width)
        kept = self.tensor[
            ..., top - self.top : bottom - self.top, left - self.left : right - self.left
        ]
        return _Piece(kept, top, left)


def _run(layer: nn.Module, piece: _Piece, rows: Span, columns: Span) -> _Piece:
    """Run a layer and keep these rows and columns of its output, as far as there are such."""
    if isinstance(layer, nn.Sequential):
        return _run_all(list(layer), piece, rows, columns)
    if isinstance(layer, UNetLevel | ResidualBlock):
        [through] = layer.children()
        inside = _run(through, piece, rows, columns)
        if isinstance(layer, UNetLevel) and not layer.skip:
            return inside
        beside = piece.cropped(rows, columns).tensor
        if isinstance(layer, UNetLevel):
            return replace(inside, tensor=torch.cat([beside, inside.tensor], 1))
        return replace(inside, tensor=beside + inside.tensor)
    times = 2 if isinstance(layer, _DOUBLING) else 1
    given = _Piece(layer(piece.tensor), times * piece.top, times * piece.left)
    return given.cropped(rows, columns)


def _run_all(layers: list[nn.Module], piece: _Piece, rows: Span, columns: Span) -> _Piece:
    """Run layers one after the other, each on what those after it need."""
    wanted = [(rows, columns)]  # of what each layer gives, from the last one back
    for layer in reversed(layers[1:]):
        down, over = wanted[-1]
        wanted.append((_needed(layer, down), _needed(layer, over)))
    for layer, spans in zip(layers, reversed(wanted), strict=True):
        piece = _run(layer, piece, *spans)
    return piece


def _needed(layer: nn.Module, span: Span) -> Span:
    """Tell which indices of a layer's input the given ones of its output need, without borders."""
    return _ALL if _needs_all(layer) else needed_span(layer, span)


def _needs_all(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Sequential | UNetLevel | ResidualBlock):
        return any(map(_needs_all, layer.children()))
    if isinstance(layer, nn.Conv2d) and not isinstance(layer, ResizeConvolution):
        return layer.stride[0] > 1
    if isinstance(layer, nn.BatchNorm2d):
        return layer.running_mean is None
    return not isinstance(layer, _POINTWISE | _DOUBLING | nn.ReflectionPad2d)
