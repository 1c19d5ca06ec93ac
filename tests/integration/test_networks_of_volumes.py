"""The networks and losses of volumes: the same classes, with one axis more."""

import itertools

import pytest
import torch
from torch import nn

from napari_pix2pix.core import (
    AUGMENTATION_DRAWS,
    UNet,
    align_target,
    augment,
    condition_planes,
    foreground_dice_loss,
    gradient_penalty,
    make_discriminator,
    make_generator,
    noise_planes,
    r1_penalty,
    reconstruction_loss,
    run_part,
    stack_planes,
)
from napari_pix2pix.core.layers import (
    VOLUME,
    WITHIN_PLANES,
    convolution,
    input_span,
    reflection,
    resize_convolution,
    upsample,
)
from napari_pix2pix.core.partial_forward import folded

LAYERS = {
    "convolution": lambda axes: convolution(axes, 1, 1, 4, stride=2, padding=1),
    "transposed 4x4": lambda axes: upsample(axes, "transpose", 1, 1, 4, True),
    "transposed 3x3": lambda axes: upsample(axes, "transpose", 1, 1, 3, True),
    "resize": lambda axes: resize_convolution(axes, 1, 1),
    "reflection": lambda axes: nn.Sequential(reflection(axes, 1), convolution(axes, 1, 1, 3)),
}


@pytest.mark.parametrize("axes", [VOLUME, WITHIN_PLANES])
@pytest.mark.parametrize("name", LAYERS)
def test_span_along_each_axis_is_where_the_gradient_is(name, axes):
    layer = LAYERS[name](axes)
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    volume = torch.zeros(1, 1, 16, 16, 16, requires_grad=True)
    layer(volume)[0, 0, 4:6, 5, 6:7].sum().backward()
    seen = volume.grad[0, 0].nonzero()
    spans = [(int(along.min()), int(along.max())) for along in seen.unbind(1)]
    wanted = zip([(4, 5), (5, 5), (6, 6)], (-3, -2, -1), strict=True)
    assert [input_span(layer, span, axis) for span, axis in wanted] == spans


@pytest.mark.parametrize("axes", [VOLUME, WITHIN_PLANES])
def test_resize_repeats_voxels_then_convolves(axes):
    torch.manual_seed(0)
    layer, volume = resize_convolution(axes, 2, 3), torch.randn(1, 2, 3, 4, 5)
    larger = volume.repeat_interleave(2, -1).repeat_interleave(2, -2)
    if axes == VOLUME:
        larger = larger.repeat_interleave(2, -3)
    expected = nn.functional.conv3d(larger, layer.weight, layer.bias, padding=layer.padding)
    assert torch.allclose(layer(volume), expected, atol=1e-5)


def generators():
    for levels, upsampling in itertools.product((0, 1, 3), ("transpose", "resize")):
        common = {"width": 4, "ndim": 3, "plane_levels": levels, "upsampling": upsampling}
        yield make_generator("unet", 1, 2, depth=3, **common)
        yield make_generator("resnet", 1, 2, blocks=1, norm="batch", **common)


