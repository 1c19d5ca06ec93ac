"""The header of our model files (see `io.model_file`), read without PyTorch."""

from __future__ import annotations

import json
import operator
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from napari_pix2pix import __version__
from napari_pix2pix.errors import FileError
from napari_pix2pix.io._regular_files import check_readable, is_regular

FORMAT_NAME = "napari-pix2pix"
FORMAT_VERSION = 2
ENDING = ".safetensors"
CHECKPOINT_ENDINGS = (".ckpt", ENDING)
TORCH_ENDINGS = (".pth", ".pt")
DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml")  # of packages of the BioImage Model Zoo

_DISCRIMINATOR = re.compile(r"_net_D(_[AB])?$")
# How PyTorch's files begin: a zip archive, or a pickle of protocol 2 or later.
_TORCH_STARTS = b"PK\x03\x04", b"\x80"


def model_files(folder: Path) -> list[Path]:
    """List the models in a folder, by their names: what is in them is not looked at.

    The discriminators of the PyTorch implementation come with their generators.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if (
            path.suffix.lower() in (ENDING, *TORCH_ENDINGS) and not _DISCRIMINATOR.search(path.stem)
        )
        or (path.name not in DESCRIPTIONS and is_external(path))
    )


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the header alone, however large the tensors are; any damage raises a `FileError`."""
    path = Path(path)
    _check_kind(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise FileError(
            f"Can't read {path}: it is not a napari-pix2pix model, or it is cut short or damaged "
            f"({error}): use another copy of it."
        ) from error
    return parse_header(path, metadata)


def parse_header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the header that a file's metadata hold; `path` is what errors name."""
    if FORMAT_NAME not in metadata:
        raise FileError(
            f"{path} is not a napari-pix2pix model: it is a safetensors file of another program; "
            "give a file that napari-pix2pix saved."
        )
    return _parse(path, metadata[FORMAT_NAME])


def read_tensor_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read the names of the tensors of a file whose header was read."""
    with safe_open(Path(path), framework="numpy") as file:
        return tuple(file.keys())


def is_foreign(path: str | os.PathLike[str]) -> bool:
    """Whether it is of another program, and says nothing before all of it is read."""
    return is_external(path) or is_torch_file(path)


def is_torch_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is PyTorch's: by its first bytes, or else by its ending."""
    path = Path(path)
    if not is_regular(path):  # to open a pipe waits for whoever writes to it
        return False
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError:
        return False
    if is_external(path):
        return False
    # A safetensors file begins with a length of 8 bytes, which may look like anything, and a brace.
    if not start or start[8:] == b"{":
        return False
    return start.startswith(_TORCH_STARTS) or path.suffix.lower() in TORCH_ENDINGS


def is_external(path: str | os.PathLike[str]) -> bool:
    """Whether it is an ONNX file, or a BioImage.IO package: a zip file, folder or description."""
    path = Path(path)
    if path.is_dir():
        return any((path / name).is_file() for name in DESCRIPTIONS)
    if path.exists() and not is_regular(path):  # a pipe or a device, whatever its name
        return False
    if path.suffix.lower() == ".onnx" or path.name in DESCRIPTIONS:
        return True
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return bool({*DESCRIPTIONS} & {*file.namelist()})
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return False  # damaged: whoever reads it will say so


def _parse(path: Path, text: str) -> dict[str, Any]:
    """Return the header in the JSON of a file's metadata."""
    try:
        content = json.loads(text)
        version = operator.index(content["version"])
        # Another version may keep its header elsewhere: nothing but its writer is looked up.
        if version == FORMAT_VERSION:
            return dict(content["header"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FileError(
            f"Can't read {path}: its header is damaged ({error}); use another copy of it."
        ) from error
    writer = f"napari-pix2pix {content.get('written_by', '(unknown version)')}"
    remedy = "update it" if version > FORMAT_VERSION else "train the model again"
    raise FileError(
        f"{path} was written by {writer}, in version {version} of the format; this is "
        f"napari-pix2pix {__version__}, which reads version {FORMAT_VERSION}: {remedy}."
    )


def _check_kind(path: Path) -> None:
    """Refuse what is not a safetensors file, without unpickling any of it."""
    if path.is_dir():
        raise FileError(f"Can't read {path}: it is a folder; give a model file.")
    check_readable(path, "a model file")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise FileError(
            f"Can't read {path}: {error.strerror or error}; check the file and its permissions."
        ) from error
    if not start:
        raise FileError(f"{path} is empty; use another copy of it, or train again.")
    if is_external(path):
        raise FileError(
            f"{path} is for other programs and holds no model of napari-pix2pix: give the file "
            "that it was made of, such as model.safetensors."
        )
    if is_torch_file(path):
        raise FileError(
            f"{path} is a PyTorch file (.pth), not a napari-pix2pix model: convert it to one first."
        )
