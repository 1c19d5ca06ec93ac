"""What an output may replace."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.outputs import (
    check_apart,
    check_only,
    check_replaceable,
    check_replaceable_model,
)
from napari_pix2pix.io.paths import replacing
from napari_pix2pix.io.writing import write_image

IMAGE = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.fixture
def zarr(tmp_path):
    return write_image(tmp_path / "a.zarr", IMAGE)


def test_outputs_apart_from_all_that_is_read_are_free(tmp_path, zarr):
    check_apart([tmp_path / "new.tif", None], [zarr, tmp_path / "model.safetensors", None])


def test_an_output_is_not_what_is_read_under_any_name(tmp_path):
    read = tmp_path / "read.tif"
    read.touch()
    (tmp_path / "link.tif").symlink_to(read)
    os.link(read, tmp_path / "hard.tif")
    (tmp_path / "folder").mkdir()
    for name in ("read.tif", "link.tif", "hard.tif", "folder/../read.tif"):
        with pytest.raises(FileError, match="is read by this very run"):
            check_apart([tmp_path / name], [read])


def test_an_output_neither_lies_in_an_input_nor_holds_one(tmp_path, zarr):
    with pytest.raises(FileError, match="lies in "):
        check_apart([zarr / "0" / "new.tif"], [zarr])
    with pytest.raises(FileError, match="holds "):
        check_apart([tmp_path], [zarr])


def test_two_outputs_have_two_names(tmp_path):
    with pytest.raises(FileError, match="Two outputs have the name"):
        check_apart([tmp_path / "a.csv", tmp_path / "." / "a.csv"], [])


def test_an_image_of_ours_is_replaced_with_what_desktops_add(zarr):
    (zarr / ".DS_Store").touch()
    (zarr / "0" / "c" / "0" / "1.abc.partial").touch()  # a chunk that was being written
    check_replaceable(zarr, folder=True)


def test_a_folder_with_files_of_others_stays(zarr):
    (zarr / "0" / "thesis.docx").touch()
    with pytest.raises(FileError, match=r"also holds 0/thesis\.docx"):
        check_replaceable(zarr, folder=True)
    with pytest.raises(FileError, match="also holds 0/thesis"):
        write_image(zarr, IMAGE)
    assert (zarr / "0" / "thesis.docx").exists()


def test_a_link_in_a_folder_is_of_others(tmp_path, zarr):
    (tmp_path / "mine").mkdir()
    (zarr / "1").symlink_to(tmp_path / "mine")
    with pytest.raises(FileError, match="also holds 1"):
        check_replaceable(zarr, folder=True)


def test_an_image_of_another_program_stays(zarr):
    record = json.loads((zarr / "zarr.json").read_text())
    del record["attributes"]["napari-pix2pix"]
    (zarr / "zarr.json").write_text(json.dumps(record))
    with pytest.raises(FileError, match="was not written by napari-pix2pix"):
        write_image(zarr, IMAGE + 1)
    with pytest.raises(FileError, match="lies in "):
        write_image(zarr / "labels.tif", IMAGE)


def test_devices_pipes_and_sockets_stay_what_they_are(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    for path in (tmp_path / "pipe.tif", Path(os.devnull)):
        kept = path.stat().st_mode
        with pytest.raises(FileError, match="it is no file but a device"), replacing(path):
            pytest.fail("nothing could be written there")
        assert path.stat().st_mode == kept


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.npy"
    link.symlink_to(tmp_path / "real" / "image.npy")
    for _ in range(2):  # dangling at first
        write_image(link, IMAGE)
        assert link.is_symlink()
        np.testing.assert_array_equal(np.load(tmp_path / "real" / "image.npy"), IMAGE)


@pytest.mark.parametrize("content", [b"", bytes(500), b'xxxxxxxx{"__metadata__":{"napari-pix2pix"'])
def test_models_of_ours_are_replaced_also_damaged_ones(tmp_path, content):
    (tmp_path / "a.ckpt").write_bytes(content)
    check_replaceable_model(tmp_path / "a.ckpt")


def test_models_of_others_stay(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(b"PK lightning")
    with pytest.raises(FileError, match="is not a model that napari-pix2pix saved"):
        check_replaceable_model(tmp_path / "a.ckpt")


def test_a_folder_is_deleted_only_with_what_is_known(tmp_path):
    (tmp_path / "run.json").touch()
    check_only(tmp_path, ["run.json"])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileError, match="also holds notes"):
        check_only(tmp_path, ["run.json"])


def test_links_that_lead_in_a_circle_are_called_so(tmp_path):
    (tmp_path / "a.tif").symlink_to(tmp_path / "a.tif")
    for folder in (False, True):
        with pytest.raises(FileError, match="its links lead in a circle"):
            check_replaceable(tmp_path / "a.tif", folder=folder)
