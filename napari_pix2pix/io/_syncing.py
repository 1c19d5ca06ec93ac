"""Files reach the disk before they get their names, where the system offers that.

After a loss of power a file then is the old one or the new one, and never a part of it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

# What file systems say that have nothing to sync.
_NOT_OFFERED = errno.EINVAL, errno.ENOTSUP


def sync_file(path: Path) -> None:
    """Wait until a file is on the disk; raises `OSError` where the disk fails or is full."""
    with path.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows does that by itself."""
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def sync_all() -> None:
    """Wait until all files are on the disk: an image of many chunks is synced at once."""
    if hasattr(os, "sync"):
        os.sync()
