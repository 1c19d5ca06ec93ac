"""Neighbouring planes of areas, read together."""

import numpy as np
from helpers import gray_noise, noise

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.split import Area
from napari_pix2pix.data.volume_blocks import plane_runs, read_volume, sample_volumes


def pair_of(*shape, mask=None):
    source = noise(*shape)
    return open_pair(Pair(source, 1 - source, mask=mask))


def test_runs_end_where_volumes_and_areas_do():
    pair = pair_of(2, 5, 16, 24)
    box = Box.of_size(16, 24)
    assert plane_runs(pair, Area(0, box)) == [range(5), range(5, 10)]
    assert plane_runs(pair, Area(0, box, (1, 2, 4, 5, 6))) == [
        range(1, 3), range(4, 5), range(5, 7)]  # fmt: skip


def test_valid_voxels_are_those_of_the_planes():
    mask = np.ones((4, 16, 24), bool)
    mask[1, :, :3] = False
    pair = pair_of(4, 16, 24, mask=mask)
    source, target, valid = read_volume(pair, range(1, 3), slice(0, 8), slice(0, 8))
    assert source.shape == target.shape == (1, 2, 8, 8)
    np.testing.assert_array_equal(target, 1 - source)
    np.testing.assert_array_equal(valid[0], mask[1:3, :8, :8])
    plain = open_pair(Pair(gray_noise(4, 16, 24), gray_noise(4, 16, 24, seed=1)))
    assert read_volume(plain, range(2), slice(0, 8), slice(0, 8))[2] is None


def test_sample_covers_the_areas_once_and_is_the_same_again():
    pair = pair_of(10, 40, 24)
    areas = [Area(0, Box(0, 40, 0, 24))]
    fields = {"size": 20, "planes": 6, "seed": 3, "most": 100}
    blocks = sample_volumes([pair], areas, **fields)
    seen = np.zeros((10, 40, 24), int)
    for block in blocks:
        depth = block.target.shape[1]
        assert depth <= 6
        assert max(block.target.shape[2:]) <= 20
        seen[block.frame : block.frame + depth, block.rows, block.columns] += 1
    assert (seen == 1).all()
    few = sample_volumes([pair], areas, **(fields | {"count": 3}))
    assert [(b.frame, b.rows) for b in few] == [(b.frame, b.rows) for b in blocks[:3]]
