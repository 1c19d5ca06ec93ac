import itertools

import numpy as np
import pytest
from helpers import docked, noise

from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import KEY
from napari_pix2pix.widgets.common.layer_choice import PREVIEW
from napari_pix2pix.widgets.compare.dock import CompareDock

PLACE = {"scale": (2.0, 3.0), "translate": (5.0, -7.0), "rotate": 30.0}


@pytest.fixture
def layers(viewer):
    """Source, prediction, truth, and another layer."""
    source = viewer.add_image(noise(40, 60), name="s", **PLACE)
    prediction = viewer.add_image(noise(40, 60, seed=1), name="p", blending="additive", **PLACE)
    truth = viewer.add_image(noise(40, 60, seed=2), name="t", **PLACE)
    viewer.add_image(noise(40, 60, seed=3), name="other", **PLACE)
    prediction.metadata = {KEY: {"source_id": str(source.unique_id)}}
    return source, prediction, truth


@pytest.fixture
def dock(viewer, layers, qtbot):
    return docked(CompareDock(viewer), viewer, qtbot)


def seen(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers if layer.visible]


def test_layers_are_found_by_the_record_of_a_result(dock, layers):
    source, prediction, _ = layers
    assert dock.layers["source"] == source
    assert dock.layers["prediction"] == prediction
    assert dock.layers["truth"].name == "other"  # the uppermost of its kind


def test_right_side_is_the_right_layer_from_the_line_on(viewer, dock, layers):
    dock.set_layers(*layers)
    dock.swipe()
    assert seen(viewer) == ["p", "swipe [t]", "swipe line"]
    dock.position = 0.25
    side, truth = viewer.layers["swipe [t]"], layers[2]
    np.testing.assert_array_equal(side.data, truth.data[:, 15:])
    assert np.shares_memory(side.data, truth.data)
    np.testing.assert_allclose(side.data_to_world((7, 4)), truth.data_to_world((7, 19)))
    line = viewer.layers["swipe line"]
    np.testing.assert_allclose(
        line.data_to_world(line.data[0][0]), truth.data_to_world((-0.5, 14.5)), atol=1e-5
    )
    assert dock._view.slider.value() == 250
    assert "Hidden until the end: other, s." in dock._view.status.text()
    dock._view.stop.click()
    assert [layer.name for layer in viewer.layers] == ["s", "p", "t", "other"]
    assert seen(viewer) == ["s", "p", "t", "other"]


def test_preview_of_a_training_is_hidden_meanwhile(viewer, dock, layers):
    viewer.add_image(noise(40, 60), name="preview", metadata={PREVIEW: True}, **PLACE)
    dock.set_layers(*layers)
    dock.swipe()
    assert seen(viewer) == ["p", "swipe [t]", "swipe line"]
    dock.show_side_by_side()
    assert seen(viewer) == ["s", "p", "t"]
    dock.stop()
    assert seen(viewer)[-1] == "preview"


@pytest.mark.parametrize("sides", [*itertools.permutations(("source", "prediction", "truth"), 2)])
def test_box_says_what_is_left_and_right(dock, layers, sides):
    dock.set_layers(*layers)
    dock.swipe(*sides)
    assert dock._view.sides.currentText() == " | ".join(sides)
    assert [dock._shown.left, dock._shown.right] == [dock.layers[side] for side in sides]
    with pytest.raises(InputError, match="on both sides"):
        dock.swipe("truth", "truth")
    assert dock._view.sides.currentText() == " | ".join(sides)
    dock.swipe()  # as the box says
    assert [dock._shown.left, dock._shown.right] == [dock.layers[side] for side in sides]


def test_line_is_dragged_on_the_canvas(viewer, dock, layers):
    class Event:
        type, handled = "mouse_press", False

    dock.set_layers(*layers)
    before = list(viewer.mouse_drag_callbacks)
    dock.swipe("source", "truth")
    truth, event = layers[2], Event()
    drag = viewer.mouse_drag_callbacks[-1]
    event.position = truth.data_to_world((20, 2))
    assert list(drag(viewer, event)) == []  # far from the line: the image is moved
    event.position = truth.data_to_world((20, 29.5))
    drawn = drag(viewer, event)
    next(drawn)
    assert not viewer.scene.camera.mouse_pan
    event.type, event.position = "mouse_move", truth.data_to_world((20, 44.5))
    next(drawn)
    assert dock.position == 0.75
    event.type = "mouse_release"
    assert list(drawn) == []
    assert viewer.scene.camera.mouse_pan
    dock.position = 1
    assert not viewer.layers["swipe [t]"].visible  # nothing is right of it
    dock.stop()
    assert list(viewer.mouse_drag_callbacks) == before


def test_side_by_side_uses_the_grid_and_gives_it_back(viewer, dock, layers):
    dock.set_layers(*layers)
    dock.show_side_by_side()
    assert viewer.canvas.grid.enabled
    assert viewer.canvas.grid.actual_shape(viewer.layers) == (1, 3)
    assert seen(viewer) == ["s", "p", "t"]
    dock.stop()
    assert not viewer.canvas.grid.enabled
    assert seen(viewer) == ["s", "p", "t", "other"]


def test_comparison_ends_with_its_layers(viewer, dock, layers):
    dock.set_layers(*layers)
    dock.swipe()
    viewer.layers.remove("swipe line")
    assert dock.comparing == ""
    assert [layer.name for layer in viewer.layers] == ["s", "p", "t", "other"]
    dock.show_side_by_side()
    dock.close_down()
    assert not viewer.canvas.grid.enabled


def test_what_can_not_be_compared_is_said(viewer, dock, layers):
    dock.set_layers(source=layers[0])
    with pytest.raises(InputError, match="Choose the layer of the prediction"):
        dock.swipe()
    with pytest.raises(InputError, match="choose two or three"):
        dock.show_side_by_side()
    dock.set_layers(*[layers[0]] * 3)
    with pytest.raises(InputError, match="on both sides"):
        dock.swipe()
    dock.set_layers(*layers)
    viewer.dims.ndisplay = 3
    dock._view.swipe.click()
    assert "leave 3D" in dock._view.problem.text()


@pytest.mark.parametrize("kind", ["multiscale", "labels", "rgb", "stack"])
def test_any_kind_of_layer_is_swiped(viewer, dock, layers, kind):
    image = (255 * noise(64, 96)).astype(np.uint8)
    made = {
        "multiscale": lambda: viewer.add_image([image, image[::2, ::2], image[::4, ::4]]),
        "labels": lambda: viewer.add_labels(image),
        "rgb": lambda: viewer.add_image(np.stack([image] * 3, -1)),
        "stack": lambda: viewer.add_image(np.stack([image] * 3)),
    }
    layer = made[kind]()
    dock.set_layers(prediction=layers[1], truth=layer)
    dock.swipe()
    dock.position = 0.5
    side = viewer.layers[-2]
    data = side.data[0] if kind == "multiscale" else side.data
    expected = image[:, 48:]
    shown = {"rgb": lambda: data[..., 0], "stack": lambda: data[1]}.get(kind, lambda: data)()
    np.testing.assert_array_equal(np.asarray(shown), expected)


@pytest.mark.parametrize(
    ("method", "button"), [("swipe", "swipe"), ("show_side_by_side", "beside")]
)
def test_what_nobody_foresaw_is_said_in_the_dock(dock, monkeypatch, method, button):
    monkeypatch.setattr(dock, method, lambda: {}["a"])
    getattr(dock._view, button).click()
    assert "Something unexpected went wrong (KeyError: 'a')" in dock._view.problem.text()
