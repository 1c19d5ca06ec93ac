"""Input spans of layers, against what gradients say; first weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_pix2pix.core.discriminators import make_discriminator
from napari_pix2pix.core.generators import make_generator
from napari_pix2pix.core.layers import ResizeConvolution, initialise_, input_span

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
    assert input_span(layer, (first, last)) == (seen[0].item(), seen[-1].item())


def test_reflection_shifts_the_span() -> None:
    chain = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(1, 1, 3))
    assert input_span(chain, (5, 6)) == (4, 7)


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


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("std", [0.02, 0.1])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_distributions(std: float, norm: Any) -> None:
    network = make_generator("unet", 3, 3, depth=5, width=32, norm=norm)
    assert initialise_(network, std=std, rng=seeded()) is network
    of_norms = []
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            error = 5 / module.weight.numel() ** 0.5  # five standard errors
            assert abs(module.weight.mean().item()) < std * error
            assert module.weight.std().item() == pytest.approx(std, rel=error)
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            of_norms.append(module.weight.detach())
            assert not module.bias.any()
        if isinstance(getattr(module, "bias", None), nn.Parameter):
            assert not module.bias.any()
    weights = torch.cat(of_norms)
    assert weights.mean().item() == pytest.approx(1, abs=5 * std / weights.numel() ** 0.5)
    assert weights.std().item() == pytest.approx(std, rel=0.2)


def test_seed_decides_and_the_global_state_stays() -> None:
    before = torch.get_rng_state()
    with torch.device("meta"):
        empty = make_discriminator(2, width=4, spectral_norm=True)
    networks = [empty.to_empty(device="cpu"), make_discriminator(2, width=4, spectral_norm=True)]
    torch.set_rng_state(before)
    states = [initialise_(network, rng=seeded(3)).state_dict() for network in networks]
    weight = "model.5.parametrizations.weight.original"
    drawn = states[0][weight].clone()
    assert torch.equal(torch.get_rng_state(), before)
    for name, tensor in states[0].items():
        if "running" not in name and "num_batches" not in name:  # to_empty leaves those undefined
            assert torch.equal(tensor, states[1][name]), name
    other = initialise_(networks[0], rng=seeded(4)).state_dict()
    assert not torch.equal(other[weight], drawn)


def test_without_a_generator_the_global_seed_decides() -> None:
    first, second = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3)
    for network in (first, second):
        torch.manual_seed(5)
        initialise_(network)
    assert torch.equal(first.weight, second.weight)


def test_spectral_norm_is_settled_for_the_new_weights() -> None:
    network = make_discriminator(2, layers=2, width=8, spectral_norm=True).eval()
    initialise_(network, rng=seeded())
    assert not any(module.training for module in network.modules())
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            largest = torch.linalg.matrix_norm(module.weight.detach().flatten(1), ord=2)
            assert largest.item() == pytest.approx(1, abs=0.1)
