"""Warnings in the Train dock, and the buttons that mend what they are about."""

import numpy as np
import pytest
from helpers import TINY
from scipy.ndimage import gaussian_filter

from napari_pix2pix.widgets.common import settings
from napari_pix2pix.widgets.train._advice import Mend
from napari_pix2pix.widgets.train.dock import TrainDock

CELLS = np.kron(np.arange(12).reshape(4, 3), np.ones((24, 24), int))
TEXTURE = gaussian_filter(np.random.default_rng(0).random((260, 260)), 2).astype(np.float32)


@pytest.fixture
def make_dock(viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "_data_folder", lambda: tmp_path / "data")
    made = []

    def make(source, target):
        add = [
            viewer.add_labels if one.dtype.kind == "i" else viewer.add_image
            for one in (source, target)
        ]
        layers = [add[0](source, name="source"), add[1](target, name="target")]
        dock = TrainDock(viewer)
        viewer.window.add_dock_widget(dock, name="Train")
        dock.set_fields(**TINY, steps=5, adversarial_weight=0.0)
        dock.clear_pairs()
        dock.add_pair(*layers)
        made.append(dock)
        return dock

    yield make
    while made:
        made.pop().close_work()


def mends(dock) -> list[Mend | None]:
    return [one.mend for one in dock.view.form.advice.advice]


def ready(qtbot, dock) -> None:
    qtbot.waitUntil(dock.view.status.train.isEnabled)


def test_shift_is_in_view_and_corrected_by_its_button(make_dock, qtbot):
    dock = make_dock(TEXTURE[10:250, 10:250], 1 - TEXTURE[2:242, 10:250] ** 2)
    ready(qtbot, dock)
    assert mends(dock) == [Mend.CORRECT_SHIFT]
    assert "The target lies 8.0 px" in dock.view.form.advice.text()
    assert "Shifted by 8.0 px" in dock.view.form.summary.text()
    assert dock.view.form.advice.isVisibleTo(dock)
    dock.view.form.advice.click(Mend.CORRECT_SHIFT)
    assert dock.config.correct_shift
    qtbot.waitUntil(lambda: mends(dock) == [])
    assert not dock.view.form.advice.isVisibleTo(dock)
    assert "Aligned within" in dock.view.form.summary.text()


def test_labels_as_source_are_swapped(make_dock, qtbot):
    dock = make_dock(CELLS, TEXTURE[:96, :72])
    ready(qtbot, dock)
    assert Mend.SWAP in mends(dock)
    dock.set_source("edges")  # of the target: the labels are not used
    ready(qtbot, dock)
    assert Mend.SWAP not in mends(dock)
    dock.set_source("")
    ready(qtbot, dock)
    dock.view.form.advice.click(Mend.SWAP)
    qtbot.waitUntil(lambda: Mend.SWAP not in mends(dock))
    [choice] = dock.view.form.pairs.choices()
    assert [layer.name for layer in (*choice.sources, *choice.targets)] == ["target", "source"]
    ready(qtbot, dock)
    assert dock.view.form.groups.editor("reconstruction").value == "l2"  # as will be used


def test_floats_that_look_like_labels_are_used_as_such(make_dock, qtbot):
    dock = make_dock(TEXTURE[:96, :72], CELLS.astype(np.float32))
    ready(qtbot, dock)
    assert Mend.USE_AS_LABELS in mends(dock)
    dock.view.form.advice.click(Mend.USE_AS_LABELS)
    assert dock.config.target_kind == "instances"
    qtbot.waitUntil(lambda: Mend.USE_AS_LABELS not in mends(dock))


def test_target_of_other_pixels_is_resampled(make_dock, qtbot):
    dock = make_dock(TEXTURE[:96, :72], CELLS[::2, ::2])
    qtbot.waitUntil(lambda: mends(dock) == [Mend.RESAMPLE])
    assert dock.view.form.pairs.has_error()
    dock.view.form.advice.click(Mend.RESAMPLE)
    ready(qtbot, dock)
    [choice] = dock.view.form.pairs.choices()
    assert choice.targets[0].name == "target (resampled)"
    assert choice.targets[0].data.shape == (96, 72)
    assert not dock.view.form.pairs.has_error()
