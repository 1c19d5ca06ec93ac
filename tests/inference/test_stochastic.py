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
