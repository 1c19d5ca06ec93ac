"""Model files in, translators out: ours, and generators of the PyTorch reference implementation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.formats.container import read_container
from napari_pix2pix.formats.headers import is_torch_file
from napari_pix2pix.formats.paths import as_path
from napari_pix2pix.formats.reference import ReferenceNetwork, read_reference
from napari_pix2pix.pairs.codecs import ImageCodec
from napari_pix2pix.pairs.layouts import Layout
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.translator import Translator

_DTYPE = "uint8"  # what the reference implementation reads and writes


def load(
    path: str | os.PathLike[str], *, dropout: bool | None = None, dtype: str | None = None
) -> Translator:
    """Read a model that `Translator.save` wrote, or a generator of the PyTorch implementation.

    Parameters
    ----------
    path : path-like
        The file; a checkpoint of a training will do as well. ``latest_net_G.pth`` and its like hold
        a U-Net or ResNet as the PyTorch implementation of pix2pix saves it: architecture, channels
        and norm follow from names and shapes. No code in such a file is run.
    dropout : bool, optional
        For a U-Net of the PyTorch implementation: whether it was trained with dropout, of which its
        file has no trace. When not given it was, as is usual there. In either case dropout drops
        only where a call asks for it.
    dtype : str, optional
        For a file of the PyTorch implementation, which holds no intensities: the whole range of
        this integer dtype, ``uint8`` when not given, becomes -1 to 1 in source and target.

    Returns
    -------
    Translator
        Ready to be called.

    Raises
    ------
    FileError
        When the file is missing, truncated, of another kind or newer than this version.
    InputError
        When ``path`` is no path, or dropout or dtype contradict the file.
    """
    path = as_path(path)
    if is_torch_file(path):
        tensors, header = _read_foreign(path, dropout, dtype)
    elif dropout is None and dtype is None:
        tensors, header = _read_own(path)
    else:
        raise InputError(
            f"dropout and dtype are for files of the PyTorch implementation (.pth): {path} says "
            "both itself, so leave them out."
        )
    try:
        return Translator(tensors, header)
    except FileError as error:
        raise FileError(f"Can't use {path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise FileError(
            f"{path} is a napari-pix2pix file, but its content does not fit together "
            f"({reason[:200]}): take another copy, or the version that wrote it."
        ) from error


def foreign_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the header that a file of the PyTorch implementation would have as a file of ours."""
    return _read_foreign(as_path(path))[1]


def _read_own(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    stored, header = read_container(path)
    # Copies, since Windows replaces no file that is mapped; a checkpoint's progress is left out.
    tensors = {k: v.clone() for k, v in stored.items() if not k.startswith("optimizer_")}
    header.pop("counters", None)
    return tensors, header


def _read_foreign(
    path: Path, dropout: bool | None = None, dtype: str | None = None
) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
    """Return the parts of a model file that a generator of the PyTorch implementation makes."""
    network, weights = read_reference(path)
    known = network.known_dropout
    if known is not None and dropout not in (None, known):
        raise InputError(
            f"{path} holds a {network} {'and' if known else 'without'} dropout, got "
            f"dropout={dropout}: leave it out."
        )
    drops = dropout is not False if known is None else known
    source = _whole_range(dtype or _DTYPE, network.in_channels)
    target = _whole_range(dtype or _DTYPE, network.out_channels)
    notes = [_note_on_range(source)]
    if known is None and dropout is None:
        notes.append(
            "A U-Net's file does not say whether it was trained with dropout: it is taken to be "
            "so, and drops only where a call asks for it."
        )
    header = {
        "config": _config(network, drops).model_dump(mode="json"),
        "source_codec": source.to_dict(),
        "target_codec": target.to_dict(),
        "conditions": [],
        "trivial_map": {"maps": []},
        "scores": {},
        "history": [],
        "summary": f"{_side(source)} -> {_side(target)} image; {network}, from {path.name}",
        "notes": notes,
        "step": 0,
        "seconds": 0.0,
        "versions": {},
    }
    return {f"generator.{name}": value for name, value in weights.items()}, header


def _config(network: ReferenceNetwork, drops: bool) -> TrainConfig:
    """Return the reference recipe with this network."""
    return TrainConfig(
        preset="reference",
        generator=network.kind,
        depth=network.depth,
        blocks=network.blocks,
        width=network.width,
        norm=network.norm,
        dropout=0.5 if drops else 0.0,
        patch=max(256, 2**network.depth),
        source_normalisation="dtype",
        target_normalisation="dtype",
    )


def _whole_range(name: str, channels: int) -> ImageCodec:
    """Map all that an integer dtype holds to [-1, 1]."""
    try:
        limits = np.iinfo(np.dtype(name))
    except (TypeError, ValueError):
        raise InputError(
            f"dtype must be an integer dtype, whose range becomes -1 to 1, such as 'uint8' or "
            f"'uint16'; got {name!r}."
        ) from None
    low, high = (float(limits.min),) * channels, (float(limits.max),) * channels
    return ImageCodec("dtype", limits.dtype.name, low, high, _layout(channels))


def _layout(channels: int) -> Layout:
    """Take three channels for red, green and blue, as the reference implementation does."""
    if channels == 1:
        return Layout()
    return Layout(-1, rgb=True) if channels == 3 else Layout(-3)


def _side(codec: ImageCodec) -> str:
    if codec.layout.rgb:
        return f"{codec.dtype} RGB"
    return codec.dtype if codec.channels == 1 else f"{codec.dtype} {codec.channels} channels"


def _note_on_range(codec: ImageCodec) -> str:
    return (
        f"Files of the PyTorch implementation hold no intensities: {codec.low[0]:.0f} to "
        f"{codec.high[0]:.0f}, the range of {codec.dtype}, become -1 to 1 and back."
    )
