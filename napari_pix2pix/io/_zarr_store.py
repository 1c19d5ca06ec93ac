"""Zarr folders, opened to be read: nothing leads out of them, no chunk is larger than stated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import zarr
from zarr.storage import LocalStore

from napari_pix2pix.errors import FileError
from napari_pix2pix.io._bounded_codecs import bounded
from napari_pix2pix.io._regular_files import check_inside
from napari_pix2pix.io.read_limits import check_chunk, check_sparse, read_limit

_LARGEST_METADATA = 32 << 20  # bytes; a plate of 1536 wells has 1 MB
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


class _Folder(LocalStore):
    """A folder of which regular files inside it are read, and nothing is written."""

    def __init__(self, root: Path | str, *, read_only: bool = True) -> None:
        super().__init__(root, read_only=read_only)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read a file, or a part of it."""
        self._check(key, whole=byte_range is None)
        return await super().get(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Any]:
        """Read parts of files."""
        wanted = list(key_ranges)
        for key, byte_range in wanted:
            self._check(key, whole=byte_range is None)
        return list(await super().get_partial_values(prototype, wanted))

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read a file, or a part of it."""
        self._check(key, whole=byte_range is None)
        return super().get_sync(key, prototype=prototype, byte_range=byte_range)

    def _check(self, key: str, *, whole: bool) -> None:
        path = self.root / key
        check_inside(path, self.root)
        if path.is_dir():
            raise FileError(f"{path} is a folder, and a file of the image should lie there.")
        if not whole or not path.exists():
            return
        size = path.stat().st_size
        if path.name in _METADATA and size > _LARGEST_METADATA:
            raise FileError(
                f"{path} describes an image in {size:,} bytes, and at most {_LARGEST_METADATA:,} "
                "are read: it is damaged; copy or export the image again."
            )
        if size > read_limit():
            check_chunk(size, self.root)


def open_zarr(path: Path) -> Any:
    """Open a group or an array, unread."""
    # Metadata are looked for in several files, and what is in the way of one is no file.
    if os.path.lexists(path) and not path.is_dir():
        raise FileError(f"{path} is not a folder, as an OME-Zarr image is: name another.")
    return zarr.open(_Folder(path), mode="r")


def read_lazily(node: Any, path: Path) -> Any:
    """Return an array of a folder that is read chunk by chunk; refuse what it can't be."""
    if not isinstance(node, zarr.Array):
        raise FileError(f"{path} names no array as its image: copy or export it again.")
    chunks = node.chunks
    if 0 in chunks or 0 in (node.shards or ()):
        raise FileError(f"{path} has chunks of {chunks} pixels: it is damaged; export it again.")
    itemsize = node.dtype.itemsize
    # zarr unpacks a chunk as it says, also where the image ends before.
    check_chunk(prod(chunks) * itemsize, path)
    check_sparse(prod(node.shape) * itemsize, path)
    metadata = bounded(node.metadata, path)
    return zarr.Array(zarr.AsyncArray(metadata=metadata, store_path=node.store_path))
