"""From what a user names on the command line to image files, and from two sets to pairs."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.zarr_file import is_zarr

_SUFFIXES = {
    *(".tif", ".tiff", ".lsm", ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".npy"),
    *(".czi", ".nd2", ".lif", ".ims", ".oir", ".oib", ".oif", ".vsi", ".svs", ".dv", ".stk"),
}


def as_path(path: Any) -> Path:
    """Return a path, or say that it is none.

    Raises
    ------
    InputError
        When it is neither text nor path-like.
    """
    try:
        return Path(path)
    except TypeError:
        raise InputError(f"path must be the name of a file, got {path!r}.") from None


def make_folder(path: Path) -> None:
    """Make a folder in one that is there, if it is not there yet.

    Raises
    ------
    FileError
        When it can't be made.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise FileError(
            f"Can't make the folder {path}: {error.strerror or error}; name another."
        ) from error


def expand_paths(path: str | os.PathLike[str]) -> list[Path]:
    """List the image files that a file, a folder, or a pattern with ``*`` names.

    A folder gives the images directly inside it. Sorted as people count: ``a2`` before ``a10``;
    hidden files are left out.

    Raises
    ------
    FileError
        Nothing there: no such file, a folder without images, a pattern that nothing matches.
    """
    path = Path(path)
    if path.is_dir() and not is_zarr(path):
        images = [entry for entry in path.iterdir() if _is_image(entry)]
        if not images:
            raise FileError(f"The folder {path} holds no images; name one that does.")
    elif path.exists():
        images = [path]
    elif glob.has_magic(str(path)):
        named = (Path(match) for match in glob.glob(str(path), recursive=True))
        images = [match for match in named if match.is_file() or is_zarr(match)]
        if not images:
            raise FileError(f"No file matches {path}; check the pattern and put it in quotes.")
    else:
        raise FileError(f"There is no file or folder {path}; check its name.")
    return sorted(images, key=_natural)


def match_by_name(
    sources: Sequence[Path],
    targets: Sequence[Path],
    *,
    side: str = "source",
    partner: str = "target",
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Pair source and target files that have the same name without ending.

    One source and one target are a pair whatever their names.

    Parameters
    ----------
    sources, targets : sequence of Path
    side, partner : str
        What sentences call the sources and the targets.

    Returns
    -------
    pairs : list of (Path, Path)
        In the order of `sources`.
    unmatched : list of str
        A sentence for each side that has files without a partner.

    Raises
    ------
    InputError
        No two names agree, or two files of one side have the same name.
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
    lonely = (
        (side, partner, [by_source[stem] for stem in by_source if stem not in by_target]),
        (partner, side, [by_target[stem] for stem in by_target if stem not in by_source]),
    )
    return pairs, [
        f"{len(paths)} {one}{'s have' if len(paths) > 1 else ' has'} no {other} of the same name "
        f"and {'are' if len(paths) > 1 else 'is'} left out: {_some(paths)}."
        for one, other, paths in lonely
        if paths
    ]


def file_stem(path: Path) -> str:
    """Return a file's name without its ending, nor the ``.ome`` before that.

    >>> file_stem(Path("cells/a1.ome.tif"))
    'a1'
    """
    return path.stem[:-4] if path.stem.lower().endswith(".ome") else path.stem


def _by_stem(paths: Sequence[Path], side: str) -> dict[str, Path]:
    twice = [stem for stem, count in Counter(map(file_stem, paths)).items() if count > 1]
    if twice:
        same = [path for path in paths if file_stem(path) == twice[0]]
        raise InputError(f"Two {side} files have the same name: {_some(same)}; keep one of them.")
    return {file_stem(path): path for path in paths}


def _is_image(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in _SUFFIXES


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key by which numbers in a name count as numbers."""
    parts = re.split(r"(\d+)", str(path))
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _some(paths: Iterable[Path], most: int = 3) -> str:
    names = [path.name for path in paths]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
