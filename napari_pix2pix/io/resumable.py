"""Images that are written block by block and can be resumed.

The folder ``NAME.part`` holds the pixels so far, ``run.json`` (what they are made of) and a
journal of finished blocks. A block's line follows its pixels and holds a checksum of them: half a
block, or one that a loss of power took away, counts as missing. Beside the pixels a block may have
facts: arrays that the end of the run needs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import FileError, InputError, Remedy
from napari_pix2pix.io._leftovers import is_hidden
from napari_pix2pix.io._syncing import sync_all
from napari_pix2pix.io.image_file import ImageSpec
from napari_pix2pix.io.outputs import check_only, check_replaceable, real_path
from napari_pix2pix.io.plates import is_zarr_name
from napari_pix2pix.io.writing import write_spec
from napari_pix2pix.io.zarr_file import (
    chunks_of,
    create_zarr,
    finish_zarr,
    remove_partial,
    write_zarr,
)

_PIXELS, _RUN, _JOURNAL = "image.zarr", "run.json", "done.txt"
_TYPED, _OLD = "typed.zarr", "old"  # pixels of another dtype, and the output that is replaced
_FACTS = "facts_{}.npz"  # of a block


_LINE = re.compile(rb"(\d{1,18}) (\d{1,10}) (\d{1,10})")


_NO_FACTS: Mapping[str, NDArray[Any]] = MappingProxyType({})


@dataclass(frozen=True)
class BlockChecksums:
    """Checksums of a finished block."""

    source: int  # of what it was computed from
    pixels: int  # of what was written


def part_folder(path: Path) -> Path:
    """Return the folder that holds an unfinished image, beside the place that a link leads to."""
    path = real_path(path)
    return path.with_name(f"{path.name}.part")


def check_run(
    path: Path, run: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> dict[str, Any]:
    """Return the record of the run to resume, empty for a new one; refuse what is in the way."""
    if path.exists() and not overwrite:
        raise FileError(
            f"{path} exists: choose another name, or overwrite it.", remedies=(Remedy.OVERWRITE,)
        )
    check_replaceable(path, folder=is_zarr_name(path))
    part = part_folder(path)
    if part.exists():
        _check_part(part, path.name)
    before = _read_run(part) if resume else {}
    if part.exists() and not (resume or overwrite):
        raise FileError(
            f"{part} holds what an earlier run has finished: resume that run, or overwrite it.",
            remedies=(Remedy.RESUME, Remedy.OVERWRITE),
        )
    for name, value in run.items():
        if before and before.get(name) != value:
            then, now = (json.dumps(v)[:200] for v in (before.get(name), value))
            raise FileError(
                f"{part} was started with another {name} ({then}, now {now}): resume with the "
                "same, or overwrite it instead of resuming.",
                remedies=(Remedy.OVERWRITE,),
            )
    return before


def _check_part(part: Path, name: str) -> None:
    """Refuse to use or delete a folder that holds files of others."""
    if not part.is_dir():
        raise FileError(f"{part} is needed for unfinished blocks, and is a file: move it away.")
    stored = ("measured_*.json*", _FACTS.format("*"), f"{_FACTS.format('*')}.new")
    measured = (entry.name for pattern in stored for entry in part.glob(pattern))
    hidden = (entry.name for entry in part.iterdir() if is_hidden(entry.name))
    written = _RUN, f"{_RUN}.new", _JOURNAL, _PIXELS, _TYPED, _OLD, name
    check_only(part, [*written, *measured, *hidden])


def _read_run(part: Path) -> dict[str, Any]:
    """Read the record of an unfinished run; empty if there is none that can be resumed."""
    try:
        run = json.loads((part / _RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return run if (part / _PIXELS).is_dir() and isinstance(run, dict) else {}


class ResumableImage:
    """An image that is written block by block and can be resumed.

    `run` says in JSON values what the image is made of; the caller checks that a resumed run is the
    same. Pixels are kept in the dtype `kept` until all are there. `done` maps the number of each
    finished block to its checksums. Errors are `FileError`s.
    """

    def __init__(
        self,
        path: Path,
        spec: ImageSpec,
        run: Mapping[str, Any],
        *,
        kept: np.dtype[Any],
        resume: bool,
    ) -> None:
        self.path, self._spec, self._part = real_path(path), spec, part_folder(path)
        with _write_errors(self.path):
            if not resume:
                shutil.rmtree(self._part, ignore_errors=True)
                self._start(run, kept)
            self._pixels = _open_pixels(path)
            self.done = self._read_journal()

    def write(
        self,
        number: int,
        window: tuple[int | slice, ...],
        pixels: NDArray[Any],
        source: int,
        facts: Mapping[str, NDArray[Any]] = _NO_FACTS,
    ) -> None:
        """Write a block's pixels, and then its line in the journal; `source` is a checksum."""
        with _write_errors(self.path):
            _write_facts(self._part, number, facts)
            checksum = _write_pixels(self._pixels, window, pixels)
        self.mark_done(number, BlockChecksums(source, checksum))

    def facts(self, number: int) -> dict[str, NDArray[Any]]:
        """Return the facts of a block; raises `FileError` if they can't be read."""
        path = self._part / _FACTS.format(number)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        except MemoryError:
            raise
        except Exception as error:  # damaged in one of many ways
            raise FileError(
                f"{path} can't be read ({error}): resume the run, which makes that block again.",
                remedies=(Remedy.RESUME,),
            ) from error

    def drop_unwritten(
        self, windows: Mapping[int, tuple[int | slice, ...]], *, have_facts: bool = False
    ) -> None:
        """Forget finished blocks whose pixels, or facts, are not those that were written.

        A loss of power can leave a line in the journal without the pixels before it.
        """
        for number, done in [*self.done.items()]:
            try:
                same = _checksum(self._pixels[windows[number]]) == done.pixels
                if have_facts:
                    self.facts(number)
            except Exception:  # a chunk that was cut short, or a number of no block
                same = False
            if not same:
                del self.done[number]

    def mark_done(self, number: int, checksums: BlockChecksums) -> None:
        """Add a line to the journal: a block is written, maybe by another process."""
        with (
            _write_errors(self.path),
            (self._part / _JOURNAL).open("a", encoding="ascii") as journal,
        ):
            journal.write(f"{number} {checksums.source} {checksums.pixels}\n")
        self.done[number] = checksums

    def store(self, name: str, value: Any) -> None:
        """Store a JSON value next to the pixels, for a resumed run."""
        with _write_errors(self.path):
            _write_json(self._part / f"{name}.json", value)

    def stored(self, name: str) -> Any:
        """Return a stored value; None if there is none, or none that can be read."""
        try:
            return json.loads((self._part / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def discard_if_empty(self) -> None:
        """Remove the folder of a run that has not finished any block."""
        if not self.done:
            shutil.rmtree(self._part, ignore_errors=True)

    def finish(self, converted: Callable[[Any], Any] | None = None) -> Path:
        """Turn the pixels into the output and remove the folder; after an error both are kept.

        `converted` returns the array to be written of the array of pixels, such as
        `with_dtype_for`; without it they are written as they are kept.
        """
        spec, data = self._spec, self._pixels
        if converted is not None:
            data = converted(data)
        with _write_errors(self.path):
            if is_zarr_name(self.path):
                pixels = self._part / _PIXELS
                if data is self._pixels:
                    finish_zarr(pixels, spec)
                else:
                    pixels = self._part / _TYPED
                    shutil.rmtree(pixels, ignore_errors=True)  # of a run that was killed here
                    write_zarr(pixels, data, replace(spec, dtype=data.dtype))
                remove_partial(pixels)
                sync_all()
                shutil.rmtree(self._part / _OLD, ignore_errors=True)
                if self.path.exists():
                    check_replaceable(self.path, folder=True)
                    self.path.rename(self._part / _OLD)
                pixels.rename(self.path)
            else:
                write_spec(self.path, data, replace(spec, dtype=data.dtype))
            shutil.rmtree(self._part)
        return self.path

    def _start(self, run: Mapping[str, Any], kept: np.dtype[Any]) -> None:
        self._part.mkdir()
        self._try_format()
        create_zarr(self._part / _PIXELS, self._spec.shape, kept, self._spec.axes)
        _write_json(self._part / _RUN, run)

    def _try_format(self) -> None:
        """Fail early if the format cannot store this image: write one of a single pixel."""
        spec = self._spec
        sides = zip(spec.shape, spec.axes, strict=True)
        shape = tuple(n if axis in "CS" else 1 for n, axis in sides)
        trial = self._part / self.path.name
        try:
            write_spec(trial, np.zeros(shape, spec.dtype), replace(spec, shape=shape))
        except InputError:
            shutil.rmtree(self._part)
            raise
        shutil.rmtree(trial) if trial.is_dir() else trial.unlink()

    def _read_journal(self) -> dict[int, BlockChecksums]:
        """Read the finished blocks, and drop lines that were cut short or damaged."""
        path = self._part / _JOURNAL
        if not path.exists():
            return {}
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        found = [match for line in whole.splitlines() if (match := _LINE.fullmatch(line))]
        path.write_bytes(b"".join(match[0] + b"\n" for match in found))
        return {
            int(number): BlockChecksums(int(source), int(pixels))
            for number, source, pixels in (match.groups() for match in found)
        }


def with_dtype_for(dtype_for: Callable[[int], np.dtype[Any]]) -> Callable[[Any], Any]:
    """Return what gives an array the dtype that is told by its largest value."""

    def converted(data: Any) -> Any:
        import dask.array as da

        dtype = dtype_for(max(int(data[window].max()) for window in chunks_of(data)))
        return data if dtype == data.dtype else da.from_array(data).astype(dtype)

    return converted


def remove_part(path: Path) -> None:
    """Remove what is left of the work on an image that is finished."""
    part = part_folder(path)
    if part.is_dir():
        _check_part(part, path.name)
        shutil.rmtree(part, ignore_errors=True)


def write_block(
    path: Path,
    number: int,
    window: tuple[int | slice, ...],
    pixels: NDArray[Any],
    facts: Mapping[str, NDArray[Any]] = _NO_FACTS,
) -> int:
    """Write a block from another process, and return its checksum for the journal.

    The process that holds the image marks it as done.
    """
    with _write_errors(path):
        _write_facts(part_folder(path), number, facts)
        return _write_pixels(_open_pixels(path), window, pixels)


def _write_facts(part: Path, number: int, facts: Mapping[str, NDArray[Any]]) -> None:
    if not facts:
        return
    path = part / _FACTS.format(number)
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **facts)
    os.replace(fresh, path)


def _write_pixels(array: Any, window: tuple[int | slice, ...], pixels: NDArray[Any]) -> int:
    as_kept = pixels.astype(array.dtype, copy=False)
    array[window] = as_kept
    return _checksum(as_kept)


def _checksum(pixels: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).data)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` while an image is written into a `FileError`."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        part = part_folder(path)
        kept = f"; finished blocks are kept in {part}" if part.is_dir() else ""
        raise FileError(
            f"Can't write {path}: {error.strerror or error}{kept}. Make room or check the folder's "
            "permissions, then resume.",
            remedies=(Remedy.RESUME,),
        ) from error


def _open_pixels(path: Path) -> Any:
    import zarr

    return zarr.open_array(part_folder(path) / _PIXELS / "0", mode="r+")


def _write_json(path: Path, value: Any) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(value, indent=2), encoding="utf-8")
    os.replace(temporary, path)


def warn_if_changed(path: Path, before: Sequence[int]) -> None:
    """Warn if an image's files are others than those that a `file_fingerprint` was taken of."""
    try:
        same = file_fingerprint(path) == list(before)
    except OSError:  # it is gone
        same = False
    if not same:
        warnings.warn(
            f"{path} has changed while it was read: the result may be a mixture of old and new "
            "pixels, so apply the model again.",
            UserWarning,
            stacklevel=3,
        )


def file_fingerprint(path: Path) -> list[int]:
    """Return an image's number of files, their bytes, and the time of the last change in ns."""
    if path.is_dir():
        stats = [os.stat(Path(root) / name) for root, _, names in os.walk(path) for name in names]
    else:
        stats = [path.stat()]
    return [len(stats), sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)]
