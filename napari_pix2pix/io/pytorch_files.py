"""Names and shapes of weights: what tells the networks of the PyTorch implementation apart.

Weights in PyTorch's own files (.pth): read without running anything in them, and written.
"""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.paths import replacing

Shapes: TypeAlias = dict[str, tuple[int, ...]]
Norm: TypeAlias = Literal["batch", "instance", "none"]

_STATISTICS = "running_mean", "running_var", "num_batches_tracked"


class Described(ABC):
    """A network that the reference implementation has; its kinds say how ours is built."""

    norm: Norm

    @abstractmethod
    def build(self) -> nn.Module:
        """Build the network of ours that has these weights."""

    @abstractmethod
    def biases_without_norm(self, names: list[str]) -> Iterable[str]:
        """Name the biases that the reference has where it has no norm, of all names of ours."""

    def own_shapes(self) -> Shapes:
        """Return names and shapes of our network's weights, in their order."""
        with torch.device("meta"):
            return shapes_of(self.build().state_dict())

    def shapes(self) -> Shapes:
        """Return names and shapes of the reference's weights, in their order."""
        shapes = self.own_shapes()
        if self.norm != "none":
            return shapes
        kept = set(self.biases_without_norm(list(shapes)))
        return {k: v for k, v in shapes.items() if k in kept or not k.endswith(".bias")}


def shapes_of(weights: Mapping[str, Tensor]) -> Shapes:
    """Return names and shapes, in their order."""
    return {name: tuple(value.shape) for name, value in weights.items()}


def without_idle_statistics(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop running statistics that no weight stands beside: those of instance norm."""
    return {
        name: value
        for name, value in weights.items()
        if not name.endswith(_STATISTICS) or f"{name.rpartition('.')[0]}.weight" in weights
    }


def filled(shapes: Shapes, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in an order; biases and counts that are not there are 0."""
    return {
        name: weights[name]
        if name in weights
        else torch.zeros(shape, dtype=torch.int64 if is_count(name) else torch.float32)
        for name, shape in shapes.items()
    }


def foreign_weights(shapes: Shapes, weights: Mapping[str, Tensor]) -> list[str]:
    """Name the weights that a network of these shapes has no place for, unless they are 0."""
    return [name for name in weights if name not in shapes and bool(weights[name].any())]


def is_count(name: str) -> bool:
    """Whether it counts the batches that a batch norm has seen."""
    return name.endswith("num_batches_tracked")


def is_kernel(shape: tuple[int, ...]) -> bool:
    """Whether it is the shape of a convolution of planes."""
    return len(shape) == 4 and 0 not in shape


def norm_of(shapes: Shapes, convolution: str) -> Norm:
    """Tell the norm by running statistics, or by the bias of a convolution that norms follow."""
    if any(name.endswith("running_mean") for name in shapes):
        return "batch"
    return "instance" if f"{convolution}.bias" in shapes else "none"


def check_fit(path: Path, network: object, expected: Shapes, shapes: Shapes) -> None:
    """Refuse a file of which only the beginning is a network's.

    Raises
    ------
    FileError
        The sentence names what is lacking, surplus or of another shape.
    """
    # Batch norm counted no batches before PyTorch 0.4.1.
    lacking = [name for name in expected if name not in shapes and not is_count(name)]
    surplus = [name for name in shapes if name not in expected]
    other = [k for k in shapes if k in expected and shapes[k] != expected[k]]
    if not (lacking or surplus or other):
        return
    parts = []
    if lacking:
        parts.append(f"{some(lacking, 2)} expected and not found")
    if surplus:
        parts.append(f"{some(surplus, 2)} found and not expected")
    if other:
        name = other[0]
        parts.append(f"{name} of shape {shapes[name]} found, {expected[name]} expected")
    raise FileError(
        f"{path} begins like a {network} of the PyTorch implementation and is another network: "
        f"{'; '.join(parts)}."
    )


def with_norm(norm: Norm) -> str:
    """Say which norm a network has."""
    return "no norm" if norm == "none" else f"{norm} norm"


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
