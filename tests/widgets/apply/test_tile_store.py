import threading

import numpy as np
import psutil
import pytest

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError
from napari_pix2pix.widgets.apply._tile_store import TileFile, TileKey, TileStore

LAYOUTS = {"gray": (Layout(), 1), "channels": (Layout(channel_axis=0), 2),
           "rgb": (Layout(channel_axis=-1, rgb=True), 3)}  # fmt: skip


# As napari reads to draw.
DRAW = eval("lambda array, *index: np.asarray(array[index] if index else array)",
            {"__name__": "napari.layers.some", "np": np})  # fmt: skip


def store_of(kind: str = "gray", frames=(2, 3), **more) -> tuple[TileStore, np.ndarray]:
    """A store of random values, and these: (C, *frames, H, W)."""
    layout, channels = LAYOUTS[kind]
    shape = (channels, *frames, 1100, 700)
    whole = np.random.default_rng(0).integers(1, 1000, shape).astype(np.uint16)

    def make(frame, box):
        return whole[:, *np.unravel_index(frame, frames), box.rows, box.columns]

    how = {"layout": layout, "channels": channels, "dtype": np.dtype("uint16"), "side": 256}
    return TileStore(frames, 1100, 700, **{**how, "make": make, **more}), whole


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("room", [1 << 30, 1_000_000])
def test_levels_are_the_image_and_its_halves(kind, room):
    store, whole = store_of(kind, most_bytes=room)
    for key in store.around(range(6), Box(0, 1100, 0, 700)):
        store.add(key)
    assert len(store.levels) == 3
    for number, level in enumerate(store.levels):
        wanted = whole[..., :: 1 << number, :: 1 << number]
        wanted = {"gray": wanted[0], "channels": wanted, "rgb": np.moveaxis(wanted, 0, -1)}[kind]
        assert level.shape == wanted.shape
        np.testing.assert_array_equal(DRAW(level), wanted)
        inner = (slice(1, 2), 2, slice(13, 260), slice(100, 170))
        inner = (slice(1, 2), *inner) if kind == "channels" else inner
        np.testing.assert_array_equal(DRAW(level, *inner), wanted[inner])


def test_napari_is_given_what_is_there_and_others_all():
    made = []
    store, whole = store_of()
    make = store._make
    store._make = lambda frame, box: made.append(box) or make(frame, box)
    store.add(TileKey(0, 0, 0))
    level = store.levels[1]
    drawn = DRAW(level, 0, 0)
    np.testing.assert_array_equal(drawn[:128, :128], whole[0, 0, 0, :256:2, :256:2])
    assert not drawn[128:].any()
    assert len(made) == 1
    np.testing.assert_array_equal(level[0, 0, 100:200, 20:30], whole[0, 0, 0, 200:400:2, 40:60:2])
    assert len(made) == 2
    np.testing.assert_array_equal(np.asarray(level), whole[0, ..., ::2, ::2])
    np.testing.assert_array_equal(np.max(store.levels[0]), whole.max())
    assert len(made) == 6 * 5 * 3


def test_the_coarsest_level_of_a_plane_is_updated_in_place():
    store, whole = store_of("rgb", frames=())
    seen = DRAW(store.levels[-1])
    assert not seen.any()
    store.add(TileKey(0, 4, 2))
    np.testing.assert_array_equal(seen[256:, 128:], np.moveaxis(whole, 0, -1)[1024::4, 512::4])
    assert not seen[:256].any()
    np.testing.assert_array_equal(store.levels[-1], np.moveaxis(whole, 0, -1)[::4, ::4])


def test_what_finds_no_room_is_made_again(monkeypatch):
    def full(self, array):
        raise OSError("No space left on device")

    monkeypatch.setattr(TileFile, "keep", full)
    store, whole = store_of(most_bytes=400_000)
    keys = [TileKey(0, 0, column) for column in range(3)]
    for key in keys[:2]:
        store.add(key)
    store.use(keys[:1])
    store.add(keys[2])
    assert [key in store for key in keys] == [True, False, True]
    np.testing.assert_array_equal(store.levels[0][0, 0, :256], whole[0, 0, 0, :256])


def test_tiles_are_made_by_one_thread_at_a_time():
    busy = threading.Lock()

    def make(frame, box):
        assert busy.acquire(blocking=False)
        pixels = np.full((1, *box.size), frame + 1)
        busy.release()
        return pixels

    store, _ = store_of(make=make)
    reader = threading.Thread(target=lambda: np.asarray(store.levels[1]))
    reader.start()
    whole = np.asarray(store.levels[2])
    reader.join()
    np.testing.assert_array_equal(whole[:, :, 0, 0].ravel(), np.arange(6) + 1)


def test_more_than_fits_into_the_memory_is_refused(monkeypatch):
    store, _ = store_of()
    free = type(psutil.virtual_memory())(*[1_000_000] * len(psutil.virtual_memory()))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(InputError, match=r"takes 0\.0 GB.*napari-pix2pix apply"):
        np.asarray(store.levels[0])
    assert store.levels[0][0, 0, :10].shape == (10, 700)


def test_tiles_in_the_middle_of_the_view_come_first():
    store, _ = store_of()
    keys = store.around([4], Box(200, 900, 0, 700))
    assert set(keys) == {TileKey(4, row, column) for row in range(4) for column in range(3)}
    assert keys[0] in (TileKey(4, 1, 1), TileKey(4, 2, 1))
    assert store.around([4], Box(5, 5, 0, 700)) == []
