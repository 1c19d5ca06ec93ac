"""Hidden files and folders of ours while something is written, and those that a kill left behind.

Their names say which process made them, so that the next one that writes there can tell.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from napari_pix2pix.io.processes import ProcessRecord

_OURS = re.compile(r"\..*\.pix2pix-([0-9a-z-]+)\.\w+")
_LONGEST = 100  # characters of the output's name, so that the hidden one is not too long
_PAUSE = 60.0  # seconds until a folder is looked through again: it may hold many files
_looked_through: dict[str, float] = {}


def hidden_prefix(path: Path) -> str:
    """Return how the names of hidden files begin that belong to an output; any letters follow."""
    return f".{path.name[:_LONGEST]}.pix2pix-{ProcessRecord.here().tag}."


def is_hidden(name: str) -> bool:
    """Tell whether it is the name of such a file or folder, of whatever process."""
    return _OURS.fullmatch(name) is not None


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that have ended were writing into a folder."""
    now, key = time.monotonic(), os.fspath(folder)
    if now < _looked_through.get(key, 0.0):
        return
    _looked_through[key] = now + _PAUSE
    with suppress(OSError):
        for entry in [*os.scandir(folder)]:
            found = _OURS.fullmatch(entry.name)
            if found and ProcessRecord.tells_gone(found[1]):
                _remove(Path(entry.path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
