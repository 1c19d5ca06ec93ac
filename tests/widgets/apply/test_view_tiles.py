"""Layers that are too large to be translated as a whole."""

import tracemalloc

import dask.array as da
import numpy as np
import pytest
import tifffile
from helpers import apply_and_wait, gray_noise, make_model
from napari.layers import Labels
from napari.utils import progress
from qtpy.QtCore import QTimer

from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.memory_limits import available_memory
from napari_pix2pix.widgets.apply import _view_tiles


@pytest.fixture(scope="module")
def inverter():
    return make_model(gray_noise(64, 64), 255 - gray_noise(64, 64))


@pytest.fixture(autouse=True)
def all_that_is_lazy_is_too_large(monkeypatch):
    monkeypatch.setattr(_view_tiles, "_SHARE", 0.0)


def large(read: list, bad: bool = False):
    """A pyramid whose finest level has 64 x 64 chunks, which tell when they are read."""

    def chunk(block_info=None):
        place = block_info[None]["chunk-location"]
        read.append(place)
        if bad and place == (32, 32):
            raise OSError("no such chunk")
        return gray_noise(512, 512, seed=place[0] * 64 + place[1])

    chunks = ((512,) * 64, (512,) * 64)
    meta = np.empty((0, 0), np.uint8)
    coarser = [da.zeros((512 << level,) * 2, dtype=np.uint8) for level in range(5, -1, -1)]
    return [da.map_blocks(chunk, chunks=chunks, dtype=np.uint8, meta=meta), *coarser]


def apply(dock, qtbot, source, model) -> tuple[str, bool]:
    dock.set_model(model)
    dock.set_layers([source])
    return apply_and_wait(dock, qtbot)


def follow_slide(viewer, dock, qtbot, model, place=(300, 300), zoom=4.0, **how):
    """Apply a model to a slide at a place; return the layer that follows the view."""
    source = viewer.add_image(large([], **how), name="slide", contrast_limits=(0, 255))
    look_at(viewer, *place, zoom)
    apply(dock, qtbot, source, model)
    (layer,) = dock.followed
    return layer


def look_at(viewer, row: int, column: int, zoom: float = 4.0) -> None:
    viewer.scene.camera.center = (row, column)
    viewer.scene.camera.zoom = zoom


# As napari reads to draw: only what is there.
DRAW = eval("lambda array, *index: np.asarray(array[index] if index else array)",
            {"__name__": "napari.layers.some", "np": np})  # fmt: skip


def there(layer, row: int, column: int) -> bool:
    return bool(DRAW(layer.data[0], slice(row, row + 8), slice(column, column + 8)).any())


def test_only_what_is_in_view_is_translated(viewer, dock, qtbot, inverter):
    read: list = []
    source = viewer.add_image(large(read), name="slide", contrast_limits=(0, 255), scale=(0.5, 0.5))
    look_at(viewer, 4000, 4000)  # pixel 8000: tile 15
    message, is_error = apply(dock, qtbot, source, inverter)
    assert not is_error
    assert "translated where you look" in message
    (layer,) = dock.followed
    assert layer.multiscale
    assert layer.data[0].shape == source.data[0].shape
    np.testing.assert_allclose(layer.scale, source.scale)
    qtbot.waitUntil(lambda: there(layer, 8000, 8000))
    assert not dock.running
    look_at(viewer, 12000, 2000)
    qtbot.waitUntil(lambda: there(layer, 24000, 4000))
    assert not there(layer, 16000, 16000)
    block = source.data[0][23900:24100, 3900:4100].compute()
    made = np.asarray(layer.data[0][23968:24032, 3968:4032]).astype(int)
    wanted = inverter(block, tile=0)[68:132, 68:132]
    assert np.abs(made - wanted).max() <= 1
    assert len(set(read)) < 100


def test_what_is_saved_is_translated_then(viewer, dock, qtbot, inverter, tmp_path):
    stack = gray_noise(5, 64, 70)
    source = viewer.add_image(da.from_array(stack), name="stack", contrast_limits=(0, 255))
    apply(dock, qtbot, source, inverter)
    (layer,) = dock.followed
    assert not DRAW(layer.data, 4).any()
    dock.close_down()  # the layer outlives the dock
    (path,) = layer.save(str(tmp_path / "made.tif"))
    wanted = np.stack([inverter(one, tile=0) for one in stack]).astype(int)
    assert np.abs(tifffile.imread(path) - wanted).max() <= 1
    assert DRAW(layer.data, 4).any()


