"""Paths that a user names, and files written all or nothing."""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_pix2pix.errors import FileError, InputError, Remedy, own_errors
from napari_pix2pix.io._file_kinds import SUFFIXES, is_image
from napari_pix2pix.io._leftovers import hidden_prefix, remove_leftovers
from napari_pix2pix.io._regular_files import check_inside, check_readable
from napari_pix2pix.io._syncing import sync_all, sync_file, sync_folder
from napari_pix2pix.io.header_values import plain_text
from napari_pix2pix.io.outputs import check_replaceable, real_path
from napari_pix2pix.io.plates import expand_plates, image_of_labels, name_in_plate, plate_around
from napari_pix2pix.io.zarr_file import is_zarr

# Other formats: what we write gets none of these names but its own, and a new folder none at all.
_OTHER_ENDINGS = {
    *(".zarr", ".npz", ".mat", ".h5", ".hdf5", ".n5", ".webp", ".jp2", ".jxl", ".svg", ".pdf"),
    *(".mp4", ".avi", ".mov", ".csv", ".tsv", ".txt", ".md", ".json", ".html", ".htm", ".xml"),
    *(".xls", ".xlsx", ".ods", ".parquet", ".zip", ".tar", ".gz", ".py", ".yaml", ".toml"),
    *(".safetensors", ".ckpt", ".pth", ".pt", ".onnx", ".pkl", ".pickle", ".joblib", ".bin"),
    *(".keras", ".pb", ".tflite", ".mlmodel", ".engine", ".gguf", ".torchscript"),
}

_LONGEST = 255  # bytes of a name that file systems take
_LONGEST_PATH = 4000  # of a name with its folders; systems take a little more
_SHOWN = 60  # characters of a name in a message


def as_path(path: Any) -> Path:
    """Return a path; raise an `InputError` if it is neither text nor path-like, or no name."""
    try:
        named = Path(path)
    except TypeError:
        raise InputError(f"path must be the name of a file, got {path!r}.") from None
    too_long = len(os.fsencode(named)) > _LONGEST_PATH or any(
        len(os.fsencode(part)) > _LONGEST for part in named.parts
    )
    if path in ("", b"") or "\0" in str(named) or too_long:
        shown = plain_text(str(path)[:_SHOWN])
        raise InputError(f"path must be the name of a file, got {shown!r}.")
    return named


def check_ending(path: Path, *endings: str, what: str) -> None:
    """Refuse a name with the ending of another format than those of what is written."""
    if has_file_ending(path) and path.suffix.lower() not in endings:
        raise FileError(
            f"The name of {what} ends in {' or '.join(endings)}, and {path.name} is that of "
            "another format: choose another name."
        )


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file, unless that is asked for."""
    if path.exists() and not overwrite:
        raise FileError(
            f"{path} exists: choose another name, or overwrite it.",
            remedies=(Remedy.OVERWRITE,),
        )


def has_file_ending(path: Path) -> bool:
    """Tell whether a name is that of a file, and so of no new folder."""
    return path.suffix.lower() in SUFFIXES | _OTHER_ENDINGS


def make_folder(path: Path) -> None:
    """Create a folder inside an existing one, if it is missing."""
    if has_file_ending(path) and not path.exists():
        raise FileError(f"{path} has the name of a file, but a folder is needed: name another.")
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError(
            f"Can't make the folder {path}: {error.strerror or error}; name another."
        ) from error


@contextmanager
def replacing(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` if all went well.

    After an error the old file is as it was. `folder` says that a folder is written (OME-Zarr). A
    link stays, and the file that it leads to is replaced.
    """
    check_replaceable(path, folder=folder)
    path = real_path(path)
    parent = path.parent
    if not parent.is_dir():
        raise FileError(f"Can't write {path}: there is no folder {parent}; create it first.")
    try:
        remove_leftovers(parent)
        temporary_folder = Path(tempfile.mkdtemp(prefix=hidden_prefix(path), dir=parent))
    except OSError as error:
        raise _write_error(path, error) from error
    try:
        # The name is kept, because writers choose their format by its ending.
        temporary = temporary_folder / path.name
        yield temporary
        if path.exists():
            shutil.copymode(path, temporary)
        sync_all() if folder else sync_file(temporary)
        _replace(temporary, path, temporary_folder / "old")
        sync_folder(parent)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise _write_error(path, error) from error
    finally:
        shutil.rmtree(temporary_folder, ignore_errors=True)


