"""Our file, of models and of checkpoints alike: named tensors and a header, without any pickle.

It is a safetensors file whose metadata has one entry, ``napari-pix2pix``: a JSON object of
``format`` (that name again), ``version`` (of this container), ``written_by`` (the version of
napari-pix2pix) and ``header`` (what the caller gave). Loading it can't run code.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from napari_pix2pix import __version__
from napari_pix2pix.errors import FileError
from napari_pix2pix.formats.atomic import replacing

FORMAT_NAME = "napari-pix2pix"
FORMAT_VERSION = 1

_PICKLE = b"\x80"  # the first byte of every pickle of protocol 2 or later


def write_container(
    path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]
) -> None:
    """Write tensors and a header to a file, all or nothing.

    The file is written beside its place, flushed to the disk and renamed, so that whoever opens
    the path, even after a crash, finds the old file or the new one and never a part. What a
    killed process leaves behind is a hidden folder that begins with a dot and the file's name.

    Parameters
    ----------
    path : path-like
        Where to; an old file is replaced, a link is followed.
    tensors : mapping of str to Tensor
        Of any dtype but complex, on any device, in any memory layout, sharing memory or not;
        read back as independent, contiguous tensors.
    header : mapping
        What JSON can hold. Floats come back as the same floats; NaN and the infinities too, as
        the literals that Python's `json` reads and writes for them, which strict JSON lacks.
        Tuples come back as lists.

    Raises
    ------
    FileError
        If the file can't be written; what was there before is as it was.
    """
    content = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "written_by": __version__,
        "header": dict(header),
    }
    metadata = {FORMAT_NAME: json.dumps(content)}
    independent = _independent(tensors)
    with replacing(Path(os.path.realpath(path))) as fresh:
        # safetensors makes files that only their owner can read; models are shared.
        fresh.touch()
        mode = fresh.stat().st_mode
        try:
            save_file(independent, fresh, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error  # such as a full disk, put in words by replacing
        fresh.chmod(mode)
        with fresh.open("rb+") as file:
            os.fsync(file.fileno())


def read_container(
    path: str | os.PathLike[str],
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `write_container` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    tensors : dict of str to Tensor
        On the CPU. They are mapped from the file where the system can: memory is filled as they
        are used, and changing them does not change the file.
    header : dict
        As it was given.

    Raises
    ------
    FileError
        If the file is missing, unreadable, truncated, of another kind or of a later version.
    """
    path = Path(path)
    header = read_header(path)
    try:
        return load_file(path), header
    except (SafetensorError, OSError) as error:
        raise FileError(f"Can't read {path}: {error}; use another copy of it.") from error


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the header alone, whatever the size of the tensors.

    Parameters and errors are those of `read_container`.
    """
    path = Path(path)
    _check_kind(path)
    try:
        with safe_open(path, framework="pt") as file:
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
    # Safetensors begins with 8 bytes that are a length, whatever they look like, and then a brace.
    foreign = start[8:] != b"{"
    if foreign and (start.startswith(_PICKLE) or _is_torch_archive(path)):
        raise FileError(
            f"{path} looks like a PyTorch checkpoint (.pth), which this version can't read yet; "
            "give a model that napari-pix2pix saved."
        )


def _is_torch_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def _independent(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give each tensor contiguous memory of its own, copying only where it has none."""
    result: dict[str, torch.Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        address = own.untyped_storage().data_ptr()
        if address in taken:
            own = own.clone()
        taken.add(address)
        result[name] = own
    return result