def test_what_a_reader_cancels_is_said_and_closes_nothing(viewer, dock, qtbot, inverter):
    layer = follow_slide(viewer, dock, qtbot, inverter)

    def cancel():
        bars = list(progress._all_instances)
        for one in bars:
            one.cancel()
        if not bars:
            QTimer.singleShot(20, cancel)

    QTimer.singleShot(300, cancel)
    with pytest.raises(InputError, match="cancelled before all tiles"):
        layer.data[0][:8192, :8192]
    qtbot.waitUntil(lambda: there(layer, 10, 10))


def test_the_coarsest_level_is_shown_as_it_comes(viewer, dock, qtbot, inverter):
    middle = (16384, 16384)
    layer = follow_slide(viewer, dock, qtbot, inverter, middle, zoom=0.005)
    qtbot.waitUntil(lambda: bool(layer.get_value(middle)[1]))
    assert layer.get_value(middle)[0] == len(layer.data) - 1


def test_what_left_the_view_is_no_longer_wanted(viewer, dock, qtbot, inverter):
    source = viewer.add_image(large([]), name="slide", contrast_limits=(0, 255))
    viewer.reset_view()  # all 4096 tiles
    apply(dock, qtbot, source, inverter)
    (layer,) = dock.followed
    look_at(viewer, 300, 300)
    qtbot.waitUntil(lambda: there(layer, 300, 300))
    layer.visible = False
    follower = dock._followers.all[0]
    qtbot.waitUntil(lambda: not follower._queue._keys)


def test_undo_removes_the_layer_that_follows_the_view_and_no_earlier_result(
    viewer, dock, qtbot, inverter
):
    first = viewer.add_image(gray_noise(64, 64), name="small")
    apply(dock, qtbot, first, inverter)
    (result,) = dock.results
    layer = follow_slide(viewer, dock, qtbot, inverter)
    assert dock.results == [layer]
    dock._view.undo.click()
    assert layer not in viewer.layers
    assert result in viewer.layers
    qtbot.waitUntil(lambda: not dock.followed)
    dock.undo()
    assert [one.name for one in viewer.layers] == ["small", "slide"]


def test_a_layer_that_is_gone_is_not_followed(viewer, dock, qtbot, inverter):
    layer = follow_slide(viewer, dock, qtbot, inverter)
    (follower,) = dock._followers.all
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not dock._followers.all)  # nor are its tiles kept
    assert dock.followed == []
    assert not follower.running


def test_a_chunk_that_can_not_be_read_is_told_and_the_others_come(viewer, dock, qtbot, inverter):
    layer = follow_slide(viewer, dock, qtbot, inverter, bad=True)
    with qtbot.waitSignal(dock.ended) as told:
        look_at(viewer, 32.5 * 512, 32.5 * 512, zoom=1.0)
    assert told.args[1]
    assert "no such chunk" in told.args[0]
    look_at(viewer, 3000, 3000)
    qtbot.waitUntil(lambda: there(layer, 3000, 3000))


def test_classes_are_labels(viewer, dock, qtbot):
    image = gray_noise(64, 64)
    model = make_model(image, (image > 100).astype(np.uint8), target_kind="classes")
    assert isinstance(follow_slide(viewer, dock, qtbot, model), Labels)


def test_what_fits_or_lies_in_memory_is_translated_as_a_whole(viewer, dock, qtbot, inverter,
                                                              monkeypatch):  # fmt: skip
    source = viewer.add_image(gray_noise(64, 64))
    message, _ = apply(dock, qtbot, source, inverter)
    assert message.startswith("Done")
    monkeypatch.setattr(_view_tiles, "_SHARE", 0.25)
    lazy = viewer.add_image(da.from_array(gray_noise(64, 64)))
    message, _ = apply(dock, qtbot, lazy, inverter)
    assert message.startswith("Done")
    assert dock.followed == []


