"""Tiles put together: weights that sum to one, and parts that fit however they are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.translation.assembly import Assembly, tile_weights
from napari_pix2pix.translation.tiles import Box, TileGrid


@st.composite
def overlapping_grids(draw: st.DrawFn) -> TileGrid:
    stride = draw(st.sampled_from([1, 4, 16]))
    halo = stride * draw(st.integers(1, 3))
    return TileGrid(
        draw(st.integers(1, 120)),
        draw(st.integers(1, 120)),
        stride=stride,
        halo=halo,
        tile=draw(st.integers(1, 60)),
        ramp=draw(st.integers(1, halo)),
    )


def whole(grid: TileGrid) -> Box:
    return Box(0, grid.height, 0, grid.width)


@settings(deadline=None, max_examples=100)
@given(grid=overlapping_grids())
def test_weights_sum_to_one_and_windows_hold_what_is_kept(grid: TileGrid) -> None:
    total = np.zeros((grid.height, grid.width))
    for tile in Assembly(grid, [whole(grid)]).pending:
        weights = tile_weights(grid, tile)
        assert weights.min() >= 0
        total[tile.kept.rows, tile.kept.columns] += weights
        window, kept = tile.window, tile.kept
        assert window.top <= kept.top < kept.bottom <= window.bottom
        assert window.left <= kept.left < kept.right <= window.right
        assert (window.bottom - window.top, window.right - window.left) == grid.window
        assert window.top % grid.stride == window.left % grid.stride == 0
    np.testing.assert_allclose(total, 1, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(grid=overlapping_grids(), data=st.data())
def test_a_region_is_that_of_the_whole(grid: TileGrid, data: st.DataObject) -> None:
    """Each tile says another number, so that a tile or a weight out of place shows."""
    top = data.draw(st.integers(0, grid.height - 1))
    left = data.draw(st.integers(0, grid.width - 1))
    region = Box(
        top,
        data.draw(st.integers(top + 1, grid.height)),
        left,
        data.draw(st.integers(left + 1, grid.width)),
    )
    everything, counts = put_together(Assembly(grid, [whole(grid)]))
    assert (counts == 1).all()
    part, counts = put_together(Assembly(grid, [region]))
    assert counts.sum() == region.pixels
    here = (region.rows, region.columns)
    np.testing.assert_allclose(part[here], everything[here], rtol=1e-5)


def put_together(work: Assembly) -> tuple[np.ndarray, np.ndarray]:
    grid = work.grid
    image, counts = np.zeros((2, grid.height, grid.width))
    for tile in work.pending:
        said = 1 + tile.window.top + 3 * tile.window.left + tile.kept.top + 7 * tile.kept.left
        size = (1, tile.kept.bottom - tile.kept.top, tile.kept.right - tile.kept.left)
        for box, planes in work.add(tile, np.full(size, said, np.float32)):
            image[box.rows, box.columns] += planes[0]
            counts[box.rows, box.columns] += 1
    return image, counts


@pytest.mark.parametrize("ramp", [0, 6])
def test_what_is_not_finished_is_cut_in_another_way(ramp: int) -> None:
    grid = TileGrid(100, 90, stride=8, halo=8, tile=32, ramp=ramp)
    work = Assembly(grid, [whole(grid)])
    counts = np.zeros((100, 90), int)
    for _ in range(6):
        tile = work.pending.pop(0)
        add(work, tile, counts)
    smaller = grid.smaller()
    assert smaller is not None
    work = work.recut(smaller)
    for tile in work.pending:
        add(work, tile, counts)
    assert (counts == 1).all()


def add(work: Assembly, tile, counts: np.ndarray) -> None:
    size = (1, tile.kept.bottom - tile.kept.top, tile.kept.right - tile.kept.left)
    for box, planes in work.add(tile, np.ones(size, np.float32)):
        np.testing.assert_allclose(planes, 1, atol=1e-6)
        counts[box.rows, box.columns] += 1


def test_parts_in_view_come_first() -> None:
    grid = TileGrid(200, 200, stride=8, halo=8, tile=32, ramp=4)
    view = Box(150, 160, 150, 160)
    pending = Assembly(grid, [whole(grid)], first=view).pending
    assert pending[0].kept.distance(view)[0] == 0
    assert replace(grid, ramp=0).tiles() != pending
