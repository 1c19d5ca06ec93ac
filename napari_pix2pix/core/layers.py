"""Building blocks of the networks, the input pixels that they depend on, and first weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from napari_pix2pix.core import _checks

NormName = Literal["batch", "instance", "group", "none"]
BatchNorm = nn.BatchNorm2d | nn.BatchNorm3d
InstanceNorm = nn.InstanceNorm2d | nn.InstanceNorm3d
Norm = BatchNorm | InstanceNorm | nn.GroupNorm
Convolution = nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose2d | nn.ConvTranspose3d
Reflection = nn.ReflectionPad2d | nn.ReflectionPad3d

Axes = tuple[bool, ...]
"""For each image axis, from planes (in a volume) to columns, whether a layer acts along it."""
IMAGE: Axes = (True, True)
VOLUME: Axes = (True, True, True)
WITHIN_PLANES: Axes = (False, True, True)

_MAX_GROUPS = 32  # Wu and He 2018 found 32 groups best


def axes_of(ndim: int, *, within_planes: bool = False) -> Axes:
    """Return the axes that a layer acts along, in images (2) or volumes (3)."""
    if ndim == 2:
        return IMAGE
    return WITHIN_PLANES if within_planes else VOLUME


def per_axis(axes: Axes, along: int, across: int) -> Any:
    """Return one number for each axis: `along` where a layer acts, else `across`."""
    # Typed as any: torch's layers want a tuple of two or of three.
    return tuple(along if acts else across for acts in axes)


def convolution(
    axes: Axes,
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
    bias: bool = True,
) -> Convolution:
    """Make a convolution; along the other axes it leaves each pixel by itself."""
    return (nn.Conv2d if len(axes) == 2 else nn.Conv3d)(
        in_channels,
        out_channels,
        per_axis(axes, kernel, 1),
        stride=per_axis(axes, stride, 1),
        padding=per_axis(axes, padding, 0),
        bias=bias,
    )


def reflection(axes: Axes, padding: int) -> Reflection:
    """Make a layer that pads by reflection."""
    # Torch counts sides from the last axis on, each twice.
    sides = tuple(side for side in reversed(per_axis(axes, padding, 0)) for _ in range(2))
    return (nn.ReflectionPad2d if len(axes) == 2 else nn.ReflectionPad3d)(sides)


def norm_layer(name: NormName, channels: int, ndim: int = 2) -> nn.Module:
    """Make a norm for images (B, C, H, W) or volumes; ``"none"`` keeps its place by an identity."""
    _checks.one_of("norm", name, get_args(NormName))
    _checks.at_least("channels", channels, 1)
    if name == "batch":
        return (nn.BatchNorm2d if ndim == 2 else nn.BatchNorm3d)(channels)
    if name == "instance":
        return (nn.InstanceNorm2d if ndim == 2 else nn.InstanceNorm3d)(channels)
    if name == "group":
        return nn.GroupNorm(_group_count(channels), channels)
    return nn.Identity()  # keeps the numbers of the layers after it in a state dict


class FixedNorm(nn.Module):
    """A norm with statistics that were measured before: (C,), one a channel of the whole image."""

    mean: Tensor
    variance: Tensor

    def __init__(self, norm: Norm, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        if isinstance(norm, nn.GroupNorm):
            mean, variance = _group_statistics(norm.num_groups, mean, variance)
        self.register_buffer("mean", mean.to(torch.float32))
        self.register_buffer("variance", variance.to(torch.float32))
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) or (B, C, Z, H, W) to the same shape."""
        fixed = (self.mean, self.variance, self.weight, self.bias)
        return functional.batch_norm(x, *fixed, training=False, eps=self.eps)


def channels_last(ndim: int) -> torch.memory_format:
    """Return the memory format in which convolutions of images (2) or volumes (3) are fastest."""
    return torch.channels_last if ndim == 2 else torch.channels_last_3d


def needs_bias(name: NormName) -> bool:
    """Tell whether convolutions before this norm need a bias: batch and group norm bring one."""
    return name in ("instance", "none")


