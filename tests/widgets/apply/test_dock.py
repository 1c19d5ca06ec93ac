import threading
from dataclasses import replace

import helpers
import numpy as np
import pytest
from helpers import (
    apply_and_wait,
    apply_without_error,
    assert_same_place,
    choose,
    docked,
    noise,
    with_other_best,
)
from napari.layers import Image, Labels

from napari_pix2pix import train
from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.napari_layers import KEY
from napari_pix2pix.translator import Translator
from napari_pix2pix.widgets.apply.dock import ApplyDock
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.settings import read_settings, remember_fields

TINY = helpers.TINY | {"steps": 2, "validation": 0.0}
PLACE = {
    "scale": (2.0, 3.0),
    "translate": (5.0, -7.0),
    "rotate": 30.0,
    "units": ("um", "um"),
    "axis_labels": ("v", "u"),
}


@pytest.fixture(scope="module")
def inverter():
    """Gray float32 to gray uint16."""
    image = noise(64, 64)
    target = (60000 * (1 - image)).astype(np.uint16)
    # With a callback nothing is warned of: two steps are below the baseline.
    return train(image, target, callback=lambda _: None, **{**TINY, "validation": 0.2})


@pytest.fixture(scope="module")
def labeller():
    """Gray to instances."""
    y, x = np.mgrid[:64, :64]
    labels = ((y // 16) * 4 + x // 16 + 1) * ((y % 16 > 3) & (x % 16 > 3))
    return train((labels > 0) + noise(64, 64) / 4, labels.astype(np.uint16), **TINY)


@pytest.fixture(scope="module")
def two_channels():
    """Two channels to one, for two stains."""
    image = noise(2, 64, 64)
    return train(
        [image] * 2, [image[0], image[1]], channel_axis=(0, None), condition=["a", "b"], **TINY
    )


def open_dock(viewer, qtbot) -> ApplyDock:
    return docked(ApplyDock(viewer), viewer, qtbot)


@pytest.fixture
def source(viewer):
    return viewer.add_image(noise(40, 40), name="s")


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


# --- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_memory", [True, False])
def test_weights_are_chosen_where_a_model_has_two(
    in_memory, viewer, dock, qtbot, source, inverter, tmp_path
):
    model, path = with_other_best(inverter), tmp_path / "both.safetensors"
    model.save(path)
    dock.set_model(model if in_memory else path)
    dock.set_layers([source])
    combo = dock._view.picker.weights
    assert [combo.itemText(number) for number in range(combo.count())] == [
        "last (1,200 steps, Pearson 0.500)",
        "best (800 steps, Pearson 0.750)",
    ]
    assert not combo.isHidden()
    assert combo.value == "last"
    combo.setCurrentIndex(1)
    combo.activated.emit(1)  # by the mouse
    for weights, score in (("best", 0.75), ("last", 0.5)):
        if weights == "last":
            dock.choose_weights(weights)
        assert dock.card.scores.prediction == {"pearson": score}
        apply_without_error(dock, qtbot)
        assert combo.value == weights  # now that the file was read, too
        result = dock.results[0]
        assert result.metadata[KEY]["weights"] == weights
        assert result.metadata[KEY]["scores"]["prediction"] == {"pearson": score}
        assert (np.ptp(result.data) == 0) == (weights == "best")
    assert len(models().known()) == 1


def test_weights_that_the_train_dock_takes_are_those_of_the_chosen_model(dock, inverter):
    model = with_other_best(inverter)
    dock.set_model(models().remember(model, "run"))
    best = model.with_weights("best")
    models().exchange(model, best)
    combo = dock._view.picker.combo
    assert [combo.itemText(number) for number in range(combo.count())] == ["run"]
    assert dock.model.translator is best
    assert dock.card.scores.prediction == {"pearson": 0.75}


def test_there_is_no_choice_of_weights_where_the_last_are_the_best(dock, inverter):
    dock.set_model(inverter)
    assert dock._view.picker.weights.isHidden()
    assert dock.card.weights == ("last", "best")  # of the same step


# --- in place ------------------------------------------------------------------------------------


def test_result_lies_where_its_source_does(viewer, dock, qtbot, inverter):
    image = noise(50, 70)
    source = viewer.add_image(image, name="stain", **PLACE)
    viewer.add_image(image, name="above")
    choose(dock, inverter, "inverter", source)
    apply_without_error(dock, qtbot)
    assert names(viewer) == ["stain", "above", "stain [inverter]"]  # nothing lies over it
    result = viewer.layers[2]
    np.testing.assert_array_equal(result.data, inverter(image))
    assert_same_place(result, source)
    codec = inverter.target_codec
    assert tuple(result.contrast_limits) == (codec.low[0], codec.high[0])
    record = result.metadata[KEY]
    assert record["digest"] == inverter.digest
    assert record["scores"] == inverter.info.scores_by_side
    assert not record["partial"]


def test_running_again_updates_and_undo_goes_back(viewer, dock, qtbot, inverter):
    source = viewer.add_image(noise(40, 40), name="stain")
    choose(dock, inverter, "inverter", source)
    apply_and_wait(dock, qtbot)
    first = viewer.layers[1].data
    source.data = noise(40, 40, seed=1)
    source.scale = (2, 2)
    apply_and_wait(dock, qtbot)
    assert names(viewer) == ["stain", "stain [inverter]"]
    np.testing.assert_array_equal(viewer.layers[1].data, inverter(source.data))
    np.testing.assert_allclose(viewer.layers[1].scale, (2, 2))
    dock.undo()
    np.testing.assert_array_equal(viewer.layers[1].data, first)
    np.testing.assert_allclose(viewer.layers[1].scale, (1, 1))
    dock.undo()
    assert names(viewer) == ["stain"]


def test_old_opaque_layers_hide_no_result(viewer, dock, qtbot, inverter):
    image = noise(40, 40)
    source = viewer.add_image(image, name="s")
    old = viewer.add_image(image, name="old")
    choose(dock, inverter, "m", source)
    said, _ = apply_and_wait(dock, qtbot)
    assert names(viewer) == ["s", "old", "s [m]"]
    assert said.endswith("Shown: s [m]. Covered by it: old, s.")
    result = viewer.layers[2]
    viewer.layers.move(2, 1)
    result.visible = False
    apply_without_error(dock, qtbot)  # the layer is updated, and is seen again
    assert names(viewer) == ["s", "old", "s [m]"]
    assert result.visible
    dock.undo()
    assert names(viewer) == ["s", "s [m]", "old"]
    assert not result.visible
    viewer.layers.remove(old)


def test_view_moves_to_a_result_that_lies_outside(viewer, dock, qtbot, inverter):
    viewer.add_image(noise(40, 40), name="here")
    source = viewer.add_image(noise(40, 40), name="far", translate=(0, 5000))
    viewer.scene.camera.center, viewer.scene.camera.zoom = (20, 20), 5
    choose(dock, inverter, "m", source)
    said, _ = apply_and_wait(dock, qtbot)
    assert "The view moved there." in said
    assert viewer.scene.camera.center[-1] == pytest.approx(5019.5)
    viewer.scene.camera.zoom /= 2
    said, _ = apply_and_wait(dock, qtbot)
    assert "moved" not in said
    assert viewer.scene.camera.center[-1] == pytest.approx(5019.5)


def test_end_is_told_after_the_beginning(viewer, dock, qtbot, inverter, monkeypatch):
    progress, ends = dock._view.progress, []
    begin = progress.begin

    def begin_slowly(text):
        begin(text)
        qtbot.wait(300)  # napari handles events while it makes a bar

    monkeypatch.setattr(progress, "begin", begin_slowly)
    dock.ended.connect(lambda *message: ends.append(message))
    dock.set_layers([viewer.add_image(noise(16, 16), name="stain")])
    dock.set_model(inverter)
    dock.apply()
    assert not ends
    qtbot.waitUntil(lambda: len(ends) == 1)
    assert not dock.running


def test_layer_that_python_made_is_updated(viewer, dock, qtbot, inverter):
    source = viewer.add_image(noise(40, 40), name="stain")
    made = viewer.add_layer(inverter(source))
    choose(dock, inverter, "m", source)
    apply_without_error(dock, qtbot)
    assert len(viewer.layers) == 2
    assert dock.results == [made]


def test_two_layers_at_once(viewer, dock, qtbot, inverter):
    layers = [viewer.add_image(noise(40, 40, seed=n), name=f"s{n}") for n in range(2)]
    dock.set_model(models().remember(inverter, "m"))
    dock.set_layers(layers)
    apply_and_wait(dock, qtbot)
    assert names(viewer) == ["s0", "s1", "s0 [m]", "s1 [m]"]
    for source, result in zip(viewer.layers[:2], viewer.layers[2:], strict=True):
        np.testing.assert_array_equal(result.data, inverter(source.data))


def test_labels_come_as_labels(viewer, dock, qtbot, labeller):
    source = viewer.add_image(noise(64, 64), name="stain")
    choose(dock, labeller, "objects", source)
    apply_and_wait(dock, qtbot)
    assert isinstance(viewer.layers[1], Labels)
    np.testing.assert_array_equal(viewer.layers[1].data, labeller(source.data))


def test_rgb_stays_rgb(viewer, dock, qtbot):
    colours = (255 * noise(64, 64, 3)).astype(np.uint8)
    model = train(colours, 255 - colours, **TINY)
    source = viewer.add_image(colours, rgb=True, name="slide")
    choose(dock, model, "m", source)
    apply_and_wait(dock, qtbot)
    assert viewer.layers[1].rgb
    np.testing.assert_array_equal(viewer.layers[1].data, model(colours))


def test_channels_from_layers_with_a_condition(viewer, dock, qtbot, two_channels):
    image = noise(2, 40, 40)
    layers = [viewer.add_image(one, name=name) for one, name in zip(image, "ab", strict=True)]
    dock.set_model(models().remember(two_channels, "m"))
    dock.set_layers(layers, by_channel=True)
    dock.condition = "b"
    apply_without_error(dock, qtbot)
    assert names(viewer) == ["a", "b", "a + b [m, b]"]
    np.testing.assert_array_equal(viewer.layers[2].data, two_channels(image, condition="b"))
    dock.condition = "a"  # another translation is another layer
    apply_and_wait(dock, qtbot)
    assert len(viewer.layers) == 4


def test_channels_from_an_axis(viewer, dock, qtbot, two_channels):
    image = noise(2, 40, 40)
    source = viewer.add_image(image, name="both")
    dock.set_layers([source])
    dock.set_model(models().remember(two_channels, "m"))
    apply_and_wait(dock, qtbot)
    np.testing.assert_array_equal(viewer.layers[1].data, two_channels(image, condition="a"))
    assert viewer.layers[1].data.shape == (40, 40)


def test_current_frame_then_all(viewer, dock, qtbot, inverter):
    stack = noise(3, 40, 40)
    source = viewer.add_image(stack, name="t", scale=(10, 1, 1))
    viewer.dims.set_current_step(0, 1)
    choose(dock, inverter, "m", source)
    dock.current_frame = True
    apply_and_wait(dock, qtbot)
    expected = np.zeros((3, 40, 40), np.uint16)
    expected[1] = inverter(stack[1])
    np.testing.assert_array_equal(viewer.layers[1].data, expected)
    viewer.dims.set_current_step(0, 2)
    apply_and_wait(dock, qtbot)  # what was there stays
    expected[2] = inverter(stack[2])
    np.testing.assert_array_equal(viewer.layers[1].data, expected)


def test_region_in_view(viewer, dock, qtbot, inverter, monkeypatch):
    image = noise(80, 80)
    source = viewer.add_image(image, name="s")
    view = (slice(30, 50), slice(0, 20))
    monkeypatch.setattr("napari_pix2pix.widgets.apply._request.visible_region", lambda *_: view)
    choose(dock, inverter, "m", source)
    dock.visible_only = True
    apply_and_wait(dock, qtbot)
    data = viewer.layers[1].data
    np.testing.assert_array_equal(data[30:50, :20], inverter(image)[30:50, :20])
    assert not data[60:].any()


# --- replacing -----------------------------------------------------------------------------------


def test_replacing_data_of_the_same_kind(viewer, dock, qtbot, inverter):
    image = noise(40, 40)
    source = viewer.add_image(image, name="stain", metadata={"mine": 1})
    choose(dock, inverter, "m", source)
    dock.replaces = True
    apply_and_wait(dock, qtbot)
    assert names(viewer) == ["stain"]
    np.testing.assert_array_equal(source.data, inverter(image))
    assert source.metadata["mine"] == 1
    assert source.metadata[KEY]["digest"] == inverter.digest
    dock.undo()
    assert names(viewer) == ["stain"]
    np.testing.assert_array_equal(source.data, image)
    assert source.metadata == {"mine": 1}


def test_replacing_another_kind_keeps_the_source_aside(viewer, dock, qtbot, labeller):
    source = viewer.add_image(noise(64, 64), name="stain")
    viewer.add_image(noise(64, 64), name="other")
    choose(dock, labeller, "m", source)
    dock.replaces = True
    apply_and_wait(dock, qtbot)
    assert names(viewer) == ["stain", "stain (before)", "other"]
    assert isinstance(viewer.layers[0], Labels)
    assert not source.visible
    dock.undo()
    assert names(viewer) == ["stain", "other"]
    assert isinstance(viewer.layers[0], Image)
    assert source.visible


# --- stopping ------------------------------------------------------------------------------------


def many_tiles(viewer, dock, inverter) -> Image:
    source = viewer.add_image(noise(600, 2000), name="big")
    choose(dock, inverter, "m", source)
    dock.options = PredictOptions(tile=64, batch=1)
    return source


def stop_at_first_tile(dock, qtbot, how) -> tuple[str, bool]:
    done = []

    def once(part, _text):
        if not done:
            done.append(part)
            how()

    dock._run.progressed.connect(once)
    return apply_and_wait(dock, qtbot)


@pytest.mark.usefixtures("in_step")
def test_cancel_keeps_what_is_done_and_marks_it(viewer, dock, qtbot, inverter):
    source = many_tiles(viewer, dock, inverter)
    message, is_error = stop_at_first_tile(dock, qtbot, dock.cancel)
    assert "partial" in message
    assert not is_error
    result = viewer.layers[1]
    assert result.name == "big [m] (partial)"
    assert result.metadata[KEY]["partial"]
    done = result.data != 0
    assert 0 < done.sum() < done.size
    np.testing.assert_array_equal(result.data[done], inverter(source.data)[done])
    dock.options = PredictOptions()
    apply_and_wait(dock, qtbot)
    assert names(viewer) == ["big", "big [m]"]


def test_result_taken_away_stops_the_work(viewer, dock, qtbot, inverter):
    many_tiles(viewer, dock, inverter)
    stop_at_first_tile(dock, qtbot, lambda: viewer.layers.pop(1))
    assert names(viewer) == ["big"]
    assert not dock.running


def test_source_taken_away_harms_nothing(viewer, dock, qtbot, inverter):
    source = many_tiles(viewer, dock, inverter)
    image = source.data
    message, is_error = stop_at_first_tile(dock, qtbot, lambda: viewer.layers.remove(source))
    assert not is_error, message
    np.testing.assert_array_equal(viewer.layers[0].data, inverter(image))


def test_viewer_closed_while_applying(make_napari_viewer_proxy, qtbot, inverter):
    viewer = make_napari_viewer_proxy()
    dock = open_dock(viewer, qtbot)
    viewer.window.add_dock_widget(dock, name="Apply")
    many_tiles(viewer, dock, inverter)
    dock.apply()
    viewer.close()
    assert not dock.running


@pytest.mark.parametrize(
    ("error", "words"),
    [(RuntimeError("no such kernel"), "no such kernel"), (MemoryError(), "Memory ran out")],
)
def test_error_in_the_worker_is_said(
    viewer, dock, source, qtbot, inverter, monkeypatch, error, words
):
    def fail(*_args, **_how):
        raise error

    choose(dock, inverter, "m", source)
    monkeypatch.setattr(Predictor, "predict", fail)
    message, is_error = apply_and_wait(dock, qtbot)
    assert is_error
    assert words in message
    assert names(viewer) == ["s"]
    qtbot.waitUntil(lambda: dock._view.apply.isEnabled())
    assert not dock._view.cancel.isEnabled()


# --- what does not fit ---------------------------------------------------------------------------


def test_misfit_is_said_before_the_run(viewer, dock, inverter, two_channels):
    assert "Choose a model" in dock.check()
    dock.set_model(models().remember(two_channels, "m"))
    assert "Choose the layers" in dock.check()
    source = viewer.add_image(noise(40, 40), name="s")
    dock.set_layers([source])
    assert "2 channels" in dock.check()
    assert not dock._view.apply.isEnabled()
    assert dock._view.problem.text() == dock.problem
    with pytest.raises(InputError, match="2 channels"):
        dock.apply()
    assert not dock.running
    dock.set_model(models().remember(inverter, "m1"))
    assert dock.check() == ""
    assert dock._view.apply.isEnabled()
    assert dock._view.estimate.text().startswith("0.0016 Mpx")


class Watched(LazyArray):
    """Zeros that remember in which threads they were read."""

    def __init__(self) -> None:
        super().__init__((300, 64), np.dtype(np.float32))
        self.readers: list[threading.Thread] = []

    def read_window(self, window):
        self.readers.append(threading.current_thread())
        return np.zeros([span.stop - span.start for span in window], self.dtype)


def test_what_is_read_lazily_is_not_read_where_the_viewer_would_wait(viewer, dock, inverter):
    data = Watched()
    source = viewer.add_image(data, contrast_limits=(0, 1))
    choose(dock, inverter, "m", source)
    data.readers.clear()
    assert dock.check() == ""
    assert threading.main_thread() not in data.readers


def test_foreign_dtype_is_noted(viewer, dock, qtbot, inverter):
    source = viewer.add_image((255 * noise(40, 40)).astype(np.uint8))
    choose(dock, inverter, "m", source)
    assert dock.check() == ""
    qtbot.waitUntil(lambda: "trained on float32 images, got uint8" in dock.warning)


def test_intensities_that_were_not_trained_on_are_said_before_the_run(
    viewer, dock, qtbot, inverter, tmp_path
):
    inverter.save(tmp_path / "model.safetensors", slim=True)
    source = viewer.add_image(100 + noise(64, 64), name="s")
    usual = viewer.add_image(noise(64, 64), name="usual")
    dock.set_model(models().of_file(tmp_path / "model.safetensors"))
    dock.set_layers([source])
    assert dock.check() == ""
    qtbot.waitUntil(lambda: "lies outside their range" in dock.warning)
    assert dock._view.apply.isEnabled()
    dock.set_layers([usual])
    dock.check()
    qtbot.waitUntil(lambda: not dock.warning)
    dock.set_layers([source])
    dock.check()
    qtbot.waitUntil(lambda: bool(dock.warning))
    dock.set_layers([])
    assert dock.check()
    assert not dock.warning


def test_card_shows_what_the_model_makes(viewer, dock, qtbot, inverter, labeller, tmp_path):
    picker = dock._view.picker
    assert not picker.picture.isVisibleTo(dock)
    inverter.save(tmp_path / "model.safetensors", slim=True)
    dock.set_model(tmp_path / "model.safetensors")  # read without PyTorch
    np.testing.assert_array_equal(dock.card.thumbnail, inverter.info.thumbnail)
    assert picker.picture.isVisibleTo(dock)
    assert picker.picture.pixmap().width() == min(240, inverter.info.thumbnail.shape[1])
    dock.set_model(models().remember(labeller, "m"))  # nothing was held out
    assert not picker.picture.isVisibleTo(dock)


def test_useless_options_are_disabled(viewer, dock, labeller):
    model = train(noise(64, 64), 1 - noise(64, 64), norm="instance", dropout=0.0, **TINY)
    dock.set_model(models().remember(model, "m"))
    options = dock._view.options
    assert options.whole
    options.set_options(PredictOptions(tile=256))
    assert not options.whole
    for name in ("dropout", "norm_statistics"):
        assert not options.editors[name].enabled
    dock.set_model(models().remember(labeller, "labels"))
    assert not options.editors["output"].enabled


@pytest.fixture(scope="module")
def micrometers():
    """From a layer of 1 µm per pixel to a magenta one."""
    place = {"scale": (1.0, 1.0), "units": ("um", "um")}
    look = {"colormap": "magenta", "contrast_limits": (0.0, 0.7)}
    source = Image(noise(64, 64), name="phase", **place)
    return train(source, Image(1 - noise(64, 64), name="DAPI", **look), **TINY)


def test_results_look_like_the_targets(viewer, dock, qtbot, micrometers):
    choose(dock, micrometers, "m", viewer.add_image(noise(40, 40), name="s"))
    apply_without_error(dock, qtbot)
    shown = viewer.layers[1]
    assert (shown.colormap.name, tuple(shown.contrast_limits)) == ("magenta", (0.0, 0.7))


def test_pixels_of_another_size_are_said_and_can_be_resampled(viewer, dock, qtbot, micrometers):
    place = {"scale": (0.5, 0.5), "translate": (3.0, 4.0), "units": ("um", "um")}
    source = viewer.add_image(noise(50, 61), name="fine", **place)
    choose(dock, micrometers, "m", source)
    dock.check()
    qtbot.waitUntil(lambda: "looks 2 times as large" in dock.warning)
    assert dock._view.resample.isVisibleTo(dock)
    dock._view.resample.click()
    dock.check()
    qtbot.waitUntil(lambda: not dock.warning)
    assert not dock._view.resample.isVisibleTo(dock)
    apply_without_error(dock, qtbot)
    result = viewer.layers[1]
    np.testing.assert_allclose(
        result.data, micrometers(noise(50, 61), resample=True, pixel_size=0.5), atol=1e-5
    )
    assert_same_place(result, source)
    assert not dock._run.speeds  # of other pixels than the image's
    with qtbot.waitSignal(dock.ended):
        dock.show_unlikeness()
    expected = micrometers.unlikeness_map(noise(50, 61), resample=True, pixel_size=0.5)
    np.testing.assert_allclose(viewer.layers[-1].data, expected, atol=1e-5)


def test_resampling_a_layer_without_a_size_is_refused_in_time(viewer, dock, source, micrometers):
    choose(dock, micrometers, "m", source)
    dock.options = PredictOptions(resample=True)
    assert "does not state its pixel size" in dock.check()
    dock.options = PredictOptions(resample=True, pixel_size=0.5)
    assert dock.check() == ""


def test_channels_in_another_order_are_said(viewer, dock, qtbot, two_channels):
    layers = [viewer.add_image(noise(40, 40), name=name) for name in "ab"]
    info = replace(two_channels.info, source_channels=("a", "b"))
    dock.set_model(models().remember(Translator(two_channels.tensors, info), "m"))
    dock.set_layers(layers[::-1], by_channel=True)
    dock.check()
    qtbot.waitUntil(lambda: "in another order (b, a)" in dock.warning)
    dock.set_layers(layers, by_channel=True)
    dock.check()
    qtbot.waitUntil(lambda: "order" not in dock.warning)


# --- models --------------------------------------------------------------------------------------


def test_file_is_shown_and_loaded_when_it_is_used(viewer, dock, source, qtbot, inverter, tmp_path):
    path = tmp_path / "dapi.safetensors"
    inverter.save(path)
    dock.set_layers([source])
    dock.set_model(path)
    assert dock.card.summary == inverter.info.summary
    apply_and_wait(dock, qtbot)
    assert names(viewer) == ["s", "s [dapi]"]
    np.testing.assert_array_equal(viewer.layers[1].data, inverter(source.data))
    assert models().last().path == path
    assert models().recent_files() == (path,)


def test_file_that_is_none_is_said_to_be_so(dock, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_text("{}")
    dock.set_model(path)
    assert dock.model is None
    assert "x.safetensors" in dock._view.picker.error.text()
    dock.check()
    assert not dock._view.apply.isEnabled()


def test_dock_follows_the_last_model_until_one_is_chosen(dock, inverter, labeller):
    models().remember(inverter, "first")
    assert dock.model.name == "first"
    models().remember(labeller, "second")
    assert dock.model.name == "second"
    dock.set_model(inverter)
    models().remember(labeller, "third")
    assert dock.model.translator is inverter


def test_trial_tells_time_and_memory(dock, source, qtbot, inverter):
    dock.set_layers([source])
    dock.set_model(models().remember(inverter, "m"))
    qtbot.waitUntil(lambda: "network about" in dock._view.estimate.text())
    assert "about" in dock._view.estimate.text().split(";")[0]


def test_preferred_device_is_taken_where_none_is_chosen(dock, source, qtbot, inverter, monkeypatch):
    preferred = replace(read_settings(), device="nowhere")
    monkeypatch.setattr("napari_pix2pix.widgets.apply._request.read_settings", lambda: preferred)
    dock.set_layers([source])
    dock.set_model(models().remember(inverter, "m"))
    message, is_error = apply_and_wait(dock, qtbot)
    assert is_error
    assert "nowhere" in message
    dock.options = PredictOptions(device="cpu")
    message, is_error = apply_and_wait(dock, qtbot)
    assert not is_error, message


# --- keys and two docks --------------------------------------------------------------------------


def test_keys_apply_the_last_model_and_undo(viewer, dock, source, qtbot, inverter):
    models().remember(inverter, "m")
    viewer.layers.selection.active = source
    keys = {str(key): function for key, function in viewer.keymap.items()}
    with qtbot.waitSignal(dock.ended):
        keys["Ctrl+Shift+A"](viewer)
    assert names(viewer) == ["s", "s [m]"]
    assert viewer.layers.selection.active.name == "s"
    keys["Ctrl+Z"](viewer)
    assert names(viewer) == ["s"]
    dock.close_down()
    assert not viewer.keymap


def test_two_viewers_share_models_alone(make_napari_viewer_proxy, qtbot, inverter):
    viewers = [make_napari_viewer_proxy(), make_napari_viewer_proxy()]
    docks = [open_dock(viewer, qtbot) for viewer in viewers]
    sources = [viewer.add_image(noise(40, 40), name="s") for viewer in viewers]
    models().remember(inverter, "m")
    for dock, source in zip(docks, sources, strict=True):
        dock.set_layers([source])
    docks[0].current_frame = True
    apply_and_wait(docks[0], qtbot)
    assert [names(viewer) for viewer in viewers] == [["s", "s [m]"], ["s"]]
    assert not docks[1].current_frame
    docks[1].undo()
    apply_and_wait(docks[1], qtbot)
    docks[0].undo()
    assert [names(viewer) for viewer in viewers] == [["s"], ["s", "s [m]"]]


# --- remembered ----------------------------------------------------------------------------------


def test_options_come_back_in_the_next_viewer(make_napari_viewer_proxy, qtbot):
    options = PredictOptions(tile=512, precision="bf16-mixed", seed=3)
    viewer = make_napari_viewer_proxy()
    dock = open_dock(viewer, qtbot)
    viewer.window.add_dock_widget(dock, name="Apply")
    dock.options = options
    viewer.close()
    other = open_dock(make_napari_viewer_proxy(), qtbot)
    assert other.options == options.model_copy(update={"seed": None})


def test_remembered_options_that_are_not_valid_are_left_out(viewer, qtbot):
    remember_fields("apply/options", {"tile": -1, "dropout": True})
    assert open_dock(viewer, qtbot).options == PredictOptions()
