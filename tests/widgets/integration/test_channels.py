"""Several target layers: a layer each comes out, shown as the layers of the training were."""

import numpy as np
import pytest
from helpers import apply_without_error, assert_same_place, docked, make_model, noise
from napari.layers import Image

from napari_pix2pix import evaluate, train
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.napari_layers import KEY
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.evaluate.dock import EvaluateDock

LOOKS = {
    "DAPI": {"colormap": "blue", "contrast_limits": (10.0, 200.0), "blending": "additive"},
    "actin": {"colormap": "magenta", "contrast_limits": (0.0, 90.0), "blending": "minimum"},
}
PLACE = {"scale": (2.0, 3.0), "translate": (5.0, -7.0), "rotate": 30.0}


def pair():
    """Return two source layers and two target layers."""
    image = (200 * noise(2, 64, 64)).astype(np.uint8)
    sources = tuple(Image(one, name=name) for one, name in zip(image, ("BF", "PC"), strict=True))
    targets = (Image(200 - image[0], name="DAPI", **LOOKS["DAPI"]),)
    return sources, (*targets, Image(image[1] // 2, name="actin", **LOOKS["actin"]))


@pytest.fixture(scope="module")
def model():
    return make_model(*pair())


@pytest.fixture
def sources(viewer):
    """Two layers that are not in the order of the training."""
    image = (200 * noise(2, 40, 56, seed=3)).astype(np.uint8)
    names = ("new PC", "new BF")
    return [viewer.add_image(i, name=n, **PLACE) for i, n in zip(image, names, strict=True)]


def assert_shown_as_trained(layers) -> None:
    for layer, (name, look) in zip(layers, LOOKS.items(), strict=True):
        assert layer.name.endswith(f"{name}]")
        assert layer.colormap.name == look["colormap"]
        assert tuple(layer.contrast_limits) == look["contrast_limits"]
        assert layer.blending == look["blending"]


def test_python_returns_a_layer_for_each_target(model, tmp_path):
    from napari_pix2pix import load

    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    sources, _ = pair()
    made = again(sources)
    assert_shown_as_trained(made)
    expected = model(np.stack([one.data for one in sources]))
    np.testing.assert_array_equal([layer.data for layer in made], expected)
    spread = again.spread(sources, 2, turns=8)
    assert [layer.name.endswith("deviation of 2]") for layer in spread.std] == [True] * 2


def test_dock_fills_sources_by_name_and_adds_a_layer_for_each_target(
    viewer, dock, qtbot, sources, model
):
    dock.set_model(models().remember(model, "m"))
    assert [layer.name for group in dock.layers for layer in group] == ["new BF", "new PC"]
    apply_without_error(dock, qtbot)
    assert_shown_as_trained(dock.results)
    expected = model(np.stack([sources[1].data, sources[0].data]))
    for layer, channel in zip(dock.results, expected, strict=True):
        np.testing.assert_array_equal(layer.data, channel)
        assert_same_place(layer, sources[1])
    assert [layer.name for layer in viewer.layers][2:] == [
        "new BF + new PC [m, DAPI]",
        "new BF + new PC [m, actin]",
    ]
    apply_without_error(dock, qtbot)  # updates both
    assert len(viewer.layers) == 4
    dock.undo()
    dock.undo()
    assert len(viewer.layers) == 2
    dock.replaces = True
    with pytest.raises(InputError, match="makes 2 layers, which replace none"):
        dock.apply()


def test_parts_of_both_channels_are_continued(viewer, dock, qtbot, model):
    stack = (200 * noise(2, 3, 40, 40)).astype(np.uint8)
    layers = [
        viewer.add_image(one, name=name) for one, name in zip(stack, ("BF", "PC"), strict=True)
    ]
    dock.set_model(models().remember(model, "m"))
    dock.set_layers(layers, by_channel=True)
    dock.current_frame = True
    for frame in (0, 2):
        viewer.dims.set_current_step(0, frame)
        apply_without_error(dock, qtbot)
    expected = model(tuple(layers))
    for layer, whole in zip(dock.results, expected, strict=True):
        np.testing.assert_array_equal(layer.data[[0, 2]], whole.data[[0, 2]])
        assert not layer.data[1].any()


def test_mean_and_deviation_have_a_layer_for_each_target(viewer, dock, qtbot, sources, model):
    dock.set_model(models().remember(model, "m"))
    dock.options = PredictOptions(samples=2, turns=8)
    apply_without_error(dock, qtbot)
    assert [layer.metadata[KEY]["shown"] for layer in dock.results] == ["mean"] * 2 + [
        "deviation"
    ] * 2


def test_one_of_two_channels_is_corrected(viewer, dock, qtbot, sources, model):
    dock.set_model(models().remember(model, "m"))
    apply_without_error(dock, qtbot)
    before = [layer.data.copy() for layer in dock.results]
    dock.corrections.result.choose(dock.results[1])
    dock.results[1].data[10:20, 10:20] = 90
    made, request = dock.corrections._choices("cpu")
    assert made.layers == tuple(dock.results)
    for seen, data in ((request.before, before), (request.after, [x.data for x in dock.results])):
        axis = model.target_codec.layout.channel_axis
        np.testing.assert_array_equal(seen, np.moveaxis(np.stack(data), 0, axis))
    dock.corrections.steps.setValue(1)
    with qtbot.waitSignal(dock.ended, timeout=30_000):
        dock.learn()
    assert dock.corrections.error.text() == ""
    assert [layer.metadata[KEY]["model"] for layer in dock.results] == ["m corrected"] * 2


@pytest.mark.parametrize("by_model", [True, False])
def test_several_layers_are_the_truth(viewer, qtbot, model, by_model):
    sources, truths = pair()
    for layer in (*sources, *truths):
        viewer.add_layer(layer)
    dock = docked(EvaluateDock(viewer), viewer, qtbot)
    if by_model:
        dock.set_model(models().remember(model, "m"), sources, truths)
    else:
        made = [viewer.add_layer(layer) for layer in model(sources)]
        dock.set_prediction(made, truths, source=sources)
    with qtbot.waitSignal(dock.ended) as ended:
        dock.evaluate()
    assert not ended.args[1], ended.args
    expected = evaluate(model, sources, truths)
    assert dock.scores["prediction"]["pearson"] == pytest.approx(
        expected["prediction"]["pearson"], rel=1e-6
    )
    assert dock.difference.data.shape == (2, 64, 64)


def test_one_target_layer_with_channels_stays_one_layer():
    image = noise(64, 64)
    model = train(
        Image(image),
        Image(np.stack([image, 1 - image]), axis_labels=("channel", "y", "x")),
        **{"steps": 1, "validation": 0.0, "width": 4, "depth": 2, "patch": 32, "device": "cpu"},
    )
    assert not model.info.splits_output
    assert model(Image(image)).data.shape == (2, 64, 64)
