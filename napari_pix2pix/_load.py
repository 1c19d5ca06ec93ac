"""Model files in, translators out: ours, and generators of the PyTorch reference implementation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from napari_pix2pix.data.codecs import ImageCodec, range_of_dtype
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.model_file import read_container
from napari_pix2pix.io.model_header import is_torch_file
from napari_pix2pix.io.paths import as_path
from napari_pix2pix.io.pytorch_discriminators import path_beside, read_discriminator
from napari_pix2pix.io.pytorch_generators import ReferenceNetwork, read_reference
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.translator import Translator

_DTYPE = "uint8"  # what the reference implementation reads and writes
_RGB = 3  # channels that it reads of every image, unless told otherwise


class _Beside(NamedTuple):
    """What the file of a discriminator adds to a generator's."""

    weights: Mapping[str, Tensor]
    fields: Mapping[str, Any]
    notes: list[str]


def load(
    path: str | os.PathLike[str], *, dropout: bool | None = None, dtype: str | None = None
) -> Translator:
    """Read a model that `Translator.save` wrote, or a generator of the PyTorch implementation.

    Parameters
    ----------
    path : path-like
        The file; a checkpoint of a training will do as well. ``latest_net_G.pth`` and its like hold
        a U-Net or ResNet as the PyTorch implementation of pix2pix saves it: architecture, channels
        and norm follow from names and shapes. A ``latest_net_D.pth`` beside it becomes the
        translator's discriminator. No code in such a file is run.
    dropout : bool, optional
        For a U-Net of the PyTorch implementation: whether it was trained with dropout, of which its
        file has no trace. When not given it was, as is usual there. In either case dropout drops
        only where a call asks for it.
    dtype : str, optional
        For a file of the PyTorch implementation, which holds no intensities: the whole range of
        this integer dtype becomes -1 to 1 in source and target. When not given, it is the dtype of
        each image that the translator is called on, and ``uint8`` for floating point.

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
    source = _codec(dtype, network.in_channels)
    target = _codec(dtype, network.out_channels)
    beside = _discriminator_beside(path, network)
    notes = [_note_on_range(source), *beside.notes]
    if source.gray:
        notes.append("An image of one channel is taken for three equal ones, as it is there.")
    if known is None and dropout is None:
        notes.append(
            "A U-Net's file does not say whether it was trained with dropout: it is taken to be "
            "so, and drops only where a call asks for it."
        )
    header = {
        "config": _config(network, drops, beside.fields).model_dump(mode="json"),
        "source_codec": source.to_dict(),
        "target_codec": target.to_dict(),
        "conditions": [],
        "baseline": {"maps": []},
        "scores": {},
        "history": [],
        "summary": f"{_side(source)} -> {_side(target)} image; {network}, from {path.name}",
        "notes": notes,
        "step": 0,
        "seconds": 0.0,
        "versions": {},
    }
    generator = {f"generator.{name}": value for name, value in weights.items()}
    return {**generator, **beside.weights}, header


def _discriminator_beside(path: Path, generator: ReferenceNetwork) -> _Beside:
    """Read the discriminator that was trained with a generator, where its file lies beside it."""
    beside = path_beside(path)
    if beside is None or not beside.is_file():
        return _Beside({}, {}, [])
    try:
        found, weights = read_discriminator(beside)
    except FileError as error:
        return _Beside({}, {}, [f"The discriminator is left out: {error}"])
    channels = {False: generator.out_channels}
    channels[True] = generator.in_channels + generator.out_channels
    if found.in_channels not in channels.values():
        return _Beside({}, {}, [_misfit(beside, found.in_channels, channels)])
    conditional = found.in_channels == channels[True]
    # The implementation's CycleGAN, which has an _A or _B there, learns with least squares.
    loss = "vanilla" if path.stem.endswith("_net_G") else "lsgan"
    fields = {
        "discriminator_layers": found.layers,
        "discriminator_width": found.width,
        "discriminator_norm": found.norm,
        "conditional": conditional,
        "adversarial": loss,
    }
    sees = "source and image" if conditional else "the image alone"
    note = (
        f"Its discriminator is {beside.name}: a {found}, which sees {sees}. Its loss is not in the "
        f"file: {loss} is assumed."
    )
    return _Beside({f"discriminator.{k}": v for k, v in weights.items()}, fields, [note])


def _misfit(path: Path, got: int, channels: Mapping[bool, int]) -> str:
    return (
        f"The discriminator is left out: {path} takes {got} channels, where the generator's source "
        f"and image have {channels[True]} and its image alone {channels[False]}."
    )


def _config(
    network: ReferenceNetwork, drops: bool, discriminator: Mapping[str, Any]
) -> TrainConfig:
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
        **discriminator,
    )


def _codec(name: str | None, channels: int) -> ImageCodec:
    """Map all that an integer dtype holds to [-1, 1]; without a name, any that an image has."""
    try:
        dtype = np.iinfo(np.dtype(name or _DTYPE)).dtype
    except (TypeError, ValueError):
        raise InputError(
            f"dtype must be an integer dtype, whose range becomes -1 to 1, such as 'uint8' or "
            f"'uint16'; got {name!r}."
        ) from None
    codec = range_of_dtype(dtype, channels, _layout(channels))
    return replace(codec, assumed=name is None, gray=channels == _RGB)


def _layout(channels: int) -> Layout:
    """Take three channels for red, green and blue, as the reference implementation does."""
    if channels == 1:
        return Layout()
    return Layout(-1, rgb=True) if channels == _RGB else Layout(-3)


def _side(codec: ImageCodec) -> str:
    dtype = "" if codec.assumed else f"{codec.dtype} "
    if codec.layout.rgb:
        return f"{dtype}RGB"
    return f"{dtype}{codec.channels} channel{'s' if codec.channels > 1 else ''}"


def _note_on_range(codec: ImageCodec) -> str:
    if codec.assumed:
        return (
            "Files of the PyTorch implementation hold no intensities: the whole range of the "
            "image's integer dtype (0 to 255 of uint8, 0 to 65535 of uint16) becomes -1 to 1 and "
            "back."
        )
    return (
        f"Files of the PyTorch implementation hold no intensities: {codec.low[0]:.0f} to "
        f"{codec.high[0]:.0f}, the range of {codec.dtype}, become -1 to 1 and back."
    )
