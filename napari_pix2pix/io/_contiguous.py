"""Arrays that lie uncompressed in one piece in a file: in NPY, and in many TIFF files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.errors import FileError
from napari_pix2pix.io.image_file import ImageFile

# Smaller images are read at once, which is faster; larger ones window by window.
EAGER_BYTES = 1 << 26


class ContiguousArray(LazyArray):
    """An array that is read from a file by windows; the file is open only meanwhile."""

    def __init__(
        self, path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        super().__init__(shape, dtype)
        self._path, self._offset = path, offset
        self._map()  # fails if the file was cut short

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window."""
        # What a map has read counts as memory of this process until the map is closed.
        return np.array(self._map()[window])

    def _map(self) -> NDArray[Any]:
        return np.memmap(self._path, self.dtype, "r", self._offset, self.shape)


def read_npy(path: Path) -> ImageFile:
    """Read an array that was saved by numpy; it has no axes."""
    _check_size(path)
    small = path.stat().st_size <= EAGER_BYTES
    data: Any = np.load(path, mmap_mode=None if small else "r")
    if not small and data.flags.c_contiguous:
        data = ContiguousArray(path, data.offset, data.shape, data.dtype)
    return ImageFile(data=data, axes="")


def _check_size(path: Path) -> None:
    """Refuse a file that is shorter than the array that it claims to hold."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
        # In Python's integers, which are not cut off at 2^63.
        missing = math.prod(shape) * dtype.itemsize - (path.stat().st_size - file.tell())
    if missing > 0 and not dtype.hasobject:
        raise FileError(
            f"{path} claims to be an array of {' x '.join(map(str, shape))} values, for which "
            f"{missing:,} bytes are missing: it was cut short or is damaged; copy it again."
        )
