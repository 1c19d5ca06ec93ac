"""What an output may replace: nothing that is read, and nothing that another program made."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.image_file import RECORD_KEY

# What zarr, and the desktop of a user who looked into the folder, put beside chunks. Folders of
# levels, labels and wells are named with letters, numbers and _ alone, and so are chunks.
_ZARR_FILES = {"zarr.json", ".zattrs", ".zgroup", ".zarray", ".zmetadata"}
_DESKTOP_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}
_PARTIAL = ".partial"  # the ending of what zarr is writing, which a kill leaves behind
# Metadata stand in front of a safetensors file, and ours are the first of them.
_HEADER_START = 256


def real_path(path: Path) -> Path:
    """Return the place that a path leads to: links are followed, and stay links."""
    return Path(os.path.realpath(path))


def check_apart(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse an output that is, holds or lies in what is read, and two outputs of one name.

    Files that are not given are None. An input folder is an image, such as OME-Zarr.
    """
    named = [path for path in outputs if path is not None]
    real = [real_path(path) for path in named]
    for number, path in enumerate(real):
        if path in real[:number]:
            raise FileError(f"Two outputs have the name {named[number]}: give each its own.")
    # Ordinary files are looked up, however many there are; only folders are compared one by one.
    read = {real_path(path): path for path in inputs if path is not None}
    same = {_identity(path): name for path, name in read.items() if path.exists()}
    for name, path in zip(named, real, strict=True):
        if path in read or (path.exists() and _identity(path) in same):
            raise FileError(
                f"{name} is read by this very run, and would be replaced: choose another name."
            )
        if around := next(
            (read[one] for one in path.parents if one in read and one.is_dir()), None
        ):
            raise FileError(
                f"{name} lies in {around}, which is read by this very run: choose another folder."
            )
        if inside := next((read[one] for one in read if path in one.parents), None):
            raise FileError(
                f"{name} holds {inside}, which is read by this very run: choose another name."
            )


def check_replaceable(path: Path, *, folder: bool = False) -> None:
    """Refuse to replace what is neither a file nor a folder of ours; a link is followed."""
    path = real_path(path)
    _check_outside(path)
    if not os.path.lexists(path):
        return
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise FileError(f"Can't write {path}: its links lead in a circle; choose another name.")
    if stat.S_ISDIR(mode) != folder:
        raise FileError(f"Can't write {path}: {'a file' if folder else 'a folder'} has that name.")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FileError(
            f"Can't write {path}: it is no file but a device, a pipe or a socket; choose another "
            "name."
        )
    if folder:
        _check_own_zarr(path)


def check_replaceable_model(path: Path) -> None:
    """Refuse to replace a file that is no model or checkpoint of ours; a damaged one may be."""
    check_replaceable(path)
    if not path.exists():
        return
    with path.open("rb") as file:
        start = file.read(_HEADER_START)
    # After a loss of power a file may hold zeros.
    if start.strip(b"\0") and f'"{RECORD_KEY}"'.encode() not in start:
        raise FileError(
            f"{path} is not a model that napari-pix2pix saved, so it is not replaced: choose "
            "another name, or delete it yourself."
        )


def check_only(folder: Path, names: Iterable[str]) -> None:
    """Refuse to delete a folder that holds more than entries of these names."""
    known = {*names} | _DESKTOP_FILES
    foreign = next((name for name in sorted(os.listdir(folder)) if name not in known), None)
    if foreign is not None:
        raise _foreign(folder, foreign)


def is_own_zarr(path: Path) -> bool:
    """Tell whether a zarr group was written by napari-pix2pix."""
    try:
        text = (path / "zarr.json").read_text(encoding="utf-8")
        return RECORD_KEY in json.loads(text)["attributes"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _check_own_zarr(path: Path) -> None:
    """Refuse a folder that is no image of ours, or that holds files of others beside its chunks."""
    if not any(path.iterdir()):
        return
    if not is_own_zarr(path):
        raise FileError(
            f"{path} was not written by napari-pix2pix, so it is not replaced: choose another "
            "name, or delete it yourself."
        )
    if (foreign := next(_foreign_entries(path), None)) is not None:
        raise _foreign(path, foreign)


def _foreign_entries(folder: Path) -> Iterator[str]:
    """Iterate over what neither zarr nor a desktop puts into a folder."""
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        name = entry.name
        if entry.is_symlink():
            yield name
        elif entry.is_dir():
            if not name.replace("_", "").replace("-", "").isalnum():
                yield name
            else:
                yield from (f"{name}/{inner}" for inner in _foreign_entries(Path(entry.path)))
        elif not (name in _ZARR_FILES | _DESKTOP_FILES or _is_chunk(name)):
            yield name


def _is_chunk(name: str) -> bool:
    """Whether it is the name of a chunk, such as 0 or 0.1.2, or of one that is being written."""
    return name.replace(".", "").isdecimal() or name.endswith(_PARTIAL)


def _check_outside(path: Path) -> None:
    """Refuse to write into a zarr of others."""
    for folder in path.parents:
        if any((folder / name).is_file() for name in _ZARR_FILES):
            # The outermost group says whose it is.
            above = [one for one in folder.parents if (one / "zarr.json").is_file()]
            if not any(is_own_zarr(one) for one in (folder, *above)):
                raise FileError(
                    f"{path} lies in {(above or [folder])[-1]}, an image that napari-pix2pix did "
                    "not write: choose another folder."
                )
            return


def _foreign(folder: Path, name: str) -> FileError:
    return FileError(
        f"{folder} also holds {name}, which napari-pix2pix did not write, so it is not replaced: "
        "move that away, or choose another name."
    )


def _identity(path: Path) -> tuple[int, int]:
    """Return what all names of a file have in common."""
    found = path.stat()
    return found.st_dev, found.st_ino
