"""A discriminator's logits, each on the pixels in the middle of the patch that it judges."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from napari_pix2pix.core._layers import needed_span
from napari_pix2pix.core.discriminators import (
    MultiScaleDiscriminator,
    PatchDiscriminator,
    PixelDiscriminator,
)


class VerdictMap(nn.Module):
    """Gives a discriminator an output as large as its input, so that it can be run in tiles.

    A logit of a PatchGAN of n layers comes every ``2**n`` pixels and sees a patch many times as
    wide. It is shown on the square of that side in the middle of its patch; squares at the image's
    border, which no patch has in its middle, show their neighbour's. Of several scales it is the
    mean.

    Parameters
    ----------
    discriminator : PatchDiscriminator, PixelDiscriminator or MultiScaleDiscriminator

    Attributes
    ----------
    stride : int
        Heights, widths and window corners must be multiples of this many pixels.
    halo : int
        Context in pixels on each side that makes a window equal the whole, see `UNet.halo`.
    least_size : int
        Smallest height and width in pixels.

    Examples
    --------
    >>> import torch
    >>> judge = VerdictMap(PatchDiscriminator(2, width=4))
    >>> judge(torch.zeros(1, 2, 48, 64)).shape, judge.stride, judge.halo
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
        self._steps = [2**n * _step(one) for n, one in enumerate(scales)]
        self._margins = [_margin(one) for one in scales]
        self.stride = self._steps[-1]
        self.least_size = -(-discriminator.least_size // self.stride) * self.stride
        reach = max(2**n * _reach(one) for n, one in enumerate(scales))
        self.halo = -(-reach // self.stride) * self.stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to logits (B, 1, H, W), positive for real."""
        logits = self.discriminator(x)
        maps = [logits] if isinstance(logits, Tensor) else list(logits)
        height, width = x.shape[2:]
        total = x.new_zeros(x.shape[0], 1, height, width)
        for one, step, margin in zip(maps, self._steps, self._margins, strict=True):
            padded = functional.pad(one, [margin] * 4, mode="replicate") if margin else one
            total += functional.interpolate(padded, scale_factor=float(step), mode="nearest")
        return total / len(maps)


def _step(discriminator: nn.Module) -> int:
    """Pixels from one logit's patch to the next one's."""
    return needed_span(discriminator, (1, 1))[0] - needed_span(discriminator, (0, 0))[0]


def _margin(discriminator: nn.Module) -> int:
    """Squares before that in the middle of the first logit's patch."""
    first, last = needed_span(discriminator, (0, 0))
    step = _step(discriminator)
    return (first + last + 1 - step) // 2 // step


def _reach(discriminator: nn.Module) -> int:
    """Pixels that the square in the middle of a patch has around it in the patch."""
    step, margin = _step(discriminator), _margin(discriminator)
    first, last = needed_span(discriminator, (-margin, -margin))
    return max(-first, last - (step - 1))