def test_any_layer_is_translated_where_i_look_alone(viewer, dock, qtbot, inverter):
    image = gray_noise(4096, 4096)
    source = viewer.add_image(image, name="s")
    look_at(viewer, 700, 700, zoom=8.0)
    dock.follows_view = True
    assert dock._view.part.currentText() == "where I look"
    message, is_error = apply(dock, qtbot, source, inverter)
    assert not is_error
    assert message.startswith("Tiles of 's' are translated where you look")
    (layer,) = dock.followed
    qtbot.waitUntil(lambda: there(layer, 700, 700))
    store = dock._followers.all[0]._store
    qtbot.waitUntil(lambda: not dock._followers.all[0]._queue._keys)
    assert store._bytes < image.nbytes / 4
    assert not there(layer, 3000, 3000)
    expected = inverter(image[512:1024, 512:1024])[100:-100, 100:-100]
    shown = DRAW(layer.data[0], slice(612, 924), slice(612, 924))
    np.testing.assert_array_equal(shown, expected)


def huge() -> list[da.Array]:
    """A pyramid of 2**19 x 2**19 pixels, more than any memory holds."""
    sides = [2**level for level in range(19, 8, -1)]
    return [da.full((side, side), 100, dtype=np.uint8, chunks=2048) for side in sides]


@pytest.mark.parametrize("part", ["follows_view", "visible_only"])
def test_memory_is_taken_for_what_was_looked_at_alone(viewer, dock, qtbot, inverter, part):
    levels = huge()
    assert levels[0].nbytes > available_memory()
    source = viewer.add_image(levels, name="s", contrast_limits=(0, 255))
    look_at(viewer, 100_000, 200_000)
    setattr(dock, part, True)
    tracemalloc.start()
    try:
        message, is_error = apply(dock, qtbot, source, inverter)
        assert not is_error, message
        (layer,) = dock.followed
        qtbot.waitUntil(lambda: there(layer, 100_000, 200_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert layer.data[0].shape == levels[0].shape
    assert peak < 2**28


def test_parts_of_a_large_layer_are_filled_in_one_by_one(viewer, dock, qtbot, inverter,
                                                         monkeypatch):  # fmt: skip
    monkeypatch.setattr(_view_tiles, "_MOST_WHOLE", 2**20)
    image = gray_noise(4096, 4096)
    source = viewer.add_image(image, name="s")
    dock.visible_only = True
    look_at(viewer, 700, 700, zoom=8.0)
    message, is_error = apply(dock, qtbot, source, inverter)
    assert not is_error
    assert message.startswith("What is in view of 's' is translated tile by tile")
    (layer,) = dock.followed
    qtbot.waitUntil(lambda: there(layer, 700, 700))
    look_at(viewer, 3000, 3000, zoom=8.0)
    qtbot.wait(300)
    assert not there(layer, 3000, 3000)  # the view is not followed
    apply(dock, qtbot, source, inverter)
    assert dock.followed == [layer]
    qtbot.waitUntil(lambda: there(layer, 3000, 3000))
    assert there(layer, 700, 700)
    viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not dock.followed)


@pytest.mark.parametrize(
    ("choose", "reason"),
    [
        (lambda dock: setattr(dock, "replaces", True), "replaces no source"),
        (lambda dock: setattr(dock, "shows_uncertainty", True), "not made tile by tile"),
    ],
)
def test_why_there_are_no_tiles_where_i_look_is_said(viewer, dock, inverter, choose, reason):
    dock.set_model(inverter)
    dock.set_layers([viewer.add_image(gray_noise(64, 64))])
    dock.follows_view = True
    assert dock.check() == ""
    choose(dock)
    assert reason in dock.check()


def test_what_a_part_of_a_large_layer_costs_is_said(viewer, dock, inverter, monkeypatch):
    monkeypatch.setattr(_view_tiles, "_MOST_WHOLE", 2**20)
    dock.set_model(inverter)
    dock.set_layers([viewer.add_image(gray_noise(4096, 4096))])
    dock.visible_only = True
    look_at(viewer, 700, 700, zoom=8.0)
    dock.check()
    text = dock._view.estimate.text()
    assert "results 17 MB" not in text
    assert "all pixels" not in text
    dock.replaces = True
    dock.check()
    text = dock._view.estimate.text()
    assert "results 17 MB" in text
    assert text.endswith("not only those in view. A result that grows where you look replaces no "
                         "source.")  # fmt: skip
