"""The choice of a model: one of the Hub by its name, and a file that takes a halo."""

import sys

import pytest
from foreign_models import onnx_file
from helpers import apply_without_error, make_model, noise
from hub_stand_in import stand_in

from napari_pix2pix import load
from napari_pix2pix.widgets.common.known_models import models


@pytest.fixture
def hub(tmp_path, monkeypatch):
    return stand_in(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def inverter():
    image = noise(64, 64)
    return make_model(image, 1 - image)


@pytest.fixture
def picker(dock):
    return dock._view.picker


def until_loaded(qtbot, picker) -> None:
    qtbot.waitUntil(lambda: not picker._loader.running)


def test_model_of_the_hub_is_fetched_by_name_and_applied(viewer, dock, picker, qtbot, hub):
    dock.set_model("hf:lab/nuclei@v1")
    assert picker.description.text() == "Fetching hf:lab/nuclei@v1 …"
    assert not picker.hub.isEnabled()
    until_loaded(qtbot, picker)
    assert hub.fetched == [("lab/nuclei", "nuclei.safetensors", "4567ef00")]
    assert dock.model is not None
    assert dock.card.origin == "hf:lab/nuclei@4567ef00"
    dock.set_layers([viewer.add_image(noise(64, 64), name="s")])
    apply_without_error(dock, qtbot)
    assert dock.results[0].metadata["napari-pix2pix"]["digest"] == load("hf:lab/nuclei@v1").digest


def test_name_is_asked_for_and_needs_no_prefix(dock, picker, qtbot, hub, monkeypatch):
    asked = "napari_pix2pix.widgets.apply.model_picker.QInputDialog.getText"
    monkeypatch.setattr(asked, lambda *_: (" lab/nuclei ", True))
    picker.hub.click()
    until_loaded(qtbot, picker)
    assert dock.model.path == hub.folder / "0123abcd" / "nuclei.safetensors"
    monkeypatch.setattr(asked, lambda *_: ("lab/other", False))
    picker.hub.click()
    assert not picker._loader.running


def test_model_that_the_hub_does_not_have_changes_nothing(dock, picker, qtbot, hub, inverter):
    dock.set_model(models().remember(inverter, "m"))
    dock.set_model("hf:lab/other")
    until_loaded(qtbot, picker)
    assert "hf:lab/other can't be fetched" in picker.error.text()
    assert dock.model.translator is inverter
    assert picker.hub.isEnabled()


def test_missing_library_of_the_hub_is_named(dock, picker, qtbot, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    dock.set_model("hf:lab/nuclei")
    until_loaded(qtbot, picker)
    assert "napari-pix2pix[hub]" in picker.error.text()


@pytest.mark.usefixtures("hub")
def test_other_model_that_is_chosen_meanwhile_stays(dock, picker, qtbot, inverter):
    dock.set_model("hf:lab/nuclei")
    dock.set_model(models().remember(inverter, "m"))
    until_loaded(qtbot, picker)
    assert dock.model.translator is inverter
    assert {entry.name for entry in models().known()} == {"m", "nuclei"}


def test_file_without_a_halo_takes_one(dock, picker, qtbot, tmp_path, inverter):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    path = onnx_file(tmp_path / "net.onnx")
    dock.set_model(path)
    qtbot.waitUntil(lambda: dock.model is not None)
    assert not picker.halo.isHidden()
    assert picker.halo.value is None
    assert dock.model.translator.generator.tile == 0  # whole images
    picker.halo.box.setValue(3)
    until_loaded(qtbot, picker)
    assert dock.model.translator.digest == load(path, halo=3).digest
    assert (dock.model.path, picker.halo.value) == (path, 3)
    assert len(models().known()) == 1  # it takes the other's place
    dock.set_model(models().remember(inverter, "m"))
    assert picker.halo.isHidden()


def test_halo_that_does_not_fit_is_refused(dock, picker, qtbot, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    dock.set_model(onnx_file(tmp_path / "net.onnx", side=32))
    qtbot.waitUntil(lambda: dock.model is not None)
    assert picker.halo.value == 4  # an eighth of the windows' side
    picker.halo.box.setValue(16)
    until_loaded(qtbot, picker)
    assert "less than half of the window" in picker.error.text()
    assert picker.halo.value == 4


def test_what_nobody_foresaw_in_a_file_is_said_below_the_choice(
    dock, picker, tmp_path, inverter, monkeypatch
):
    inverter.save(tmp_path / "m.safetensors")
    monkeypatch.setattr(
        "napari_pix2pix.widgets.common.known_models.read_model_info", lambda _: {}["a"]
    )
    dock.set_model(tmp_path / "m.safetensors")
    assert "Something unexpected went wrong (KeyError: 'a')" in picker.error.text()
    assert picker.model is None
    dock.set_model(None)
    monkeypatch.setattr(picker._loader, "fetch", lambda _: {}["b"])
    dock.set_model("hf:lab/nuclei")
    assert "(KeyError: 'b')" in picker.error.text()
