from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.pairs.layouts import Layout
from napari_pix2pix.translation.tiles import Box
from napari_pix2pix.widgets.tile_store import TileKey, TileStore

LAYOUTS = {"gray": (Layout(), 1), "channels": (Layout(channel_axis=0), 2),
           "rgb": (Layout(channel_axis=-1, rgb=True), 3)}  # fmt: skip


def store_of(kind: str = "gray", **more) -> TileStore:
    layout, channels = LAYOUTS[kind]
    how = {"layout": layout, "channels": channels, "dtype": np.dtype("uint16"), "side": 256}
    return TileStore((2, 3), 1100, 700, **{**how, **more})


def values(store: TileStore, kind: str) -> np.ndarray:
    """Random, as many as there are pixels, (C, 2, 3, H, W)."""
    shape = (LAYOUTS[kind][1], 2, 3, *store.size)
    return np.random.default_rng(0).integers(1, 1000, shape).astype(np.uint16)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_levels_are_the_image_and_its_halves(kind):
    store = store_of(kind)
    whole = values(store, kind)
    for key in store.around(range(6), Box(0, 1100, 0, 700)):
        box, place = store.box(key), np.unravel_index(key.frame, (2, 3))
        store.put(key, whole[:, *place, box.rows, box.columns])
    assert len(store.levels) == 3
    for number, level in enumerate(store.levels):
        wanted = whole[..., :: 1 << number, :: 1 << number]
        wanted = {"gray": wanted[0], "channels": wanted, "rgb": np.moveaxis(wanted, 0, -1)}[kind]
        assert level.shape == wanted.shape
        np.testing.assert_array_equal(level, wanted)
        inner = (slice(1, 2), 2, slice(13, 260), slice(100, 170))
        inner = (slice(1, 2), *inner) if kind == "channels" else inner
        np.testing.assert_array_equal(level[inner], wanted[inner])


def test_what_is_not_there_is_0_and_the_oldest_makes_room():
    store = store_of(most_bytes=400_000)
    first, second, third = (TileKey(0, 0, column) for column in range(3))
    ones = np.ones((1, 256, 256), np.uint16)
    store.put(first, ones)
    assert store.levels[0][0, 0, :300, :300].sum() == 256**2
    store.put(second, 2 * ones)
    store.use([first])
    store.put(third, 3 * ones[..., :188])
    assert first in store
    assert second not in store
    assert third in store


def test_tiles_in_the_middle_of_the_view_come_first():
    store = store_of()
    keys = store.around([4], Box(200, 900, 0, 700))
    assert set(keys) == {TileKey(4, row, column) for row in range(4) for column in range(3)}
    assert keys[0] in (TileKey(4, 1, 1), TileKey(4, 2, 1))
    assert store.around([4], Box(5, 5, 0, 700)) == []
