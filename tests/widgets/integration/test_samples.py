"""Several samples of a model in the Apply dock: their mean and their standard deviation."""

import numpy as np
import pytest
from helpers import apply_and_wait, apply_without_error, choose, make_model, noise

from napari_pix2pix.errors import InputError, UnexpectedError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.napari_layers import KEY
from napari_pix2pix.widgets import samples
from napari_pix2pix.widgets.common.known_models import models


@pytest.fixture(scope="module")
def noisy():
    image = (200 * noise(64, 64)).astype(np.uint8)
    return make_model(image, 200 - image, noise_channels=2, noise="pixel", dropout=0.0)


def test_mean_and_deviation_are_those_of_the_samples(viewer, dock, qtbot, noisy):
    stack = (200 * noise(2, 40, 72)).astype(np.uint8)
    source = viewer.add_image(stack, name="s", scale=(3, 2, 2))
    choose(dock, noisy, "m", source)
    dock.options = PredictOptions(samples=3, seed=5, tile=32, batch=1)
    assert dock._view.options.editors["samples"].box.text() == "3"
    apply_without_error(dock, qtbot)
    drawn = noisy(stack, samples=3, seed=5, output="float")
    mean, deviation = dock.results
    assert [one.name for one in dock.results] == ["s [m, mean of 3]", "s [m, deviation of 3]"]
    np.testing.assert_allclose(mean.data, drawn.mean(0), rtol=1e-4)
    np.testing.assert_allclose(deviation.data, drawn.std(0, ddof=1), atol=1e-3)
    for layer in (mean, deviation):
        np.testing.assert_array_equal(layer.scale, (3, 2, 2))
        assert layer.metadata[KEY]["samples"] == 3
    apply_and_wait(dock, qtbot)  # updates both
    assert len(viewer.layers) == 3
    dock.options = PredictOptions()
    apply_and_wait(dock, qtbot)  # a translation beside them
    assert len(viewer.layers) == 4
    for _ in range(3):
        dock.undo()
    assert list(viewer.layers) == [source]


def test_samples_that_python_made_are_left_alone(viewer, dock, qtbot, noisy):
    source = viewer.add_image((200 * noise(40, 40)).astype(np.uint8), name="s")
    drawn = noisy(source, samples=2)
    made = [viewer.add_layer(one) for one in drawn]
    assert [one.name for one in made] == [f"s [pix2pix, sample {n} of 2]" for n in (1, 2)]
    kept = [np.array(one.data) for one in made]
    choose(dock, noisy, "m", source)
    apply_and_wait(dock, qtbot)
    assert len(viewer.layers) == 4
    for layer, before in zip(made, kept, strict=True):
        np.testing.assert_array_equal(layer.data, before)


@pytest.mark.usefixtures("in_step")
def test_cancelled_before_the_last_sample_there_is_no_layer(viewer, dock, qtbot, noisy):
    source = viewer.add_image((200 * noise(600, 900)).astype(np.uint8))
    choose(dock, noisy, "m", source)
    dock.options = PredictOptions(samples=3, tile=64, batch=1)
    dock._run.progressed.connect(lambda *_: dock.cancel())
    message, is_error = apply_and_wait(dock, qtbot)
    assert message == "Cancelled."
    assert not is_error
    assert list(viewer.layers) == [source]


def test_samples_that_make_no_sense_are_refused(viewer, dock, noisy):
    image = noise(64, 64)
    drops = make_model(image, 1 - image, dropout=0.5)
    source = viewer.add_image(image)
    dock.set_layers([source])
    dock.set_model(models().remember(drops, "m"))
    dock.options = PredictOptions(samples=2)
    assert "tick dropout" in dock.check()
    dock.options = PredictOptions(samples=2, dropout=True)
    assert dock.check() == ""
    dock.replaces = True
    assert "replace none" in dock.check()
    with pytest.raises(InputError, match="replace none"):
        dock.apply()
    dock.options = PredictOptions()
    assert dock._view.options.editors["samples"].box.text() == "1"
    plain = make_model(image, 1 - image, dropout=0.0)
    dock.set_model(models().remember(plain, "plain"))
    dock.options = PredictOptions(samples=8, turns=8)
    assert "replace none" in dock.check()
    dock.options = PredictOptions(samples=9, turns=8)
    assert "some of the 9" in dock.check().lower()
    measuring = make_model(image, 1 - image, dropout=0.0, norm="instance")
    dock.set_model(models().remember(measuring, "measuring"))
    assert not dock._view.options.editors["samples"].enabled
    assert not dock._view.options.editors["turns"].enabled
    assert dock.options.samples == 1


