"""Normalisation layers by name, and which convolutions keep their bias beside them."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pix2pix.core import _checks

NormName = Literal["batch", "instance", "group", "none"]
Norm = nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm

_MAX_GROUPS = 32  # Wu and He 2018 found 32 groups best


def norm_layer(name: NormName, channels: int) -> nn.Module:
    """Make a normalisation layer for (B, C, H, W); ``"none"`` gives an identity.

    The identity keeps the numbers of the layers after it in a state dict. Only ``"batch"`` (in eval
    mode) and ``"none"`` treat a pixel alike in every window around it; ``"instance"`` (Ulyanov et
    al. 2016, without weight and bias) and ``"group"`` (Wu and He 2018) measure each image that they
    are given.

    Examples
    --------
    >>> norm_layer("group", 48).num_groups
    24
    """
    _checks.one_of("norm", name, get_args(NormName))
    _checks.at_least("channels", channels, 1)
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "instance":
        return nn.InstanceNorm2d(channels)
    if name == "group":
        return nn.GroupNorm(_group_count(channels), channels)
    return nn.Identity()


class FixedNorm(nn.Module):
    """A norm with statistics that were measured before, so that it treats all windows alike.

    Takes weight, bias and groups from `norm`; `mean` and `variance` are (C,), one a channel over
    the whole image.
    """

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
        """Map (B, C, H, W) to the same shape."""
        fixed = (self.mean, self.variance, self.weight, self.bias)
        return functional.batch_norm(x, *fixed, training=False, eps=self.eps)


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
