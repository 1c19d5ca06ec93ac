"""Normalisation layers by name, and which convolutions keep their bias beside them."""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from napari_pix2pix.core import _checks

NormName = Literal["batch", "instance", "group", "none"]

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


def needs_bias(name: NormName) -> bool:
    """Tell whether convolutions beside this norm have a bias.

    Batch and group norm bring their own, so that one in the convolution would be a second.
    """
    return name in ("instance", "none")


def _groups(channels: int) -> int:
    # Groups of a single channel would be instance norm under another name.
    most = max(1, min(_MOST_GROUPS, channels // 2))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)
