"""What the generators are built of, and which input pixels a chain of layers looks at."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pix2pix.core.norms import NormName, norm_layer

Upsampling = Literal["transpose", "resize"]
Span = tuple[int, int]  # first and last index along one image axis


class ResizeConvolution(nn.Conv2d):
    """Double height and width by repeating pixels, then convolve 3x3.

    Every output pixel is reached by as many weights as the others, so that no checkerboard
    appears. A subclass of the convolution and no chain of two layers: its parameters then have
    the names that those of a transposed convolution would have. Computed as one transposed 4x4
    convolution, whose kernel is the 3x3 one summed over 2x2 blocks, with less than half of the
    multiplications.

    References
    ----------
    Odena et al. 2016, "Deconvolution and checkerboard artifacts".
    """

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', 2 H, 2 W)."""
        turned = self.weight.flip(2, 3).transpose(0, 1)
        summed = 4 * functional.avg_pool2d(turned, 2, stride=1, padding=1)
        return functional.conv_transpose2d(input, summed, self.bias, stride=2, padding=1)


def upsample(
    upsampling: Upsampling, in_channels: int, out_channels: int, kernel: int, bias: bool
) -> nn.Module:
    """Make the layer that doubles height and width; `kernel`, 3 or 4, is the transposed one's."""
    if upsampling == "resize":
        return ResizeConvolution(in_channels, out_channels, bias=bias)
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel, stride=2, padding=1, output_padding=kernel % 2, bias=bias
    )


class UNetLevel(nn.Module):
    """Down, all that lies below, up; with `skip`, the input is concatenated before the result."""

    def __init__(self, *layers: nn.Module, skip: bool) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C or 2 C, H, W)."""
        # The first layer's LeakyReLU works in place, on the skip too. That saves a copy and changes
        # nothing: the ReLU that the concatenation meets next maps x and LeakyReLU(x) to the same.
        output: Tensor = self.model(x)
        return torch.cat([x, output], 1) if self.skip else output


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, whose result is added to what they were given."""

    def __init__(self, channels: int, norm: NormName, dropout: float, bias: bool) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, bias=bias) for _ in range(2))
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            first,
            norm_layer(norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(dropout)] if dropout else []),
            nn.ReflectionPad2d(1),
            second,
            norm_layer(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        residual: Tensor = self.conv_block(x)
        return x + residual


def needed_span(layer: nn.Module, span: Span) -> Span:
    """Tell which indices of a layer's input the given indices of its output depend on.

    Both image axes are alike in all our layers, so one span stands for both. Padding counts as
    more input: what it shows is wrong only where a window was cut out of a larger image, and
    that is what the span is for.

    Parameters
    ----------
    layer : nn.Module
        A layer, or a module whose children are run in their order. A shortcut around children
        (a skip, a residual) needs nothing more: the way through them needs its span already.
    span : tuple of int
        First and last index of the output, both included.

    Returns
    -------
    tuple of int
        First and last index of the input; they may lie outside the image.

    Examples
    --------
    >>> needed_span(nn.Conv2d(1, 1, 4, stride=2, padding=1), (0, 0))
    (-1, 2)
    """
    first, last = span
    if isinstance(layer, ResizeConvolution):
        return (first - 1) // 2, (last + 1) // 2
    if isinstance(layer, nn.ConvTranspose2d):
        kernel, stride, padding = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
        # Input j reaches outputs j * stride - padding + (0 .. kernel - 1).
        return -((kernel - 1 - padding - first) // stride), (last + padding) // stride
    if isinstance(layer, nn.Conv2d):
        kernel, stride, padding = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
        return first * stride - padding, last * stride - padding + kernel - 1
    if isinstance(layer, nn.ReflectionPad2d):
        return first - layer.padding[0], last - layer.padding[0]
    for child in reversed(list(layer.children())):
        first, last = needed_span(child, (first, last))
    return first, last


def halo_of(network: nn.Module, stride: int) -> int:
    """Count the pixels of context that make one cell of the stride's grid exact.

    A network with stride s repeats its geometry every s pixels, so one cell stands for all, and
    windows are exact only if they start on that grid: the answer is rounded up to it.
    """
    first, last = needed_span(network, (0, stride - 1))
    reach = max(-first, last - (stride - 1))
    return -(-reach // stride) * stride
