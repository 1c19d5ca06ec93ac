import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_pix2pix.widgets.common.layer_order import (
    index_on_top,
    is_in_view,
    move_on_top,
    move_view_to,
    say_what_is_seen,
)


@pytest.fixture
def model():
    """Return a viewer without a window."""
    return ViewerModel()


def image(name, size=20, **how) -> Image:
    return Image(np.zeros((size, size)), name=name, **how)


def test_only_layers_at_the_same_place_count(model):
    source, other, far = image("s"), image("o"), image("f", translate=(0, 500))
    model.layers.extend([source, other, far])
    assert index_on_top(model.layers, image("new"), source) == 2
    assert index_on_top(model.layers, image("new", translate=(0, 500))) == 3
    assert index_on_top(model.layers, image("new", translate=(900, 0))) == 3
    move_on_top(model.layers, source)
    assert list(model.layers) == [other, source, far]
    move_on_top(model.layers, source)
    assert list(model.layers) == [other, source, far]


def test_stacks_and_planes_share_a_place():
    model = ViewerModel()
    model.layers.extend([Image(np.zeros((3, 20, 20))), image("plane")])
    assert index_on_top(model.layers, image("new")) == 2


def test_view_goes_to_the_frames_of_a_layer(model):
    model.layers.append(Image(np.zeros((30, 20, 20))))
    short = Image(np.zeros((3, 20, 20)), translate=(4, 0, 0))
    model.layers.append(short)
    model.dims.set_point(0, 20)
    assert not is_in_view(model, short)
    assert move_view_to(model, short)
    assert 4 <= model.dims.point[0] <= 6.5
    assert not move_view_to(model, short)


def test_what_is_seen_is_said(model):
    source, result = image("s"), image("r", blending="translucent")
    model.layers.extend([source, result])
    assert say_what_is_seen(model, [result]) == "Shown: r. Covered by it: s."
    result.blending = "additive"
    assert say_what_is_seen(model, [result]) == "Shown: r."
    model.layers.append(image("o"))
    assert say_what_is_seen(model, [result]) == "Under other layers: r."
    result.visible = False
    assert say_what_is_seen(model, [result]) == "Hidden: r."
    labels = Labels(np.ones((20, 20), int), name="l")
    model.layers.append(labels)
    assert say_what_is_seen(model, [labels]) == "Shown: l."
    assert say_what_is_seen(model, []) == ""
