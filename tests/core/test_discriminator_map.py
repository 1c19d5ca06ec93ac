"""Logits on the pixels that they are about."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_pix2pix.core import VerdictMap, make_discriminator


def judge(**fields: object) -> VerdictMap:
    torch.manual_seed(0)
    return VerdictMap(make_discriminator(1, width=2, norm="none", **fields)).eval().double()


def seen_by(network: VerdictMap, row: int, column: int, size: int) -> Tensor:
    """Return where pixels change the verdict of one."""
    x = torch.rand(1, 1, size, size, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, row, column].backward()
    assert x.grad is not None
    return x.grad[0, 0] != 0


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_a_pixel_shows_the_patch_that_it_is_in_the_middle_of(layers: int) -> None:
    network = judge(layers=layers)
    stride, field = network.stride, network.discriminator.receptive_field
    assert stride == 2**layers
    size = 3 * network.stride * (-(-field // network.stride))
    first = (size // 2) // stride * stride
    rows = seen_by(network, first + stride - 1, first, size).any(1).nonzero().flatten()
    columns = seen_by(network, first, first, size).any(0).nonzero().flatten()
    for seen in (rows, columns):
        low, high = int(seen[0]), int(seen[-1])
        assert high - low + 1 == field
        assert first - low == high - (first + stride - 1)  # as many pixels on both sides
        assert first - low <= network.halo < first - low + stride + 1


@pytest.mark.parametrize(("layers", "scales"), [(0, 1), (1, 1), (3, 1), (1, 3)])
def test_the_border_shows_its_neighbour(layers: int, scales: int) -> None:
    network = judge(layers=layers, scales=scales)
    size = max(network.least_size, 2 * network.stride)
    out = network(torch.rand(2, 1, size, size + network.stride, dtype=torch.double))
    assert out.shape == (2, 1, size, size + network.stride)
    if layers and scales == 1:
        step = network.stride
        assert torch.equal(out[..., :step, :], out[..., step : 2 * step, :])
        assert torch.equal(out[..., -step:], out[..., -2 * step : -step])


def test_of_several_scales_it_is_the_mean() -> None:
    network = judge(layers=1, scales=2)
    x = torch.rand(1, 1, 32, 32, dtype=torch.double)
    full, half = network.discriminator(x)
    cell = network(x)[0, 0, 8:10, 8:10]  # square 4 of the full size: logit 3; of the half: 2, so 1
    assert torch.allclose(cell, (full[0, 0, 3, 3] + half[0, 0, 1, 1]) / 2)
    assert (network.stride, network.least_size) == (4, 12)
