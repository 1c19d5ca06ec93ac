"""Files of the PyTorch reference implementation (.pth), and what tells its networks apart."""

from __future__ import annotations

import re
import warnings
import zipfile
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import torch
from torch import Tensor, nn

from napari_pix2pix.errors import FileError
from napari_pix2pix.io._regular_files import check_readable
from napari_pix2pix.io.paths import replacing

Shapes: TypeAlias = dict[str, tuple[int, ...]]  # by the names of the weights, in their order
Norm: TypeAlias = Literal["batch", "instance", "none"]

_STATISTICS = "running_mean", "running_var", "num_batches_tracked"


class ReferenceNetwork(ABC):
    """A network of the reference implementation."""

    norm: Norm

    @abstractmethod
    def build(self) -> nn.Module:
        """Build the network of ours that has these weights."""

    @abstractmethod
    def biases_without_norm(self, names: list[str]) -> Iterable[str]:
        """Name the biases that the reference keeps with norm='none', of all names of ours."""

    @property
    def norm_text(self) -> str:
        """Such as "batch norm"."""
        return "no norm" if self.norm == "none" else f"{self.norm} norm"

    def our_shapes(self) -> Shapes:
        """Return names and shapes of our network's weights."""
        with torch.device("meta"):
            return shapes_of(self.build().state_dict())

    def shapes(self) -> Shapes:
        """Return names and shapes of the reference's weights."""
        shapes = self.our_shapes()
        if self.norm != "none":
            return shapes
        kept = set(self.biases_without_norm(list(shapes)))
        return {k: v for k, v in shapes.items() if k in kept or not k.endswith(".bias")}

    def surplus_weights(self, weights: Mapping[str, Tensor]) -> list[str]:
        """Name our weights that the reference has no place for, unless they are 0."""
        shapes = self.shapes()
        return [name for name in weights if name not in shapes and bool(weights[name].any())]


def shapes_of(weights: Mapping[str, Tensor]) -> Shapes:
    """Return names and shapes of weights."""
    return {name: tuple(value.shape) for name, value in weights.items()}


