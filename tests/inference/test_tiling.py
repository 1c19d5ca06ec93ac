import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.data.box import Box
from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.inference.tiling import Tile, TileGrid, reflected


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    return TileGrid(
        draw(st.integers(1, 150)),
        draw(st.integers(1, 150)),
        stride=draw(st.sampled_from([1, 2, 4, 8, 32])),
        halo=draw(st.integers(0, 40)),
        tile=draw(st.integers(0, 80)),
        least=draw(st.sampled_from([0, 8, 50])),
    )


def count_kept(grid: TileGrid, tiles: list[Tile]) -> np.ndarray:
    counts = np.zeros((grid.height, grid.width), int)
    for tile in tiles:
        counts[tile.kept.rows, tile.kept.columns] += 1
    return counts


def assert_exact(grid: TileGrid, tiles: list[Tile]) -> None:
    for tile in tiles:
        (top, bottom, left, right), kept = tile.window, tile.kept
        assert all(np.less_equal(tile.window.size, grid.window))
        assert all(size % grid.stride == 0 for size in tile.window.size)
        assert top % grid.stride == left % grid.stride == 0
        assert top >= 0
        assert left >= 0
        assert bottom <= grid.padded[0]
        assert right <= grid.padded[1]
        assert top == 0 or kept.top - top >= grid.halo
        assert left == 0 or kept.left - left >= grid.halo
        assert bottom == grid.padded[0] or bottom - kept.bottom >= grid.halo
        assert right == grid.padded[1] or right - kept.right >= grid.halo


@settings(deadline=None, max_examples=150)
@given(grid=grids())
def test_kept_parts_cover_each_pixel_once_and_see_their_halo(grid):
    tiles = grid.tiles()
    assert (count_kept(grid, tiles) == 1).all()
    assert_exact(grid, tiles)
    assert {tile.window.size for tile in tiles} == {grid.window}
    assert all(size % grid.stride == 0 for size in (*grid.padded, *grid.window))
    assert min(grid.padded) >= grid.least


@settings(deadline=None, max_examples=100)
@given(grid=grids(), data=st.data())
def test_a_tile_left_over_is_covered_by_smaller_ones(grid, data):
    left = data.draw(st.sampled_from(grid.tiles()))
    smaller = grid.smaller()
    if smaller is None:
        least = TileGrid(grid.height, grid.width, stride=grid.stride, halo=grid.halo,
                         tile=grid.stride, least=grid.least)  # fmt: skip
        # No smaller one is left that the network takes.
        assert least.window == grid.window or min(least.window) < grid.least
        return
    assert min(smaller.window) >= grid.least
    tiles = smaller.tiles(left.kept)
    assert np.prod(smaller.window) < np.prod(grid.window)
    covered = count_kept(grid, tiles)
    assert (covered[left.kept.rows, left.kept.columns] == 1).all()
    assert covered.sum() == covered[left.kept.rows, left.kept.columns].size
    assert_exact(smaller, tiles)


@settings(deadline=None, max_examples=150)
@given(grid=grids(), data=st.data())
def test_windows_of_a_region_lie_in_what_is_seen_of_it(grid, data):
    top = data.draw(st.integers(0, grid.height - 1))
    left = data.draw(st.integers(0, grid.width - 1))
    bottom = data.draw(st.integers(top + 1, grid.height))
    right = data.draw(st.integers(left + 1, grid.width))
    region = grid.rounded(Box(top, bottom, left, right))
    seen, tiles = grid.seen(region), grid.tiles(region)
    assert_exact(grid, tiles)
    assert len({tile.window.size for tile in tiles}) == 1
    for tile in tiles:
        window = tile.window
        for first, last, size, low, high in (
            (window.top, window.bottom, grid.height, seen.top, seen.bottom),
            (window.left, window.right, grid.width, seen.left, seen.right),
        ):
            shown = reflected(first, last, size)
            assert low <= shown.min()
            assert shown.max() < high
    assert seen.top == 0 or seen.top >= region.top - grid.halo - grid.stride - grid.least


def test_tile_zero_is_one_window_of_the_padded_image():
    (tile,) = TileGrid(33, 100, stride=16, halo=32, tile=0).tiles()
    assert tile == Tile(window=Box(0, 48, 0, 112), kept=Box(0, 33, 0, 100))
    cut = Tile(window=Box(32, 96, 0, 64), kept=Box(48, 80, 0, 40))
    assert cut.crop == Box(16, 48, 0, 40)  # the kept part within its window


def test_bad_sizes_are_refused_in_words():
    with pytest.raises(InputError, match="0 pixels high and 5 wide"):
        TileGrid(0, 5, stride=4, halo=4)
    with pytest.raises(ConfigError, match="tile is -1"):
        TileGrid(5, 5, stride=4, halo=4, tile=-1)


def test_distance_between_boxes():
    box = Box(0, 10, 0, 10)
    assert box.distance(Box(5, 20, 5, 20))[0] == 0
    assert box.distance(Box(13, 20, 14, 20)) == (5, pytest.approx(np.hypot(11.5, 12)))
    assert box.pixels == 100


@given(
    region=st.tuples(
        st.integers(-5, 49), st.integers(1, 60), st.integers(-5, 39), st.integers(1, 60)
    )
)
def test_rounded_region_holds_the_region_and_can_be_cut(region):
    top, height, left, width = region
    asked = Box(top, top + height, left, left + width)
    grid = TileGrid(50, 40, stride=8, halo=8, tile=16)
    rounded = grid.rounded(asked)
    covered = np.zeros((50, 40), int)
    for tile in grid.tiles(rounded):
        covered[tile.kept.rows, tile.kept.columns] += 1
    assert covered.max() <= 1
    assert (
        covered[max(top, 0) : max(asked.bottom, 0), max(left, 0) : max(asked.right, 0)] == 1
    ).all()


def test_an_image_is_padded_and_cut_on_the_stride():
    grid = TileGrid(100, 70, stride=16, halo=16, tile=64)
    assert (grid.padded, grid.window) == ((112, 80), (96, 80))
    rows = [tile.kept.rows for tile in grid.tiles() if tile.kept.left == 0]
    assert rows == [slice(0, 64), slice(64, 100)]
    rounded = TileGrid(100, 100, stride=8, halo=3, tile=17)
    assert rounded.window == (24 + 2 * 8, 24 + 2 * 8)
