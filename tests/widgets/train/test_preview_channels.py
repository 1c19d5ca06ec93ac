"""A preview of several target layers has a layer for each."""

import numpy as np
import pytest

from napari_pix2pix.training.events import Preview
from napari_pix2pix.widgets.common.layer_choice import PREVIEW
from napari_pix2pix.widgets.train._live_preview import LivePreview
from napari_pix2pix.widgets.train._pair_rows import PairChoice


@pytest.fixture
def preview(viewer, qtbot):
    widget = LivePreview(viewer)
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def choice(viewer, preview):
    source = viewer.add_image(np.random.rand(40, 30), name="a", scale=(2, 2), translate=(5, 5))
    looks = {"DAPI": ("blue", "additive"), "actin": ("magenta", "minimum")}
    targets = tuple(
        viewer.add_image(np.random.rand(40, 30), name=name, colormap=colour, blending=blending)
        for name, (colour, blending) in looks.items()
    )
    made = PairChoice((source,), targets)
    preview.begin([made], [made.pair(copy=False)])
    return made


def event(step: int) -> Preview:
    image = np.stack([np.full((16, 12), float(step)), np.full((16, 12), -float(step))])
    return Preview(step, image, pair=0, frame=0, top=8, left=4, kind="image")


def previews(viewer) -> list:
    return [layer for layer in viewer.layers if PREVIEW in layer.metadata]


@pytest.mark.usefixtures("choice")
def test_each_target_has_a_layer_that_looks_like_it(viewer, preview, qtbot):
    preview.add(event(1))
    assert len(previews(viewer)) == 1  # the others come one by one
    qtbot.waitUntil(lambda: not preview.is_adding)
    layers = previews(viewer)
    assert [layer.name for layer in layers] == ["preview [a] DAPI", "preview [a] actin"]
    assert [layer.colormap.name for layer in layers] == ["blue", "magenta"]
    assert [layer.blending for layer in layers] == ["additive", "minimum"]
    for layer in layers:
        np.testing.assert_allclose(layer.translate, (21, 13))
        assert layer.data.shape == (16, 12)
    preview.add(event(2))
    assert [layer.data.max() for layer in layers] == [2, -2]
    preview._slider.setValue(0)
    assert [layer.data.max() for layer in layers] == [1, -1]
    layers[0].translate = (0, 0)
    np.testing.assert_allclose(layers[1].translate, (0, 0))
    preview.remove()
    assert previews(viewer) == []


@pytest.mark.usefixtures("choice")
def test_kept_layers_stay(viewer, preview):
    preview.add(event(1))
    preview.keep()
    preview.remove()
    assert len(previews(viewer)) == 2


@pytest.mark.usefixtures("choice")
def test_what_is_removed_before_all_layers_are_there_stays_removed(viewer, preview, qtbot):
    preview.add(event(1))
    preview.remove()
    qtbot.wait(100)
    assert previews(viewer) == []
