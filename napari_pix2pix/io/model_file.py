"""Our file, of models and of checkpoints: named tensors and a header, without any pickle.

It is a safetensors file whose metadata has one entry, ``napari-pix2pix``: a JSON object of
``format`` (that name again), ``version`` (of the format), ``written_by`` (the version of
napari-pix2pix) and ``header`` (see `ModelInfo.to_header`). Reading it can't run code.
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

    Tensors are of any dtype but complex, on any device, in any memory layout, and may share
    memory. The header is what JSON can hold, and NaN and the infinities as Python's `json` writes
    them. A killed process leaves a hidden folder behind, named after the file.

    Raises
    ------
    FileError
        If the file can't be written; an old file stays as it was.
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
        # safetensors would make a file that only its owner can read, and models are shared.
        fresh.touch()
        mode = fresh.stat().st_mode
        try:
            save_file(independent, fresh, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error  # such as a full disk
        fresh.chmod(mode)
        with fresh.open("rb+") as file:
            os.fsync(file.fileno())


def read_container(
    path: str | os.PathLike[str],
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `write_container` wrote.

    The tensors are on the CPU, and mapped from the file where the system can: memory is filled as
    they are used, and changing them does not change the file.

    Raises
    ------
    FileError
        If the file is missing, unreadable, truncated, of another kind or of another version.
    """
    path = Path(path)
    header = read_header(path)
    try:
        return load_file(path), header
    except (SafetensorError, OSError) as error:
        raise FileError(f"Can't read {path}: {error}; use another copy of it.") from error


def _independent(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return contiguous tensors that share no memory, copied only where needed."""
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
