"""Is it a file that can be read? Devices, pipes, loops of links and links to elsewhere are not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.header_values import plain_text

_SHOWN = 120  # characters of a name in a message
# To open a pipe waits for whoever writes to it, and a device may never end.
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def is_regular(path: Path) -> bool:
    """Tell whether a path leads to a regular file; a link is followed."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def check_readable(path: Path, wanted: str = "an image") -> None:
    """Refuse a path that leads neither to a regular file nor to a folder; a link is followed.

    A message says that `wanted` is to be named.
    """
    shown = _shown(path)
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise FileError(
                f"{shown} is a link to {_shown(Path(os.readlink(path)))}, which is not there: name "
                "the file itself."
            ) from None
        raise FileError(f"There is no file {shown}; check its name and folder.") from None
    except PermissionError as error:
        raise FileError(f"{shown} can't be read: no permission.") from error
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long or holds NUL
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{shown} can't be read: {reason}; name another file.") from error
    if (kind := _KINDS.get(stat.S_IFMT(found.st_mode))) is not None:
        raise FileError(f"{shown} is {kind}, not a file: name {wanted}.")


def check_inside(path: Path, folder: Path) -> None:
    """Refuse what a folder holds, or a file in it names, if it leads out of the folder.

    What is not there is left to those who need it; a link to what is not there is refused.
    """
    real = os.path.realpath(path)
    inside = os.path.realpath(folder)
    if real != inside and not real.startswith(os.path.join(inside, "")):
        raise FileError(
            f"{_shown(path)} leads out of its folder, to {_shown(Path(real))}: put the file itself "
            f"into {_shown(folder)}, or name it by its own path."
        )
    try:
        path.lstat()
    except FileNotFoundError:
        if real == os.path.join(inside, os.path.relpath(path, folder)):
            return  # no link leads there
    except (OSError, ValueError):
        pass  # said by what follows
    check_readable(path)


def _shown(path: Path) -> str:
    return plain_text(os.fsencode(path).decode("utf-8", "backslashreplace")[:_SHOWN])
