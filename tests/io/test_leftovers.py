"""What a killed process was writing is removed by the next one that writes there."""

import os

import numpy as np

from napari_pix2pix.io import _leftovers as leftovers
from napari_pix2pix.io._leftovers import hidden_prefix, remove_leftovers
from napari_pix2pix.io.paths import replacing
from napari_pix2pix.io.processes import ProcessRecord
from napari_pix2pix.io.writing import write_image


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "_looked_through", {})
    here = ProcessRecord.here()
    dead = here.model_copy(update={"start": "1"}).tag
    elsewhere = here.model_copy(update={"host": "elsewhere", "start": "1"}).tag
    for tag in (dead, here.tag, elsewhere):
        (tmp_path / f".a.tif.pix2pix-{tag}.abc").mkdir()
        (tmp_path / f".a.tif.pix2pix-{tag}.abc" / "a.tif").touch()
        (tmp_path / f".b.lock.pix2pix-{tag}.abc").touch()
    (tmp_path / ".mine.abc").touch()
    remove_leftovers(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert len(names) == 5
    assert not [name for name in names if dead in name]


def test_hidden_names_tell_their_process_and_are_not_too_long(tmp_path):
    name = "a" * 200 + ".tif"
    assert not ProcessRecord.tells_gone(ProcessRecord.here().tag)
    with replacing(tmp_path / name) as fresh:
        assert fresh.parent.name.startswith(hidden_prefix(tmp_path / name))
        fresh.touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_replaced_file_keeps_its_permissions(tmp_path):
    path = write_image(tmp_path / "a.npy", np.zeros((4, 4), np.uint8))
    os.chmod(path, 0o640)
    write_image(path, np.ones((4, 4), np.uint8))
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_same_image_is_the_same_file(tmp_path):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    first = write_image(tmp_path / "a.ome.tif", pixels, "YX", {"Y": 0.5, "X": 0.5}).read_bytes()
    again = write_image(tmp_path / "a.ome.tif", pixels, "YX", {"Y": 0.5, "X": 0.5}).read_bytes()
    assert first == again
