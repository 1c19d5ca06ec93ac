"""What people's files are called, how the shell reads them, and how its commands end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path

import helpers
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from napari_pix2pix import load, train
from napari_pix2pix.cli import main
from napari_pix2pix.errors import InputError
from napari_pix2pix.io.matching import match_by_name
from napari_pix2pix.io.model_file import read_container

FIELDS = helpers.TINY | {"steps": 2, "dropout": 0}
TINY = [word for name, value in FIELDS.items() for word in (f"--{name.replace('_', '-')}", value)]
SCRIPT = [sys.executable, "-c", "from napari_pix2pix.cli import main; main()"]


def invoke(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def image(seed=0, *shape):
    return helpers.integer_noise(*(shape or (64, 64)), seed=seed)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        tifffile.imwrite(path, array, photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    train(image(), 255 - image(), **FIELDS).save(path)
    return path


NAMES = {
    "channels": ("f{}_ch0", "f{}_ch1"),
    "letters": ("{}_A", "{}_B"),
    "suffix of one side": ("im{}", "im{}_masks"),
    "prefix": ("phase_{}", "dapi_{}"),
    "words": ("a_{}_leftImg8bit", "a_{}_gtFine_labelIds"),
    "token in the middle": ("s{}_ch0_z1", "s{}_ch1_z1"),
    "prefix and suffix": ("img_{}", "{}_mask"),
    "both ends": ("raw_{}_in", "seg_{}_out"),
    "number of two digits": ("w{}_ch9", "w{}_ch10"),
    "folders": ("field{}/phase", "field{}/dapi"),
    "folders on one side": ("f{}/phase", "truth/f{}"),
}


@pytest.mark.parametrize(("source", "target"), NAMES.values(), ids=NAMES)
def test_names_that_differ_by_one_rule_are_matched_and_said(source, target):
    numbers = [*range(12), 100]
    sources = [Path(f"{source.format(number)}.tif") for number in numbers]
    targets = [Path(f"{target.format(number)}.png") for number in reversed(numbers)]
    pairs, notes = match_by_name(sources, targets)
    assert pairs == list(zip(sources, reversed(targets), strict=True))
    assert notes[0].startswith("13 sources were matched by what the names have in common: ")
    assert sources[0].name in notes[0]


@pytest.mark.parametrize(
    ("sources", "targets", "words"),
    [
        ("a_c0 b_c0", "a_c1 b_c1 a_c2 b_c2", "a_c0.tif with a_c"),
        ("x y", "1 2", "No source has a target"),
        ("im1 im2", "im11 im12", "No source has a target"),
    ],
)
def test_names_that_tell_nothing_are_refused(sources, targets, words):
    paths = [[Path(f"{name}.tif") for name in side.split()] for side in (sources, targets)]
    with pytest.raises(InputError, match=words) as refused:
        match_by_name(*paths)
    assert "list the pairs in a table" in str(refused.value)


def test_accents_match_however_they_are_composed(tmp_path):
    composed, split = (unicodedata.normalize(form, "zellé.tif") for form in ("NFC", "NFD"))
    pairs, _ = match_by_name([Path(composed), Path("b.tif")], [Path(split), Path("c.tif")])
    assert pairs == [(Path(composed), Path(split))]
    write(tmp_path / split, image())
    write(tmp_path / "t.tif", image())
    (tmp_path / "pairs.csv").write_text(f"source,target\n{composed},t.tif\n", encoding="utf-8")
    table, out = tmp_path / "pairs.csv", tmp_path / "m.safetensors"
    assert invoke("train", "--pairs", table, "-o", out, *TINY).exit_code == 0


def test_no_advice_destroys_files():
    with pytest.raises(InputError) as refused:
        match_by_name([Path("a.tif"), Path("a.png")], [Path("t/a.tif"), Path("t/b.tif")])
    assert "keep one" not in str(refused.value)
    assert "pattern" in str(refused.value)


@pytest.fixture
def mixed(tmp_path):
    """One folder with both sides and masks."""
    for number in range(3):
        for tag, array in {"ch0": image(number), "ch1": 255 - image(number)}.items():
            write(tmp_path / "all" / f"f{number}_{tag}.tif", array)
    return tmp_path


@pytest.mark.parametrize("source", ["all/*_ch0.tif", "all"], ids=["pattern", "folder"])
def test_a_folder_with_both_sides_becomes_a_table(mixed, source):
    table, out = mixed / "tables.csv", mixed / "m.safetensors"
    words = ["train", mixed / source, mixed / "all" / "*_ch1.tif", "-o", out, *TINY]
    written = invoke(*words, "--write-pairs", table, "--axes", "YX")
    assert written.exit_code == 0, written.stderr
    assert "Wrote" in written.stdout
    assert not out.exists()
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    assert header == "source,target,set,source_axes"
    assert rows[0].replace("\\", "/") == "all/f0_ch0.tif,all/f0_ch1.tif,train,YX"
    assert invoke(*words, "--write-pairs", table).exit_code == 2  # what is there is not replaced
    assert invoke("train", "--pairs", table, "-o", out, *TINY).exit_code == 0
    assert load(out).info.summary.startswith("8-bit images to 8-bit images, 3 pairs")


def test_a_guess_is_written_where_names_tell_nothing(tmp_path):
    for name in ("s/x", "s/y", "t/1", "t/2"):
        write(tmp_path / f"{name}.tif", image())
    words = ["train", tmp_path / "s", tmp_path / "t", "-o", tmp_path / "m.safetensors"]
    assert "(--pairs, --write-pairs)" in invoke(*words).stderr
    table = tmp_path / "pairs.csv"
    said = invoke(*words, "--write-pairs", table)
    assert "The table holds a guess" in said.stderr
    assert len(table.read_text(encoding="utf-8").splitlines()) == 3


def test_equal_names_in_several_folders_are_translated_side_by_side(model, tmp_path):
    for number in range(2):
        write(tmp_path / f"field{number}" / "phase.tif", image(number))
    done = invoke("apply", model, tmp_path / "field*" / "phase.tif", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["field0_phase.tif", "field1_phase.tif"]


# --- axes -----------------------------------------------------------------------------------------


@pytest.fixture
def silent(tmp_path):
    """A source that states its axes; a target and a mask that do not."""
    path = tmp_path / "source.tif"
    array = image(0, 5, 2, 64, 64)
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": "ZCYX"})
    write(tmp_path / "target.npy", array[:, 0])
    write(tmp_path / "mask.npy", np.ones((5, 64, 64), np.uint8))
    return tmp_path


def test_each_side_has_axes_of_its_own(silent, model):
    out = silent / "m.safetensors"
    files = silent / "source.tif", silent / "target.npy"
    words = ["train", *files, "--mask", silent / "mask.npy", "-o", out, *TINY]
    assert "(--target-axes)" in invoke(*words).stderr
    assert "(--mask-axes)" in invoke(*words, "--target-axes", "ZYX").stderr
    done = invoke(*words, "--target-axes", "ZYX", "--mask-axes", "ZYX")
    assert done.exit_code == 0, done.stderr
    (silent / "p.csv").write_text(
        "source,target,mask,target_axes,mask_axes\nsource.tif,target.npy,mask.npy,ZYX,ZYX\n"
    )
    again = invoke("train", "--pairs", silent / "p.csv", "-o", out, *TINY, "--overwrite")
    assert again.exit_code == 0, again.stderr
    scored = invoke("evaluate", out, *files, "--target-axes", "ZYX")
    assert scored.exit_code == 0, scored.stderr


@pytest.mark.parametrize("override", [False, True])
def test_stated_axes_of_a_target_are_only_replaced_where_said(tmp_path, override):
    array = image(0, 2, 64, 64)
    for name, axes in (("a", "ZYX"), ("b", "ZYX")):
        tifffile.imwrite(tmp_path / f"{name}.tif", array, imagej=True, metadata={"axes": axes})
    words = [tmp_path / "a.tif", tmp_path / "b.tif", "--target-axes", "CYX"]
    more = ["--override-axes"] if override else []
    said = invoke("train", *words, *more, "-o", tmp_path / "m.safetensors", *TINY)
    assert said.exit_code == (2 if override else 0)
    assert ("states the axes ZYX, so CYX is not used" in said.stderr) is not override


@pytest.mark.parametrize("shape", [(1, 64, 64), (64, 64, 1), (1, 1, 64, 64)])
def test_axes_of_length_one_need_no_question(shape, model, tmp_path):
    write(tmp_path / "a.npy", image().reshape(shape))
    done = invoke("apply", model, tmp_path / "a.npy", "-o", tmp_path / "out.tif")
    assert done.exit_code == 0, done.stderr
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), load(model)(image()))


# --- resume ---------------------------------------------------------------------------------------


def test_resume_takes_what_is_not_given_from_the_checkpoint(tmp_path):
    path, images = tmp_path / "run.ckpt", (image(), 255 - image())
    once = FIELDS | {"seed": 3, "validation": 0.3, "target_kind": "image"}
    first = train(*images, **once, checkpoint=path)
    again = train(*images, steps=3, checkpoint=path, resume=True)
    kept = {name for name in once if name not in ("steps", "device")}
    assert {n: getattr(again.config, n) for n in kept} == {n: once[n] for n in kept}
    assert again.info.notes[:-1] == first.info.notes[:-1]  # the last is about the trained network
    assert again.info.steps == 3


@pytest.mark.parametrize("door", ["Python", "shell"])
def test_resume_names_each_field_that_differs(door, tmp_path):
    files = [write(tmp_path / f"{name}.tif", image(i)) for i, name in enumerate("ab")]
    out, path = tmp_path / "m.safetensors", tmp_path / "m.ckpt"
    assert invoke("train", *files, "-o", out, *TINY).exit_code == 0
    before = path.read_bytes()
    if door == "shell":
        words = ["train", *files, "-o", out, "--resume", "--seed", 7, "--patch", 64]
        said = invoke(*words).stderr
    else:
        with pytest.raises(InputError) as refused:
            train(image(0), image(1), seed=7, patch=64, checkpoint=path, resume=True)
        said = str(refused.value)
    patch = FIELDS["patch"]
    assert f"was made with patch={patch} and seed=0, got patch=64 and seed=7: give the same" in said
    assert ("--overwrite" in said) == (door == "shell")
    assert path.read_bytes() == before


# --- consoles and signals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "as_json"), [("cp1252", False), ("ascii", True), ("utf-8", True)]
)
def test_no_encoding_of_a_console_ends_a_run(encoding, as_json, model, tmp_path):
    source, out = write(tmp_path / "日本é.tif", image()), tmp_path / "日本é out.tif"
    command = [*SCRIPT, "apply", model, source, "-o", out, *(["--json"] if as_json else [])]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert out.exists()
    shown = done.stdout.decode(encoding)
    assert ("\\u65e5" in shown) or "日本" in shown


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_a_training_with_its_model(name, tmp_path):
    number = getattr(signal, name)
    files = [write(tmp_path / f"{side}.tif", image(i)) for i, side in enumerate("st")]
    out, fields = tmp_path / "m.safetensors", [*TINY, "--epochs", "100000", "--steps", "1000000"]
    command = [*SCRIPT, "train", *files, "-o", out, *fields]
    process = subprocess.Popen(
        list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith("Training on"):
            break
    process.send_signal(number)
    shown, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert "the model so far is kept" in said
    assert f"Stopped by {name}. --resume goes on from {tmp_path / 'm.ckpt'}." in said
    assert "Wrote" in shown
    assert load(out).info.steps == read_container(tmp_path / "m.ckpt")[1]["counters"]["step"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "m.ckpt",
        "m.safetensors",
        "s.tif",
        "t.tif",
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_what_is_applied_and_blocks_are_kept(name, model, tmp_path, monkeypatch):
    import zarr

    from napari_pix2pix.io.resumable import ResumableImage

    number, out = getattr(signal, name), tmp_path / "out.tif"
    zarr.save_array(tmp_path / "in.zarr", image(0, 1200, 1100))
    words = ["apply", model, tmp_path / "in.zarr", "-o", out, "--axes", "YX", "--tile", "128"]
    mark = ResumableImage.mark_done

    def mark_and_end(self, *args):
        mark(self, *args)
        os.kill(os.getpid(), number)

    with monkeypatch.context() as patched:
        patched.setattr(ResumableImage, "mark_done", mark_and_end)
        ended = invoke(*words)
    assert ended.exit_code == 128 + number
    assert "--resume continues" in ended.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.zarr", "out.tif.part"]
    assert invoke(*words, "--resume").exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.zarr", "out.tif"]
