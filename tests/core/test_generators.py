"""Generators: equal to the reference, and exact in windows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_pix2pix.core.generators import ResNet, UNet, make_generator

UPSAMPLINGS = ["transpose", "resize"]


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def made_exact(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and running statistics in float64 that no rounding hides."""
    rng = torch.Generator().manual_seed(seed)
    network = network.double().eval()
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=rng, dtype=torch.float64)
            scale = tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 0.2
            tensor.copy_(1 + drawn.abs() if name.endswith("running_var") else scale * drawn)
    return network


def worst_of_window(network, halo: int, image: torch.Tensor, first: int, last: int) -> float:
    """Largest difference between a window's columns first..last and the whole image's."""
    with torch.no_grad():
        whole = network(image)[..., first:last]
        left, right = max(0, first - halo), min(image.shape[-1], last + halo)
        window = network(image[..., left:right])[..., first - left : last - left]
    return float((whole - window).abs().max())


@pytest.mark.parametrize("index", range(4))
def test_golden(index, golden_values, check_golden):
    assert len(golden_values["generators"]) == 4  # all are checked
    entry = golden_values["generators"][index]
    size = {"unet_256": {"depth": 8}, "unet_128": {"depth": 7}}.get(entry["net"])
    if size is None:
        size = {"blocks": int(entry["net"][7])}
    kind = "resnet" if entry["net"].startswith("resnet") else "unet"
    network = make_generator(
        kind,
        entry["in"],
        entry["out"],
        width=entry["width"],
        norm=entry["norm"],
        dropout=0.5 if entry["dropout"] else 0.0,
        **size,
    )
    check_golden(network, entry)


@pytest.mark.parametrize(
    ("kind", "arguments", "count"),
    [
        ("unet", {"depth": 8, "norm": "batch"}, 54_413_955),
        ("unet", {"depth": 7, "norm": "batch"}, 41_828_995),
        ("resnet", {"blocks": 9, "norm": "instance"}, 11_378_179),
        ("resnet", {"blocks": 6, "norm": "instance"}, 7_837_699),
        ("resnet", {"blocks": 9, "norm": "batch"}, 11_383_427),
        ("resnet", {"blocks": 6, "norm": "batch"}, 7_841_411),
    ],
)
def test_published_parameter_counts(kind, arguments, count):
    with torch.device("meta"):
        assert parameter_count(make_generator(kind, 3, 3, **arguments)) == count


def test_resnet_names_without_dropout():
    names = ResNet(1, 1, blocks=1, width=2, norm="batch").state_dict()
    layers = {name.split(".")[3] for name in names if "conv_block" in name}
    assert layers == {"1", "2", "5", "6"}


@pytest.mark.parametrize(
    ("depth", "placement", "count"),
    [
        (8, "reference", 3),
        (7, "reference", 2),
        (6, "reference", 1),
        (5, "reference", 0),
        (2, "reference", 0),
        (8, "paper", 3),
        (4, "paper", 3),
        (2, "paper", 1),
    ],
)
def test_dropout_count(depth, placement, count):
    network = UNet(1, 1, depth=depth, width=1, dropout=0.5, dropout_placement=placement)
    assert sum(isinstance(module, nn.Dropout) for module in network.modules()) == count


def test_dropout_levels():
    def levels(placement):
        network = UNet(1, 1, depth=8, width=1, dropout=0.5, dropout_placement=placement)
        names = (n for n, module in network.named_modules() if isinstance(module, nn.Dropout))
        return {name.count("model.") - 2 for name in names}  # the outermost is level 0

    assert levels("reference") == {4, 5, 6}
    assert levels("paper") == {5, 6, 7}


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize("kind", ["unet", "encoder_decoder", "resnet"])
def test_bias_follows_the_norm(kind, norm):
    network = make_generator(kind, 1, 1, depth=3, blocks=1, width=4, norm=norm)
    convolutions = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    last = network.model.model[3] if isinstance(network, UNet) else network.model[-2]
    assert last.bias is not None
    inner = {m.bias is not None for m in convolutions if m is not last}
    assert inner == {norm in ("instance", "none")}


