"""Weights in PyTorch's own files (.pth): read without running anything in them, and written."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_pix2pix.errors import FileError
from napari_pix2pix.formats.atomic import replacing

# What PyTorch says of something that is no plain weight, such as a function or a whole network.
_REFUSED = re.compile(r"GLOBAL (\S+) was not an allowed global|whose module (\S+) is blocked")
# What stands before names where a network was saved within torch.compile or for several GPUs.
_WRAPPERS = "_orig_mod.", "module.", "_orig_mod."


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file that ``torch.save(network.state_dict(), path)`` wrote.

    Parameters
    ----------
    path : Path
        The file. Such files are pickles, which could hold code: PyTorch reads the weights alone and
        refuses all else.

    Returns
    -------
    dict of str to Tensor
        On the CPU, in the file's order, without what wrappers of networks put before names.

    Raises
    ------
    FileError
        If the file can't be read, is damaged, or holds anything but the weights of one network.
    """
    content = _read(path)
    if not isinstance(content, Mapping) or not content:
        raise FileError(
            f"{path} holds no weights but {_kind(content)}: give what "
            "torch.save(network.state_dict(), path) writes."
        )
    if not all(isinstance(name, str) and _is_plain(value) for name, value in content.items()):
        raise FileError(
            f"{path} holds more than the weights of one network: found {some(map(str, content))}; "
            "expected names of weights alone, as torch.save(network.state_dict(), path) has them."
        )
    weights: dict[str, Tensor] = dict(content)
    for prefix in _WRAPPERS:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights as ``torch.save(network.state_dict(), path)`` does, all or nothing.

    Parameters
    ----------
    path : Path
        Where to; an old file is replaced.
    weights : mapping of str to Tensor

    Raises
    ------
    FileError
        If the file can't be written; what was there before is as it was.
    """
    plain = OrderedDict(
        (name, value.detach().cpu().clone(memory_format=torch.contiguous_format))
        for name, value in weights.items()
    )
    with replacing(path) as fresh:
        try:
            torch.save(plain, fresh)
        except RuntimeError as error:
            raise OSError(str(error)) from error  # such as a full disk, put in words by replacing


def some(names: Any, most: int = 4) -> str:
    """List the first of some names."""
    listed = list(names)
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


def _read(path: Path) -> Any:
    """Load a file; what can go wrong in a damaged one is up to PyTorch and its pickles."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileError(f"Can't read {path}: {error.strerror or error}.") from error
    try:
        # Given a name, PyTorch might take the file for one of another kind.
        with file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, which is refused
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        if found := _REFUSED.search(str(error)):
            raise FileError(
                f"{path} holds more than weights ({found[1] or found[2]}), which could run code; "
                "it was refused unexecuted: save network.state_dict() alone."
            ) from None
        raise FileError(
            f"{path} is no PyTorch file of weights, or it is cut short or damaged; nothing in it "
            "was run: use another copy of it."
        ) from error


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor as weights are: dense and real."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return not (value.is_complex() or value.is_quantized)


def _kind(content: Any) -> str:
    return "nothing" if isinstance(content, Mapping) else f"a {type(content).__name__}"
