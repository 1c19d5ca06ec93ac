"""Arrays for which there is no room in memory, in a temporary file."""

from __future__ import annotations

import weakref
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Filed(NamedTuple):
    """Where an array lies in a file, and what it is."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class TileFile:
    """A file that goes with its last user; for one thread at a time."""

    def __init__(self) -> None:
        self._file: Any = None
        self._end = 0

    def keep(self, array: NDArray[Any]) -> Filed:
        """Write an array behind the others.

        Raises
        ------
        OSError
            When there is no room on the disk.
        """
        if self._file is None:
            self._file = TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as this lives
            weakref.finalize(self, self._file.close)
        filed = Filed(self._end, array.shape, array.dtype)
        self._file.seek(filed.offset)
        if self._file.write(np.ascontiguousarray(array).data) < array.nbytes:
            raise OSError("There is no room on the disk.")
        self._end += array.nbytes
        return filed

    def read(self, filed: Filed) -> NDArray[Any]:
        """Read an array again."""
        count = int(np.prod(filed.shape))
        self._file.seek(filed.offset)
        found: NDArray[Any] = np.fromfile(self._file, filed.dtype, count)
        return found.reshape(filed.shape)
