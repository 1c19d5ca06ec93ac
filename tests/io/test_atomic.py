from __future__ import annotations

import errno

import pytest

from napari_pix2pix.errors import FileError
from napari_pix2pix.io import atomic
from napari_pix2pix.io.atomic import replacing


def test_replaces_file(tmp_path):
    path = tmp_path / "model.bin"
    for content in ("old", "new"):
        with replacing(path) as fresh:
            assert (fresh.name, fresh.parent.parent) == (path.name, tmp_path)
            fresh.write_text(content)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_replaces_folder(tmp_path):
    path = tmp_path / "a.zarr"
    for content in ("old", "new"):
        with replacing(path, folder=True) as fresh:
            fresh.mkdir()
            (fresh / content).touch()
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_failure_changes_nothing(tmp_path, error):
    path = tmp_path / "model.bin"
    path.write_text("old")
    expected = FileError if isinstance(error, OSError) else KeyboardInterrupt

    def write_half() -> None:
        with replacing(path) as fresh:
            fresh.write_text("ne")
            raise error

    with pytest.raises(expected):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_old_folder_comes_back_where_the_new_one_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").touch()

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(atomic.os, "replace", refuse)
    with pytest.raises(FileError, match="nothing was changed"), replacing(path, folder=True) as new:
        new.mkdir()
    assert [entry.name for entry in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def enter(path, **kwargs):
    with replacing(path, **kwargs):
        pytest.fail("nothing could be written there")


def test_missing_folder_and_file_as_folder(tmp_path):
    with pytest.raises(FileError, match="create it first"):
        enter(tmp_path / "none" / "a.tif")
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="no folder"):
        enter(tmp_path / "file" / "a.tif")


def test_name_in_the_way(tmp_path):
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(FileError, match="a folder has that name"):
        enter(tmp_path / "a.tif")
    (tmp_path / "a.zarr").touch()
    with pytest.raises(FileError, match="a file has that name"):
        enter(tmp_path / "a.zarr", folder=True)


def test_no_permission(tmp_path, monkeypatch):
    def refuse(**kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(atomic.tempfile, "mkdtemp", refuse)
    with pytest.raises(FileError, match=r"a\.tif: Permission denied"):
        enter(tmp_path / "a.tif")
