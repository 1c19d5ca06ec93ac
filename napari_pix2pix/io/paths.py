"""Paths that a user names, files matched by name, and files written all or nothing."""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_pix2pix.errors import FileError, InputError, plural
from napari_pix2pix.io._file_kinds import SUFFIXES, is_image
from napari_pix2pix.io.plates import image_of_labels, name_in_plate, read_plate
from napari_pix2pix.io.zarr_file import is_zarr

# Other formats: what we write gets none of these names but its own, and a new folder none at all.
_OTHER_ENDINGS = {
    *(".zarr", ".npz", ".mat", ".h5", ".hdf5", ".n5", ".webp", ".jp2", ".jxl", ".svg", ".pdf"),
    *(".mp4", ".avi", ".mov", ".csv", ".tsv", ".txt", ".md", ".json", ".html", ".htm", ".xml"),
    *(".xls", ".xlsx", ".ods", ".parquet", ".zip", ".tar", ".gz", ".py", ".yaml", ".toml"),
    *(".safetensors", ".ckpt", ".pth", ".pt", ".onnx", ".pkl", ".pickle", ".joblib", ".bin"),
    *(".keras", ".pb", ".tflite", ".mlmodel", ".engine", ".gguf", ".torchscript"),
}


def as_path(path: Any) -> Path:
    """Return a path; raise an `InputError` if it is neither text nor path-like."""
    try:
        return Path(path)
    except TypeError:
        raise InputError(f"path must be the name of a file, got {path!r}.") from None


def check_ending(path: Path, *endings: str, what: str) -> None:
    """Refuse a name with the ending of another format than those of what is written."""
    if has_file_ending(path) and path.suffix.lower() not in endings:
        raise FileError(
            f"The name of {what} ends in {' or '.join(endings)}, and {path.name} is that of "
            "another format: choose another name."
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

    After an error the old file is as it was. `folder` says that a folder is written (OME-Zarr).
    """
    parent = path.parent
    if not parent.is_dir():
        raise FileError(f"Can't write {path}: there is no folder {parent}; create it first.")
    if path.is_dir() != folder and path.exists():
        raise FileError(f"Can't write {path}: {'a file' if folder else 'a folder'} has that name.")
    try:
        temporary_folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=parent))
    except OSError as error:
        raise _write_error(path, error) from error
    try:
        # The name is kept, because writers choose their format by its ending.
        temporary = temporary_folder / path.name
        yield temporary
        _replace(temporary, path, temporary_folder / "old")
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


def expand_paths(path: str | os.PathLike[str]) -> list[Path]:
    """List the image files that a file, a folder, or a pattern with ``*`` names.

    A folder gives the images directly inside it, a plate its fields; an image in several OME-TIFF
    files is named once. Numbers are sorted by value: a2 before a10.
    """
    path = Path(path)
    if path.is_dir() and not is_zarr(path):
        images = [entry for entry in path.iterdir() if is_image(entry)]
        if not images:
            raise FileError(f"The folder {path} holds no images: name one that does.")
    elif path.exists():
        images = [path]
    elif glob.has_magic(str(path)):
        matches = (Path(match) for match in glob.glob(str(path), recursive=True))
        images = [match for match in matches if match.is_file() or is_zarr(match)]
        if not images:
            raise FileError(f"No file matches {path}: check the pattern and put it in quotes.")
    else:
        raise FileError(f"There is no file or folder {path}: check its name.")
    images = [field for image in images for field in _fields(image)]
    return _without_repeats(sorted(images, key=_natural_order))


def _fields(image: Path) -> list[Path]:
    """Return the images of a plate, or the only one."""
    plate = read_plate(image)
    return [image] if plate is None else [image / name for name in plate.names]


def match_by_name(
    sources: Sequence[Path],
    targets: Sequence[Path],
    *,
    side: str = "source",
    partner: str = "target",
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Pair source and target files that have the same name apart from their endings.

    Also return notes that name files without a partner. A single pair needs no common name. `side`
    and `partner` are what messages call the two.
    """
    if len(sources) == len(targets) == 1:
        return [(sources[0], targets[0])], []
    by_source, by_target = _by_stem(sources, side), _by_stem(targets, partner)
    pairs = [(path, by_target[stem]) for stem, path in by_source.items() if stem in by_target]
    if not pairs:
        raise InputError(
            f"No {side} has a {partner} of the same name: {side}s are {_some(sources)}, "
            f"{partner}s {_some(targets)}; rename them so that each pair differs only by its "
            "ending."
        )
    unmatched = (
        (side, partner, [by_source[stem] for stem in by_source if stem not in by_target]),
        (partner, side, [by_target[stem] for stem in by_target if stem not in by_source]),
    )
    return pairs, [
        f"{plural(len(paths), kind)} {'has' if len(paths) == 1 else 'have'} no {other} of the same "
        f"name and {'is' if len(paths) == 1 else 'are'} left out: {_some(paths)}."
        for kind, other, paths in unmatched
        if paths
    ]


def file_stem(path: Path) -> str:
    """Return a file's name without its ending and without ``.ome`` before that.

    >>> file_stem(Path("cells/a1.ome.tif"))
    'a1'
    """
    return path.stem[:-4] if path.stem.lower().endswith(".ome") else path.stem


def image_name(path: Path) -> str:
    """Return what messages call an image: its file's name, or its place in its plate."""
    path = image_of_labels(path)
    return name_in_plate(path) or path.name


def _by_stem(paths: Sequence[Path], side: str) -> dict[str, Path]:
    images = {path: image_of_labels(path) for path in paths}
    stems = {
        path: name_in_plate(image).replace("/", "_") or file_stem(image)
        for path, image in images.items()
    }
    twice = [stem for stem, count in Counter(stems.values()).items() if count > 1]
    if twice:
        same = [path for path in paths if stems[path] == twice[0]]
        raise InputError(f"Two {side} files have the same name: {_some(same)}; keep one of them.")
    return {stem: path for path, stem in stems.items()}


def _without_repeats(paths: Iterable[Path]) -> list[Path]:
    """Keep the first of the OME-TIFF files that hold parts of one image, which is read whole."""
    from napari_pix2pix.io._ome_files import image_key

    first = {image_key(path): path for path in reversed([*paths])}
    return sorted(first.values(), key=_natural_order)


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key that compares numbers in names by value."""
    parts = re.split(r"(\d+)", str(path))
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _some(paths: Iterable[Path], most: int = 3) -> str:
    names = list(map(image_name, paths))
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