@pytest.mark.parametrize("kind", ["unet", "resnet"])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_no_bias_at_all(kind, norm):
    network = make_generator(kind, 1, 1, depth=3, blocks=1, width=4, norm=norm, bias=False)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            assert module.bias is None


def test_encoder_decoder_has_no_way_around():
    # All decoders but the innermost see half the channels, and a dead bottleneck kills the image.
    network = made_exact(make_generator("encoder_decoder", 1, 1, depth=3, width=4))
    assert network.model.model[3].weight.shape[0] == 4
    innermost = network.model.model[1].model[3].model[1]
    nn.init.zeros_(innermost.weight)
    with torch.no_grad():
        one, other = network(torch.randn(2, 1, 16, 16, dtype=torch.float64))
    assert torch.equal(one, other)


def test_skip_goes_first():
    network = made_exact(UNet(1, 1, depth=2, width=3))
    decoder = network.model.model[3].weight  # transposed: (in, out, 4, 4)
    image = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        decoder[3:] = 0  # what came from below
        skip = network.model.model[0](image)
        last = nn.functional.conv_transpose2d(
            skip.relu(), decoder[:3], network.model.model[3].bias, stride=2, padding=1
        )
        assert torch.allclose(network(image), last.tanh(), atol=1e-12)


def test_linear_is_what_tanh_is_given():
    bounded, unbounded = (UNet(1, 2, depth=2, width=2, activation=a) for a in ("tanh", "linear"))
    unbounded.load_state_dict(bounded.state_dict())
    image = 5 * torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(bounded(image), unbounded(image).tanh())


@pytest.mark.parametrize("kind", ["unet", "resnet"])
def test_resize_leaves_no_checkerboard(kind):
    # Constant weights on a constant image: transposed 3x3 convolutions reach pixels unevenly.
    def spread(upsampling):
        network = make_generator(
            kind, 1, 1, depth=2, blocks=1, width=2, norm="none", upsampling=upsampling
        )
        for parameter in network.parameters():
            nn.init.constant_(parameter, 0.01)
        with torch.no_grad():
            inner = network(torch.ones(1, 1, 128, 128))[..., 48:-48, 48:-48]
        return float(inner.std() / inner.mean())

    assert spread("resize") < 1e-5
    if kind == "resnet":
        assert spread("transpose") > 1e-5


@pytest.mark.parametrize("kind", ["unet", "resnet"])
def test_resize_keeps_the_names(kind):
    one, other = (
        make_generator(kind, 1, 1, depth=3, blocks=1, width=2, upsampling=upsampling)
        for upsampling in ("transpose", "resize")
    )
    assert list(one.state_dict()) == list(other.state_dict())


@pytest.mark.parametrize("depth", [2, 3, 5, 8])
def test_unet_halo_is_two_strides(depth):
    network = UNet(1, 1, depth=depth, width=1)
    assert (network.stride, network.halo) == (2**depth, 2 * 2**depth)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("blocks", [1, 6, 9])
