"""Augmentation of what a discriminator sees, real and generated alike, with a gradient.

With few images a discriminator learns them by heart. Augmenting only the real ones would teach the
generator to make augmented images; augmenting both, and passing the gradient through, does not.

References
----------
Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training" (DiffAugment).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from napari_pix2pix.core import _checks
from napari_pix2pix.core.registration import shift_planes

Augmentation = Literal["none", "translation", "translation+cutout", "colour+translation+cutout"]

AUGMENTATION_DRAWS = 7
"""Random numbers that `augment` takes for each image."""

_MOST_SHIFT = 1 / 8
_CUT = 1 / 2


def augment(kind: Augmentation, planes: Tensor, numbers: Tensor, image_channels: int) -> Tensor:
    """Augment what a discriminator sees.

    Parameters
    ----------
    kind : {"none", "translation", "translation+cutout", "colour+translation+cutout"}
        Translation by up to an eighth of the size; cutout of a square of half the size; brightness,
        saturation (of several channels) and contrast. What is moved in or cut out is 0.
    planes : Tensor
        Source and image stacked, or the image alone, (B, C, H, W). Geometry is the same for all
        planes; colour changes those of the image only.
    numbers : Tensor
        Uniform in [0, 1), (B, AUGMENTATION_DRAWS): the same numbers give the same augmentation.
    image_channels : int
        How many of the last planes are the image.

    Returns
    -------
    Tensor
        (B, C, H, W).

    Raises
    ------
    ValueError
        If the kind is not known.

    Examples
    --------
    >>> planes = torch.ones(1, 1, 8, 8)
    >>> moved = augment("translation", planes, torch.zeros(1, AUGMENTATION_DRAWS), 1)
    >>> int(moved.sum())
    49
    """
    _checks.one_of("augmentation", kind, get_args(Augmentation))
    parts = kind.split("+")
    if "colour" in parts:
        given, image = planes[:, :-image_channels], planes[:, -image_channels:]
        planes = torch.cat([given, _recolour(image, *numbers[:, :3].unbind(1))], 1)
    if "translation" in parts:
        planes = _translate(planes, numbers[:, 3:5])
    if "cutout" in parts:
        planes = _cut_out(planes, numbers[:, 5:7])
    return planes


def _recolour(image: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    brightness, saturation, contrast = (
        number.view(-1, 1, 1, 1) for number in (brightness, saturation, contrast)
    )
    image = image + (brightness - 0.5)
    gray = image.mean(1, keepdim=True)
    image = gray + 2 * saturation * (image - gray)
    mean = image.mean((1, 2, 3), keepdim=True)
    return mean + (contrast + 0.5) * (image - mean)


def _translate(planes: Tensor, numbers: Tensor) -> Tensor:
    offsets = []
    for number, side in zip(numbers.unbind(1), planes.shape[-2:], strict=True):
        most = round(side * _MOST_SHIFT)
        offsets.append((number * (2 * most + 1)).floor().long() - most)
    moved, inside = shift_planes(planes, torch.stack(offsets, 1))
    return moved * inside


def _cut_out(planes: Tensor, numbers: Tensor) -> Tensor:
    """Blank a square whose middle is any pixel, so that it may lie partly outside."""
    cut = []
    for number, side in zip(numbers.unbind(1), planes.shape[-2:], strict=True):
        half = round(side * _CUT / 2)
        middle = (number * side).floor()
        distance = torch.arange(side, device=planes.device) - middle[:, None]
        cut.append((distance >= -half) & (distance < half))
    rows, columns = cut
    return planes * ~(rows[:, None, :, None] & columns[:, None, None, :])
