"""A folder of models is listed, with those that can't be read."""

import os

import pytest
from foreign_models import onnx_file
from helpers import make_model, noise

from napari_pix2pix import list_models
from napari_pix2pix.errors import FileError

IMAGE = noise(64, 64)


def test_models_of_a_folder_are_listed_with_what_they_are(tmp_path):
    make_model(IMAGE, 1 - IMAGE).save(tmp_path / "b.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"damaged")
    (tmp_path / "latest_net_D.pth").write_bytes(b"its generator says what it is")
    (tmp_path / "image.tif").write_bytes(b"")
    damaged, good = list_models(tmp_path)
    assert (damaged.path.name, good.path.name) == ("a.safetensors", "b.safetensors")
    assert damaged.info is None
    assert "a.safetensors" in str(damaged)
    assert str(good).startswith("Translates 32-bit floating point images into")
    assert str(good).endswith("No scores: nothing was held out.")
    assert good.problem == ""


def test_models_of_other_programs_are_listed(tmp_path):
    pytest.importorskip("onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    onnx_file(tmp_path / "good.onnx")
    onnx_file(tmp_path / "other.onnx", inputs=2)
    good, other = list_models(tmp_path)
    assert str(good).endswith("Trained by another program.")
    assert "has 2 inputs" in str(other)


def test_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match="is no folder"):
        list_models(tmp_path / "missing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_pipes_and_files_that_fail_oddly_hide_no_other(tmp_path, monkeypatch):
    for name in ("a.safetensors", "b.pth", "c.safetensors"):
        os.mkfifo(tmp_path / name)
    assert all("is a pipe, not a file" in one.problem for one in list_models(tmp_path))
    monkeypatch.setattr("napari_pix2pix._list_models.read_model_info", lambda _: {}["a"])
    assert all("(KeyError: 'a')" in one.problem for one in list_models(tmp_path))
