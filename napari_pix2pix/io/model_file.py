"""Our file, of models and of checkpoints alike: named tensors and a header, without any pickle.

It is a safetensors file whose metadata has one entry, ``napari-pix2pix``: a JSON object of
``format`` (that name again), ``version`` (of this container), ``written_by`` (the version of
napari-pix2pix) and ``header`` (what the caller gave). Loading it can't run code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from napari_pix2pix import __version__
from napari_pix2pix.errors import FileError
from napari_pix2pix.io.model_header import FORMAT_NAME, FORMAT_VERSION, read_header
from napari_pix2pix.io.paths import replacing


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
