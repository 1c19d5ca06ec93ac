"""Differentiable augmentation of the discriminator's input, real and generated alike.

With few images a discriminator memorises them. Augmenting the real images alone would teach the
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

_MAX_SHIFT = 1 / 8  # of the image's side, as in the paper
_CUTOUT = 1 / 2


def augment(kind: Augmentation, planes: Tensor, numbers: Tensor, image_channels: int) -> Tensor:
    """Augment what a discriminator sees, so that it can't learn few images by heart.

    Translation goes up to an eighth of the size, cutout takes a square of half the size; pixels
    that are moved in or cut out are 0. All channels move together, and so do the planes of volumes.
    Colour (brightness, saturation, contrast) changes the image only.

    Parameters
    ----------
    kind : {"none", "translation", "translation+cutout", "colour+translation+cutout"}
        What is done.
    planes : Tensor
        (B, C, H, W) or (B, C, Z, H, W), float: source and image, or the image alone.
    numbers : Tensor
        (B, AUGMENTATION_DRAWS), uniform in [0, 1). They decide: the same numbers give the same
        augmentation.
    image_channels : int
        How many of the last channels are the image.

    Returns
    -------
    Tensor
        Of the same shape. The gradient passes through.

    Raises
    ------
    ValueError
        If the kind is not known.

    References
    ----------
    Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training".

    Examples
    --------
    >>> planes = torch.ones(1, 1, 8, 8)
    >>> moved = augment("translation", planes, torch.zeros(1, AUGMENTATION_DRAWS), 1)
    >>> int(moved.sum())
    49
    """
    _checks.one_of("augmentation", kind, get_args(Augmentation))
    steps = kind.split("+")
    if "colour" in steps:
        source, image = planes[:, :-image_channels], planes[:, -image_channels:]
        planes = torch.cat([source, _change_colour(image, numbers[:, :3])], 1)
    if "translation" in steps:
        planes = _translate(planes, numbers[:, 3:5])
    if "cutout" in steps:
        planes = _cut_out(planes, numbers[:, 5:7])
    return planes


def _change_colour(image: Tensor, numbers: Tensor) -> Tensor:
    # Each (B, 1, 1, 1).
    brightness, saturation, contrast = numbers[..., *[None] * (image.ndim - 1)].unbind(1)
    image = image + (brightness - 0.5)
    gray = image.mean(1, keepdim=True)  # (B, 1, H, W)
    image = gray + 2 * saturation * (image - gray)
    mean = image.mean(tuple(range(1, image.ndim)), keepdim=True)
    return mean + (contrast + 0.5) * (image - mean)


def _translate(planes: Tensor, numbers: Tensor) -> Tensor:
    offsets = []
    for number, side in zip(numbers.unbind(1), planes.shape[-2:], strict=True):
        limit = round(side * _MAX_SHIFT)
        offsets.append((number * (2 * limit + 1)).floor().long() - limit)
    moved, inside = shift_planes(planes, torch.stack(offsets, 1))
    return moved * inside


def _cut_out(planes: Tensor, numbers: Tensor) -> Tensor:
    """Blank a square whose centre is any pixel, so that it may lie partly outside."""
    spans = []
    for number, side in zip(numbers.unbind(1), planes.shape[-2:], strict=True):
        half = round(side * _CUTOUT / 2)
        centre = (number * side).floor()
        distance = torch.arange(side, device=planes.device) - centre[:, None]  # (B, side)
        spans.append((distance >= -half) & (distance < half))
    rows, columns = spans
    blank = rows[:, :, None] & columns[:, None, :]  # (B, H, W)
    return planes * ~blank.view(len(planes), *[1] * (planes.ndim - 3), *planes.shape[-2:])
