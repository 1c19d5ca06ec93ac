"""Generators: U-Net, encoder-decoder and ResNet, tensors (B, C, H, W) in, (B, C', H, W) out.

The same classes make networks of volumes, (B, C, Z, H, W), with ``ndim=3``. Where planes lie
farther apart than pixels, the first ``plane_levels`` levels act within planes alone, until a voxel
is about as deep as it is wide (as in Isensee et al. 2021, nnU-Net).

State dicts have the names and shapes of the PyTorch reference implementation of pix2pix, so that
its checkpoints load into these networks.

References
----------
Isola et al. 2017, "Image-to-image translation with conditional adversarial networks", sections
3.2.1 and 6.1; Ronneberger et al. 2015 (U-Net); Johnson et al. 2016 (ResNet generator).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from torch import Tensor, nn

from napari_pix2pix.core import _checks
from napari_pix2pix.core.layers import (
    Dropout,
    NormName,
    ResidualBlock,
    UNetLevel,
    Upsampling,
    axes_of,
    convolution,
    halo_of,
    needs_bias,
    norm_layer,
    reflection,
    upsample,
)

Activation = Literal["tanh", "linear"]
DropoutPlacement = Literal["reference", "paper"]
GeneratorKind = Literal["unet", "encoder_decoder", "resnet"]


class Generator(nn.Module):
    """What the generators share: their arguments' checks, and the geometry of windows."""

    name: str  # in messages
    model: nn.Module
    strides: tuple[int, ...]
    """For each axis, planes of a volume first: sizes and window corners are multiples of it."""
    least_sizes: tuple[int, ...]
    """Smallest size along each axis."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        dropout: float,
        upsampling: Upsampling,
        activation: Activation,
        ndim: int,
        plane_levels: int,
    ) -> None:
        super().__init__()
        _checks.dimensions(ndim, plane_levels)
        _checks.at_least("in_channels", in_channels, 1)
        _checks.at_least("out_channels", out_channels, 1)
        _checks.at_least("width", width, 1)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; give a probability from 0 to below 1.")
        _checks.one_of("upsampling", upsampling, get_args(Upsampling))
        _checks.one_of("activation", activation, get_args(Activation))
        self.in_channels = in_channels
        self.ndim, self.plane_levels = ndim, plane_levels

    @property
    def stride(self) -> int:
        """Heights, widths and window corners must be multiples of this many pixels."""
        return self.strides[-1]

    @property
    def least_size(self) -> int:
        """Smallest height and width in pixels."""
        return self.least_sizes[-1]

    @property
    def halo(self) -> int:
        """Context in pixels on each side that makes a window equal the whole.

        Exact with statistics that do not depend on the window (batch norm in eval mode, or none)
        and windows on the grid of `stride`.
        """
        return halo_of(self, self.stride)

    @property
    def halos(self) -> tuple[int, ...]:
        """The same for each axis, planes of a volume first."""
        axes = range(-self.ndim, 0)
        return tuple(halo_of(self, self.strides[axis], axis) for axis in axes)

    def forward(self, x: Tensor) -> Tensor:
        """Translate (B, in_channels, H, W) into (B, out_channels, H, W), and volumes likewise."""
        _checks.network_input(
            self.name, x, self.in_channels, strides=self.strides, least_sizes=self.least_sizes
        )
        output: Tensor = self.model(x)
        return output


class UNet(Generator):
    """U-Net of any depth: 8 halvings give U-Net-256, 7 give U-Net-128.

    All convolutions are 4x4 with stride 2. Level k has ``width * min(2**k, 8)`` channels.

    Parameters
    ----------
    in_channels, out_channels : int
        Planes of input and output.
    depth : int
        Halvings, at least 2.
    width : int
        Channels of the first level.
    norm : {"batch", "instance", "group", "none"}
        Normalisation, see `norm_layer`.
    skips : bool
        Concatenate each level's input with its output; False makes the encoder-decoder that the
        paper compares with.
    dropout : float
        Probability of dropping a decoder activation (pix2pix's noise: 0.5).
    dropout_placement : {"reference", "paper"}
        Which decoder levels drop out. ``"reference"``: those between two levels of full width, the
        innermost left out (depth 8: three, depth 7: two, depth 5 and less: none). ``"paper"``: the
        three innermost.
    upsampling : {"transpose", "resize"}
        Transposed 4x4 convolution, or nearest neighbours and a 3x3 convolution.
    bias : bool
        Give a bias to the last convolution, and to the others if the norm has none. False: no
        convolution has one, as in the Torch original.
    activation : {"tanh", "linear"}
        Last layer: outputs in [-1, 1], or unbounded.
    ndim : {2, 3}
        Images (B, C, H, W), or volumes (B, C, Z, H, W).
    plane_levels : int
        In volumes, how many of the first levels act within planes alone, with kernels (1, 4, 4)
        and strides (1, 2, 2).

    Raises
    ------
    ValueError
        If an argument is out of its range, or an input has other channels than `in_channels` or a
        height or width that is no multiple of `stride`.

    Examples
    --------
    >>> import torch
    >>> network = UNet(1, 3, depth=4, width=8)
    >>> network(torch.zeros(2, 1, 32, 48)).shape
    torch.Size([2, 3, 32, 48])
    >>> network.stride, network.halo
    (16, 32)
    """

    name = "U-Net"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        depth: int = 8,
        width: int = 64,
        norm: NormName = "batch",
        skips: bool = True,
        dropout: float = 0.0,
        dropout_placement: DropoutPlacement = "reference",
        upsampling: Upsampling = "transpose",
        bias: bool = True,
        activation: Activation = "tanh",
        ndim: int = 2,
        plane_levels: int = 0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, width, dropout, upsampling, activation, ndim, plane_levels
        )
        _checks.at_least("depth", depth, 2)
        _checks.one_of("dropout_placement", dropout_placement, get_args(DropoutPlacement))
        self.depth = depth
        self.strides = self.least_sizes = strides_of(ndim, depth, plane_levels)
        widths = [width * min(2**level, 8) for level in range(depth)]
        halve = partial(convolution, kernel=4, stride=2, padding=1)
        axes = [axes_of(ndim, within_planes=level < plane_levels) for level in range(depth)]
        inner_bias = bias and needs_bias(norm)
        joined = 2 if skips else 1  # a level's output has its input beside it
        dropout_levels = _dropout_levels(depth, dropout_placement) if dropout else range(0)

        # Built from the innermost level outwards: each level wraps the one below it.
        below: UNetLevel | None = None
        for level in range(depth - 1, 0, -1):
            outer, inner = widths[level - 1], widths[level]
            layers: list[nn.Module] = [
                nn.LeakyReLU(0.2, inplace=True),
                halve(axes[level], outer, inner, bias=inner_bias),
            ]
            if below is not None:
                layers += [norm_layer(norm, inner, ndim), below]
                inner *= joined
            layers += [
                nn.ReLU(inplace=True),
                upsample(axes[level], upsampling, inner, outer, 4, inner_bias),
                norm_layer(norm, outer, ndim),
            ]
            if level in dropout_levels:
                layers.append(Dropout(dropout))
            below = UNetLevel(*layers, skip=skips)
        assert below is not None  # depth is at least 2
        self.model = UNetLevel(
            halve(axes[0], in_channels, width, bias=inner_bias),
            below,
            nn.ReLU(inplace=True),
            upsample(axes[0], upsampling, joined * width, out_channels, 4, bias),
            *_last_layers(activation),
            skip=False,
        )


class ResNet(Generator):
    """ResNet generator: two halvings, residual blocks at a quarter of the size, two doublings.

    Parameters
    ----------
    in_channels, out_channels, width, norm, upsampling, bias, activation, ndim, plane_levels
        As in `UNet`; `width` counts the channels at full size. Transposed convolutions are 3x3.
    blocks : int
        Residual blocks, at least 1.
    dropout : float
        Probability of dropping an activation inside each block.

    Raises
    ------
    ValueError
        If an argument is out of its range, or an input has other channels than `in_channels`, a
        height or width that is no multiple of 4, or less than 8.

    Examples
    --------
    >>> import torch
    >>> network = ResNet(3, 1, blocks=2, width=8)
    >>> network(torch.zeros(1, 3, 32, 48)).shape
    torch.Size([1, 1, 32, 48])
    """

    name = "ResNet"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        blocks: int = 9,
        width: int = 64,
        norm: NormName = "instance",
        dropout: float = 0.0,
        upsampling: Upsampling = "transpose",
        bias: bool = True,
        activation: Activation = "tanh",
        ndim: int = 2,
        plane_levels: int = 0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, width, dropout, upsampling, activation, ndim, plane_levels
        )
        _checks.at_least("blocks", blocks, 1)
        self.strides = strides_of(ndim, 2, plane_levels)
        # Reflection padding needs 4 pixels at full size, and 2 at a quarter of it.
        self.least_sizes = tuple(max(2 * s, 4 if s > 1 else 2) for s in self.strides)
        inner_bias = bias and needs_bias(norm)
        full, half = (axes_of(ndim, within_planes=level < plane_levels) for level in range(2))

        def normed(layer: nn.Module, channels: int) -> list[nn.Module]:
            return [layer, norm_layer(norm, channels, ndim), nn.ReLU(inplace=True)]

        layers: list[nn.Module] = [
            reflection(full, 3),
            *normed(convolution(full, in_channels, width, 7, bias=inner_bias), width),
        ]
        for axes, channels in ((full, 2 * width), (half, 4 * width)):
            halving = convolution(
                axes, channels // 2, channels, 3, stride=2, padding=1, bias=inner_bias
            )
            layers += normed(halving, channels)
        inner = axes_of(ndim)
        layers += [
            ResidualBlock(inner, 4 * width, norm, dropout, inner_bias) for _ in range(blocks)
        ]
        for axes, channels in ((half, 2 * width), (full, width)):
            doubling = upsample(axes, upsampling, 2 * channels, channels, 3, inner_bias)
            layers += normed(doubling, channels)
        layers += [reflection(full, 3), convolution(full, width, out_channels, 7, bias=bias)]
        self.model = nn.Sequential(*layers, *_last_layers(activation))


def make_generator(
    kind: GeneratorKind,
    in_channels: int,
    out_channels: int,
    *,
    depth: int = 8,
    blocks: int = 9,
    width: int = 64,
    norm: NormName = "batch",
    dropout: float = 0.0,
    dropout_placement: DropoutPlacement = "reference",
    upsampling: Upsampling = "transpose",
    bias: bool = True,
    activation: Activation = "tanh",
    ndim: int = 2,
    plane_levels: int = 0,
) -> UNet | ResNet:
    """Make a generator by its kind: `UNet`, the same without skips, or `ResNet`.

    Parameters
    ----------
    kind : {"unet", "encoder_decoder", "resnet"}
        The network.
    in_channels, out_channels : int
        Planes of input and output.
    depth, dropout_placement : int, {"reference", "paper"}
        Of the first two kinds, see `UNet`.
    blocks : int
        Residual blocks of the third.
    width, norm, dropout, upsampling, bias, activation, ndim, plane_levels
        Of each kind, see `UNet` and `ResNet`.

    Returns
    -------
    UNet or ResNet
        With PyTorch's default weights; `initialise_` draws the paper's.

    Raises
    ------
    ValueError
        If the kind is not known or an argument is out of its range.

    Examples
    --------
    >>> make_generator("resnet", 1, 1, blocks=6, width=16).stride
    4
    """
    _checks.one_of("generator", kind, get_args(GeneratorKind))
    make: Callable[..., UNet | ResNet] = (
        partial(ResNet, blocks=blocks)
        if kind == "resnet"
        else partial(UNet, depth=depth, skips=kind == "unet", dropout_placement=dropout_placement)
    )
    return make(
        in_channels,
        out_channels,
        width=width,
        norm=norm,
        dropout=dropout,
        upsampling=upsampling,
        bias=bias,
        activation=activation,
        ndim=ndim,
        plane_levels=plane_levels,
    )


def strides_of(ndim: int, halvings: int, plane_levels: int) -> tuple[int, ...]:
    """Return how many pixels become one along each axis after so many halvings.

    >>> strides_of(2, 5, 0), strides_of(3, 5, 2)
    ((32, 32), (8, 32, 32))
    """
    in_plane = int(2**halvings)
    if ndim == 2:
        return in_plane, in_plane
    return int(2 ** max(0, halvings - plane_levels)), in_plane, in_plane


def _dropout_levels(depth: int, placement: DropoutPlacement) -> range:
    """Return the levels (0 is the outermost) whose decoder has dropout."""
    if placement == "paper":
        return range(max(1, depth - 3), depth)
    return range(4, depth - 1)  # levels have full width from level 3 on


def _last_layers(activation: Activation) -> list[nn.Module]:
    return [nn.Tanh()] if activation == "tanh" else []
