"""Input spans of layers, against what gradients say; first weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_pix2pix.core.discriminators import make_discriminator
from napari_pix2pix.core.generators import make_generator
from napari_pix2pix.core.layers import (
    IMAGE,
    Dropout,
    FixedNorm,
    drawing_from,
    initialise_,
    input_span,
    needs_bias,
    norm_layer,
    resize_convolution,
)

LAYERS = {
    "convolution": lambda: nn.Conv2d(1, 1, 4, stride=2, padding=1),
    "wide convolution": lambda: nn.Conv2d(1, 1, 7),
    "transposed 4x4": lambda: nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1),
    "transposed 3x3": lambda: nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1),
    "resize": lambda: resize_convolution(IMAGE, 1, 1),
    "reflection": lambda: nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(1, 1, 3)),
    "chain": lambda: nn.Sequential(
        nn.Conv2d(1, 1, 4, stride=2, padding=1), nn.Identity(), resize_convolution(IMAGE, 1, 1)
    ),
}


@pytest.mark.parametrize("name", LAYERS)
@settings(deadline=None, max_examples=25)
@given(first=st.integers(12, 20), length=st.integers(0, 5))
def test_span_is_where_the_gradient_is(name, first, length):
    layer = LAYERS[name]()
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    image = torch.zeros(1, 1, 64, 64, requires_grad=True)
    last = first + length
    layer(image)[0, 0, first : last + 1, first : last + 1].sum().backward()
    seen = image.grad[0, 0].sum(0).nonzero().flatten()
    assert input_span(layer, (first, last)) == (seen[0].item(), seen[-1].item())


def test_resize_repeats_then_convolves():
    torch.manual_seed(0)
    layer = resize_convolution(IMAGE, 2, 3)
    image = torch.randn(2, 2, 4, 5)
    doubled = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = nn.functional.conv2d(doubled, layer.weight, layer.bias, padding=1)
    found = layer(image)
    assert torch.allclose(found, expected, atol=1e-6)
    slopes = [torch.autograd.grad(out.square().sum(), layer.weight) for out in (found, expected)]
    assert torch.allclose(*slopes[0], *slopes[1], rtol=1e-4)


def test_dropout_from_a_generator_is_pytorchs_to_the_bit_and_leaves_that_alone():
    network = Dropout(0.3)
    x = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)
    torch.manual_seed(5)
    expected = network(x)
    torch.manual_seed(6)
    with drawing_from(network, torch.Generator().manual_seed(5)):
        assert torch.equal(network(x), expected)
        assert torch.equal(network.eval()(x), x)
    assert network.rng is None
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(6)))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("std", [0.02, 0.1])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_distributions(std, norm):
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


def test_seed_decides_and_the_global_state_stays():
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


def test_without_a_generator_the_global_seed_decides():
    first, second = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3)
    for network in (first, second):
        torch.manual_seed(5)
        initialise_(network)
    assert torch.equal(first.weight, second.weight)


def test_spectral_norm_is_settled_for_the_new_weights():
    network = make_discriminator(2, layers=2, width=8, spectral_norm=True).eval()
    initialise_(network, rng=seeded())
    assert not any(module.training for module in network.modules())
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            largest = torch.linalg.matrix_norm(module.weight.detach().flatten(1), ord=2)
            assert largest.item() == pytest.approx(1, abs=0.1)


# --- normalisation layers by name -----------------------------------------------------------------


def test_names():
    batch, instance = norm_layer("batch", 4), norm_layer("instance", 4)
    assert isinstance(batch, nn.BatchNorm2d)
    assert set(batch.state_dict()) >= {"weight", "bias", "running_mean", "running_var"}
    assert isinstance(instance, nn.InstanceNorm2d)
    assert not instance.state_dict()
    assert isinstance(norm_layer("none", 4), nn.Identity)


@given(st.integers(1, 600))
def test_groups_divide_the_channels(channels):
    groups = norm_layer("group", channels).num_groups
    assert channels % groups == 0
    assert 1 <= groups <= 32
    assert groups < channels or channels == 1


def test_group_norm_normalises_each_group():
    images = 3 + 5 * torch.randn(2, 64, 8, 8, generator=torch.Generator().manual_seed(0))
    grouped = norm_layer("group", 64)(images).reshape(2, 32, -1)
    assert torch.allclose(grouped.mean(2), torch.zeros(2, 32), atol=1e-5)
    assert torch.allclose(grouped.std(2, correction=0), torch.ones(2, 32), atol=1e-3)


def test_bias_stands_where_the_norm_brings_none():
    norms = ("batch", "instance", "group", "none")
    assert [name for name in norms if needs_bias(name)] == ["instance", "none"]


def test_unknown_name_is_refused_in_words():
    with pytest.raises(ValueError, match="norm 'layer' is not known; choose one of 'batch', 'inst"):
        norm_layer("layer", 4)


@pytest.mark.parametrize("name", ["batch", "instance", "group"])
def test_fixed_norm_is_the_norm_with_the_statistics_of_an_image(name):
    image = 3 + 5 * torch.randn(1, 12, 9, 7, generator=torch.Generator().manual_seed(0))
    image *= torch.arange(1, 13).reshape(1, 12, 1, 1)  # channels of a group differ
    norm = norm_layer(name, 12)
    for parameter in norm.parameters():
        torch.nn.init.uniform_(parameter)
    variance, mean = torch.var_mean(image, (0, 2, 3), correction=0)
    fixed = FixedNorm(norm, mean, variance)
    assert torch.allclose(fixed(image), norm(image), atol=1e-5)
    assert torch.allclose(fixed(image[..., :2]), norm(image)[..., :2], atol=1e-5)
