"""Discriminators of the PyTorch reference implementation: which network a file is of, if of any."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from napari_pix2pix.core import make_generator
from napari_pix2pix.errors import FileError
from napari_pix2pix.io.pytorch_networks import (
    ReferenceDiscriminator,
    discriminator_path,
    read_discriminator,
    write_network,
)

PATCH = ReferenceDiscriminator(2, 2, "batch")


def weights_of(network: ReferenceDiscriminator) -> dict[str, Tensor]:
    """Make random weights with the reference's names."""
    rng = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=rng) if not name.endswith("tracked") else torch.tensor(7)
        for name, shape in network.shapes().items()
    }


networks = st.builds(
    ReferenceDiscriminator,
    st.integers(1, 7),
    st.integers(1, 3),
    st.sampled_from(["batch", "instance", "none"]),
    st.integers(0, 6),
)


@settings(deadline=None, max_examples=25)
@given(network=networks)
def test_network_follows_from_names_and_shapes(
    network: ReferenceDiscriminator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, made = tmp_path_factory.mktemp("discriminator"), weights_of(network)
    torch.save(OrderedDict(made), folder / "latest_net_D.pth")
    found, weights = read_discriminator(folder / "latest_net_D.pth")
    assert found == network
    network.build().load_state_dict(weights)  # strict: all names, all shapes
    write_network(folder / "again.pth", found, weights)
    again = torch.load(folder / "again.pth", weights_only=True)
    assert list(again) == list(made)
    assert all(torch.equal(again[name], made[name]) for name in made)


@pytest.mark.parametrize("index", range(4))
def test_names_and_order_are_the_golden_ones(index: int, golden_values: dict[str, Any]) -> None:
    entry = golden_values["discriminators"][index]
    layers = 0 if entry["net"] == "pixel" else entry["n_layers"]
    network = ReferenceDiscriminator(entry["in"], entry["width"], entry["norm"], layers)
    expected = [(name, tuple(shape)) for name, shape in entry["state_dict"].items()]
    assert list(network.shapes().items()) == expected


def test_old_instance_norm_and_several_gpus(tmp_path: Path) -> None:
    network = ReferenceDiscriminator(2, 2, "instance", 2)
    weights = weights_of(network)
    old = {**weights, "model.3.running_mean": torch.zeros(4), "model.3.running_var": torch.ones(4)}
    torch.save({f"module.{name}": value for name, value in old.items()}, tmp_path / "D.pth")
    found, read = read_discriminator(tmp_path / "D.pth")
    assert found == network
    assert all(torch.equal(read[name], weights[name]) for name in weights)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (nn.Conv2d(1, 1, 4).state_dict(), "holds no discriminator of pix2pix: found weight, bias"),
        (make_generator("unet", 1, 1, depth=5, width=1).state_dict(), "holds no discriminator"),
        (make_generator("resnet", 1, 1, blocks=1, width=1).state_dict(), "holds no discriminator"),
        (
            {k: v for k, v in weights_of(PATCH).items() if "3.w" not in k},
            "model.3.weight, model.3.running_mean, ... expected",
        ),
        ({**weights_of(PATCH), "more": torch.zeros(1)}, "more found and not expected"),
        (
            {**weights_of(PATCH), "model.5.weight": torch.zeros(2, 4, 4, 4)},
            r"another network: model\.5\.weight of shape \(2, 4, 4, 4\) found, \(8, 4, 4, 4\)",
        ),
    ],
)
def test_other_networks_are_refused(weights: dict[str, Tensor], words: str, tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "latest_net_D.pth")
    with pytest.raises(FileError, match=words):
        read_discriminator(tmp_path / "latest_net_D.pth")


@pytest.mark.parametrize(
    ("generator", "discriminator"),
    [
        ("latest_net_G.pth", "latest_net_D.pth"),
        ("200_net_G.pt", "200_net_D.pt"),
        ("latest_net_G_A.pth", "latest_net_D_A.pth"),
        ("mine.pth", None),
    ],
)
def test_names_beside_each_other(generator: str, discriminator: str | None) -> None:
    found = discriminator_path(Path("facades") / generator)
    assert found == (None if discriminator is None else Path("facades") / discriminator)
