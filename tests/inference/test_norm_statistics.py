import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_pix2pix.core.layers import norm_layer
from napari_pix2pix.inference import norm_statistics
from napari_pix2pix.inference.norm_statistics import (
    Moments,
    fixed_norms,
    measure,
    norms_that_measure,
    replaced,
    sample_tiles,
    sample_windows,
)
from napari_pix2pix.inference.tiling import TileGrid

IMAGE = 3 + 5 * torch.randn(1, 8, 70, 90, generator=torch.Generator().manual_seed(0))


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_joined_moments_are_those_of_all_pixels(sizes, seed):
    rng = torch.Generator().manual_seed(seed)
    pieces = [100 * torch.rand(3, 1, generator=rng) + torch.randn(3, n, generator=rng)
              for n in sizes]  # fmt: skip
    joined = Moments.of(pieces[0])
    for piece in pieces[1:]:
        joined = joined.joined(Moments.of(piece))
    every = torch.cat(pieces, 1).double()
    assert joined.count == sum(sizes)
    torch.testing.assert_close(joined.mean, every.mean(1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(joined.variance, every.var(1, correction=0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["batch", "instance", "group"])
@pytest.mark.parametrize("batch", [1, 5, 12])
def test_tiles_of_one_norm_measure_what_the_whole_does(name, batch, monkeypatch):
    monkeypatch.setattr(norm_statistics, "_SIDE", 24)
    network = nn.Sequential(norm_layer(name, 8)).eval()
    norms = norms_that_measure(network, "per-image")
    assert list(norms) == ["0"]
    grid = TileGrid(70, 90, stride=1, halo=0)

    def run(tiles):
        network(torch.cat([IMAGE[:, :, one.window.rows, one.window.columns] for one in tiles]))
        return True

    tiles = sample_tiles(sample_windows(grid))
    assert len(tiles) == 12
    measured = measure(network, norms, run, tiles, batch)
    assert measured["0"].count == 70 * 90
    with replaced(network, fixed_norms(norms, measured)), torch.no_grad():
        fixed = network(IMAGE)
    assert isinstance(network[0], type(norms["0"]))  # it is put back
    with torch.no_grad():
        native = network.train()(IMAGE)
    torch.testing.assert_close(fixed, native, rtol=1e-4, atol=1e-5)


def test_a_large_image_is_sampled_and_always_in_the_same_way():
    grid = TileGrid(100_000, 80_000, stride=16, halo=32, tile=512)
    tiles = sample_tiles(sample_windows(grid))
    assert len(tiles) == len(set(tiles)) < 100
    assert tiles == sample_tiles(sample_windows(grid))
    covered = np.array([tile.kept for tile in tiles])
    assert covered[:, 0].min() < 20_000
    assert covered[:, 0].max() > 80_000


def test_running_out_of_memory_is_told():
    network = nn.Sequential(norm_layer("instance", 8))
    norms = norms_that_measure(network)
    tiles = TileGrid(70, 90, stride=1, halo=0).tiles()
    assert measure(network, norms, lambda _: False, tiles, 2) is None
    assert network[0] is norms["0"]
