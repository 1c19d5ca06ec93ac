"""The planes of volumes are cut on a grid and a halo of their own."""

import pytest
import torch

from napari_pix2pix.core import UNet
from napari_pix2pix.inference.depth import depth_grid, planes_at_once, run_volume


@pytest.mark.parametrize("levels", [0, 1, 3])
@pytest.mark.parametrize("depth", [1, 5, 8, 37])
@pytest.mark.parametrize("tile", [None, 0, 1, 9])
def test_planes_in_windows_equal_all_at_once(levels, depth, tile):
    torch.manual_seed(0)
    network = UNet(1, 1, depth=2, width=2, ndim=3, plane_levels=levels).eval()
    x = torch.randn(2, 1, depth, 8, 12)
    rows, columns = slice(2, 7), slice(0, 12)
    with torch.inference_mode():
        whole = run_volume(network, x, rows, columns, 0)
        cut = run_volume(network, x, rows, columns, tile)
    assert whole.shape == (2, 1, depth, 5, 12)
    torch.testing.assert_close(cut, whole, atol=1e-5, rtol=0)


def test_window_of_deep_volumes_does_not_grow_with_them():
    network = UNet(1, 1, depth=3, width=2, ndim=3)
    counts = [planes_at_once(network, depth, None) for depth in (20, 200, 2000)]
    assert counts[0] == 24
    assert counts[1] == counts[2] == 4 * network.halos[0]
    assert planes_at_once(network, 200, 0) == 200
    assert planes_at_once(UNet(1, 1, depth=3, width=2), 200, None) == 1


def test_network_within_planes_needs_no_halo():
    network = UNet(1, 1, depth=2, width=2, ndim=3, plane_levels=2)
    assert depth_grid(network, 30, 4).window[0] == 4
