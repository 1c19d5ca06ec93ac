from __future__ import annotations

import json
import re
from typing import Any

import pytest


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_strict_where_a_score_is_infinite(folder, tmp_path, invoke):
    # The linear fit inverts these integers without any error: its PSNR is infinite.
    scored = invoke("evaluate", folder / "gray.safetensors", folder / "source.tif",
                    folder / "target.tif", "--json")  # fmt: skip
    answer = strict(scored.stdout)
    assert answer["trivial"]["psnr"] is None
    assert answer["images"][0]["name"] == "source.tif"
    assert strict(invoke("info", folder / "gray.safetensors", "--json").stdout)["step"] == 2


def test_tables_and_info(folder, invoke):
    model = folder / "gray.safetensors"
    table = invoke("evaluate", model, folder / "source.tif", folder / "target.tif").stdout
    assert re.search(r"network\s+trivial map", table)
    assert re.search(r"pearson\s+\S+\s+1\n", table)
    said = invoke("info", model).stdout
    assert "uint8 96x80 -> uint8 image; 5 patches; alignment" in said
    assert "light, 2 steps in" in said
    assert "torch" in said
    checkpoint = invoke("info", folder / "gray.ckpt").stdout
    assert "light, 2 steps in" in checkpoint


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", ["SOURCE", "TARGET", "--out", "matched by name", "--axes", "--resume"]),
        ("apply", ["MODEL", "INPUT", "--out", "pixel size", "--condition"]),
        ("evaluate", ["MODEL", "SOURCE", "TARGET", "trivial map"]),
        ("info", ["MODEL"]),
        ("demo", ["--out", "report.json", "--max-seconds"]),
    ],
)
def test_help_says_what_is_needed(command, words, invoke):
    text = " ".join(invoke(command, "--help").stdout.split())
    assert all(word in text for word in words)
    assert "--json" in text
    assert "Print the result as JSON" in text


def test_examples_are_not_wrapped(invoke):
    lines = [line.strip() for line in invoke("train", "--help").stdout.splitlines()]
    assert "napari-pix2pix train phase.tif dapi.tif -o dapi.safetensors --max-seconds 300" in lines
    assert "napari-pix2pix demo" in [line.strip() for line in invoke("--help").stdout.splitlines()]
