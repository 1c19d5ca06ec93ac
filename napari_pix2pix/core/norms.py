"""Normalisation layers by name, and which convolutions keep their bias beside them."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_pix2pix.core import _checks

NormName = Literal["batch", "instance", "group", "none"]
Norm = nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm

_MOST_GROUPS = 32  # Wu and He 2018 found 32 groups best


def norm_layer(name: NormName, channels: int) -> nn.Module:
    """Make a normalisation layer.

    Only ``"batch"`` (in eval mode) and ``"none"`` treat a pixel alike in every window around it;
    ``"instance"`` and ``"group"`` measure each image that they are given.

    Parameters
    ----------
    name : {"batch", "instance", "group", "none"}
        Batch norm with weight, bias and running statistics; instance norm without any; group norm
        with weight and bias; nothing.
    channels : int
        Channels of the tensors (B, C, H, W) that go through.

    Returns
    -------
    nn.Module
        A layer that keeps the shape. ``"none"`` gives an identity, so that the layers after it
        keep their number in a state dict.

    Raises
    ------
    ValueError
        If the name is not known.

    References
    ----------
    Ioffe and Szegedy 2015 (batch), Ulyanov et al. 2016 (instance), Wu and He 2018 (group).

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
        return nn.GroupNorm(_groups(channels), channels)
    return nn.Identity()


class FixedNorm(nn.Module):
    """A norm with statistics that were measured before, so that it treats all windows alike.

    Parameters
    ----------
    norm : nn.BatchNorm2d, nn.InstanceNorm2d or nn.GroupNorm
        Whose weight, bias and groups it has.
    mean, variance : Tensor
        (C,) of each channel, over all that the norm would have been given. A group's follow from
        those of its channels.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, norm: Norm, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        if isinstance(norm, nn.GroupNorm):
            mean, variance = _of_groups(norm.num_groups, mean, variance)
        self.register_buffer("mean", mean.to(torch.float32))
        self.register_buffer("variance", variance.to(torch.float32))
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same."""
        fixed = (self.mean, self.variance, self.weight, self.bias)
        return functional.batch_norm(x, *fixed, training=False, eps=self.eps)


def needs_bias(name: NormName) -> bool:
    """Tell whether convolutions beside this norm have a bias.

    Batch and group norm bring their own, so that one in the convolution would be a second.
    """
    return name in ("instance", "none")


def _groups(channels: int) -> int:
    # Groups of a single channel would be instance norm under another name.
    most = max(1, min(_MOST_GROUPS, channels // 2))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def _of_groups(groups: int, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return each channel's group's mean and variance; all channels have as many pixels."""
    means, variances = mean.reshape(groups, -1), variance.reshape(groups, -1)
    middle = means.mean(1, keepdim=True)
    spread = (variances + (means - middle).square()).mean(1, keepdim=True)
    return middle.expand_as(means).reshape(-1), spread.expand_as(means).reshape(-1)
