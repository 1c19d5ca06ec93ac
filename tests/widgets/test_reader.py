"""Model files that are opened with napari, or dropped on a dock."""

import os
from pathlib import Path

import numpy as np
import pytest
from foreign_models import onnx_file
from helpers import make_model, noise
from npe2 import PluginManifest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication
from safetensors.numpy import save_file

import napari_pix2pix
from napari_pix2pix.errors import UnexpectedError
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.evaluate.dock import EvaluateDock
from napari_pix2pix.widgets.reader import get_reader

MANIFEST = PluginManifest.from_file(Path(napari_pix2pix.__file__).parent / "napari.yaml")
IMAGE = noise(64, 64)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "nuclei.safetensors"
    make_model(IMAGE, 1 - IMAGE).save(path)
    return path


def drop(dock, *paths):
    """Drop files on a dock; return whether it took them."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    how = Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton
    key = Qt.KeyboardModifier.NoModifier
    entered = QDragEnterEvent(QPoint(5, 5), *how, key)
    entered.ignore()
    QApplication.sendEvent(dock, entered)
    if entered.isAccepted():
        QApplication.sendEvent(dock, QDropEvent(QPointF(5, 5), *how, key))
    return entered.isAccepted()


def test_opened_model_is_chosen_in_the_apply_dock(viewer, npe2pm, model):
    npe2pm.register(MANIFEST)
    assert viewer.open(str(model), plugin="napari-pix2pix") == []
    dock = open_dock(viewer, "Apply")
    assert dock.model.path == model
    assert dock.model.name == "nuclei"


def test_onnx_file_is_read_when_it_is_opened(viewer, npe2pm, qtbot, tmp_path):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    npe2pm.register(MANIFEST)
    viewer.open(str(onnx_file(tmp_path / "others.onnx")), plugin="napari-pix2pix")
    dock = open_dock(viewer, "Apply")
    qtbot.waitUntil(lambda: dock.card is not None)
    assert dock.card.engine == "onnx"
    assert "Trained by another program." in dock._view.picker.description.text()
    assert dock._view.options.editors["device"].enabled  # of those of ONNX Runtime
    for name in ("tile", "precision", "dropout"):
        assert not dock._view.options.editors[name].enabled


def test_file_that_is_no_model_is_left_to_others(tmp_path):
    others = tmp_path / "others.safetensors"
    save_file({"a": np.zeros(1)}, others)
    (tmp_path / "images.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    for path in (others, tmp_path / "images.zip", tmp_path / "missing.safetensors", tmp_path):
        assert get_reader(str(path)) is None
    assert get_reader([str(others)]) is None


def test_model_that_is_dropped_on_the_dock_is_chosen(dock, model, tmp_path):
    other = tmp_path / "image.tif"
    other.write_bytes(b"")
    assert not drop(dock, other)
    assert not drop(dock, model, model)
    assert drop(dock, model)
    assert dock.model.path == model


def test_model_that_is_dropped_on_the_evaluate_dock_is_evaluated(viewer, qtbot, model):
    from helpers import docked

    dock = docked(EvaluateDock(viewer), viewer, qtbot)
    assert drop(dock, model)
    assert dock._view.what.currentIndex() == 1
    assert dock._view.picker.model.path == model


def test_pipe_or_reading_that_fails_oddly_is_no_model(tmp_path, monkeypatch, model):
    if hasattr(os, "mkfifo"):
        for name in ("a.safetensors", "b.pth", "c.onnx", "d.zip", "rdf.yaml"):
            os.mkfifo(tmp_path / name)
            assert get_reader(str(tmp_path / name)) is None
    monkeypatch.setattr("napari_pix2pix.widgets.reader.read_header", lambda _: {}["a"])
    assert get_reader(str(model)) is None


def test_what_nobody_foresaw_is_our_error_when_a_model_is_opened(viewer, monkeypatch, model):
    monkeypatch.setattr("napari_pix2pix.widgets.reader.open_dock", lambda *_: {}["a"])
    with pytest.raises(UnexpectedError, match="KeyError"):
        get_reader(str(model))(str(model))
