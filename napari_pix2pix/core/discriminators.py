"""Discriminators: tensors (B, C, H, W) in, maps of logits (B, 1, h, w) out.

A conditional discriminator is one that is made for, and given, source and image stacked on the
channel axis (`stack_planes`); an unconditional one only takes the image.

References
----------
Isola et al. 2017 (PatchGAN); Wang et al. 2018, pix2pixHD (several scales); Miyato et al. 2018
(spectral norm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from napari_pix2pix.core import _checks
from napari_pix2pix.core._layers import needed_span
from napari_pix2pix.core.losses import Features
from napari_pix2pix.core.norms import NormName, needs_bias, norm_layer


class PatchDiscriminator(nn.Module):
    """PatchGAN: judges every patch of an image, 70 pixels wide with the default 3 layers.

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
        Divide each weight by its largest singular value, which keeps the logits' slope in bounds.
    bias : bool
        Give a bias to the first and last convolution, and to the others if the norm has none.
        False: no convolution has one.

    Raises
    ------
    ValueError
        If an argument is out of its range, or an input has other channels than `in_channels` or
        less pixels than `least_size` in height or width.

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
    ) -> None:
        super().__init__()
        _checks.at_least("in_channels", in_channels, 1)
        _checks.at_least("layers", layers, 1)
        _checks.at_least("width", width, 1)
        self.in_channels = in_channels
        self.layers = layers
        inner_bias = bias and needs_bias(norm)

        def convolution(inputs: int, outputs: int, stride: int, has_bias: bool) -> nn.Module:
            made = nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1, bias=has_bias)
            return parametrizations.spectral_norm(made) if spectral_norm else made

        stack = [convolution(in_channels, width, 2, bias), nn.LeakyReLU(0.2, inplace=True)]
        channels = width
        for layer in range(1, layers + 1):
            inputs, channels = channels, width * min(2**layer, 8)
            # The last of these moves by single pixels, so that patches overlap more.
            stack += [
                convolution(inputs, channels, 2 if layer < layers else 1, inner_bias),
                norm_layer(norm, channels),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.model = nn.Sequential(*stack, convolution(channels, 1, 1, bias))

    @property
    def receptive_field(self) -> int:
        """Height and width in pixels of what one logit sees."""
        return _receptive_field(self)

    @property
    def least_size(self) -> int:
        """Smallest height and width in pixels that give a logit."""
        # Each of the two convolutions with stride 1 takes a row of the halved image away.
        return int(3 * 2**self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Judge (B, in_channels, H, W): logits (B, 1, h, w), positive for real."""
        _checks.planes("PatchGAN", x, self.in_channels, least=self.least_size)
        logits: Tensor = self.model(x)
        return logits

    def features(self, x: Tensor) -> Features:
        """Return the activations of each layer, the logits last: of the only scale."""
        _checks.planes("PatchGAN", x, self.in_channels, least=self.least_size)
        return [_activations(self.model, x)]


class PixelDiscriminator(nn.Module):
    """PixelGAN: judges every pixel alone, by three 1x1 convolutions.

    Parameters
    ----------
    in_channels, width, norm, spectral_norm, bias
        As in `PatchDiscriminator`. With ``bias`` the first convolution has one, the others have if
        the norm has none.

    Raises
    ------
    ValueError
        If an argument is out of its range or an input has other channels than `in_channels`.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: int = 64,
        norm: NormName = "batch",
        spectral_norm: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _checks.at_least("in_channels", in_channels, 1)
        _checks.at_least("width", width, 1)
        self.in_channels = in_channels
        inner_bias = bias and needs_bias(norm)

        def convolution(inputs: int, outputs: int, has_bias: bool) -> nn.Module:
            made = nn.Conv2d(inputs, outputs, 1, bias=has_bias)
            return parametrizations.spectral_norm(made) if spectral_norm else made

        self.net = nn.Sequential(
            convolution(in_channels, width, bias),
            nn.LeakyReLU(0.2, inplace=True),
            convolution(width, 2 * width, inner_bias),
            norm_layer(norm, 2 * width),
            nn.LeakyReLU(0.2, inplace=True),
            convolution(2 * width, 1, inner_bias),
        )

    @property
    def receptive_field(self) -> int:
        """Height and width in pixels of what one logit sees: 1."""
        return _receptive_field(self)

    @property
    def least_size(self) -> int:
        """Smallest height and width in pixels that give a logit."""
        return 1

    def forward(self, x: Tensor) -> Tensor:
        """Judge (B, in_channels, H, W): logits (B, 1, H, W), positive for real."""
        _checks.planes("PixelGAN", x, self.in_channels)
        logits: Tensor = self.net(x)
        return logits

    def features(self, x: Tensor) -> Features:
        """Return the activations of each layer, the logits last: of the only scale."""
        _checks.planes("PixelGAN", x, self.in_channels)
        return [_activations(self.net, x)]


class MultiScaleDiscriminator(nn.Module):
    """Several discriminators of one kind, each looking at half the size of the one before.

    Parameters
    ----------
    make : callable
        Makes one discriminator, called once a scale.
    scales : int
        Number of sizes: full, half, quarter, ...

    Raises
    ------
    ValueError
        If there is less than one scale, or an input is too small for the last.
    """

    def __init__(
        self, make: Callable[[], PatchDiscriminator | PixelDiscriminator], scales: int
    ) -> None:
        super().__init__()
        _checks.at_least("scales", scales, 1)
        made = [make() for _ in range(scales)]
        self.in_channels = made[0].in_channels
        self.receptive_field = made[-1].receptive_field * 2 ** (scales - 1)
        self.least_size = made[-1].least_size * 2 ** (scales - 1)
        self.scales = nn.ModuleList(made)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Judge (B, C, H, W): one map of logits a scale, from full size down."""
        return tuple(discriminator(seen) for discriminator, seen in self._seen(x))

    def features(self, x: Tensor) -> Features:
        """Return for each scale, from full size down, the activations of its layers."""
        return [of_scale for one, seen in self._seen(x) for of_scale in one.features(seen)]

    def _seen(self, x: Tensor) -> Iterator[tuple[PatchDiscriminator | PixelDiscriminator, Tensor]]:
        """Give each discriminator with what it sees."""
        _checks.planes("multi-scale discriminator", x, self.in_channels, least=self.least_size)
        for number, discriminator in enumerate(self.scales):
            if number:
                x = functional.avg_pool2d(x, 2)
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
) -> PatchDiscriminator | PixelDiscriminator | MultiScaleDiscriminator:
    """Make a discriminator by its number of layers and scales.

    Parameters
    ----------
    layers : int
        Layers of the PatchGAN; 0 makes a PixelGAN.
    scales : int
        With 2 or more, a `MultiScaleDiscriminator`, whose forward gives a tuple.
    in_channels, width, norm, spectral_norm, bias
        As in `PatchDiscriminator`.

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

    def make() -> PatchDiscriminator | PixelDiscriminator:
        if layers == 0:
            return PixelDiscriminator(
                in_channels, width=width, norm=norm, spectral_norm=spectral_norm, bias=bias
            )
        return PatchDiscriminator(
            in_channels,
            layers=layers,
            width=width,
            norm=norm,
            spectral_norm=spectral_norm,
            bias=bias,
        )

    return make() if scales == 1 else MultiScaleDiscriminator(make, scales)


def _activations(layers: nn.Sequential, x: Tensor) -> list[Tensor]:
    """Run layers; return what comes out of each activation function, and of the last layer."""
    found = []
    for layer in layers:
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU):
            found.append(x)
    return [*found, x]


def _receptive_field(network: nn.Module) -> int:
    first, last = needed_span(network, (0, 0))
    return last - first + 1
