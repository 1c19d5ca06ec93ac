"""The features in the middle of a generator, and how far they are from those of the training."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn

from napari_pix2pix.core.generators import ResNet, UNet
from napari_pix2pix.core.layers import Convolution

# Halvings after which the features of a U-Net are read: cells of 16 pixels. Deeper ones are few in
# a small training set, and at a depth of 8 as wide as whole patches.
_HALVINGS = 4
_MOST_AXES = 64  # along which the features' spread is known
_CELLS_PER_AXIS = 8  # at least: a spread that is measured on fewer fits those cells alone
_FLAT = 1e-6  # of the largest variance: an axis with less is rounding
_USUAL = 0.99  # of the training's cells lie below 1


def feature_layer(generator: UNet | ResNet) -> Convolution:
    """Return the layer whose output (B, K, H / cell, W / cell) are the features.

    It is the fourth convolution that halves the image, or the last where there are fewer. All of
    its output is computed for any part that is wanted, see `run_part`.

    Examples
    --------
    >>> feature_layer(UNet(1, 1, depth=3, width=4)).out_channels
    16
    """
    return _halvings(generator)[-1]


def cell_side(generator: UNet | ResNet) -> int:
    """Return the side in pixels, within a plane, of what each feature vector stands for."""
    return cell_sides(generator)[-1]


def cell_sides(generator: UNet | ResNet) -> tuple[int, ...]:
    """Return along each axis, planes of a volume first, what a feature vector stands for.

    Examples
    --------
    >>> cell_sides(UNet(1, 1, depth=5, width=4, ndim=3, plane_levels=2))
    (4, 16, 16)
    """
    strides = zip(*(layer.stride for layer in _halvings(generator)), strict=True)
    return tuple(math.prod(along) for along in strides)


def _halvings(generator: UNet | ResNet) -> list[Convolution]:
    convolutions = (layer for layer in generator.modules() if isinstance(layer, Convolution))
    return [layer for layer in convolutions if layer.stride[-1] == 2][:_HALVINGS]


class UsualFeatures(nn.Module):
    """How far features are from those of the training: the Mahalanobis distance, scaled.

    It is the distance to the mean along the axes of largest variance, 64 at most, each in units of
    its standard deviation (Lee et al. 2018; Gonzalez et al. 2022, for segmentation). Its unit is
    such that 99 % of the training's cells lie below 1.

    Parameters
    ----------
    mean : Tensor
        (K,) float32.
    axes : Tensor
        (D, K) float32: each axis divided by its standard deviation and by the unit.

    Examples
    --------
    >>> usual = UsualFeatures.fit(torch.randn(1000, 8, generator=torch.Generator().manual_seed(0)))
    >>> usual(torch.zeros(1, 8, 2, 3)).shape, bool((usual(torch.full((1, 8, 1, 1), 9.0)) > 1).all())
    (torch.Size([1, 1, 2, 3]), True)
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, mean: Tensor, axes: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("axes", axes)

    @classmethod
    def fit(cls, features: Tensor) -> Self:
        """Measure the features (N, K) of the training's cells; at least one."""
        features = features.double()
        mean = features.mean(0)
        centred = features - mean
        variances, axes = torch.linalg.eigh(centred.T @ centred / len(features))
        most = max(1, min(_MOST_AXES, len(features) // _CELLS_PER_AXIS))
        variances, axes = variances.flip(0)[:most], axes.flip(1)[:, :most]
        kept = variances > _FLAT * variances[0]
        if not kept.any():  # all cells are alike
            return cls(mean.float(), axes.T[:1].float())
        axes = axes.T[kept] / variances[kept].sqrt()[:, None]
        unit = (centred @ axes.T).norm(dim=1).quantile(_USUAL)
        return cls(mean.float(), (axes / unit).float())

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, K, h, w) to distances (B, 1, h, w) from 0; of volumes likewise."""
        centred = features.float() - self.mean.view(-1, *[1] * (features.ndim - 2))
        along = torch.einsum("dk,bk...->bd...", self.axes, centred)
        distances: Tensor = torch.linalg.vector_norm(along, dim=1, keepdim=True)
        return distances
