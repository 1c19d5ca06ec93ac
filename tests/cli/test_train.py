import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tifffile
from helpers import gray_noise

from napari_pix2pix.training.model_info import read_model_info


def test_from_files_to_scores(files, tmp_path, run, sentence, tiny):
    source, target = files
    trained = run("train", source, target, "-o", "m.safetensors", *tiny.split(), cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "Wrote m.safetensors." in trained.stdout
    assert "\r" not in trained.stderr
    assert re.search(r"Epoch 1: Pearson \S+, baseline 1\.000", trained.stderr)
    applied = run("apply", "m.safetensors", source, "-o", "out.tif", cwd=tmp_path)
    assert (applied.returncode, applied.stdout, applied.stderr) == (0, "Wrote out.tif\n", "")
    assert tifffile.imread(tmp_path / "out.tif").shape == (96, 80)
    refused = run("train", source, "none.tif", "-o", "new.safetensors", cwd=tmp_path)
    assert "no file or folder none.tif" in sentence(refused)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_run_goes_on(files, tmp_path, invoke, succeed, sentence, tiny):
    out, checkpoint = tmp_path / "m.safetensors", tmp_path / "m.ckpt"
    options = tiny.replace("--steps 2", "--checkpoint-seconds 0.1")
    endless = [*map(str, files), "-o", str(out), *options.split(), "--epochs", "100000"]
    script = Path(sys.executable).with_name("napari-pix2pix")
    process = subprocess.Popen([script, "train", *endless], stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 120
        while not checkpoint.exists():
            assert process.poll() is None
            assert time.monotonic() < ends, "no checkpoint was written"
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert not out.exists()
    done = read_model_info(checkpoint).steps
    assert done > 0
    plain = ["train", *files, "-o", out, options]
    assert "of an earlier run exists" in sentence(invoke(*plain, "--steps 3"))
    succeed(*plain, "--resume --steps", str(done + 3))
    assert read_model_info(out).steps == done + 3


def test_a_source_may_be_derived_from_the_target(files, tmp_path, invoke, succeed, sentence, tiny):
    source, target = files
    out = tmp_path / "m.safetensors"
    succeed("train --derive noise --derive-strength 2", target, "-o", out, tiny)
    config = read_model_info(out).config
    assert (config.derive, config.derive_strength) == ("noise", 2.0)
    scores = json.loads(succeed("evaluate", out, target, "--json").stdout)
    assert "pearson" in scores["prediction"]
    refused = invoke("train --derive noise", source, target, "-o", tmp_path / "n.safetensors")
    assert "--derive takes TARGET alone" in sentence(refused)


def test_images_are_held_out_by_name(tmp_path, succeed, invoke, sentence, write, tiny):
    (tmp_path / "images").mkdir()
    for name in "abc":
        write(tmp_path / "images" / f"{name}.tif", gray_noise(48, 48), "YX")
    out = tmp_path / "m.safetensors"
    named = ["train --derive blur --hold-out", "a,c", tmp_path / "images", "-o", out]
    succeed(*named, tiny)
    assert "Held out, as asked: a.tif and c.tif (2 of 3 images)." in read_model_info(out).notes
    named[1] = "d"
    refused = invoke(*named, "--overwrite", tiny)
    assert "hold_out names 'd', and there is no such image" in sentence(refused)


def test_files_are_matched_in_order_where_asked(tmp_path, invoke, succeed, sentence, write, tiny):
    for folder, names in (("s", "ab"), ("t", "xy")):
        (tmp_path / folder).mkdir()
        for name in names:
            write(tmp_path / folder / f"{name}.tif", gray_noise(48, 48), "YX")
    named = tmp_path / "s", tmp_path / "t", "--write-pairs", tmp_path / "pairs.csv"
    out = "-o", tmp_path / "m.safetensors"
    assert "No source has a target of the same name" in invoke("train", *named, *out).stderr
    succeed("train --match order --overwrite", *named, *out)
    lines = (tmp_path / "pairs.csv").read_text().split()
    assert lines[1:] == ["s/a.tif,t/x.tif,train", "s/b.tif,t/y.tif,train"]


def test_a_table_of_pairs_is_written_beside_a_model_that_is_there(files, gray, tmp_path, succeed):
    table = tmp_path / "found.csv"
    before = gray.read_bytes()
    succeed("train", *files, "-o", gray, "--write-pairs", table)
    assert table.exists()
    assert gray.read_bytes() == before


def test_resume_without_a_checkpoint_starts_over_and_says_so(
    files, tmp_path, invoke, succeed, tiny
):
    out = tmp_path / "m.safetensors"
    result = succeed("train", *files, "-o", out, tiny, "--resume --json")
    missing = tmp_path / "m.ckpt"
    assert result.stderr == f"There is no checkpoint at {missing}: the run starts over.\n"
    again = invoke("train", *files, "-o", out, tiny, "--resume --json")
    assert (again.exit_code, again.stderr) == (0, "")


def test_resume_without_a_checkpoint_does_not_replace_a_model(
    files, gray, tmp_path, invoke, sentence, tiny
):
    model = tmp_path / "m.safetensors"
    model.write_bytes(before := gray.read_bytes())
    assert "exists" in sentence(invoke("train", *files, "-o", model, tiny, "--resume"))
    assert model.read_bytes() == before