def without_idle_statistics(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out running statistics of layers without a weight: nothing uses instance norm's."""
    return {
        name: value
        for name, value in weights.items()
        if not name.endswith(_STATISTICS) or f"{name.rpartition('.')[0]}.weight" in weights
    }


def complete_weights(shapes: Shapes, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in the order of `shapes`; missing biases and counts are 0."""
    return {
        name: weights[name]
        if name in weights
        else torch.zeros(shape, dtype=torch.int64 if _is_count(name) else torch.float32)
        for name, shape in shapes.items()
    }


def is_kernel(shape: tuple[int, ...]) -> bool:
    """Whether it is the shape of a 2D convolution."""
    return len(shape) == 4 and 0 not in shape


def infer_norm(shapes: Shapes, convolution: str) -> Norm:
    """Infer the norm from running statistics, or from the bias of a convolution before a norm."""
    if any(name.endswith("running_mean") for name in shapes):
        return "batch"
    return "instance" if f"{convolution}.bias" in shapes else "none"


def check_shapes(path: Path, network: ReferenceNetwork, shapes: Shapes) -> None:
    """Raise a `FileError` if names or shapes of the weights differ from those of the network."""
    expected = network.shapes()
    # Batch norm counted no batches before PyTorch 0.4.1.
    missing = [name for name in expected if name not in shapes and not _is_count(name)]
    surplus = [name for name in shapes if name not in expected]
    other = [k for k in shapes if k in expected and shapes[k] != expected[k]]
    if not (missing or surplus or other):
        return
    parts = []
    if missing:
        parts.append(f"{list_some(missing, 2)} missing")
    if surplus:
        parts.append(f"{list_some(surplus, 2)} unexpected")
    if other:
        name = other[0]
        parts.append(f"{name} has shape {shapes[name]}, expected {expected[name]}")
    raise FileError(
        f"{path} looks like a {network} of the PyTorch implementation, but is another network: "
        f"{'; '.join(parts)}."
    )


def list_some(names: Iterable[str], most: int = 4) -> str:
    """List the first of some names."""
    listed = list(names)
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


def _is_count(name: str) -> bool:
    """Whether it counts the batches that a batch norm has seen."""
    return name.endswith("num_batches_tracked")


# How PyTorch names what it refuses, such as a function or a whole network.
_REFUSED = re.compile(r"GLOBAL (\S+) was not an allowed global|whose module (\S+) is blocked")
# Prefixes of names where a network was saved within torch.compile or for several GPUs.
_WRAPPERS = "_orig_mod.", "module.", "_orig_mod."


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file that ``torch.save(network.state_dict(), path)`` wrote, onto the CPU.

    Such files are pickles, which could hold code: PyTorch reads the weights alone and refuses all
    else. Prefixes that wrappers put before names are removed.
    """
    check_readable(path, "a file of weights")
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileError(f"Can't read {path}: {error.strerror or error}.") from error
    with file:
        return parse_weights(file, path)


def parse_weights(file: BinaryIO, path: Path) -> dict[str, Tensor]:
    """Parse what such a file holds; `path` is what errors name."""
    size = file.seek(0, SEEK_END)
    content = _parse(file, size, path)
    if not isinstance(content, Mapping) or not content:
        raise FileError(
            f"{path} holds no weights but {_kind(content)}: give what "
            "torch.save(network.state_dict(), path) writes."
        )
    if not all(isinstance(name, str) and _is_plain(value) for name, value in content.items()):
        raise FileError(
            f"{path} holds more than the weights of one network: found "
            f"{list_some(map(str, content))}; expected names of weights alone, as "
            "torch.save(network.state_dict(), path) has them."
        )
    weights: dict[str, Tensor] = dict(content)
    _check_sizes(path, weights, size)
    for prefix in _WRAPPERS:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights as ``torch.save(network.state_dict(), path)`` does, all or nothing."""
    plain = OrderedDict(
        (name, value.detach().cpu().clone(memory_format=torch.contiguous_format))
        for name, value in weights.items()
    )
    with replacing(path) as fresh:
        try:
            torch.save(plain, fresh)
        except RuntimeError as error:
            raise OSError(str(error)) from error  # such as a full disk


def _parse(file: BinaryIO, size: int, path: Path) -> Any:
    """Load a file of weights; a `FileError` where it is damaged or holds more."""
    try:
        # Given a name, PyTorch might take the file for one of another kind.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, which is refused
            _check_packing(file, size, path)
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        if refused := _REFUSED.search(str(error)):
            raise FileError(
                f"{path} holds more than weights ({refused[1] or refused[2]}), which could run "
                "code; it was refused and not run: save network.state_dict() alone."
            ) from None
        raise FileError(
            f"{path} is not a PyTorch file of weights, or it is cut short or damaged; nothing in "
            "it was run: use another copy of it."
        ) from error


def _check_packing(file: BinaryIO, size: int, path: Path) -> None:
    """Refuse an archive whose parts are compressed: PyTorch's are not, and small ones may swell."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > size:
        raise FileError(
            f"{path} is compressed in a way that PyTorch's files are not, and would unpack to "
            f"{unpacked / 1e6:.0f} MB: use another copy of it."
        )


def _check_sizes(path: Path, weights: Mapping[str, Tensor], size: int) -> None:
    """Refuse weights that claim more values than the file holds, such as one value repeated."""
    claimed = sum(value.numel() * value.element_size() for value in weights.values())
    if claimed > size:
        raise FileError(
            f"{path} claims weights of {claimed / 1e6:.0f} MB, and the file is smaller: use "
            "another copy of it."
        )


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor as weights are: dense and real."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return not (value.is_complex() or value.is_quantized)


def _kind(content: Any) -> str:
    return "nothing" if isinstance(content, Mapping) else f"a {type(content).__name__}"
