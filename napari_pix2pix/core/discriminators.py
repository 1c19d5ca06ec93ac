"""Discriminators: tensors (B, C, H, W) in, maps of logits (B, 1, h, w) out; volumes likewise.

A conditional discriminator is one that is made for, and given, source and image stacked on the
channel axis (`stack_planes`); an unconditional one takes the image alone.

References
----------
Isola et al. 2017, section 3.2.2 (PatchGAN); Wang et al. 2018, pix2pixHD (several scales); Miyato
et al. 2018 (spectral norm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from napari_pix2pix.core import _checks
from napari_pix2pix.core.generators import strides_of
from napari_pix2pix.core.layers import (
    Axes,
    NormName,
    axes_of,
    convolution,
    input_span,
    needs_bias,
    norm_layer,
)
from napari_pix2pix.core.losses import Features


class PatchDiscriminator(nn.Module):
    """PatchGAN: one logit for each patch of an image, 70 pixels wide with the default 3 layers.

    Parameters
    ----------
    in_channels : int
        Planes that it sees, source and image together if it is conditional.
    layers : int
        Convolutions with stride 2, at least 1. Receptive fields are 16, 34, 70, 142, 286 pixels for
        1 to 5 layers.
    width : int
        Channels after the first layer; layer n has ``width * min(2**n, 8)``.
    norm : {"batch", "instance", "group", "none"}
        Normalisation, see `norm_layer`.
    spectral_norm : bool
        Divide each weight by its largest singular value, which bounds the logits' slope.
    bias : bool
        Give a bias to the first and last convolution, and to the others if the norm has none.
        False: no convolution has one.
    ndim : {2, 3}
        Images, or volumes. In volumes the convolutions with stride 1 act within planes, so that a
        thin one gives a logit too.
    plane_levels : int
        In volumes, how many of the convolutions with stride 2 act within planes alone.

    Attributes
    ----------
    receptive_field : int
        Height and width in pixels that one logit sees.
    least_sizes : tuple of int
        Smallest size along each axis that gives a logit; `least_size` is that of rows and columns.

    Raises
    ------
    ValueError
        If an argument is out of its range, or an input has other channels than `in_channels` or
        fewer pixels than `least_size` in height or width.

    Examples
    --------
    >>> import torch
    >>> discriminator = PatchDiscriminator(6, width=8)
    >>> discriminator(torch.zeros(1, 6, 256, 256)).shape, discriminator.receptive_field
    (torch.Size([1, 1, 30, 30]), 70)
    """

    def __init__(
        self,
        in_channels: int,
        *,
        layers: int = 3,
        width: int = 64,
        norm: NormName = "batch",
        spectral_norm: bool = False,
        bias: bool = True,
        ndim: int = 2,
        plane_levels: int = 0,
    ) -> None:
        super().__init__()
        _checks.dimensions(ndim, plane_levels)
        _checks.at_least("in_channels", in_channels, 1)
        _checks.at_least("layers", layers, 1)
        _checks.at_least("width", width, 1)
        self.in_channels = in_channels
        inner_bias = bias and needs_bias(norm)

        def layer_of(number: int, inputs: int, outputs: int, has_bias: bool) -> nn.Module:
            # The last two move by single pixels, so that patches overlap more.
            halves = number < layers
            axes: Axes = axes_of(ndim, within_planes=not plane_levels <= number < layers)
            layer = convolution(
                axes, inputs, outputs, 4, stride=1 + halves, padding=1, bias=has_bias
            )
            return parametrizations.spectral_norm(layer) if spectral_norm else layer

        stack = [layer_of(0, in_channels, width, bias), nn.LeakyReLU(0.2, inplace=True)]
        channels = width
        for number in range(1, layers + 1):
            inputs, channels = channels, width * min(2**number, 8)
            stack += [
                layer_of(number, inputs, channels, inner_bias),
                norm_layer(norm, channels, ndim),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.model = nn.Sequential(*stack, layer_of(layers + 1, channels, 1, bias))
        first, last = input_span(self.model, (0, 0))
        self.receptive_field = last - first + 1
        # Each of the two convolutions with stride 1 takes a row of the halved image away.
        *depth, height, _ = strides_of(ndim, layers, plane_levels)
        self.least_sizes = (*depth, 3 * height, 3 * height)

    @property
    def least_size(self) -> int:
        """Smallest height and width in pixels that give a logit."""
        return self.least_sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to logits (B, 1, h, w), positive for real."""
        _checks.network_input("PatchGAN", x, self.in_channels, least_sizes=self.least_sizes)
        logits: Tensor = self.model(x)
        return logits

    def features(self, x: Tensor) -> Features:
        """Return the activations of each layer, the logits last, in a list of one scale."""
        _checks.network_input("PatchGAN", x, self.in_channels, least_sizes=self.least_sizes)
        return [_activations(self.model, x)]