@pytest.mark.parametrize("network", list(generators()), ids=lambda n: f"{n.name}-{n.strides}")
def test_part_of_a_volume_equals_that_of_the_whole(network):
    torch.manual_seed(1)
    size = [
        max(3 * s, least, 8) for s, least in zip(network.strides, network.least_sizes, strict=True)
    ]
    size = [-(-n // s) * s for n, s in zip(size, network.strides, strict=True)]
    network.eval()
    x = torch.randn(1, 1, *size)
    with torch.no_grad():
        whole = network(x)
        parts = [slice(n // 3, n // 3 + 3) for n in size]
        for other in (network, folded(network)):
            part = run_part(other, x, *parts)
            assert torch.allclose(part, whole[..., *parts], atol=1e-5)


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_halo_along_each_axis_makes_a_window_equal_the_whole(levels):
    torch.manual_seed(2)
    network = UNet(1, 1, depth=2, width=2, ndim=3, plane_levels=levels).eval()
    halos, strides = network.halos, network.strides
    size = [2 * h + 3 * s for h, s in zip(halos, strides, strict=True)]
    x = torch.randn(1, 1, *size)
    cut = [slice(s, n) for s, n in zip(strides, size, strict=True)]  # a corner on the grid
    kept = [slice(s + h, n) for s, h, n in zip(strides, halos, size, strict=True)]
    inner = [slice(h, None) for h in halos]
    with torch.no_grad():
        whole, window = network(x), network(x[..., *cut])
    assert torch.allclose(window[..., *inner], whole[..., *kept], atol=1e-5)


def test_levels_within_planes_keep_planes_apart():
    network = UNet(1, 1, depth=2, width=2, norm="none", ndim=3, plane_levels=2)
    assert network.strides == (1, 4, 4)
    assert network.halos[0] == 0
    volume = torch.randn(1, 1, 3, 8, 8)
    alone = torch.cat([network(plane) for plane in volume.split(1, dim=2)], dim=2)
    assert torch.allclose(network(volume), alone, atol=1e-6)


def test_volume_whose_size_does_not_fit_is_refused():
    network = UNet(1, 1, depth=3, width=2, ndim=3, plane_levels=1)
    with pytest.raises(ValueError, match="multiples of 4 x 8 x 8, not 6 x 8 x 8; pad the volume"):
        network(torch.zeros(1, 1, 6, 8, 8))
    with pytest.raises(ValueError, match="planes, height, width"):
        network(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="images have no planes"):
        UNet(1, 1, plane_levels=1)
    with pytest.raises(ValueError, match="ndim is 4"):
        UNet(1, 1, ndim=4)


@pytest.mark.parametrize(("levels", "scales"), [(0, 1), (1, 1), (2, 2), (5, 1)])
def test_discriminator_gives_logits_of_its_least_volume(levels, scales):
    network = make_discriminator(
        2, layers=2, width=2, norm="none", scales=scales, ndim=3, plane_levels=levels
    )
    logits = network(torch.zeros(1, 2, *network.least_sizes))
    last = logits if scales == 1 else logits[-1]
    assert last.shape == (1, 1, 1, 1, 1)
    assert network.least_sizes[0] == 2 ** max(0, 2 - levels)
    assert len(network.features(torch.zeros(1, 2, *network.least_sizes))[0]) == 4


def test_pixel_discriminator_gives_a_logit_a_voxel():
    network = make_discriminator(2, layers=0, width=2, ndim=3)
    assert network(torch.zeros(1, 2, 3, 4, 5)).shape == (1, 1, 3, 4, 5)


def test_losses_of_a_volume_are_those_of_its_planes():
    torch.manual_seed(3)
    made, true = torch.randn(2, 2, 3, 8, 8), torch.randn(2, 2, 3, 8, 8)
    valid = torch.rand(2, 1, 3, 8, 8) > 0.5
    flat = [t.transpose(1, 2).flatten(0, 1) for t in (made, true, valid)]  # (6, C, 8, 8)
    assert torch.allclose(
        reconstruction_loss("l1", made, true, valid), reconstruction_loss("l1", *flat)
    )
    ground, threshold = torch.tensor([-1.0, -0.9]), torch.tensor([0.1, 0.2])
    wide = [t.flatten(2, 3) for t in (made, true, valid)]  # (2, C, 24, 8)
    values = ground.view(2, 1, 1), threshold.view(2, 1, 1)
    found = foreground_dice_loss(made, true, *values, valid)
    assert torch.allclose(found, foreground_dice_loss(wide[0], wide[1], *values, wide[2]))


def test_penalties_of_a_volume_are_those_of_its_numbers():
    volume = torch.randn(2, 1, 3, 4, 4)
    weights = torch.randn(1, 3, 4, 4)
    alpha = torch.rand(2, 1, 1, 1, 1)

    def logits(x):
        return (x * weights).sum((1, 2, 3, 4)).view(-1, 1, 1, 1, 1)

    norm = weights.norm()
    assert torch.allclose(gradient_penalty(logits, volume, -volume, alpha), (norm - 1) ** 2)
    assert torch.allclose(r1_penalty(logits, volume), norm**2)


def test_planes_of_a_volume_are_augmented_alike():
    numbers = torch.rand(2, AUGMENTATION_DRAWS, generator=torch.Generator().manual_seed(0))
    image = torch.randn(2, 2, 16, 16)
    volume = image[:, :, None].expand(-1, -1, 3, -1, -1)
    kind = "colour+translation+cutout"
    moved = augment(kind, volume, numbers, 1)
    assert torch.allclose(moved, augment(kind, image, numbers, 1)[:, :, None].expand_as(moved))


def test_target_of_a_volume_is_moved_to_where_it_fits():
    torch.manual_seed(4)
    made = torch.randn(1, 1, 3, 12, 12)
    target, valid = align_target("l1", made, made.roll((1, -1), (-2, -1)), None, 2)
    inside = valid.bool().expand_as(made)
    assert inside.float().mean() > 0.7
    assert torch.equal(target[inside], made[inside])


def test_target_of_a_volume_is_moved_along_z_where_it_fits():
    torch.manual_seed(4)
    made = torch.nn.functional.avg_pool3d(torch.randn(2, 1, 12, 16, 16), (3, 1, 1), 1)
    given = torch.stack([made[0].roll((2, 1), (-3, -1)), made[1].roll(-1, -3)])
    target, valid = align_target("l1", made, given, None, 1, 2)
    inside = valid.bool().expand_as(made)
    assert [int(part.sum()) for part in inside[:, 0]] == [8 * 16 * 15, 9 * 16 * 16]
    assert torch.equal(target[inside], made[inside])
    stays, _ = align_target("l1", made, given, None, 1)
    assert not torch.equal(stays[inside], made[inside])


def test_conditions_and_noise_are_spread_over_volumes():
    planes = condition_planes(torch.tensor([1]), 2, 3, 4, 5)
    noise = noise_planes(torch.tensor([[7.0]]), 3, 4, 5)
    stacked = stack_planes(planes, noise)
    assert stacked.shape == (1, 3, 3, 4, 5)
    assert [float(s.unique()) for s in stacked[0]] == [0, 1, 7]
