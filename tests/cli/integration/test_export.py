"""`convert` to what other programs run."""

import json

import pytest

pytest.importorskip("onnxruntime", reason="needs the extra onnx")


def test_convert_to_onnx(gray, tmp_path, invoke, succeed, sentence):
    out = tmp_path / "m.onnx"
    said = succeed("convert", gray, out).stdout
    assert said.startswith(f"Wrote {out}.\nIntensities are left out: -1 to 1 goes in")
    assert "Heights and widths are multiples of 4 pixels" in said
    assert "exists: choose another name, or pass --overwrite" in sentence(
        invoke("convert", gray, out)
    )
    before = out.read_bytes()
    result = invoke("convert", gray, tmp_path / "m", "--to onnx --overwrite --json")
    assert json.loads(result.stdout)["written"] == str(out)
    assert out.read_bytes() == before
    said = sentence(invoke("convert", gray, tmp_path / "m.onnx", "--to bioimageio --overwrite"))
    assert "such a file (bioimageio) ends in .zip, and m.onnx is that of another format" in said
    assert [file.name for file in tmp_path.iterdir()] == [out.name]
    said = sentence(invoke("convert", gray, tmp_path / "m", "--to onnx --overwrite --licence MIT"))
    assert "are for packages (.zip) alone, and m.onnx is none: leave them out" in said


def test_convert_to_a_package(gray, tmp_path, succeed):
    pytest.importorskip("bioimageio.core", reason="needs the extra bioimageio")
    words = ("--to=bioimageio", "--authors=Ada", "--licence=MIT")
    assert "It names no authors" not in succeed("convert", gray, tmp_path / "m.zip", *words).stdout
