"""The header of our file, see `io.model_file`: what a model is, read without PyTorch.

A small picture in the header of a model file.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from napari_pix2pix import __version__
from napari_pix2pix.errors import FileError

FORMAT_NAME = "napari-pix2pix"
FORMAT_VERSION = 1
TORCH_ENDINGS = (".pth", ".pt")

# How PyTorch's files begin: a zip archive, or a pickle of protocol 2 or later.
_TORCH_STARTS = b"PK\x03\x04", b"\x80"


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the header alone, whatever the size of the tensors.

    Parameters
    ----------
    path : path-like
        The file.

    Raises
    ------
    FileError
        If the file is missing, unreadable, truncated, of another kind or of a later version.
    """
    path = Path(path)
    _check_kind(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FileError(
            f"Can't read {path}: it is no napari-pix2pix model, or it is cut short or damaged "
            f"({error}); use another copy of it."
        ) from error
    if FORMAT_NAME not in metadata:
        raise FileError(
            f"{path} is not a napari-pix2pix model: it is a safetensors file of another program; "
            "give a file that napari-pix2pix saved."
        )
    return _parse(path, metadata[FORMAT_NAME])


def is_torch_file(path: str | os.PathLike[str]) -> bool:
    """Tell PyTorch's files by how they begin, or by their names where they begin in no known way.

    Parameters
    ----------
    path : path-like
        Any file; an empty one, or none, is not PyTorch's.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        return False
    # Safetensors begins with 8 bytes that are a length, whatever they look like, and then a brace.
    if not start or start[8:] == b"{":
        return False
    return start.startswith(_TORCH_STARTS) or path.suffix.lower() in TORCH_ENDINGS


def conditions_in(header: Mapping[str, Any]) -> tuple[Hashable, ...]:
    """Return the names of a model's conditions, of which JSON has turned tuples into lists.

    Examples
    --------
    >>> conditions_in({"conditions": ["DAPI", ["GFP", 2]]})
    ('DAPI', ('GFP', 2))
    """

    def name(value: Any) -> Hashable:
        return tuple(map(name, value)) if isinstance(value, list) else value

    return tuple(map(name, header["conditions"]))


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
        version = int(content["version"])
        # A later version may hold its header elsewhere; what wrote it is all that is asked of it.
        if version <= FORMAT_VERSION:
            return dict(content["header"])
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(
            f"Can't read {path}: its header is damaged ({error}); use another copy of it."
        ) from error
    raise FileError(
        f"{path} was written by napari-pix2pix {content.get('written_by', 'of a later date')}, in "
        f"version {version} of the format; this is napari-pix2pix {__version__}, which reads "
        f"versions up to {FORMAT_VERSION}: update it."
    )


def _check_kind(path: Path) -> None:
    """Refuse in words what is no safetensors file; nothing of it is unpickled."""
    if path.is_dir():
        raise FileError(f"Can't read {path}: it is a folder; give a model file.")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except FileNotFoundError:
        raise FileError(f"There is no file {path}; check its name and folder.") from None
    except OSError as error:
        raise FileError(
            f"Can't read {path}: {error.strerror or error}; check the file and its permissions."
        ) from error
    if not start:
        raise FileError(f"{path} is empty; use another copy of it, or train again.")
    if is_torch_file(path):
        raise FileError(
            f"{path} is a PyTorch file (.pth) and no model that napari-pix2pix saved: convert it "
            "to one first."
        )


_KEY = "thumbnail"
_MOST = 512  # pixels a side; a header that says more is damaged


def thumbnail_header(picture: NDArray[np.uint8] | None) -> dict[str, Any]:
    """Return what goes into a header; nothing without a picture.

    Parameters
    ----------
    picture : uint8 array (h, w, 3) or None
    """
    if picture is None:
        return {}
    pixels = base64.b64encode(zlib.compress(picture.tobytes(), 9)).decode("ascii")
    return {_KEY: {"height": picture.shape[0], "width": picture.shape[1], "rgb": pixels}}


def read_thumbnail(header: Mapping[str, Any]) -> NDArray[np.uint8] | None:
    """Return the picture in a header, (h, w, 3); None in files that have none.

    Raises
    ------
    FileError
        When it is damaged.
    """
    parts = header.get(_KEY)
    if parts is None:
        return None
    try:
        height, width = int(parts["height"]), int(parts["width"])
        if not 0 < min(height, width) <= max(height, width) <= _MOST:
            raise ValueError(f"{height} x {width} pixels")
        size = 3 * height * width
        # No more is unpacked than fits, whatever the bytes would grow to.
        pixels = zlib.decompressobj().decompress(base64.b64decode(parts["rgb"]), size)
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise FileError(f"The picture in the file is damaged: {error}.") from error
