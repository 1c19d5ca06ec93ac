from types import SimpleNamespace

import pytest
from qtpy.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QWidget

from napari_pix2pix import _convert
from napari_pix2pix.widgets.common.known_models import ModelEntry
from napari_pix2pix.widgets.common.saving import ModelSaver


class Model:
    """Stands for a translator, of which nothing but its credits is looked at."""

    info = SimpleNamespace(config=SimpleNamespace(authors="Ada L.", licence="CC-BY-NC-4.0"))


@pytest.mark.parametrize(
    ("chosen", "kind", "written"),
    [
        ("m", "ONNX (*.onnx)", "m.onnx"),
        ("m", "BioImage.IO package (*.zip)", "m.zip"),
        ("m.pth", "", "m.pth"),
        ("m.safetensors", "ONNX (*.onnx)", "m.onnx"),
        ("m.v2", "ONNX (*.onnx)", "m.v2.onnx"),
        ("m.pt", "PyTorch implementation (*.pth *.pt)", "m.pt"),
        ("m", "", "m.safetensors"),
        ("m", "napari-pix2pix (*.safetensors)", "m.safetensors"),
    ],
)
def test_saver_writes_the_kind_that_is_chosen(chosen, kind, written, tmp_path, qtbot, monkeypatch):
    asked = []

    def convert(model, path, *, authors, licence):
        asked.append((path, authors, licence))
        return ("A note.",)

    monkeypatch.setattr(_convert, "convert", convert)
    # What the questions propose is taken.
    monkeypatch.setattr(QInputDialog, "getText", lambda *given: (given[-1], True))
    monkeypatch.setattr(QInputDialog, "getItem", lambda *given: (given[-1][0], True))
    path, proposed = str(tmp_path / chosen), []
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *given: proposed.append(given[2]) or (path, kind)
    )
    window = QWidget()
    qtbot.addWidget(window)
    saver = ModelSaver(window)
    with qtbot.waitSignal(saver.saved) as caught:
        saver.ask(ModelEntry("m", Model()))
    (found,) = caught.args
    assert (found.path, found.notes) == (tmp_path / written, ("A note.",))
    assert found.is_ours == written.endswith(".safetensors")
    credits = ("Ada L.", "CC-BY-NC-4.0") if kind.startswith("Bio") else (None, None)
    assert asked == [(tmp_path / written, *credits)]
    assert proposed[0].endswith("model")  # so that the kind decides


def test_saver_asks_before_it_replaces_what_the_dialog_did_not_name(tmp_path, qtbot, monkeypatch):
    chosen, asked = str(tmp_path / "m"), []
    (tmp_path / "m.onnx").touch()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (chosen, "ONNX (*.onnx)"))
    no = QMessageBox.StandardButton.No
    monkeypatch.setattr(QMessageBox, "question", lambda *given: asked.append(given[-1]) or no)
    window = QWidget()
    qtbot.addWidget(window)
    saver = ModelSaver(window)
    saver.ask(ModelEntry("m", Model()))
    assert not saver.running
    assert asked == ["m.onnx exists. Replace it?"]


def test_saver_writes_no_package_whose_questions_are_not_answered(tmp_path, qtbot, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "m.zip"), ""))
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("", False))
    window = QWidget()
    qtbot.addWidget(window)
    saver = ModelSaver(window)
    saver.ask(ModelEntry("m", Model()))
    assert not saver.running
