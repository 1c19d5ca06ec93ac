"""A newcomer with an empty viewer comes to a compared result in two clicks."""

from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import Qt

import napari_pix2pix
from napari_pix2pix.napari_layers.samples import SAMPLES
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common import settings
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.train import _try_it
from napari_pix2pix.widgets.train._welcome import Guide

MANIFEST = PluginManifest.from_file(Path(napari_pix2pix.__file__).parent / "napari.yaml")
PHASE = SAMPLES["phase_fluorescence"]
BUTTON = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def plugin(npe2pm, tmp_path, monkeypatch):
    """Let napari know the plugin, which keeps its autosaves in a folder of the test's own."""
    monkeypatch.setattr(settings, "_data_folder", lambda: tmp_path / "data")
    npe2pm.register(MANIFEST)


@pytest.fixture
def few_steps(monkeypatch):
    tiny = {"steps": 4, "width": 4, "depth": 2, "patch": 32, "batch": 2, "validation": 0.05}
    fields = {**tiny, "adversarial_weight": 0.0, "max_seconds": 60.0, "device": "cpu"}
    monkeypatch.setattr(_try_it, "FIELDS", fields)


@pytest.mark.usefixtures("few_steps")
def test_try_it_ends_with_prediction_and_truth_beside_each_other(viewer, qtbot):
    dock = open_dock(viewer, "Train")  # a click on the menu
    assert dock.view.welcome.isVisibleTo(dock)
    with qtbot.waitSignal(dock.view.trial.ended) as ended:
        qtbot.mouseClick(dock.view.welcome.try_it, BUTTON)
        assert dock.view.trial.is_running
        assert not dock.view.welcome.isVisibleTo(dock)
    assert "Pearson" in ended.args[0]
    assert dock.view.trial.error.text() == ""
    [result] = open_dock(viewer, "Apply").results
    truth, beside = viewer.layers[PHASE.unseen_target], viewer.layers[-1]
    np.testing.assert_array_equal(beside.data, truth.data)
    assert beside.extent.world[0, 1] > result.extent.world[1, 1]
    np.testing.assert_allclose(beside.contrast_limits, result.contrast_limits)
    assert open_dock(viewer, "Evaluate").scores["prediction"]
    assert not settings.remembered_fields("train/fields")  # they are the trial's


@pytest.mark.usefixtures("few_steps")
def test_trial_that_is_stopped_early_says_so(viewer, qtbot):
    dock = open_dock(viewer, "Train")
    with qtbot.waitSignal(dock.view.trial.ended) as ended:
        dock.try_it()
        dock.stop()
    assert ended.args == ["Stopped before the first step, so there is no model."]
    assert not dock.view.trial.is_running


def test_sample_is_in_view_and_its_model_can_be_applied_at_once(viewer, qtbot):
    dock = open_dock(viewer, "Train")
    dock.view.welcome.open_sample.menu().actions()[0].trigger()
    assert [layer.visible for layer in viewer.layers] == [True, True, False, True]
    assert viewer.layers.selection.active.name == PHASE.unseen_source
    centre = viewer.layers.extent.world.mean(0)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], centre, atol=1)
    assert not dock.view.welcome.isVisibleTo(dock)
    apply = open_dock(viewer, "Apply")
    assert apply.model.path == PHASE.model.absolute()
    assert [layer.name for [layer] in apply.layers] == [PHASE.unseen_source]
    assert models().last().path == PHASE.model.absolute()


def test_guide_opens_in_a_window(viewer, qtbot):
    dock = open_dock(viewer, "Train")
    qtbot.mouseClick(dock.view.welcome.guide, BUTTON)
    [guide] = dock.findChildren(Guide)
    assert "Try it" in guide.text.toPlainText()
    guide.close()
