"""Parts of a generator's output equal those of all of it, and no layer does more than it must."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from helpers import as_if_trained
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.core.partial_forward import folded, run_part

GENERATORS: dict[str, Callable[[], UNet | ResNet]] = {
    "unet": lambda: UNet(2, 3, depth=4, width=4),
    "folded": lambda: folded(UNet(2, 3, depth=3, width=4).eval()),
    "resize": lambda: UNet(2, 3, depth=3, width=4, upsampling="resize", norm="none"),
    "encoder_decoder": lambda: UNet(2, 3, depth=3, width=4, skips=False),
    "instance": lambda: UNet(2, 3, depth=3, width=4, norm="instance"),
    "group": lambda: ResNet(2, 3, blocks=2, width=4, norm="group"),
    "resnet": lambda: ResNet(2, 3, blocks=2, width=4, norm="batch", dropout=0.5),
    "resnet resize": lambda: ResNet(2, 3, blocks=1, width=4, norm="none", upsampling="resize"),
}


@cache
def generator(name: str) -> UNet | ResNet:
    """Make a network with statistics as if it had been trained."""
    torch.manual_seed(len(name))
    return as_if_trained(GENERATORS[name]().eval())


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("name", GENERATORS)
@settings(deadline=None, max_examples=25)
@given(data=st.data(), cells=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_a_part_is_that_part_of_the_whole(name, data, cells):
    network = generator(name)
    sizes = [16 * n for n in cells]
    starts = [data.draw(st.integers(0, n - 1)) for n in sizes]
    rows, columns = (
        slice(first, data.draw(st.integers(first + 1, n)))
        for first, n in zip(starts, sizes, strict=True)
    )
    x = noise(2, 2, *sizes).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        whole = network(x)[..., rows, columns]
        part = run_part(network, x, rows, columns)
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-5)


def test_weights_and_input_stay_as_they_were():
    network, x = generator("unet"), noise(1, 2, 64, 64)
    before, given = {k: v.clone() for k, v in network.state_dict().items()}, x.clone()
    with torch.inference_mode():
        run_part(network, x, slice(16, 32), slice(16, 32))
    assert torch.equal(x, given)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def pixels_computed(network: UNet | ResNet, size: int, kept: slice) -> dict[str, int]:
    """Count the output pixels of each layer that upsamples."""
    counted: dict[str, int] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _layer, _x, y, name=name: counted.update({name: y[0, 0].numel()})
        )
        for name, layer in network.named_modules()
        if isinstance(layer, nn.ConvTranspose2d)
    ]
    with torch.inference_mode():
        run_part(network, noise(1, 2, size, size), kept, kept)
    for hook in hooks:
        hook.remove()
    return counted


def test_a_decoder_computes_a_little_more_than_is_wanted():
    network = generator("unet")
    part = pixels_computed(network, 128, slice(32, 96))
    # Sides from the innermost level on: at each end at most two pixels more than are wanted.
    wanted = [64 // 2**level for level in (3, 2, 1, 0)]
    assert all(
        side**2 <= count <= (side + 4) ** 2
        for count, side in zip(part.values(), wanted, strict=True)
    )
    assert sum(part.values()) < 0.4 * sum(pixels_computed(network, 128, slice(0, 128)).values())


# --- batch norms folded into convolutions ---------------------------------------------------------


def shaken(network: nn.Module) -> nn.Module:
    """Give batch norms statistics that matter."""
    torch.manual_seed(0)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network.eval()


@pytest.mark.parametrize("upsampling", ["transpose", "resize"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["unet", "encoder_decoder", "resnet"])
def test_same_output_with_fewer_norms(kind, upsampling, bias):
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


def test_the_copy_is_kept_until_the_weights_change():
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
def test_nothing_to_fold_is_no_copy(norm):
    network = UNet(1, 1, depth=2, width=8, norm=norm)  # type: ignore[arg-type]
    assert folded(network) is network


def test_a_network_made_in_inference_mode():
    with torch.inference_mode():
        network = shaken(UNet(1, 1, depth=2, width=8))
        x = torch.randn(1, 1, 8, 8)
        torch.testing.assert_close(folded(network)(x), network(x), atol=2e-6, rtol=0)
        next(network.parameters()).mul_(2)
        torch.testing.assert_close(folded(network)(x), network(x), atol=2e-6, rtol=0)
