from types import SimpleNamespace

import pytest
from qtpy.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QWidget

from napari_pix2pix import _convert
from napari_pix2pix.widgets.common.known_models import ModelEntry, ModelSaver, models


class Model:
    """Stands for a translator, of which nothing but its credits is looked at."""

    info = SimpleNamespace(config=SimpleNamespace(authors="Ada L.", licence="CC-BY-NC-4.0"))


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{n}.safetensors" for n in range(12)]
    for path in paths:
        path.touch()
    return paths


def test_last_is_the_one_remembered_last(qtbot):
    one, other = Model(), Model()
    with qtbot.waitSignal(models().changed):
        models().remember(one, "one")
    models().remember(other, "other")
    assert models().last().translator is other
    models().remember(one, "one again")
    assert [known.name for known in models().known()] == ["one again", "other"]


def test_path_is_kept(files):
    model = Model()
    models().remember(model, "m", path=files[0])
    known = models().remember(model, "n")
    assert known.path == files[0]
    assert models().of_file(files[0]) is known


def test_file_that_two_threads_read_at_a_time_is_one_model(files):
    first, second, chosen = Model(), Model(), models().of_file(files[0])
    models().remember_read(first, chosen)
    models().remember(Model(), "other")
    known = models().remember_read(second, chosen)
    assert (known.translator, known.path) == (first, files[0])
    assert models().known()[0] is known
    assert [one.name for one in models().known()] == ["0", "other"]


def test_model_whose_file_was_written_over_has_none_any_more(files):
    before, after = Model(), Model()
    for model in (before, after):
        models().remember(model, "trained")
        models().remember(model, "saved", path=files[0])
    found = [(one.translator, one.path) for one in models().known()]
    assert found == [(after, files[0]), (before, None)]
    assert models().of_file(files[0]).translator is after
    # What is chosen in a dock is applied, whatever its file holds by now.
    models().remember_read(before, ModelEntry("saved", before, files[0]))
    found = [(one.translator, one.path) for one in models().known()]
    assert found == [(before, None), (after, files[0])]


def test_offered_file_comes_after_those_that_the_user_chose(files, qtbot):
    with qtbot.waitSignal(models().changed):
        models().offer_file(files[0])
    assert models().last().path == files[0]
    models().remember(Model(), "m", path=files[1])
    assert models().offered_files() == (files[1], files[0])


def test_recent_files_outlive_the_process(files):
    for path in files:
        models().remember(Model(), path.stem, path=path)
    files[-2].unlink()
    models.cache_clear()
    assert models().recent_files() == (files[-1], *reversed(files[2:-2]))
    last = models().last()
    assert (last.name, last.path, last.translator) == ("11", files[-1], None)


def test_one_recent_file_is_a_list_of_one(files):
    models().remember(Model(), "m", path=files[0])
    assert models().recent_files() == (files[0],)


def test_nothing_is_known_at_first():
    assert models().last() is None
    assert models().recent_files() == ()


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
        saver.ask(Model())
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
    saver.ask(Model())
    assert not saver.running
    assert asked == ["m.onnx exists. Replace it?"]


def test_saver_writes_no_package_whose_questions_are_not_answered(tmp_path, qtbot, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "m.zip"), ""))
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("", False))
    window = QWidget()
    qtbot.addWidget(window)
    saver = ModelSaver(window)
    saver.ask(Model())
    assert not saver.running
