"""Noise belongs to its pixel, and a sample to its seed.

Dropout by place: a window drops what the whole drops there.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from napari_pix2pix.data.box import Box
from napari_pix2pix.inference._stochastic import NoiseKind, PlacedDropout, dropping, noise_reader
from napari_pix2pix.inference._turns import Turn
from napari_pix2pix.inference.options import sample_seed
from napari_pix2pix.inference.tiling import Tile

KINDS: list[NoiseKind] = ["image", "pixel"]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25)
@given(
    top=st.integers(0, 150), left=st.integers(0, 150), height=st.integers(1, 140),
    width=st.integers(1, 140), seed=st.integers(0, 2**64),
)  # fmt: skip
def test_a_window_is_cut_out_of_the_same_noise(kind, top, left, height, width, seed):
    read = noise_reader(kind, 2, seed)
    whole = read(slice(0, 290), slice(0, 290))
    window = read(slice(top, top + height), slice(left, left + width))
    assert window.dtype == np.float32
    np.testing.assert_array_equal(window, whole[:, top : top + height, left : left + width])


def test_an_image_has_one_number_a_plane_or_one_a_pixel():
    area = slice(0, 200), slice(0, 150)
    image = noise_reader("image", 64, 1)(*area)
    assert np.ptp(image, axis=(1, 2)).max() == 0
    assert len(np.unique(image[:, 0, 0])) == 64
    pixel = noise_reader("pixel", 3, 1)(*area)
    assert len(np.unique(pixel)) > 0.99 * pixel.size  # nor is a block the copy of another
    assert abs(pixel.mean()) < 0.02
    assert abs(pixel.std() - 1) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_give_other_noise(kind):
    area = slice(0, 5), slice(0, 5)
    first, again, other = (noise_reader(kind, 2, seed)(*area) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.intersect1d(first, other).size


@pytest.mark.parametrize("kind", KINDS)
def test_a_volume_has_noise_of_its_planes(kind):
    read = noise_reader(kind, 2, 3, 5)
    whole = read(slice(0, 100), slice(0, 90))
    assert whole.shape == (2, 5, 100, 90)
    np.testing.assert_array_equal(read(slice(50, 77), slice(3, 80)), whole[..., 50:77, 3:80])
    shallow = noise_reader(kind, 2, 3, 2)(slice(0, 100), slice(0, 90))
    np.testing.assert_array_equal(shallow, whole[:, :2])
    if kind == "pixel":
        assert len(np.unique(whole)) > 0.99 * whole.size  # nor is a plane the copy of another


def test_samples_have_seeds_of_their_own():
    seeds = [sample_seed(seed, number) for seed in range(20) for number in range(20)]
    assert len(set(seeds)) == len(seeds)
    assert [sample_seed(seed, 0) for seed in range(20)] == list(range(20))


def drop(box: Box, *, smaller: int = 4, seed: int = 0, probability: float = 0.25) -> Tensor:
    layer = PlacedDropout(probability, (seed, 0))
    layer.windows = [box]
    height, width = box.size
    return layer(torch.ones(1, 3, height // smaller, width // smaller))[0]


@settings(deadline=None, max_examples=25)
@given(
    top=st.integers(0, 30), left=st.integers(0, 30), height=st.integers(1, 30),
    width=st.integers(1, 30), smaller=st.sampled_from([1, 2, 8]),
)  # fmt: skip
def test_a_window_is_dropped_as_the_whole(top, left, height, width, smaller):
    whole = drop(Box(0, 60 * smaller, 0, 60 * smaller), smaller=smaller)
    box = Box(top * smaller, (top + height) * smaller, left * smaller, (left + width) * smaller)
    cut = whole[:, top : top + height, left : left + width]
    assert torch.equal(drop(box, smaller=smaller), cut)


@pytest.mark.parametrize("turn", [Turn(), Turn(transposed=True, rows_reversed=True)])
def test_planes_of_a_window_are_dropped_as_those_of_the_whole(turn):
    layer = PlacedDropout(0.25, (0, 0))
    layer.windows, layer.turn = [Box(0, 96, 0, 64)], turn

    def dropped(planes: slice) -> Tensor:
        layer.planes = planes
        depth = (planes.stop - planes.start) // 2
        ones = turn.turn(torch.ones(1, 3, depth, 24, 16))
        return turn.turn_back(layer(ones)[0])

    whole = dropped(slice(0, 20))
    assert torch.equal(dropped(slice(6, 14)), whole[:, 3:7])
    assert not torch.equal(whole[:, 3], whole[:, 4])


def test_the_mean_stays_and_a_share_is_dropped():
    dropped = drop(Box(0, 800, 0, 800))
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert not torch.equal(dropped[0], dropped[1])
    assert not torch.equal(dropped, drop(Box(0, 800, 0, 800), seed=1))


def test_layers_are_put_back_and_differ():
    network = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)).eval()
    before = list(network)
    x, box = torch.ones(1, 2, 64, 64), Box(0, 64, 0, 64)
    with dropping(network, 0) as dropouts:
        dropouts.place([Tile(box, box)], Turn())
        both, first = network(x), network[0](x)
        assert not torch.equal(both, 2 * first)  # the second drops others than the first
    assert list(network) == before
    with dropping(network, None) as dropouts:
        dropouts.place([Tile(box, box)], Turn())
        assert torch.equal(network(x), x)
