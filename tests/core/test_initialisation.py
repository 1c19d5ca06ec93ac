"""Weights that a network starts from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from napari_pix2pix.core.discriminators import make_discriminator
from napari_pix2pix.core.generators import make_generator
from napari_pix2pix.core.initialisation import initialise_


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
