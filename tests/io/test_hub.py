"""Models on the Hugging Face Hub; a stand-in takes the place of its library, and of the network."""

import sys

import pytest
from hub_stand_in import COMMITS, stand_in

from napari_pix2pix import load
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.hub import fetch_model, is_hub_name


@pytest.fixture
def hub(tmp_path, monkeypatch):
    return stand_in(tmp_path, monkeypatch)


def test_model_is_fetched_at_the_commit_that_is_meant(hub):
    newest, first = load("hf:lab/nuclei"), load("hf:lab/nuclei@v1")
    assert newest.digest != first.digest
    assert hub.fetched == [("lab/nuclei", "nuclei.safetensors", COMMITS[v]) for v in (None, "v1")]
    assert "From hf:lab/nuclei@4567ef00." in first.card()


def test_commit_stays_in_a_saved_copy(hub):
    load("hf:lab/nuclei").save(hub.folder / "copy.safetensors")
    again = load(hub.folder / "copy.safetensors")
    assert again.info.origin == "hf:lab/nuclei@0123abcd"


def test_one_of_several_models_is_named(hub):
    hub.names.append("others.safetensors")
    with pytest.raises(FileError, match="holds several models: name one"):
        fetch_model("hf:lab/nuclei")
    found = fetch_model("hf:lab/nuclei/nuclei.safetensors@v1")
    assert found.origin == "hf:lab/nuclei/nuclei.safetensors@4567ef00"
    with pytest.raises(FileError, match="no safetensors file of its repository"):
        fetch_model("hf:lab/nuclei/README.md")


def test_nothing_but_safetensors_is_fetched(hub):
    hub.names[:] = ["pytorch_model.bin", "model.onnx"]
    with pytest.raises(FileError, match="holds no safetensors file"):
        fetch_model("hf:lab/nuclei")
    assert not hub.fetched


def test_what_the_hub_does_not_have_is_named(hub):
    with pytest.raises(FileError, match=r"hf:lab/other can't be fetched \(404 Client Error\)"):
        fetch_model("hf:lab/other")


@pytest.mark.parametrize("name", ["hf:nuclei", "hf:", "hf:lab/nuclei@", "hf:lab/nuclei:main"])
def test_other_names_are_refused(name, hub):
    with pytest.raises(InputError, match="is named hf:owner/name"):
        fetch_model(name)


def test_paths_are_no_names_on_the_hub(tmp_path):
    assert not is_hub_name(tmp_path / "hf:lab")
    assert not is_hub_name("models/nuclei.safetensors")


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FileError, match=r"napari-pix2pix\[hub\]"):
        fetch_model("hf:lab/nuclei")
