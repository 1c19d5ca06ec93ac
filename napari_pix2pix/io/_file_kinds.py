"""What kind of image a file is, told by its first bytes rather than by its name."""

from __future__ import annotations

import os
from pathlib import Path

from napari_pix2pix.io._regular_files import is_regular
from napari_pix2pix.io.zarr_file import is_zarr

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, in both byte orders
_NUMPY = b"\x93NUMPY"
# TIFF only by their first bytes: the pixels lie in a folder beside the file.
_NOT_TIFF = {".vsi"}
# Named so that a folder does not pass over damaged ones, and those that need a plugin.
SUFFIXES = {
    *(".tif", ".tiff", ".lsm", ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".npy", ".dcm"),
    *(".czi", ".nd2", ".lif", ".ims", ".oir", ".oib", ".oif", ".vsi", ".svs", ".dv", ".stk"),
}
# Plugins read points and tracks from these; in a folder of images they are notes and tables.
_TEXTS = {".csv", ".tsv", ".txt", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".py", ".log"}


def is_tiff(path: Path) -> bool:
    """Tell whether a file is a TIFF, whatever its ending."""
    return path.suffix.lower() not in _NOT_TIFF and _first_bytes(path) in _TIFF


def is_numpy(path: Path) -> bool:
    """Tell whether a file is an array of numpy's."""
    return _first_bytes(path, len(_NUMPY)) == _NUMPY


def is_picture(path: Path) -> bool:
    """Tell whether a file is a picture such as PNG or JPEG."""
    from napari_pix2pix.io import _pictures

    return _pictures.is_picture(path)


def is_image(path: Path) -> bool:
    """Tell whether an entry of a folder is an image that can be read, or that should be."""
    if path.name.startswith(".") or path.suffix.lower() in _TEXTS:
        return False
    if path.is_dir():
        return is_zarr(path)
    if path.suffix.lower() in SUFFIXES:
        return True
    if not path.is_file() or not os.access(path, os.R_OK):
        return False
    from napari_pix2pix.io._plugins import has_plugin

    return is_tiff(path) or is_numpy(path) or is_picture(path) or has_plugin(path)


def _first_bytes(path: Path, count: int = 4) -> bytes:
    if not is_regular(path):  # to open a pipe would wait for ever
        return b""
    with path.open("rb") as file:
        return file.read(count)
