"""Files reach the disk before they get their names, where the system offers that.

After a loss of power a file then is the old one or the new one, and never a part of it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def sync_file(path: Path) -> None:
    """Wait until a file is on the disk."""
    with suppress(OSError), path.open("rb+") as file:
        os.fsync(file.fileno())


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