def _replace(new: Path, path: Path, backup: Path) -> None:
    """Rename `new` to `path`; a folder, which can't be replaced in one step, is backed up first."""
    if not path.is_dir():
        os.replace(new, path)
        return
    path.rename(backup)
    try:
        os.replace(new, path)
    except OSError:
        backup.rename(path)
        raise


def _write_error(path: Path, error: OSError) -> FileError:
    reason = error.strerror or str(error)
    return FileError(f"Can't write {path}: {reason}; nothing was changed.")


@own_errors()
def expand_paths(
    path: str | os.PathLike[str], wells: str | None = None, acquisition: str | None = None
) -> list[Path]:
    """List the image files that a file, a folder, or a pattern with ``*`` names.

    A folder gives the images directly inside it, a plate its fields, in `wells` such as "A1, B*"
    and of one `acquisition` (its number or name) if they are given; an image in several OME-TIFF
    files is named once. Numbers are sorted by value: a2 before a10.
    """
    path = as_stored(as_path(path))
    if path.is_dir() and not is_zarr(path):
        images = [entry for entry in path.iterdir() if is_image(entry)]
        if not images:
            raise FileError(f"The folder {path} holds no images: name one that does.")
        for image in images:
            check_inside(image, path)
    elif os.path.lexists(path):
        check_readable(path)
        images = [path]
    elif glob.has_magic(str(path)):
        matches = (Path(match) for match in glob.glob(str(path), recursive=True))
        images = [
            match
            for match in matches
            # Beside the wells and fields of a plate lie descriptions of their folders.
            if (match.is_file() and match.name != "zarr.json") or is_zarr(match)
        ]
        if not images:
            raise FileError(f"No file matches {path}: check the pattern and put it in quotes.")
    else:
        raise FileError(f"There is no file or folder {path}: check its name.")
    images = expand_plates(images, path, wells=wells, acquisition=acquisition)
    return _without_repeats(sorted(images, key=_natural_order))


def files_read(paths: Iterable[Path | None]) -> list[Path]:
    """List the files that reading images takes; None has none.

    An OME-TIFF may lie in several, and of a field the whole plate counts as read.
    """
    from napari_pix2pix.io._ome_files import files_of_image

    named = [path for path in paths if path is not None]
    plates = {path: plate_around(path) for path in named}
    files = [file for path in named if plates[path] is None for file in files_of_image(path)]
    return [*files, *dict.fromkeys(filter(None, plates.values()))]


def file_stem(path: Path) -> str:
    """Return a file's name without its ending and without ``.ome`` before that.

    >>> file_stem(Path("cells/a1.ome.tif"))
    'a1'
    """
    return path.stem[:-4] if path.stem.lower().endswith(".ome") else path.stem


def composed(name: str) -> str:
    """Return a name with each accented letter as one character: file systems differ in that."""
    return unicodedata.normalize("NFC", name)


def shown_name(path: Path) -> str:
    """Return an image's name, or its place in its plate, as text that any message can hold."""
    image = image_of_labels(path)
    name = name_in_plate(image) or image.name
    return name.encode("utf-8", "backslashreplace").decode()


def as_stored(path: Path) -> Path:
    """Return the path under which a file is stored, if its accents are composed otherwise."""
    if path.exists() or path == path.parent:
        return path
    folder = as_stored(path.parent)
    if folder.is_dir():
        wanted = composed(path.name)
        for entry in folder.iterdir():
            if composed(entry.name) == wanted:
                return entry
    return path


def _without_repeats(paths: Iterable[Path]) -> list[Path]:
    """Keep the first of the OME-TIFF files that hold parts of one image, which is read whole."""
    from napari_pix2pix.io._ome_files import image_key

    first = {image_key(path): path for path in reversed([*paths])}
    return sorted(first.values(), key=_natural_order)


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key that compares numbers in names by value."""
    parts = re.split(r"(\d+)", str(path))
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
