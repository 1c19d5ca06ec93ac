"""Spans of input that layers need, against what gradients say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_pix2pix.core._layers import ResizeConvolution, needed_span

LAYERS = {
    "convolution": lambda: nn.Conv2d(1, 1, 4, stride=2, padding=1),
    "wide convolution": lambda: nn.Conv2d(1, 1, 7),
    "transposed 4x4": lambda: nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1),
    "transposed 3x3": lambda: nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1),
    "resize": lambda: ResizeConvolution(1, 1),
    "chain": lambda: nn.Sequential(
        nn.Conv2d(1, 1, 4, stride=2, padding=1), nn.Identity(), ResizeConvolution(1, 1)
    ),
}


@pytest.mark.parametrize("name", LAYERS)
@settings(deadline=None, max_examples=25)
@given(first=st.integers(12, 20), length=st.integers(0, 5))
def test_span_is_where_the_gradient_is(name: str, first: int, length: int) -> None:
    layer = LAYERS[name]()
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    image = torch.zeros(1, 1, 64, 64, requires_grad=True)
    last = first + length
    layer(image)[0, 0, first : last + 1, first : last + 1].sum().backward()
    seen = image.grad[0, 0].sum(0).nonzero().flatten()
    assert needed_span(layer, (first, last)) == (seen[0].item(), seen[-1].item())


def test_reflection_shifts_the_span() -> None:
    chain = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(1, 1, 3))
    assert needed_span(chain, (5, 6)) == (4, 7)


def test_resize_repeats_then_convolves() -> None:
    torch.manual_seed(0)
    layer = ResizeConvolution(2, 3)
    image = torch.randn(2, 2, 4, 5)
    doubled = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = nn.functional.conv2d(doubled, layer.weight, layer.bias, padding=1)
    found = layer(image)
    assert torch.allclose(found, expected, atol=1e-6)
    slopes = [torch.autograd.grad(out.square().sum(), layer.weight) for out in (found, expected)]
    assert torch.allclose(*slopes[0], *slopes[1], rtol=1e-4)
