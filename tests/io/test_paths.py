from __future__ import annotations

from pathlib import Path

import pytest

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.paths import expand_paths, match_by_name


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


def test_match_by_name():
    sources = [Path("s/a.ome.tif"), Path("s/b.tif"), Path("s/only.tif")]
    targets = [Path("t/b.png"), Path("t/a.tif"), Path("t/x.tif"), Path("t/y.tif")]
    pairs, unmatched = match_by_name(sources, targets)
    assert pairs == [(sources[0], targets[1]), (sources[1], targets[0])]
    assert unmatched == [
        "1 source has no target of the same name and is left out: only.tif.",
        "2 targets have no source of the same name and are left out: x.tif, y.tif.",
    ]


def test_one_of_each_is_a_pair():
    assert match_by_name([Path("a.tif")], [Path("b.tif")]) == ([(Path("a.tif"), Path("b.tif"))], [])


def test_no_names_agree():
    sources = [Path(f"s{i}.tif") for i in range(5)]
    with pytest.raises(InputError, match=r"s0\.tif, s1\.tif, s2\.tif, \.\.\., targets t\.tif"):
        match_by_name(sources, [Path("t.tif")])


def test_same_name_twice():
    with pytest.raises(InputError, match=r"Two source files .*: a\.tif, a\.png"):
        match_by_name([Path("a.tif"), Path("a.png")], [Path("a.tif")])
