"""Our file, of models and of checkpoints: named tensors and a header, without any pickle.

It is a safetensors file whose metadata holds one JSON object, ``napari-pix2pix``, with the keys
``format``, ``version``, ``written_by`` and ``header`` (see `ModelInfo.to_header`).
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
from napari_pix2pix.io.outputs import check_replaceable_model
from napari_pix2pix.io.paths import replacing


def write_container(
    path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]
) -> None:
    """Write tensors of any dtype but complex, and a header of JSON values, all or nothing.

    Tensors may share memory. A killed process leaves a hidden folder behind, named after the file.
    """
    content = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "written_by": __version__,
        "header": dict(header),
    }
    metadata = {FORMAT_NAME: json.dumps(content)}
    independent = _independent(tensors)
    check_replaceable_model(Path(path))
    with replacing(Path(path)) as fresh:
        # safetensors would make a file that only its owner can read, and models are shared.
        fresh.touch()
        mode = fresh.stat().st_mode
        try:
            save_file(independent, fresh, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error  # such as a full disk
        fresh.chmod(mode)


def read_container(
    path: str | os.PathLike[str],
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `write_container` wrote; any damage raises a `FileError`.

    The tensors are on the CPU, mapped from the file where the system can; the file never changes.
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
