"""Locks on outputs: only one run writes a file at a time.

A lock is a hidden file beside the output, ``.NAME.lock``, that names the process which writes. The
lock of a process that was killed is taken over, where that can be known: on the same host. A file
that appears as a whole or not at all is all that a network folder has to offer for this.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.outputs import real_path
from napari_pix2pix.io.processes import ProcessRecord

_WRITING = 1.0  # seconds in which another process will have written what it just created


class _Lock(BaseModel):
    """What a lock's file holds."""

    model_config = ConfigDict(frozen=True)

    owner: ProcessRecord
    since: str  # date and time
    token: str  # of this lock alone: a process may have several


@contextmanager
def locked(*paths: Path | None) -> Iterator[None]:
    """Hold the locks of outputs; a `FileError` where another run writes one of them."""
    with ExitStack() as held:
        for path in paths:
            if path is not None:
                held.enter_context(_locked(path))
        yield


def lock_file(path: Path) -> Path:
    """Return the file that locks an output, beside the place that a link leads to."""
    path = real_path(path)
    return path.with_name(f".{path.name}.lock")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    file = lock_file(path)
    lock = _Lock(
        owner=ProcessRecord.here(),
        since=datetime.now().isoformat(timespec="minutes", sep=" "),
        token=uuid4().hex,
    )
    while not _create(file, lock):
        other = _read(file)
        if other is not None and not other.owner.is_gone:
            raise _refusal(path, file, other)
        _remove_stale(file, other)
    try:
        yield
    finally:
        if _read(file) == lock:
            file.unlink(missing_ok=True)


def _create(file: Path, lock: _Lock) -> bool:
    """Write a lock, as a whole; False if there is one."""
    fresh = file.with_name(f"{file.name}.{lock.token}")
    try:
        fresh.write_text(lock.model_dump_json(), encoding="utf-8")
        try:
            os.link(fresh, file)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links, such as that of a memory stick
            return _create_in_place(file, lock)
        return True
    except OSError as error:
        raise FileError(
            f"Can't write to {file.parent}: {error.strerror or error}; choose another folder."
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


def _create_in_place(file: Path, lock: _Lock) -> bool:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(lock.model_dump_json())
    except FileExistsError:
        return False
    return True


def _read(file: Path) -> _Lock | None:
    """Read a lock; None if it is gone, or was not written to its end."""
    until = time.monotonic() + _WRITING
    while time.monotonic() < until:
        try:
            return _Lock.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            time.sleep(_WRITING / 20)
    return None


def _remove_stale(file: Path, stale: _Lock | None) -> None:
    """Remove the lock of a process that is gone, unless another process was faster."""
    aside = file.with_name(f"{file.name}.{uuid4().hex}")
    try:
        file.rename(aside)  # one of several processes succeeds
    except FileNotFoundError:
        return
    if stale is None or _read(aside) == stale:
        aside.unlink()
        return
    with suppress(OSError):  # it is the lock of that faster one, which goes back
        os.link(aside, file)
    aside.unlink()


def _refusal(path: Path, file: Path, other: _Lock) -> FileError:
    remedy = "wait for it, or choose another name"
    if not other.owner.can_be_seen:
        remedy += f"; if that process has ended, delete {file}"
    return FileError(
        f"{path} is being written by another run ({other.owner}, since {other.since}): {remedy}."
    )
