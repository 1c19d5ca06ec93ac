"""Normalisation layers by name."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_pix2pix.core.layers import FixedNorm, NormName, needs_bias, norm_layer


def test_names() -> None:
    batch, instance = norm_layer("batch", 4), norm_layer("instance", 4)
    assert isinstance(batch, nn.BatchNorm2d)
    assert set(batch.state_dict()) >= {"weight", "bias", "running_mean", "running_var"}
    assert isinstance(instance, nn.InstanceNorm2d)
    assert not instance.state_dict()
    assert isinstance(norm_layer("none", 4), nn.Identity)


@given(st.integers(1, 600))
def test_groups_divide_the_channels(channels: int) -> None:
    groups = norm_layer("group", channels).num_groups
    assert channels % groups == 0
    assert 1 <= groups <= 32
    assert groups < channels or channels == 1


def test_group_norm_normalises_each_group() -> None:
    images = 3 + 5 * torch.randn(2, 64, 8, 8, generator=torch.Generator().manual_seed(0))
    grouped = norm_layer("group", 64)(images).reshape(2, 32, -1)
    assert torch.allclose(grouped.mean(2), torch.zeros(2, 32), atol=1e-5)
    assert torch.allclose(grouped.std(2, correction=0), torch.ones(2, 32), atol=1e-3)


def test_bias_stands_where_the_norm_brings_none() -> None:
    assert [needs_bias(name) for name in ("batch", "instance", "group", "none")] == [
        False,
        True,
        False,
        True,
    ]


def test_unknown_name_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="norm 'layer' is not known; choose one of 'batch', 'inst"):
        norm_layer("layer", 4)


@pytest.mark.parametrize("name", ["batch", "instance", "group"])
def test_fixed_norm_is_the_norm_with_the_statistics_of_an_image(name: NormName) -> None:
    image = 3 + 5 * torch.randn(1, 12, 9, 7, generator=torch.Generator().manual_seed(0))
    image *= torch.arange(1, 13).reshape(1, 12, 1, 1)  # channels of a group differ
    norm = norm_layer(name, 12)
    for parameter in norm.parameters():
        torch.nn.init.uniform_(parameter)
    variance, mean = torch.var_mean(image, (0, 2, 3), correction=0)
    fixed = FixedNorm(norm, mean, variance)
    assert torch.allclose(fixed(image), norm(image), atol=1e-5)
    assert torch.allclose(fixed(image[..., :2]), norm(image)[..., :2], atol=1e-5)
