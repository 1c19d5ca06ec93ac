import re

import pytest
from helpers import strict_json

TRAINED_ON = (
    "8-bit images to 8-bit images, 1 pair of 96 x 80 pixels, 5 training patches, shift unknown"
)


def test_json_is_strict_where_a_score_is_infinite(files, gray, tmp_path, invoke):
    # The linear fit inverts these integers without any error: its PSNR is infinite.
    scored = invoke("evaluate", gray, *files, "--json")
    answer = strict_json(scored.stdout)
    assert answer["baseline"]["psnr"] is None
    assert answer["images"][0]["name"] == "source.tif"
    assert strict_json(invoke("info", gray, "--json").stdout)["steps"] == 2


def test_tables_and_info(folder, files, gray, invoke):
    table = invoke("evaluate", gray, *files).stdout
    assert re.search(r"network\s+baseline", table)
    assert re.search(r"pearson\s+\S+\s+1\n", table)
    said = invoke("info", gray).stdout
    assert TRAINED_ON in said
    assert "light, 2 steps in" in said
    assert "torch" in said
    checkpoint = invoke("info", folder / "gray.ckpt").stdout
    assert "light, 2 steps in" in checkpoint


def test_a_training_starts_from_a_model_and_info_says_so(
    files, gray, invoke, succeed, tmp_path, sentence
):
    model, out = gray, tmp_path / "next.safetensors"
    plain = ["train", *files, "--start", model, "-o", out]
    assert "has width=4, got 8" in sentence(invoke(*plain, "--steps 3 --width 8"))
    done = succeed(*plain, "--steps 3 --device cpu")
    assert f"Starts from a model that was trained for 2 steps ({TRAINED_ON})" in done.stderr
    said = invoke("info", out).stdout
    assert "light, 3 steps in" in said
    assert f"started from: {TRAINED_ON}, 2 steps" in said
    succeed(*plain[:3], "-o", out, "--resume --overwrite --steps 4 --device cpu")
    assert strict_json(invoke("info", out, "--json").stdout)["started_from"]["steps"] == 2


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", ["SOURCE", "TARGET", "--out", "matched by name", "--axes", "--resume"]),
        ("apply", ["MODEL", "INPUT", "--out", "pixel size", "--condition"]),
        ("evaluate", ["MODEL", "SOURCE", "TARGET", "baseline"]),
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