class PixelDiscriminator(nn.Module):
    """PixelGAN: one logit for each pixel, by three 1x1 convolutions.

    Parameters
    ----------
    in_channels, width, norm, spectral_norm, bias, ndim
        As in `PatchDiscriminator`. With ``bias`` the first convolution has one, the others have if
        the norm has none.

    Raises
    ------
    ValueError
        If an argument is out of its range or an input has other channels than `in_channels`.

    Examples
    --------
    >>> import torch
    >>> PixelDiscriminator(2, width=8)(torch.zeros(1, 2, 32, 48)).shape
    torch.Size([1, 1, 32, 48])
    """

    receptive_field = 1
    least_size = 1

    def __init__(
        self,
        in_channels: int,
        *,
        width: int = 64,
        norm: NormName = "batch",
        spectral_norm: bool = False,
        bias: bool = True,
        ndim: int = 2,
    ) -> None:
        super().__init__()
        _checks.dimensions(ndim, 0)
        _checks.at_least("in_channels", in_channels, 1)
        _checks.at_least("width", width, 1)
        self.least_sizes = (1,) * ndim
        self.in_channels = in_channels
        inner_bias = bias and needs_bias(norm)

        def layer_of(inputs: int, outputs: int, has_bias: bool) -> nn.Module:
            layer = convolution(axes_of(ndim), inputs, outputs, 1, bias=has_bias)
            return parametrizations.spectral_norm(layer) if spectral_norm else layer

        self.net = nn.Sequential(
            layer_of(in_channels, width, bias),
            nn.LeakyReLU(0.2, inplace=True),
            layer_of(width, 2 * width, inner_bias),
            norm_layer(norm, 2 * width, ndim),
            nn.LeakyReLU(0.2, inplace=True),
            layer_of(2 * width, 1, inner_bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to logits (B, 1, H, W), positive for real."""
        _checks.network_input("PixelGAN", x, self.in_channels, least_sizes=self.least_sizes)
        logits: Tensor = self.net(x)
        return logits

    def features(self, x: Tensor) -> Features:
        """Return the activations of each layer, the logits last, in a list of one scale."""
        _checks.network_input("PixelGAN", x, self.in_channels, least_sizes=self.least_sizes)
        return [_activations(self.net, x)]


class MultiScaleDiscriminator(nn.Module):
    """Discriminators of one kind, each on half the size of the one before (pix2pixHD).

    Parameters
    ----------
    make : callable
        Makes one discriminator, called once a scale.
    scales : int
        Number of sizes: full, half, quarter, ... Receptive field and least size are those of the
        last, in pixels of the full size.

    Raises
    ------
    ValueError
        If there is less than one scale, or an input is too small for the last.

    Examples
    --------
    >>> import torch
    >>> network = MultiScaleDiscriminator(lambda: PatchDiscriminator(2, width=8), scales=2)
    >>> [logits.shape[-1] for logits in network(torch.zeros(1, 2, 128, 128))]
    [14, 6]
    """

    def __init__(
        self, make: Callable[[], PatchDiscriminator | PixelDiscriminator], scales: int
    ) -> None:
        super().__init__()
        _checks.at_least("scales", scales, 1)
        discriminators = [make() for _ in range(scales)]
        last = discriminators[-1]
        self.in_channels = last.in_channels
        self.receptive_field = last.receptive_field * 2 ** (scales - 1)
        # Height and width are halved, and the planes of a volume stay.
        *depth, height, width = last.least_sizes
        times = int(2 ** (scales - 1))
        self.least_sizes: tuple[int, ...] = (*depth, height * times, width * times)
        self.scales = nn.ModuleList(discriminators)

    @property
    def least_size(self) -> int:
        """Smallest height and width in pixels."""
        return self.least_sizes[-1]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map (B, C, H, W) to one map of logits a scale, from full size down."""
        return tuple(discriminator(scaled) for discriminator, scaled in self._inputs(x))

    def features(self, x: Tensor) -> Features:
        """Return the activations of each layer, the logits last, for each scale."""
        return [
            activations
            for discriminator, scaled in self._inputs(x)
            for activations in discriminator.features(scaled)
        ]

    def _inputs(
        self, x: Tensor
    ) -> Iterator[tuple[PatchDiscriminator | PixelDiscriminator, Tensor]]:
        """Yield each discriminator with the image at its scale."""
        _checks.network_input(
            "multi-scale discriminator", x, self.in_channels, least_sizes=self.least_sizes
        )
        for number, discriminator in enumerate(self.scales):
            if number:  # (B, C, H / 2, W / 2)
                x = functional.avg_pool2d(x, 2) if x.ndim == 4 else _halved(x)
            yield cast("PatchDiscriminator | PixelDiscriminator", discriminator), x


def make_discriminator(
    in_channels: int,
    *,
    layers: int = 3,
    width: int = 64,
    norm: NormName = "batch",
    scales: int = 1,
    spectral_norm: bool = False,
    bias: bool = True,
    ndim: int = 2,
    plane_levels: int = 0,
) -> PatchDiscriminator | PixelDiscriminator | MultiScaleDiscriminator:
    """Make a PatchGAN, with ``layers=0`` a PixelGAN, with ``scales`` of 2 or more several of them.

    Parameters
    ----------
    in_channels : int
        Planes that it sees, source and image together if it is conditional.
    layers : int
        0 for a `PixelDiscriminator`, else those of `PatchDiscriminator`.
    scales : int
        Sizes of the image that are judged, each half of the one before.
    width, norm, spectral_norm, bias, ndim, plane_levels
        As in `PatchDiscriminator`.

    Returns
    -------
    PatchDiscriminator, PixelDiscriminator or MultiScaleDiscriminator
        With PyTorch's default weights; `initialise_` draws the paper's.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> make_discriminator(2, layers=0).receptive_field
    1
    >>> make_discriminator(2, layers=1, scales=2).receptive_field
    32
    """
    _checks.at_least("layers", layers, 0)
    kind: Callable[..., PatchDiscriminator | PixelDiscriminator] = (
        partial(PatchDiscriminator, layers=layers, plane_levels=plane_levels)
        if layers
        else PixelDiscriminator
    )
    make = partial(
        kind, in_channels, width=width, norm=norm, spectral_norm=spectral_norm, bias=bias, ndim=ndim
    )
    return make() if scales == 1 else MultiScaleDiscriminator(make, scales)


class DiscriminatorMap(nn.Module):
    """Give a discriminator an output as large as its input, so that it can be run in tiles.

    A PatchGAN of n layers has a logit every ``2**n`` pixels, for a patch many times as wide. The
    logit is shown on the square of that side in the middle of its patch. Squares at the border of
    the image, which are in the middle of no patch, repeat their neighbour. Several scales are
    averaged.

    Parameters
    ----------
    discriminator : PatchDiscriminator, PixelDiscriminator or MultiScaleDiscriminator
        Of images or volumes.

    Attributes
    ----------
    strides : tuple of int
        Lengths and window corners must be multiples of it, one an axis; planes of volumes first.
    halos : tuple of int
        Context on each side that makes a window equal the whole, see `UNet.halos`.
    least_sizes : tuple of int
        Smallest lengths.
    stride, halo, least_size : int
        Those of height and width.

    Examples
    --------
    >>> import torch
    >>> network = DiscriminatorMap(PatchDiscriminator(2, width=4))
    >>> network(torch.zeros(1, 2, 48, 64)).shape, network.stride, network.halo
    (torch.Size([1, 1, 48, 64]), 8, 32)
    """

    def __init__(
        self, discriminator: PatchDiscriminator | PixelDiscriminator | MultiScaleDiscriminator
    ) -> None:
        super().__init__()
        self.discriminator = discriminator
        scales = [discriminator]
        if isinstance(discriminator, MultiScaleDiscriminator):
            scales = list(discriminator.scales)  # type: ignore[arg-type]
        axes = range(-len(discriminator.least_sizes), 0)
        self._steps = [
            tuple(_shrunk(n, axis) * _step(scale, axis) for axis in axes)
            for n, scale in enumerate(scales)
        ]
        self._margins = [tuple(_margin(scale, axis) for axis in axes) for scale in scales]
        self.ndim = len(axes)
        self.strides = self._steps[-1]
        contexts = [
            max(_shrunk(n, axis) * _context(scale, axis) for n, scale in enumerate(scales))
            for axis in axes
        ]
        self.halos, self.least_sizes = (
            tuple(
                -(-size // stride) * stride
                for size, stride in zip(sizes, self.strides, strict=True)
            )
            for sizes in (contexts, discriminator.least_sizes)
        )

    @property
    def stride(self) -> int:
        """Heights, widths and window corners must be multiples of this many pixels."""
        return self.strides[-1]

    @property
    def halo(self) -> int:
        """Context in pixels on each side that makes a window equal the whole."""
        return self.halos[-1]

    @property
    def least_size(self) -> int:
        """Smallest height and width in pixels."""
        return self.least_sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to logits (B, 1, H, W), positive for real; or volumes."""
        logits = self.discriminator(x)
        scales = [logits] if isinstance(logits, Tensor) else list(logits)
        total = x.new_zeros(x.shape[0], 1, *x.shape[2:])
        for scale, steps, margins in zip(scales, self._steps, self._margins, strict=True):
            # Torch counts sides from the last axis on, each twice.
            sides = [margin for margin in reversed(margins) for _ in range(2)]
            padded = functional.pad(scale, sides, mode="replicate") if any(sides) else scale
            factors = tuple(map(float, steps))
            total += functional.interpolate(padded, scale_factor=factors, mode="nearest")
        return total / len(scales)


def _halved(volumes: Tensor) -> Tensor:
    """Halve height and width of volumes (B, C, Z, H, W)."""
    return functional.avg_pool3d(volumes, (1, 2, 2))


def _activations(layers: nn.Sequential, x: Tensor) -> list[Tensor]:
    """Run layers; return the output of each activation function, and of the last layer."""
    activations = []
    for layer in layers:
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU):
            activations.append(x)
    return [*activations, x]


def _shrunk(scale: int, axis: int) -> int:
    """Return how many times shorter an axis is at a scale; planes (-3) stay."""
    return 1 if axis == -3 else int(2**scale)


def _step(discriminator: nn.Module, axis: int) -> int:
    """Return the pixels from one logit's patch to the next one's, along an axis."""
    first, second = (input_span(discriminator, (n, n), axis)[0] for n in range(2))
    return second - first


def _margin(discriminator: nn.Module, axis: int) -> int:
    """Return the number of squares before the one in the middle of the first logit's patch."""
    first, last = input_span(discriminator, (0, 0), axis)
    step = _step(discriminator, axis)
    return (first + last + 1 - step) // 2 // step


def _context(discriminator: nn.Module, axis: int) -> int:
    """Return the pixels of a patch around the square in its middle, on the wider side."""
    step, margin = _step(discriminator, axis), _margin(discriminator, axis)
    first, last = input_span(discriminator, (-margin, -margin), axis)
    return max(-first, last - (step - 1))
