import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import zarr
from helpers import gray_noise

from napari_pix2pix import load
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.large_images import _translate_file
from napari_pix2pix.large_images._job import Work


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.zarr"
    write_image(path, gray_noise(3, 60, 70), "TYX", {"Y": 0.5, "X": 0.25}, {"Y": "µm", "X": "µm"})
    return path


@pytest.mark.parametrize("name", ["out.zarr", "out.ome.tif", "out.tif"])
def test_a_part_of_a_zarr(gray, source, tmp_path, succeed, name):
    out = tmp_path / name
    succeed("apply", gray, source, "-o", out, "--region 8:40,16:70 --frames 1:")
    found = read_image(out)
    whole = load(gray)(gray_noise(3, 60, 70), tile=0)
    assert (found.axes, found.scale["X"], found.units["X"]) == ("TYX", 0.25, "micrometer")
    assert np.abs(found.data[...].astype(int) - whole[1:, 8:40, 16:]).max() <= 1


def test_a_part_of_an_image_in_memory(folder, gray, tmp_path, succeed):
    out = tmp_path / "out.tif"
    succeed("apply", gray, folder / "source.tif", "-o", out, "--region :40,16:")
    assert read_image(out).shape == (40, 64)


@pytest.mark.parametrize("part", ["", "--region :40,16:"])
def test_compile_without_a_compiler(
    folder, gray, source, tmp_path, invoke, sentence, monkeypatch, part
):
    monkeypatch.setenv("CXX", "no-such-compiler")
    result = invoke("apply", gray, folder / "source.tif", "-o",
                    tmp_path / "out.tif", "--device cpu --compile", part)  # fmt: skip
    assert "needs a C++ compiler, and there is no no-such-compiler here" in sentence(result)
    assert {path.name for path in tmp_path.iterdir()} == {"in.zarr"}


def test_resume_keeps_files_that_are_there(gray, source, tmp_path, invoke, succeed, sentence):
    words = ("apply", gray, source, "-o", tmp_path / "out.zarr")
    assert invoke(*words).exit_code == 0
    before = (tmp_path / "out.zarr" / "zarr.json").stat().st_mtime_ns
    assert "exists: choose another name" in sentence(invoke(*words))
    again = succeed(*words, "--resume")
    assert "out.zarr is finished already" in again.stderr
    assert (tmp_path / "out.zarr" / "zarr.json").stat().st_mtime_ns == before
    assert invoke(*words, "--overwrite").exit_code == 0
    assert read_image(tmp_path / "out.zarr").shape == (3, 60, 70)


def test_a_folder_goes_on_with_files_that_are_missing(gray, tmp_path, invoke, succeed, write):
    (tmp_path / "in").mkdir()
    for seed in range(3):
        write(tmp_path / "in" / f"{seed}.tif", gray_noise(20, 20, seed=seed), "YX")
    words = ("apply", gray, tmp_path / "in", "-o", tmp_path / "out")
    assert invoke(*words).exit_code == 0
    (tmp_path / "out" / "1.tif").unlink()
    result = succeed(*words, "--resume")
    assert result.stderr.count("is finished already") == 2
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("name", ["out.zarr", "out.tif", "out.ome.tif"])
@pytest.mark.parametrize("kind", ["npy", "zarr"])  # read at once, and in blocks
def test_resume_takes_no_file_of_another_making(gray, source, tmp_path, invoke, sentence, models,
                                                name, kind):  # fmt: skip
    if kind == "npy":
        source = tmp_path / "in.npy"
        np.save(source, gray_noise(60, 70))
    out = tmp_path / name
    words = ("apply", gray, source, "-o", out)
    assert invoke(*words).exit_code == 0
    assert "is finished already.\n" in invoke(*words, "--resume").stderr
    message = sentence(invoke(*words, "--resume", "--output float"))
    assert message.endswith(
        "was made with other options: choose another name, or overwrite the file (--overwrite)."
    )
    assert "from another region or other" in sentence(invoke(*words, "--resume --region 0:9,0:9"))
    other = models("gray", "gray", tmp_path / "other.safetensors")
    assert "with another model" in sentence(invoke("apply", other, *words[2:], "--resume"))
    changed = source if kind == "npy" else source / "zarr.json"
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 10**9))
    assert "from this one before it changed" in sentence(invoke(*words, "--resume"))
    assert invoke(*words, "--resume", "--overwrite").exit_code == 0


def test_resume_says_where_a_file_does_not_tell(gray, source, tmp_path, invoke):
    words = ("apply", gray, source, "-o", tmp_path / "out.npy")
    assert invoke(*words).exit_code == 0
    stderr = invoke(*words, "--resume").stderr
    assert "out.npy is finished already; the file does not name its model" in stderr


def test_samples_in_blocks_are_those_of_the_whole(tmp_path, source, succeed, files, tiny):
    model = tmp_path / "noisy.safetensors"
    succeed("train", *files, "-o", model, tiny, "--noise-channels 1 --noise pixel")
    succeed("apply", model, source, "-o", tmp_path / "s.npy", "--samples 2 --seed 4")
    whole = load(model)(gray_noise(3, 60, 70), samples=2, seed=4, tile=0).astype(int)
    for number in (1, 2):
        assert np.abs(np.load(tmp_path / f"s_{number}.npy") - whole[number - 1]).max() <= 1


def test_progress_is_counted_in_blocks(gray, source, tmp_path, monkeypatch, succeed):
    told: list[tuple[int, int]] = []
    complete = _translate_file.complete
    monkeypatch.setattr(_translate_file, "_LARGEST", 32)
    monkeypatch.setattr(
        _translate_file, "complete", lambda *a: complete(*a[:-1], lambda *pair: told.append(pair))
    )
    succeed("apply", gray, source, "-o", tmp_path / "o.npy")
    assert told == [(done, 18) for done in range(1, 19)]


KILLED = """
import sys
import numpy as np
from napari_pix2pix.large_images import _translate_file as files
from napari_pix2pix.large_images._job import Work
from napari_pix2pix.cli import main
files._LARGEST = 32
files.CHUNK = 32
import napari_pix2pix.io.zarr_file as omezarr
omezarr.CHUNK = 32
translate, begun = Work.translate, []
def held(*args):
    begun.append(args)
    if len(begun) > 8:
        import time
        time.sleep(600)
    return translate(*args)
Work.translate = held
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_and_resumed_is_what_it_would_have_been(gray, source, tmp_path, monkeypatch, invoke):
    def words(name):
        return ["apply", gray, source, "-o", tmp_path / name]

    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, words("out.zarr"))],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ},
    )  # fmt: skip
    journal = tmp_path / "out.zarr.part" / "done.txt"
    try:
        while not (journal.exists() and journal.read_text().count("\n") > 3):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = journal.read_text().count("\n")
    computed = []
    translate = Work.translate
    monkeypatch.setattr(_translate_file, "_LARGEST", 32)
    monkeypatch.setattr(_translate_file, "CHUNK", 32)
    monkeypatch.setattr("napari_pix2pix.io.zarr_file.CHUNK", 32)
    monkeypatch.setattr(
        Work, "translate", lambda *args: computed.append(args[2]) or translate(*args)
    )
    assert invoke(*words("out.zarr"), "--resume").exit_code == 0
    assert 3 < finished == 18 - len(computed)
    assert invoke(*words("whole.zarr")).exit_code == 0
    one, other = (zarr.open_group(tmp_path / name, mode="r") for name in ("out.zarr", "whole.zarr"))
    np.testing.assert_array_equal(one["0"][...], other["0"][...])