def _group_count(channels: int) -> int:
    # Groups of a single channel would be instance norm under another name.
    limit = max(1, min(_MAX_GROUPS, channels // 2))
    return next(groups for groups in range(limit, 0, -1) if channels % groups == 0)


def _group_statistics(groups: int, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Give each channel the mean and variance of its group, (C,) from (C,)."""
    means, variances = mean.reshape(groups, -1), variance.reshape(groups, -1)
    group_mean = means.mean(1, keepdim=True)
    # Law of total variance; all channels have the same number of pixels.
    group_variance = (variances + (means - group_mean).square()).mean(1, keepdim=True)
    return (
        group_mean.expand_as(means).reshape(-1),
        group_variance.expand_as(means).reshape(-1),
    )


Upsampling = Literal["transpose", "resize"]
Span = tuple[int, int]  # first and last index along one image axis, both included
Network = TypeVar("Network", bound=nn.Module)

_POWER_ITERATIONS = 15  # as many as torch takes when it makes a spectral norm


class ResizeConvolution:
    """Nearest-neighbour upsampling by 2, then a 3x3 convolution (Odena et al. 2016)."""

    # One layer, so that its parameters have the names that a transposed convolution's would have.
    # A mixin: the two classes below are it, for images and for volumes.

    weight: Tensor
    bias: Tensor | None
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any  # one an axis

    @property
    def factors(self) -> tuple[int, ...]:
        """How many times longer each axis becomes."""
        return tuple(2 if kernel == 3 else 1 for kernel in self.kernel_size)

    def transposed_kernel(self) -> Tensor:
        """Return the kernel (C, C', 4, 4) of the transposed convolution that does the same."""
        # The 3x3 kernel, summed over blocks of 2x2.
        axes = range(2, 2 + len(self.factors))
        kernel = self.weight.flip(*axes).transpose(0, 1)  # (C, C', 3, 3)
        mean = functional.avg_pool2d if len(self.factors) == 2 else functional.avg_pool3d
        padding = tuple(factor - 1 for factor in self.factors)
        return math.prod(self.factors) * mean(kernel, self.factors, stride=1, padding=padding)


class _ResizeConvolution2d(ResizeConvolution, nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', 2 H, 2 W)."""
        # Computed as one transposed 4x4 convolution: less than half of the multiplications.
        kernel = self.transposed_kernel()
        return functional.conv_transpose2d(input, kernel, self.bias, stride=2, padding=1)


class _ResizeConvolution3d(ResizeConvolution, nn.Conv3d):
    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, Z, H, W) to (B, C', 2 Z or Z, 2 H, 2 W)."""
        return functional.conv_transpose3d(
            input,
            self.transposed_kernel(),
            self.bias,
            stride=self.factors,
            padding=self.padding,
        )


def resize_convolution(
    axes: Axes, in_channels: int, out_channels: int, *, bias: bool = True
) -> Convolution:
    """Make a `ResizeConvolution`."""
    kernel, padding = per_axis(axes, 3, 1), per_axis(axes, 1, 0)
    make = _ResizeConvolution2d if len(axes) == 2 else _ResizeConvolution3d
    return make(in_channels, out_channels, kernel, padding=padding, bias=bias)


def upsample(
    axes: Axes, upsampling: Upsampling, in_channels: int, out_channels: int, kernel: int, bias: bool
) -> nn.Module:
    """Make the layer that doubles the axes; a transposed one has this kernel (3 or 4)."""
    if upsampling == "resize":
        return resize_convolution(axes, in_channels, out_channels, bias=bias)
    return (nn.ConvTranspose2d if len(axes) == 2 else nn.ConvTranspose3d)(
        in_channels,
        out_channels,
        per_axis(axes, kernel, 1),
        stride=per_axis(axes, 2, 1),
        padding=per_axis(axes, 1, 0),
        output_padding=per_axis(axes, kernel % 2, 0),
        bias=bias,
    )


class UNetLevel(nn.Module):
    """Downsampling, the levels below, upsampling; with `skip`, the input is concatenated."""

    def __init__(self, *layers: nn.Module, skip: bool) -> None:
        super().__init__()
        self.model = nn.Sequential(*layers)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C or 2 C, H, W), and volumes likewise."""
        # The first layer's LeakyReLU works in place, on the skip too. That saves a copy and changes
        # nothing: the ReLU after the concatenation maps x and LeakyReLU(x) to the same.
        output: Tensor = self.model(x)
        return torch.cat([x, output], 1) if self.skip else output


class Dropout(nn.Dropout):
    """Dropout that can draw from a given generator of random numbers, see `drawing_from`."""

    rng: torch.Generator | None = None

    def forward(self, input: Tensor) -> Tensor:
        """Map a tensor of any shape to the same shape."""
        # torch.compile draws by itself, and knows no generators.
        if self.rng is None or not self.training or torch.compiler.is_compiling():
            return super().forward(input)
        kept = 1 - self.p
        # On a CPU to the bit what PyTorch's own dropout makes of the same seed.
        return input * torch.empty_like(input).bernoulli_(kept, generator=self.rng).div_(kept)


@contextmanager
def drawing_from(network: nn.Module, rng: torch.Generator | None) -> Iterator[None]:
    """Let a network's dropout draw from this generator, within the ``with`` statement.

    Parameters
    ----------
    network : nn.Module
        A network of this package.
    rng : torch.Generator or None
        On the network's device; None is PyTorch's, which all share.

    Yields
    ------
    None
        Afterwards the network draws from PyTorch's again.

    Examples
    --------
    >>> network, x = Dropout(0.5).train(), torch.ones(1, 1, 8, 8)
    >>> def draw():
    ...     with drawing_from(network, torch.Generator().manual_seed(0)):
    ...         return network(x)
    >>> torch.equal(draw(), draw())
    True
    """
    layers = [layer for layer in network.modules() if isinstance(layer, Dropout)]
    for layer in layers:
        layer.rng = rng
    try:
        yield
    finally:
        for layer in layers:
            layer.rng = None


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions whose output is added to their input (He et al. 2016)."""

    def __init__(
        self, axes: Axes, channels: int, norm: NormName, dropout: float, bias: bool
    ) -> None:
        super().__init__()
        first, second = (convolution(axes, channels, channels, 3, bias=bias) for _ in range(2))
        self.conv_block = nn.Sequential(
            reflection(axes, 1),
            first,
            norm_layer(norm, channels, len(axes)),
            nn.ReLU(inplace=True),
            *([Dropout(dropout)] if dropout else []),
            reflection(axes, 1),
            second,
            norm_layer(norm, channels, len(axes)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) or (B, C, Z, H, W) to the same shape."""
        residual: Tensor = self.conv_block(x)
        return x + residual


def input_span(layer: nn.Module, output_span: Span, axis: int = -1) -> Span:
    """Return which input indices the given output indices depend on, along an image axis.

    Axes are counted from the last: -1 columns, -2 rows, -3 planes. Padding counts as input: the
    answer may reach outside the image.
    """
    first, last = output_span
    if isinstance(layer, ResizeConvolution):
        doubles = layer.factors[axis] == 2
        return ((first - 1) // 2, (last + 1) // 2) if doubles else output_span
    if isinstance(layer, Transposed):
        kernel, stride, padding = _geometry(layer, axis)
        # Input j reaches outputs j * stride - padding + (0 .. kernel - 1).
        return -((kernel - 1 - padding - first) // stride), (last + padding) // stride
    if isinstance(layer, Convolution):
        kernel, stride, padding = _geometry(layer, axis)
        return first * stride - padding, last * stride - padding + kernel - 1
    if isinstance(layer, Reflection):
        padding = layer.padding[2 * (-axis - 1)]
        return first - padding, last - padding
    # What a skip or residual connection bypasses needs its span already.
    for child in reversed(list(layer.children())):
        first, last = input_span(child, (first, last), axis)
    return first, last


def _geometry(layer: Convolution | Transposed, axis: int) -> tuple[int, int, int]:
    """Return kernel, stride and padding along an axis."""
    return layer.kernel_size[axis], layer.stride[axis], int(layer.padding[axis])


def halo_of(network: nn.Module, stride: int, axis: int = -1) -> int:
    """Return the pixels of context along an axis that make one cell of the stride's grid exact."""
    # A network with stride s repeats its geometry every s pixels, so one cell stands for all.
    first, last = input_span(network, (0, stride - 1), axis)
    reach = max(-first, last - (stride - 1))
    # Rounded up: windows are exact only if they start on that grid.
    return -(-reach // stride) * stride


@torch.no_grad()
def initialise_(
    network: Network, *, std: float = 0.02, rng: torch.Generator | None = None
) -> Network:
    """Draw a network's weights in place as Isola et al. 2017 do (section 6.2), and return it.

    Convolutions come from N(0, std), weights of norms from N(1, std); biases are 0. The numbers are
    drawn on the device of `rng` (by default the CPU, from PyTorch's global generator), so that one
    seed gives one network on every device.

    Parameters
    ----------
    network : nn.Module
        Its weights are replaced.
    std : float
        Standard deviation.
    rng : torch.Generator, optional
        Where the numbers come from.

    Returns
    -------
    nn.Module
        The network.

    Examples
    --------
    >>> network = initialise_(nn.Conv2d(1, 8, 3), rng=torch.Generator().manual_seed(0))
    >>> network.bias.abs().max().item()
    0.0
    """
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        else:
            mean = 1.0 if parameter.ndim == 1 else 0.0  # a vector is the weight of a norm
            parameter.copy_(mean + std * _normal_like(parameter, rng))
    for module in network.modules():
        if parametrize.is_parametrized(module, "weight"):
            _update_spectral_norm(module, rng)
    return network


def _update_spectral_norm(module: nn.Module, rng: torch.Generator | None) -> None:
    """Estimate the singular vectors anew: the stored ones belong to the old weights."""
    for name, vector in module.named_buffers():
        if name.endswith(("._u", "._v")):
            vector.copy_(functional.normalize(_normal_like(vector, rng), dim=0))
    was_training = module.training
    module.train()  # each access to the weight is then one power iteration
    for _ in range(_POWER_ITERATIONS):
        _ = module.weight
    module.train(was_training)


def _normal_like(like: Tensor, rng: torch.Generator | None) -> Tensor:
    device = torch.device("cpu") if rng is None else rng.device
    return torch.randn(like.shape, generator=rng, device=device).to(like.device)
