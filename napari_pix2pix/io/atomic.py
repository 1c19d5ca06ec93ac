"""Files that are either written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_pix2pix.errors import FileError


@contextmanager
def replacing(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it to `path` when all went well.

    After any error the old file is as it was and nothing new is left behind.

    Parameters
    ----------
    path : Path
        Where the file is wanted.
    folder : bool
        What is written is a folder (OME-Zarr).

    Raises
    ------
    FileError
        No such folder, no permission, disk full: whatever the system refused.
    """
    parent = path.parent
    if not parent.is_dir():
        raise FileError(f"Can't write {path}: there is no folder {parent}; create it first.")
    if path.is_dir() != folder and path.exists():
        raise FileError(f"Can't write {path}: {'a file' if folder else 'a folder'} has that name.")
    try:
        room = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=parent))
    except OSError as error:
        raise _refused(path, error) from error
    try:
        # The whole name is kept: writers choose their format by its ending.
        fresh = room / path.name
        yield fresh
        _put(fresh, path, room / "old")
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise _refused(path, error) from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _put(fresh: Path, path: Path, aside: Path) -> None:
    """Rename `fresh` to `path`; a folder there, which can't be replaced in one step, goes aside."""
    if not path.is_dir():
        os.replace(fresh, path)
        return
    path.rename(aside)
    try:
        os.replace(fresh, path)
    except OSError:
        aside.rename(path)
        raise


def _refused(path: Path, error: OSError) -> FileError:
    reason = error.strerror or str(error)
    return FileError(f"Can't write {path}: {reason}; nothing was changed.")
