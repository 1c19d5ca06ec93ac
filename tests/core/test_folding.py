"""Batch norms folded into convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.core.partial_forward import folded


def shaken(network: nn.Module) -> nn.Module:
    """Give batch norms statistics that matter."""
    torch.manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network.eval()


@pytest.mark.parametrize("upsampling", ["transpose", "resize"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["unet", "encoder_decoder", "resnet"])
def test_same_output_with_fewer_norms(kind: str, upsampling: str, bias: bool) -> None:
    more = {"width": 8, "upsampling": upsampling, "bias": bias}
    network = (
        ResNet(2, 3, blocks=2, norm="batch", **more)
        if kind == "resnet"
        else UNet(2, 3, depth=3, skips=kind == "unet", **more)
    )
    shaken(network)
    quick = folded(network)
    norms = [sum(isinstance(m, nn.BatchNorm2d) for m in n.modules()) for n in (network, quick)]
    assert norms[0] > 0
    assert norms[1] == 0
    x = torch.randn(2, 2, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(quick(x), network(x), atol=2e-6, rtol=0)


def test_the_copy_is_kept_until_the_weights_change() -> None:
    network = shaken(UNet(1, 1, depth=2, width=8))
    first = folded(network)
    assert folded(network) is first
    with torch.no_grad():
        next(network.parameters()).mul_(2)
    assert folded(network) is not first
    x = torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(folded(network)(x), network(x), atol=2e-6, rtol=0)


@pytest.mark.parametrize("norm", ["none", "instance", "group"])
def test_nothing_to_fold_is_no_copy(norm: str) -> None:
    network = UNet(1, 1, depth=2, width=8, norm=norm)  # type: ignore[arg-type]
    assert folded(network) is network


def test_a_network_made_in_inference_mode() -> None:
    with torch.inference_mode():
        network = shaken(UNet(1, 1, depth=2, width=8))
        x = torch.randn(1, 1, 8, 8)
        torch.testing.assert_close(folded(network)(x), network(x), atol=2e-6, rtol=0)
        next(network.parameters()).mul_(2)
        torch.testing.assert_close(folded(network)(x), network(x), atol=2e-6, rtol=0)
