"""Discriminators: equal to the reference, receptive fields, scales, logits as an image."""

import pytest
import torch
from torch import Tensor, nn

from napari_pix2pix.core.discriminators import (
    DiscriminatorMap,
    MultiScaleDiscriminator,
    PatchDiscriminator,
    PixelDiscriminator,
    make_discriminator,
)


@pytest.mark.parametrize("index", range(4))
def test_golden(index, golden_values, check_golden):
    assert len(golden_values["discriminators"]) == 4  # all are checked
    entry = golden_values["discriminators"][index]
    layers = 0 if entry["net"] == "pixel" else entry["n_layers"]
    network = make_discriminator(
        entry["in"], layers=layers, width=entry["width"], norm=entry["norm"]
    )
    check_golden(network, entry)


@pytest.mark.parametrize(
    ("layers", "field", "side", "count"),
    [
        (0, 1, 256, 9_024),
        (1, 16, 126, 139_585),
        (2, 34, 62, 666_433),
        (3, 70, 30, 2_768_705),
        (4, 142, 14, 6_964_033),
        (5, 286, 6, 11_159_361),
    ],
)
def test_published_sizes(layers, field, side, count):
    with torch.device("meta"):
        network = make_discriminator(6, layers=layers)
        assert network(torch.zeros(1, 6, 256, 256)).shape == (1, 1, side, side)
    assert network.receptive_field == field
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize(
    ("layers", "scales", "field"),
    [
        *((0, 1, 1), (1, 1, 16), (2, 1, 34), (3, 1, 70), (4, 1, 142), (5, 1, 286)),
        *((0, 2, 2), (1, 2, 32), (2, 2, 68), (3, 2, 140)),
    ],
)
def test_receptive_field_is_what_a_logit_sees(layers, scales, field):
    network = make_discriminator(1, layers=layers, width=1, norm="none", scales=scales)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    side = 320 if field < 100 else 640  # so that the middle logit sees no edge
    image = torch.ones(1, 1, side, side, requires_grad=True)
    logits = network(image)
    coarsest = logits[-1] if isinstance(logits, tuple) else logits
    middle = coarsest.shape[-1] // 2
    coarsest[0, 0, middle, middle].backward()
    seen = image.grad[0, 0].sum(0).nonzero().flatten()
    assert seen[-1] - seen[0] + 1 == field
    assert network.receptive_field == field
    assert 0 < seen[0] < seen[-1] < side - 1 or field == 1


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
def test_bias_follows_the_norm(layers, norm):
    network = make_discriminator(2, layers=layers, width=4, norm=norm)
    biases = [m.bias is not None for m in network.modules() if isinstance(m, nn.Conv2d)]
    inner = norm in ("instance", "none")
    assert biases[0]
    assert set(biases[1:-1]) == {inner}
    assert biases[-1] == (inner if layers == 0 else True)


@pytest.mark.parametrize("layers", [0, 2])
def test_no_bias_at_all(layers):
    network = make_discriminator(2, layers=layers, width=4, norm="instance", bias=False)
    assert all(m.bias is None for m in network.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("layers", [0, 2])
def test_spectral_norm_bounds_every_weight(layers):
    torch.manual_seed(0)
    network = make_discriminator(2, layers=layers, width=4, spectral_norm=True)
    image = torch.randn(1, 2, 32, 32)
    for _ in range(30):
        network(image)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            largest = torch.linalg.matrix_norm(module.weight.detach().flatten(1), ord=2)
            assert largest.item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("layers", "scales"), [(0, 1), (2, 1), (1, 2)])
def test_features_are_the_way_to_the_logits(layers, scales):
    network = make_discriminator(2, layers=layers, width=3, norm="instance", scales=scales)
    image = torch.randn(2, 2, 32, 32)
    logits = network(image)
    features = network.features(image)
    assert len(features) == scales
    for got, found in zip(logits if scales > 1 else [logits], features, strict=True):
        assert torch.equal(found[-1], got)
        widths = [3 * min(2**n, 8) for n in range(layers + 1)] if layers else [3, 6]
        assert [one.shape[1] for one in found] == [*widths, 1]
    # What comes out of a LeakyReLU, not of the convolution before it.
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    assert torch.allclose(features[0][0], nn.functional.leaky_relu(first(image), 0.2))


def test_features_of_other_sizes_are_refused_in_words():
    for scales in (1, 2):
        network = make_discriminator(2, layers=2, width=2, scales=scales)
        with pytest.raises(ValueError, match="takes images of at least"):
            network.features(torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="takes 2 channels, not 3"):
        make_discriminator(2, layers=0).features(torch.zeros(1, 3, 8, 8))


