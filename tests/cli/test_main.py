import re
import zipfile

import numpy as np
import PIL.Image
import pytest
import tifffile
import torch
from click.testing import CliRunner
from helpers import strict_json, with_other_best

from napari_pix2pix import load
from napari_pix2pix.cli import main
from napari_pix2pix.io.model_file import read_container

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


def test_weights_are_chosen_in_a_shell(gray, files, tmp_path, succeed, invoke, sentence):
    model, small = tmp_path / "both.safetensors", tmp_path / "small.safetensors"
    with_other_best(load(gray)).save(model)
    last, best = "last (1,200 steps, Pearson 0.500)", "best (800 steps, Pearson 0.750)"
    assert f"weights: {last}, which are applied; {best}" in succeed("info", model).stdout
    succeed("convert", model, small, "--weights best")
    assert small.stat().st_size < model.stat().st_size / 2
    known = strict_json(succeed("info", small, "--json").stdout)
    assert (known["weights"], known["applied"]) == (["best"], "best")
    for name, options in {"a": "--weights best", "b": "", "c": "--weights last"}.items():
        succeed("apply", model, files[0], "-o", tmp_path / f"{name}.tif", options)
    best, plain, last = (tifffile.imread(tmp_path / f"{name}.tif") for name in "abc")
    assert best.min() == best.max()
    assert np.array_equal(plain, last)
    assert plain.min() < plain.max()
    for weights in ("last", "best"):
        scored = succeed("evaluate", model, *files, "--json", f"--weights {weights}").stdout
        assert (strict_json(scored)["prediction"]["l1"] > 0) is True
    refused = invoke("apply", small, files[0], "-o", tmp_path / "d.tif", "--weights last")
    assert "holds only its best weights" in sentence(refused)


def test_info_writes_what_people_are_told(gray, invoke, sentence, tmp_path):
    model = tmp_path / "told.safetensors"
    model.write_bytes(gray.read_bytes())
    said = invoke("info", model, "--licence", "CC0-1.0", "--intended-use", "Nuclei.").stdout
    assert said.startswith("# told\n\n- Translates 8-bit images into 8-bit images.\n")
    for stays in (said, invoke("info", model).stdout):
        assert "- Licence: CC0-1.0.\n- Intended use: Nuclei.\n" in stays
    before, after = read_container(gray), read_container(model)
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1]["history"] == after[1]["history"]


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
    assert f"Training began from a model of {TRAINED_ON}." in said
    succeed(*plain[:3], "-o", out, "--resume --overwrite --steps 4 --device cpu")
    assert strict_json(invoke("info", out, "--json").stdout)["started_from"]["steps"] == 2


@pytest.mark.parametrize("harm", ["directory", "version"])
def test_a_damaged_package_is_named_as_such(harm, files, invoke, sentence, tmp_path):
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("rdf.yaml", "type: model")
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2")
    content[entry + (0 if harm == "directory" else 6)] = 255
    path.write_bytes(content)
    for words in (("info", path), ("apply", path, files[0], "-o", tmp_path / "a.tif")):
        assert "m.zip is not a PyTorch file of weights, or it is cut short or damaged" in sentence(
            invoke(*words)
        )


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", ["SOURCE", "TARGET", "--out", "matched by name", "--axes", "--resume"]),
        ("apply", ["MODEL", "INPUT", "--out", "pixel size", "--condition"]),
        ("evaluate", ["MODEL", "SOURCE", "TARGET", "baseline"]),
        ("info", ["MODEL", "--licence"]),
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


@pytest.mark.parametrize("name", ["", "x" * 300 + ".tif", "x/" * 3000 + "a.tif", "a\0b.tif"])
def test_name_that_no_file_can_have_is_refused(gray, files, tmp_path, sentence, invoke, name):
    for words in (["info", name], ["apply", str(gray), name], ["train", str(files[0]), name]):
        result = CliRunner().invoke(main, [*words, *(["-o", "a.tif"] if len(words) > 2 else [])])
        assert "path must be the name of a file" in sentence(result)


def test_error_that_nobody_foresaw_is_a_sentence(gray, tmp_path, invoke, monkeypatch):
    def fail(*_, **__):
        raise KeyError("a\nb")

    monkeypatch.setattr("napari_pix2pix._load.load", fail)
    result = invoke("convert", gray, tmp_path / "a.pth")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Something unexpected went wrong (KeyError: 'a\\nb'); please")
    monkeypatch.setenv("NAPARI_PIX2PIX_TRACEBACK", "1")
    with pytest.raises(KeyError):
        invoke("convert", gray, tmp_path / "a.pth")


def test_want_of_memory_is_a_sentence(gray, files, tmp_path, sentence, invoke, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("Unable to allocate 9 TB")

    monkeypatch.setattr("napari_pix2pix.large_images._files.read_image", fail)
    said = sentence(invoke("apply", gray, files[0], "-o", tmp_path / "a.tif"))
    assert "Memory ran out (Unable to allocate 9 TB): use smaller tiles" in said
    assert said.endswith("(--tile).")


def test_limit_of_reading_holds_for_one_command(gray, tmp_path, sentence, succeed, invoke):
    path = tmp_path / "a.png"
    PIL.Image.new("L", (1000, 1000), 100).save(path)
    command = "apply", gray, path, "-o", tmp_path / "b.tif"
    said = sentence(invoke(*command, "--read-limit 1"))
    assert "asks for 2 MB of memory at once" in said
    assert "(--read-limit)" in said
    assert "must be a number of MB" in sentence(invoke(*command, "--read-limit 0"))
    succeed(*command)
    assert tifffile.imread(tmp_path / "b.tif").shape == (1000, 1000)
