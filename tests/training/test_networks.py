"""Networks as a config describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from napari_pix2pix.core import MultiScaleDiscriminator, PixelDiscriminator, ResNet, UNet
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.networks import build_discriminator, build_generator

Tiny = Callable[..., TrainConfig]


def count(network: nn.Module | None) -> int:
    assert network is not None
    return sum(parameter.numel() for parameter in network.parameters())


def test_reference_networks_have_the_published_sizes() -> None:
    config = TrainConfig(preset="reference")
    assert count(build_generator(config, planes_in=3, planes_out=3)) == 54_413_955
    discriminator = build_discriminator(config, planes_in=6)
    assert count(discriminator) == 2_768_705


def test_paper_networks_have_no_convolution_bias(tiny: Tiny) -> None:
    config = tiny(preset="paper", depth=3)
    networks = (
        build_generator(config, planes_in=1, planes_out=1),
        build_discriminator(config, planes_in=2),
    )
    for network in networks:
        assert network is not None
        convolutions = [
            m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]
        assert convolutions
        assert all(m.bias is None for m in convolutions)


@pytest.mark.parametrize("placement", ["paper", "reference"])
def test_dropout_reaches_the_generator(placement: str, tiny: Tiny) -> None:
    config = tiny(depth=7, patch=128, width=1, dropout=0.3, dropout_placement=placement)
    network = build_generator(config, planes_in=1, planes_out=1)
    rates = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.3] * (3 if placement == "paper" else 2)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"generator": "resnet", "blocks": 2}, ResNet),
        ({"generator": "unet"}, UNet),
        ({"generator": "encoder_decoder"}, UNet),
    ],
)
def test_generators_take_their_planes(fields: dict[str, Any], kind: type, tiny: Tiny) -> None:
    network = build_generator(tiny(**fields), planes_in=5, planes_out=2)
    assert isinstance(network, kind)
    assert network(torch.zeros(1, 5, 32, 32)).shape == (1, 2, 32, 32)


def test_encoder_decoder_has_no_skips(tiny: Tiny) -> None:
    sizes = [
        count(build_generator(tiny(generator=kind), planes_in=1, planes_out=1))
        for kind in ("encoder_decoder", "unet")
    ]
    assert sizes[0] < sizes[1]


def test_discriminator_takes_its_planes(tiny: Tiny) -> None:
    network = build_discriminator(tiny(), planes_in=6)
    assert network is not None
    assert network(torch.zeros(1, 6, 32, 32)).shape[:2] == (1, 1)


def test_discriminators_of_other_kinds(tiny: Tiny) -> None:
    pixel = build_discriminator(tiny(discriminator_layers=0), planes_in=2)
    assert isinstance(pixel, PixelDiscriminator)
    several = build_discriminator(tiny(discriminator_scales=2), planes_in=2)
    assert isinstance(several, MultiScaleDiscriminator)
    assert len(several(torch.zeros(1, 2, 32, 32))) == 2
    spectral = build_discriminator(tiny(spectral_norm=True), planes_in=2)
    assert spectral is not None
    assert any("parametrizations" in name for name, _ in spectral.named_parameters())


def test_no_adversarial_term_no_discriminator(tiny: Tiny) -> None:
    config = tiny(adversarial_weight=0)
    assert build_discriminator(config, planes_in=2) is None


def test_weights_derive_from_the_seed_alone(tiny: Tiny) -> None:
    def first(seed: int, noise: int) -> torch.Tensor:
        torch.manual_seed(noise)
        network = build_generator(tiny(seed=seed), planes_in=1, planes_out=1)
        return next(network.parameters())

    assert torch.equal(first(3, 0), first(3, 1))
    assert not torch.equal(first(3, 0), first(4, 0))


def test_building_leaves_torchs_random_state_alone_for_the_discriminator(tiny: Tiny) -> None:
    """The generator's depth does not change the discriminator's weights."""
    shallow, deep = (build_discriminator(tiny(depth=depth), planes_in=2) for depth in (2, 4))
    assert shallow is not None
    assert deep is not None
    assert torch.equal(next(shallow.parameters()), next(deep.parameters()))