def test_each_scale_sees_the_pooled_image():
    network = make_discriminator(2, layers=1, width=2, norm="none", scales=3)
    assert isinstance(network, MultiScaleDiscriminator)
    image = torch.randn(2, 2, 64, 48)
    logits = network(image)
    assert len(logits) == 3
    halves = image.reshape(2, 2, 32, 2, 24, 2).mean((3, 5))
    assert torch.allclose(logits[1], network.scales[1](halves), atol=1e-6)
    assert logits[2].shape == (2, 1, 6, 4)
    weights = [discriminator.model[0].weight for discriminator in network.scales]
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("scales", [1, 2])
def test_least_size_gives_one_logit_and_less_is_refused(layers, scales):
    network = make_discriminator(1, layers=layers, width=2, scales=scales)
    least = network.least_size
    logits = network(torch.randn(2, 1, least, least))
    coarsest = logits[-1] if isinstance(logits, tuple) else logits
    assert coarsest.shape == (2, 1, 1, 1)
    with pytest.raises(ValueError, match=rf"at least {least} x {least} pixels, not {least - 1} x"):
        network(torch.randn(2, 1, least - 1, least))


@pytest.mark.parametrize("make", [PatchDiscriminator, PixelDiscriminator])
def test_other_channels_are_refused_in_words(make):
    with pytest.raises(ValueError, match="takes 6 channels, not 3"):
        make(6, width=2)(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layers": -1}, "layers is -1; give an integer of at least 0"),
        ({"scales": 0}, "scales is 0"),
        ({"width": 0}, "width is 0"),
        ({"norm": "layer"}, "norm 'layer' is not known"),
    ],
)
def test_unusable_arguments_are_refused_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        make_discriminator(2, **arguments)


def make_map(**fields) -> DiscriminatorMap:
    torch.manual_seed(0)
    return DiscriminatorMap(make_discriminator(1, width=2, norm="none", **fields)).eval().double()


def pixels_seen(network: DiscriminatorMap, row: int, column: int, size: int) -> Tensor:
    """Return which pixels change the map at one pixel."""
    x = torch.rand(1, 1, size, size, dtype=torch.double, requires_grad=True)
    network(x)[0, 0, row, column].backward()
    return x.grad[0, 0] != 0


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_a_pixel_shows_the_patch_that_it_is_in_the_middle_of(layers):
    network = make_map(layers=layers)
    stride, field = network.stride, network.discriminator.receptive_field
    assert stride == 2**layers
    size = 3 * network.stride * (-(-field // network.stride))
    first = (size // 2) // stride * stride
    rows = pixels_seen(network, first + stride - 1, first, size).any(1).nonzero().flatten()
    columns = pixels_seen(network, first, first, size).any(0).nonzero().flatten()
    for seen in (rows, columns):
        low, high = int(seen[0]), int(seen[-1])
        assert high - low + 1 == field
        assert first - low == high - (first + stride - 1)  # as many pixels on both sides
        assert first - low <= network.halo < first - low + stride + 1


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_voxel_shows_the_planes_that_it_is_in_the_middle_of(levels):
    network = make_map(layers=2, ndim=3, plane_levels=levels)
    assert network.strides == (2 ** (2 - levels), 4, 4)
    x = torch.rand(1, 1, 40, 48, 48, dtype=torch.double, requires_grad=True)
    first, step = 20, network.strides[0]
    network(x)[0, 0, first, 24, 24].backward()
    seen = (x.grad[0, 0] != 0).any(2).any(1).nonzero().flatten()
    low, high = int(seen[0]), int(seen[-1])
    assert first - low == high - (first + step - 1)  # as many planes on both sides
    assert first - low <= network.halos[0] < first - low + step + 1


@pytest.mark.parametrize(("layers", "scales"), [(0, 1), (1, 1), (3, 1), (1, 3)])
def test_the_border_shows_its_neighbour(layers, scales):
    network = make_map(layers=layers, scales=scales)
    size = max(network.least_size, 2 * network.stride)
    out = network(torch.rand(2, 1, size, size + network.stride, dtype=torch.double))
    assert out.shape == (2, 1, size, size + network.stride)
    if layers and scales == 1:
        step = network.stride
        assert torch.equal(out[..., :step, :], out[..., step : 2 * step, :])
        assert torch.equal(out[..., -step:], out[..., -2 * step : -step])


def test_of_several_scales_it_is_the_mean():
    network = make_map(layers=1, scales=2)
    x = torch.rand(1, 1, 32, 32, dtype=torch.double)
    full, half = network.discriminator(x)
    cell = network(x)[0, 0, 8:10, 8:10]  # square 4 of the full size: logit 3; of the half: 2, so 1
    assert torch.allclose(cell, (full[0, 0, 3, 3] + half[0, 0, 1, 1]) / 2)
    assert (network.stride, network.least_size) == (4, 12)
