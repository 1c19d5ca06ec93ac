import numpy as np
import pytest
from helpers import apply_without_error, choose, gray_noise, make_model, noise

from napari_pix2pix.errors import InputError
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.runs.records import kept_runs


@pytest.fixture(scope="module")
def labeller():
    y, x = np.mgrid[:64, :64]
    labels = ((y // 16) * 4 + x // 16 + 1) * ((y % 16 > 3) & (x % 16 > 3))
    return make_model((labels > 0) + noise(64, 64) / 4, labels.astype(np.uint16))


@pytest.fixture(scope="module")
def inverter():
    image = gray_noise(64, 64)
    return make_model(image, 255 - image)


def learn(dock, qtbot):
    """Learn, and wait until the new model was applied."""
    with qtbot.waitSignal(dock.ended, timeout=30_000):
        dock.learn()
    assert dock.corrections.error.text() == ""


def test_painted_labels_are_learnt_from_and_applied(dock, viewer, qtbot, labeller):
    source = viewer.add_image(noise(64, 64), name="cells")
    choose(dock, labeller, "nuclei", source)
    apply_without_error(dock, qtbot)
    (result,) = dock.results
    with pytest.raises(InputError, match="is as the model made it: paint or edit it"):
        dock.learn()
    result.selected_label = int(result.data.max()) + 1
    result.brush_size = 9
    result.paint((30, 30), result.selected_label)
    edited = result.data.copy()
    dock.corrections.steps.setValue(2)
    learn(dock, qtbot)
    assert dock.model.name == "nuclei corrected"
    assert dock.model.translator is not labeller
    assert [run.name for run in kept_runs(read_settings().autosave_folder)] == ["nuclei corrected"]
    assert "kept under Runs" in dock.corrections.status.text()
    names = [layer.name for layer in viewer.layers]
    assert names.count("cells [nuclei]") == names.count("cells [nuclei corrected]") == 1
    np.testing.assert_array_equal(result.data, edited)  # what the user has painted stays


def test_another_layer_may_hold_the_truth_of_a_part(dock, viewer, qtbot, inverter):
    image = gray_noise(64, 64)
    source = viewer.add_image(image, name="phase")
    choose(dock, inverter, "stain", source)
    apply_without_error(dock, qtbot)
    truth = viewer.add_image(255 - image, name="truth")
    part = viewer.add_shapes([[[5, 5], [5, 40], [40, 40], [40, 5]]], name="part")
    form = dock.corrections
    form.correction.choose(truth)
    form.where.choose(part)
    form.steps.setValue(2)
    learn(dock, qtbot)
    assert [entry.name for entry in models().known()] == ["stain corrected", "stain"]


def test_without_a_result_it_is_said_what_to_do(dock, viewer):
    viewer.add_image(noise(64, 64))
    assert not dock.corrections.start.isEnabled()
    with pytest.raises(InputError, match="apply the model, correct the result"):
        dock.learn()


def test_a_result_that_was_removed_is_forgotten(dock, viewer, qtbot, inverter):
    choose(dock, inverter, "stain", viewer.add_image(gray_noise(64, 64), name="phase"))
    apply_without_error(dock, qtbot)
    assert dock.corrections.result.layer is dock.results[0]
    dock.undo()
    assert dock.corrections.result.layer is None
    assert not dock.corrections.start.isEnabled()