def test_one_tick_shows_the_uncertainty_over_the_prediction(viewer, dock, qtbot, noisy):
    source = viewer.add_image((200 * noise(40, 72)).astype(np.uint8), name="s")
    choose(dock, noisy, "m", source)
    dock._view.uncertainty.click()
    said, _ = apply_and_wait(dock, qtbot)
    mean, deviation = dock.results
    assert [one.metadata[KEY]["samples"] for one in dock.results] == [8, 8]
    assert list(viewer.layers) == [source, mean, deviation]
    assert "Shown: s [m, deviation of 8], s [m, mean of 8]. Covered by them: s." in said
    low, high = deviation.contrast_limits
    assert low == 0
    assert high == pytest.approx(np.percentile(deviation.data, 99.9))
    assert deviation.colormap.map(np.array([0.0]))[0, 3] == 0  # the mean is seen through it


def test_quantiles_are_hidden_layers_as_in_python(viewer, dock, qtbot, noisy):
    image = (200 * noise(40, 72)).astype(np.uint8)
    source = viewer.add_image(image, name="s")
    choose(dock, noisy, "m", source)
    field = dock._view.quantiles
    assert field.isHidden()
    dock.options = PredictOptions(samples=3)
    assert not field.isHidden()
    dock.quantiles = (0.05, 0.5)
    assert field.text() == "q5,q50"
    said, _ = apply_and_wait(dock, qtbot)
    expected = noisy.spread(source, 3, quantiles=[0.05, 0.5])
    layers = dock.results
    assert [one.name.split(", ")[-1] for one in layers[2:]] == [
        "quantile 0.05 of 3]",
        "quantile 0.5 of 3]",
    ]
    for one, other in zip(layers, (*expected[:2], *expected.quantiles), strict=True):
        np.testing.assert_allclose(one.data, other.data, atol=1e-3)
        assert one.name == other.name.replace("pix2pix", "m")
    assert [one.visible for one in layers] == [True, True, False, False]
    assert "Hidden: s [m, quantile 0.5 of 3], s [m, quantile 0.05 of 3]." in said
    field.setText("q5,mean")
    assert "Quantiles are a list such as q5,q95" in dock.check()
    dock.options = PredictOptions()
    assert field.isHidden()
    assert dock.check() == ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dropout": 0.5}, {"dropout": True, "turns": 1}),
        ({"dropout": 0.0}, {"dropout": False, "turns": 8}),
        ({"dropout": 0.0, "norm": "instance"}, None),
    ],
)
def test_uncertainty_comes_from_what_a_model_has(viewer, dock, fields, expected):
    image = noise(64, 64)
    dock.set_model(make_model(image, 1 - image, **fields))
    dock.set_layers([viewer.add_image(image)])
    if expected is None:
        with pytest.raises(InputError, match="neither noise nor dropout"):
            dock.shows_uncertainty = True
        return
    dock.shows_uncertainty = True
    options = dock._choices().options
    assert options.samples == 8
    assert {name: getattr(options, name) for name in expected} == expected
    assert dock.check() == ""


def test_what_nobody_foresaw_is_our_error_when_a_sample_is_opened(monkeypatch):
    def fail(_self):
        raise KeyError("a")

    monkeypatch.setattr("napari_pix2pix.napari_layers.samples.Sample.layers", fail)
    with pytest.raises(UnexpectedError, match="KeyError"):
        samples.stain_nuclei()
