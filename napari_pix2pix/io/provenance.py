"""What an image was made of, kept in the file itself where its format has room for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_pix2pix import __version__
from napari_pix2pix.io.zarr_file import is_zarr

KEY = "napari-pix2pix"  # of a zarr group's attributes, and first word of a TIFF's software tag


def software_tag(record: Mapping[str, Any]) -> str:
    """Return the text of a TIFF's software tag; `read_record` finds the record in it."""
    return f"{KEY} {__version__} {json.dumps(record)}"


def read_record(path: Path) -> dict[str, Any] | None:
    """Return what an image file says that it was made of.

    Parameters
    ----------
    path : Path
        A zarr folder, or a file of any format.

    Returns
    -------
    dict or None
        None where it says nothing: it was not made here, or its format has no room for it.
    """
    try:
        if path.is_dir():
            return _of_zarr(path)
        if path.suffix.lower() in (".tif", ".tiff"):
            return _of_tiff(path)
    except Exception:  # what a library raises on a damaged file is up to it
        return None
    return None


def _of_zarr(path: Path) -> dict[str, Any] | None:
    import zarr

    record = zarr.open(path, mode="r").attrs.get(KEY) if is_zarr(path) else None
    return record if isinstance(record, dict) else None


def _of_tiff(path: Path) -> dict[str, Any] | None:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.first.tags.get("Software")
    name, _, text = str(tag.value if tag else "").partition(" ")
    return json.loads(text.partition(" ")[2]) if name == KEY else None
