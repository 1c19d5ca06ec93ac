import numpy as np
import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.training.events import Preview
from napari_pix2pix.widgets.train import _live_preview
from napari_pix2pix.widgets.train._live_preview import LivePreview
from napari_pix2pix.widgets.train._pair_rows import PairChoice

PLANE = {
    "scale": (2, 0.5),
    "translate": (30, -4),
    "rotate": 30,
    "affine": np.array([[1, 0.2, 5], [0, 1, -3], [0, 0, 1]]),
    "units": ("um", "um"),
    "axis_labels": ("y", "x"),
}
STACK = {
    "scale": (3, 2, 0.5),
    "translate": (10, 30, -4),
    "units": ("s", "um", "um"),
    "axis_labels": ("t", "y", "x"),
}


@pytest.fixture
def preview(viewer, qtbot):
    made = LivePreview(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def images(viewer):
    return tuple(viewer.add_image(np.random.rand(40, 30), name=name) for name in "ab")


def begin(preview: LivePreview, source, target):
    choice = PairChoice((source.__wrapped__,), (target.__wrapped__,))
    pair = choice.pair(copy=False)
    preview.begin([choice], [pair])
    return choice, pair


def event(image: np.ndarray, step: int = 1, *, frame: int = 0, kind: str = "image") -> Preview:
    return Preview(step, image, pair=0, frame=frame, top=8, left=4, kind=kind)


def in_world(layer, *position: float) -> np.ndarray:
    return np.asarray(layer.data_to_world(position))


def test_plane_lies_in_its_place(viewer, preview):
    source = viewer.add_image(np.random.rand(40, 30), name="a", **PLANE)
    target = viewer.add_image(np.random.rand(40, 30), name="b", colormap="magma")
    begin(preview, source, target)
    preview.add(event(np.full((1, 16, 12), 0.5)))
    layer = preview.layer
    assert layer.name == "preview [a]"
    assert layer.data.shape == (16, 12)
    assert layer.colormap.name == "magma"
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert layer.axis_labels == ("y", "x")
    for corner in ((0, 0), (15, 11)):
        place = in_world(source, corner[0] + 8, corner[1] + 4)
        np.testing.assert_allclose(in_world(layer, *corner), place)


def test_frame_of_a_stack_lies_at_its_time(viewer, preview):
    source = viewer.add_image(np.random.rand(5, 40, 30), name="a", **STACK)
    target = viewer.add_labels(np.ones((5, 40, 30), int), name="b", **STACK)
    begin(preview, source, target)
    preview.add(event(np.ones((1, 16, 12), np.int64), frame=3, kind="instances"))
    layer = preview.layer
    assert type(layer).__name__ == "Labels"
    assert layer.data.shape == (1, 16, 12)
    np.testing.assert_allclose(in_world(layer, 0, 0, 0), in_world(source, 3, 8, 4))
    preview.go_to()
    assert viewer.dims.current_step[0] == 3


def test_rgb_stays_rgb(viewer, preview):
    source = viewer.add_image(np.random.rand(40, 30), name="a")
    target = viewer.add_image(np.zeros((40, 30, 3), np.uint8), name="b", rgb=True)
    begin(preview, source, target)
    preview.add(event(np.zeros((3, 16, 12), np.uint8)))
    assert preview.layer.rgb
    assert preview.layer.data.shape == (16, 12, 3)


def test_history_is_scrubbed_and_followed(preview, images):
    begin(preview, *images)
    for step in (10, 20, 30):
        preview.add(event(np.full((1, 16, 12), float(step)), step))
    assert preview.layer.data.max() == 30
    preview._slider.setValue(0)
    assert preview.layer.data.max() == 10
    preview.add(event(np.full((1, 16, 12), 40.0), 40))
    assert preview.layer.data.max() == 10
    preview._slider.setValue(3)
    preview.add(event(np.full((1, 16, 12), 50.0), 50))
    assert preview.layer.data.max() == 50
    assert preview.steps == [10, 20, 30, 40, 50]


def test_history_is_bounded_and_keeps_its_ends(preview, images, monkeypatch):
    monkeypatch.setattr(_live_preview, "_MEMORY", 10 * 16 * 12 * 8)
    begin(preview, *images)
    for step in range(100):
        preview.add(event(np.full((1, 16, 12), float(step)), step))
    assert len(preview.steps) <= 10
    assert (preview.steps[0], preview.steps[-1]) == (0, 99)
    assert preview.steps == sorted(set(preview.steps))
    assert preview.layer.data.max() == 99


def test_next_run_takes_the_layer_away_and_the_user_can(viewer, preview, images):
    for _ in range(2):
        begin(preview, *images)
        assert [layer.name for layer in viewer.layers] == ["a", "b"]
        preview.add(event(np.zeros((1, 16, 12))))
    preview._keep.click()
    begin(preview, *images)
    assert [layer.name for layer in viewer.layers] == ["a", "b", "preview [a]"]
    preview.add(event(np.zeros((1, 16, 12))))
    preview._wanted.setChecked(False)
    assert len(viewer.layers) == 3
    preview._wanted.setChecked(True)
    assert len(viewer.layers) == 4
    preview._remove.click()
    assert len(viewer.layers) == 3


def test_region_is_where_the_user_drew(viewer, qtbot):
    source = viewer.add_image(np.random.rand(5, 40, 30), name="a", **STACK)
    target = viewer.add_image(np.random.rand(5, 40, 30), name="b", **STACK)
    corners = np.array([[10, 5], [10, 20], [25, 20], [25, 5]])
    shapes = viewer.add_shapes(
        [corners], scale=STACK["scale"][1:], translate=STACK["translate"][1:], name="here"
    )
    preview = LivePreview(viewer)  # which finds the shapes there
    qtbot.addWidget(preview)
    choice, pair = begin(preview, source, target)
    assert preview.wish([choice], [pair]).region is None
    preview._where.choose(shapes)
    viewer.dims.set_point(0, 10 + 2 * 3)
    region = preview.wish([choice], [pair]).region
    assert (region.pair, region.frame) == (0, 2)
    assert (region.rows, region.columns) == (slice(10, 26), slice(5, 21))
    shapes.data = []
    with pytest.raises(InputError, match="covers no pixel"):
        preview.wish([choice], [pair])


def test_preview_of_a_stack_follows_the_frame_that_is_shown(viewer, preview):
    source = viewer.add_image(np.random.rand(5, 40, 30), name="a", **STACK)
    target = viewer.add_image(np.random.rand(5, 40, 30), name="b", **STACK)
    choice = PairChoice((source.__wrapped__,), (target.__wrapped__,))
    pair = choice.pair(copy=False)
    wish = preview.wish([choice], [pair])
    preview.begin([choice], [pair])
    assert wish.frame is None
    viewer.dims.set_current_step(0, 1)
    preview.add(event(np.zeros((1, 16, 12)), frame=4))  # one that is held out
    assert wish.frame == 1
    viewer.dims.set_current_step(0, 2)
    assert wish.frame == 2
    preview.add(event(np.ones((1, 16, 12)), step=2, frame=2))
    np.testing.assert_allclose(in_world(preview.layer, 0, 0, 0), in_world(source, 2, 8, 4))
    assert preview.layer.data.max() == 1
    preview.close_work()
    viewer.dims.set_current_step(0, 3)
    assert wish.frame == 2
