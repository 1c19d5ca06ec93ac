"""Images that are written block by block, and go on where they were broken off.

Beside the file that is wanted lies a folder ``NAME.part``. It holds the pixels so far, what they
are made of (``run.json``), and a journal of the blocks that are finished. A block's line is added
after its pixels are written, so a block that is half written counts as none.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.io.zarr_file import create_zarr, finish_zarr

_PIXELS, _RUN, _JOURNAL = "image.zarr", "run.json", "done.txt"


@dataclass(frozen=True)
class Outline:
    """What is known of an image before its pixels are.

    Attributes
    ----------
    axes : str
        One letter an axis.
    shape : tuple of int
    dtype : numpy.dtype
    scale, units : mapping
        As for `write_image`.
    channel_names : sequence of str
        As for `write_image`.
    origin : mapping of str to float
        Where the first pixel lies, in `units`, for formats that hold it (OME-Zarr).
    record : mapping
        As for `write_image`.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    channel_names: Sequence[str] = ()
    origin: Mapping[str, float] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)


def part_of(path: Path) -> Path:
    """Return the folder in which an image grows."""
    return path.with_name(f"{path.name}.part")


def find_run(
    path: Path, run: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> dict[str, Any]:
    """Return the record of the run that is to go on; empty where a new one begins.

    Parameters
    ----------
    path : Path
        The file that is wanted.
    run : mapping
        JSON values by name: what the image is to be made of.
    resume, overwrite : bool
        Whether to go on with what is there, or to begin anew.

    Raises
    ------
    FileError
        When the file or an unfinished run is in the way, or that was made of something else.
    """
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists: choose another name, or pass --overwrite.")
    part = part_of(path)
    before = _read_run(part) if resume else {}
    if part.exists() and not (resume or overwrite):
        raise FileError(
            f"{part} holds what an earlier run has finished: go on with --resume, or begin anew "
            "with --overwrite."
        )
    for name, value in run.items():
        if before and before.get(name) != value:
            then, now = (json.dumps(one)[:200] for one in (before.get(name), value))
            raise FileError(
                f"{part} was begun with another {name} ({then}, now {now}): resume with the same, "
                "or begin anew with --overwrite and without --resume."
            )
    return before


def _read_run(part: Path) -> dict[str, Any]:
    """Return the record of an unfinished run; empty where there is none that can go on."""
    try:
        run = json.loads((part / _RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return run if (part / _PIXELS).is_dir() and isinstance(run, dict) else {}


class GrowingImage:
    """An image that is written block by block.

    Parameters
    ----------
    path : Path
        The file that is wanted; its ending chooses the format.
    outline : Outline
    run : mapping
        The record: JSON values that say what the image is made of.
    resume : bool
        Go on with the blocks that are there; whether they are of the same run is for the caller
        to check. False begins anew.

    Attributes
    ----------
    done : dict of int to int
        Number and mark of each finished block.

    Raises
    ------
    FileError
        When the system refuses to write.
    """

    def __init__(
        self, path: Path, outline: Outline, run: Mapping[str, Any], *, resume: bool
    ) -> None:
        self.path, self._outline, self._part = path, outline, part_of(path)
        with refusals(self.path):
            if not resume:
                shutil.rmtree(self._part, ignore_errors=True)
                self._begin(run)
            self._pixels = _open_pixels(path)
            self.done = self._read_journal()

    def write(
        self, number: int, window: tuple[int | slice, ...], pixels: NDArray[Any], mark: int
    ) -> None:
        """Write a block, and then its line in the journal.

        Parameters
        ----------
        number : int
            Of the block.
        window : tuple
            Where it lies: an index an axis.
        pixels : numpy.ndarray
        mark : int
            Kept beside its number.

        Raises
        ------
        FileError
            When the system refuses, as when the disk is full; finished blocks are kept.
        """
        with refusals(self.path):
            self._pixels[window] = pixels
        self.note(number, mark)

    def note(self, number: int, mark: int) -> None:
        """Add a line to the journal: a block is written, maybe by another process.

        Parameters and errors are those of `write`.
        """
        with refusals(self.path), (self._part / _JOURNAL).open("a", encoding="ascii") as journal:
            journal.write(f"{number} {mark}\n")
        self.done[number] = mark

    def keep(self, name: str, value: Any) -> None:
        """Keep a JSON value beside the pixels, for a run that goes on."""
        with refusals(self.path):
            _write_json(self._part / f"{name}.json", value)

    def kept(self, name: str) -> Any:
        """Return what was kept; None where there is nothing."""
        path = self._part / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def give_up(self) -> None:
        """Remove the folder of a run that has not finished any block."""
        if not self.done:
            shutil.rmtree(self._part, ignore_errors=True)

    def finish(self) -> Path:
        """Make the file of the finished pixels, put it into its place and remove the folder.

        Raises
        ------
        FileError
            When the system refuses; the pixels are kept.
        """
        o = self._outline
        with refusals(self.path):
            if self.path.suffix.lower() == ".zarr":
                pixels = self._part / _PIXELS
                known = (o.scale, o.units, o.channel_names, o.origin, o.record)
                finish_zarr(pixels, o.axes, *known)
                shutil.rmtree(self._part / "old", ignore_errors=True)
                if self.path.exists():
                    self.path.rename(self._part / "old")
                pixels.rename(self.path)
            else:
                write_image(
                    self.path,
                    self._pixels,
                    o.axes,
                    o.scale,
                    o.units,
                    channel_names=o.channel_names,
                    record=o.record,
                )
            shutil.rmtree(self._part)
        return self.path

    def _begin(self, run: Mapping[str, Any]) -> None:
        outline = self._outline
        self._part.mkdir()
        self._try_format()
        create_zarr(self._part / _PIXELS, outline.shape, outline.dtype, outline.axes)
        _write_json(self._part / _RUN, run)

    def _try_format(self) -> None:
        """Let the format refuse before any work is done what it can't hold."""
        o = self._outline
        shape = [n if axis in "CS" else 1 for n, axis in zip(o.shape, o.axes, strict=True)]
        trial = self._part / self.path.name
        try:
            write_image(trial, np.zeros(shape, o.dtype), o.axes, o.scale, o.units)
        except InputError:
            shutil.rmtree(self._part)
            raise
        shutil.rmtree(trial) if trial.is_dir() else trial.unlink()

    def _read_journal(self) -> dict[int, int]:
        """Read the finished blocks, and take out a last line that was cut short."""
        path = self._part / _JOURNAL
        if not path.exists():
            return {}
        whole, _, _ = path.read_text(encoding="ascii").rpartition("\n")
        path.write_text(f"{whole}\n" if whole else "", encoding="ascii")
        pairs = (line.split() for line in whole.splitlines())
        return {int(number): int(mark) for number, mark in pairs}


def write_apart(path: Path, window: tuple[int | slice, ...], pixels: NDArray[Any]) -> None:
    """Write a block of an image that grows in another process, which is to note it.

    Parameters
    ----------
    path : Path
        The file that is wanted.
    window, pixels
        As for `GrowingImage.write`.

    Raises
    ------
    FileError
        When the system refuses.
    """
    with refusals(path):
        _open_pixels(path)[window] = pixels


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn what the system refuses while an image grows into a `FileError`."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        part = part_of(path)
        kept = f"; what is finished is kept in {part}" if part.is_dir() else ""
        raise FileError(
            f"Can't write {path}: {error.strerror or error}{kept}. Make room or see to "
            "the folder's permissions, and go on with --resume."
        ) from error


def _open_pixels(path: Path) -> Any:
    import zarr

    return zarr.open_array(part_of(path) / _PIXELS / "0", mode="r+")


def _write_json(path: Path, value: Any) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(value, indent=2), encoding="utf-8")
    os.replace(fresh, path)


def fingerprint(path: Path) -> list[int]:
    """Return how many files an image consists of, their bytes, and when the last was changed."""
    if path.is_dir():
        found = [os.stat(Path(root) / name) for root, _, names in os.walk(path) for name in names]
    else:
        found = [path.stat()]
    return [len(found), sum(s.st_size for s in found), max(s.st_mtime_ns for s in found)]
