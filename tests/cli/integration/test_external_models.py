"""ONNX files in the shell, and folders of models."""

import json

import numpy as np
import pytest
from foreign_models import onnx_file
from helpers import make_model, noise

from napari_pix2pix import load
from napari_pix2pix.io.reading import read_image

pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")
IMAGE = noise(70, 61)


@pytest.fixture
def model(tmp_path):
    return onnx_file(tmp_path / "plain.onnx", stride=4)


def test_onnx_file_is_applied_as_a_whole_or_in_tiles(model, tmp_path, write, succeed):
    source, out = write(tmp_path / "a.tif", IMAGE, "YX"), tmp_path / "out.tif"
    wanted = load(model)(IMAGE)
    succeed("apply", model, source, "-o", out)
    np.testing.assert_array_equal(read_image(out).data, wanted)
    succeed("apply", model, source, "-o", out, "--halo", "8", "--tile", "16", "--overwrite")
    np.testing.assert_allclose(read_image(out).data, wanted, atol=1e-5)


def test_part_of_a_large_file_equals_the_whole(model, tmp_path, succeed):
    stack = noise(2, 90, 75)
    np.save(tmp_path / "a.npy", stack)
    part = "--axes", "TYX", "--region", "8:72,16:75"
    wanted = load(model)(stack)[:, 8:72, 16:75]
    for halo in ((), ("--halo", "8")):
        out = tmp_path / f"out{len(halo)}.zarr"
        succeed("apply", model, tmp_path / "a.npy", "-o", out, *part, *halo)
        np.testing.assert_allclose(read_image(out).data, wanted, atol=1e-5)


def test_info_lists_a_folder(model, tmp_path, succeed):
    make_model(IMAGE, 1 - IMAGE).save(tmp_path / "inverter.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"damaged")
    lines = succeed("info", tmp_path).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "broken.safetensors",
        "inverter.safetensors",
        "plain.onnx",
    ]
    assert lines[2].endswith("Trained by another program.")
    broken, inverter, _ = json.loads(succeed("info", tmp_path, "--json").stdout)["models"]
    assert broken["summary"] is None
    assert "not a napari-pix2pix model" in broken["problem"]
    assert inverter["problem"] is None


def test_info_says_what_a_file_does_not_say(model, succeed):
    shown = succeed("info", model).stdout
    assert "The file says nothing of intensities" in shown
    assert "given whole images" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["convert", "plain.onnx", "out.safetensors"], "neither trained on, saved nor converted"),
        (["info", "plain.onnx", "--authors", "Ada"], "keeps the texts that it has"),
        (["info", ".", "--authors", "Ada"], "is a folder"),
    ],
)
def test_what_can_not_be_done_is_said(arguments, sentence, model, tmp_path, invoke, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