def test_resnet_halo_is_a_multiple_of_its_stride(blocks, upsampling):
    network = ResNet(1, 1, blocks=blocks, width=1, upsampling=upsampling)
    assert network.stride == 4
    assert network.halo % 4 == 0
    assert network.halo >= 8 * blocks


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize(("kind", "blocks"), [("unet", 0), ("encoder_decoder", 0), ("resnet", 2)])
def test_window_with_halo_is_exact(kind, blocks, upsampling):
    network = made_exact(
        make_generator(kind, 2, 1, depth=3, blocks=blocks or 1, width=3, upsampling=upsampling)
    )
    stride, halo = network.stride, network.halo
    rng = torch.Generator().manual_seed(1)
    columns = 2 * halo + 8 * stride
    image = torch.randn(1, 2, 2 * stride, columns, generator=rng, dtype=torch.float64)
    for cell in range(0, columns, stride):
        assert worst_of_window(network, halo, image, cell, cell + stride) < 1e-9
    if kind == "unet":
        first = halo + 3 * stride
        assert worst_of_window(network, halo - stride, image, first, first + stride) > 1e-9


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("kind", ["unet", "encoder_decoder", "resnet"])
def test_halo_is_the_least_multiple_of_the_stride(kind, upsampling):
    # Positive weights can't cancel, so the gradient shows all that a cell depends on.
    size = {"depth": 3, "blocks": 2, "width": 1}
    network = make_generator(
        kind, 1, 1, **size, norm="none", upsampling=upsampling, activation="linear"
    ).double()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.05)
    image = torch.ones(1, 1, 96, 96, dtype=torch.float64, requires_grad=True)
    cell = slice(48, 48 + network.stride)
    network(image)[..., cell, cell].sum().backward()
    seen = image.grad[0, 0].sum(0).nonzero().flatten()
    reach = int(max(cell.start - seen[0], seen[-1] + 1 - cell.stop))
    assert network.halo - network.stride < reach <= network.halo


def test_window_is_exact_along_both_axes_and_only_on_the_grid():
    network = made_exact(UNet(1, 1, depth=2, width=4))
    image = torch.randn(1, 1, 48, 48, dtype=torch.float64)
    with torch.no_grad():
        whole, window = network(image), network(image[..., 12:36, 8:32])
        off = network(image[..., 9:41])
    assert torch.allclose(whole[..., 20:28, 16:24], window[..., 8:16, 8:16], rtol=0, atol=1e-9)
    assert (whole[..., 21:25] - off[..., 12:16]).abs().max() > 1e-9


@settings(deadline=None, max_examples=15)
@given(
    kind=st.sampled_from(["unet", "encoder_decoder", "resnet"]),
    upsampling=st.sampled_from(UPSAMPLINGS),
    norm=st.sampled_from(["batch", "instance", "group", "none"]),
    depth=st.integers(2, 4),
    rows=st.integers(1, 3),
    columns=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_any_network_keeps_height_and_width_and_has_gradients(
    kind, upsampling, norm, depth, rows, columns, channels
):
    network = make_generator(
        kind, *channels, depth=depth, blocks=1, width=2, norm=norm, upsampling=upsampling
    )
    size = rows * network.least_size, columns * network.least_size
    output = network(torch.randn(1, channels[0], *size))
    assert output.shape == (1, channels[1], *size)
    output.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("network", "shape", "words"),
    [
        (UNet(2, 1, depth=3, width=2), (1, 2, 16, 20), r"multiples of 8, not 16 x 20; pad"),
        (UNet(2, 1, depth=3, width=2), (1, 3, 16, 16), r"takes 2 channels, not 3"),
        (UNet(2, 1, depth=3, width=2), (2, 16, 16), r"not of 3 axes"),
        (ResNet(1, 1, blocks=1, width=2), (1, 1, 4, 16), "at least 8 x 8 pixels, not 4 x 16"),
    ],
)
def test_unusable_input_is_refused_in_words(network, shape, words):
    with pytest.raises(ValueError, match=words):
        network(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "transformer"}, "generator 'transformer' is not known; choose one of 'unet'"),
        ({"depth": 1}, "depth is 1; give an integer of at least 2"),
        ({"kind": "resnet", "blocks": 0}, "blocks is 0"),
        ({"width": 0}, "width is 0"),
        ({"dropout": 1.0}, "dropout is 1.0; give a probability"),
        ({"norm": "layer"}, "norm 'layer' is not known"),
        ({"upsampling": "shuffle"}, "upsampling 'shuffle' is not known"),
        ({"activation": "relu"}, "activation 'relu' is not known"),
        ({"dropout_placement": "all"}, "dropout_placement 'all' is not known"),
        ({"in_channels": 0}, "in_channels is 0"),
    ],
)
def test_unusable_arguments_are_refused_in_words(arguments, words):
    usable = {"kind": "unet", "in_channels": 1, "out_channels": 1, "width": 2}
    with pytest.raises(ValueError, match=words):
        make_generator(**(usable | arguments))
