import errno
from pathlib import Path

import pytest

from napari_pix2pix.errors import FileError
from napari_pix2pix.io import paths
from napari_pix2pix.io.paths import expand_paths, replacing


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_folder_sorted_naturally(tmp_path):
    touch(tmp_path, "a10.tif", "a2.png", "A1.TIF", ".hidden.tif", "notes.txt")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "sub").mkdir()
    assert names(expand_paths(tmp_path)) == ["A1.TIF", "a2.png", "a10.tif", "b.zarr"]


def test_file_zarr_and_glob(tmp_path):
    touch(tmp_path, "a1.tif", "a2.tif", "b[1].tif", "c.odd")
    (tmp_path / "z.zarr").mkdir()
    assert expand_paths(str(tmp_path / "a1.tif")) == [tmp_path / "a1.tif"]
    assert expand_paths(tmp_path / "z.zarr") == [tmp_path / "z.zarr"]
    assert names(expand_paths(tmp_path / "a*.tif")) == ["a1.tif", "a2.tif"]
    assert names(expand_paths(tmp_path / "b[1].tif")) == ["b[1].tif"]
    assert names(expand_paths(tmp_path / "c.*")) == ["c.odd"]


def test_nothing_there(tmp_path):
    with pytest.raises(FileError, match="no file or folder"):
        expand_paths(tmp_path / "none.tif")
    with pytest.raises(FileError, match="holds no images"):
        expand_paths(tmp_path)
    with pytest.raises(FileError, match="No file matches"):
        expand_paths(tmp_path / "*.tif")


def own_zarr(path: Path) -> Path:
    path.mkdir()
    (path / "zarr.json").write_text('{"attributes": {"napari-pix2pix": {}}}')
    return path


@pytest.mark.parametrize("folder", [False, True])
def test_replaces_file_or_folder(tmp_path, folder):
    path = tmp_path / "model.zarr"
    for content in ("old", "new"):
        with replacing(path, folder=folder) as fresh:
            assert (fresh.name, fresh.parent.parent) == (path.name, tmp_path)
            if folder:
                own_zarr(fresh)
            (fresh / ".zattrs" if folder else fresh).write_text(content)
    assert (path / ".zattrs" if folder else path).read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_failure_changes_nothing(tmp_path, error):
    path = tmp_path / "model.bin"
    path.write_text("old")
    expected = FileError if isinstance(error, OSError) else KeyboardInterrupt

    def write_half():
        with replacing(path) as fresh:
            fresh.write_text("ne")
            raise error

    with pytest.raises(expected):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_old_folder_comes_back_where_the_new_one_is_refused(tmp_path, monkeypatch):
    path = own_zarr(tmp_path / "a.zarr")

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(paths.os, "replace", refuse)
    with pytest.raises(FileError, match="nothing was changed"), replacing(path, folder=True) as new:
        new.mkdir()
    assert [entry.name for entry in path.iterdir()] == ["zarr.json"]
    assert list(tmp_path.iterdir()) == [path]


def enter(path, **kwargs):
    with replacing(path, **kwargs):
        pytest.fail("nothing could be written there")


@pytest.mark.parametrize(
    ("name", "folder", "words"),
    [
        ("none/a.tif", False, "create it first"),
        ("file/a.tif", False, "no folder"),
        ("folder", False, "a folder has that name"),
        ("file", True, "a file has that name"),
    ],
)
def test_places_that_can_not_be_written(tmp_path, name, folder, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=words):
        enter(tmp_path / name, folder=folder)


def test_no_permission(tmp_path, monkeypatch):
    def refuse(**kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(paths.tempfile, "mkdtemp", refuse)
    with pytest.raises(FileError, match=r"a\.tif: Permission denied"):
        enter(tmp_path / "a.tif")
