"""`load`: a file of ours, or of the PyTorch reference implementation, becomes a translator."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from napari_pix2pix.data.codecs import ImageCodec, range_of_dtype
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import ConfigError, FileError, InputError, own_errors
from napari_pix2pix.external.models import load_external
from napari_pix2pix.io.hub import HubFile, fetch_model, is_hub_name
from napari_pix2pix.io.model_file import read_container
from napari_pix2pix.io.model_header import is_external, is_torch_file
from napari_pix2pix.io.paths import as_path
from napari_pix2pix.io.pytorch_networks import (
    ReferenceGenerator,
    discriminator_path,
    read_discriminator,
    read_generator,
)
from napari_pix2pix.metrics.baselines import Baselines
from napari_pix2pix.training.config import AppliedWeights, TrainConfig
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.training.stored_weights import check_weights
from napari_pix2pix.training.summary import describe_images
from napari_pix2pix.translator import Translator

_DTYPE = "uint8"  # what the reference implementation reads and writes
_RGB = 3  # channels that it reads of every image, unless told otherwise


@dataclass(frozen=True)
class _ReferenceDiscriminator:
    """What the discriminator's file adds to the generator's; nothing without such a file."""

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    config_fields: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@own_errors()
def load(
    path: str | os.PathLike[str],
    *,
    weights: AppliedWeights | None = None,
    dropout: bool | None = None,
    dtype: str | None = None,
    halo: int | None = None,
) -> Translator:
    """Read a model: one of ours, of the PyTorch implementation, ONNX or BioImage.IO.

    Parameters
    ----------
    path : path-like
        A model or a checkpoint. Or ``latest_net_G.pth`` and its like: a U-Net or ResNet as the
        PyTorch implementation of pix2pix saves it, whose architecture, channels and norm follow
        from names and shapes; a ``latest_net_D.pth`` in the same folder becomes its discriminator.
        Or an ONNX file, or a BioImage.IO package (a zip file or a folder), with one image in and
        one out: it can be applied and not trained on. ONNX Runtime runs it, or PyTorch where a
        package holds the state dict of a network that is known here. No code in any of these is
        run. ``hf:owner/name`` fetches a model from the Hugging Face Hub, with
        ``@revision`` that of a branch, tag or commit; nothing else uses the network.
    weights : {"last", "best"}, optional
        Which weights are applied, see `Translator.with_weights`; those that the file names when not
        given.
    dropout : bool, optional
        For a U-Net of the PyTorch implementation, whose file does not say whether it was trained
        with dropout: True by default, as is usual there. It drops only where a call asks for it.
    dtype : str, optional
        For a file of the PyTorch implementation, which holds no intensities: the whole range of
        this integer dtype becomes -1 to 1 in source and target. By default it is the dtype of
        each image that the translator is called on, and ``uint8`` for floating point. For an ONNX
        file of others likewise; by default its intensities stay as they are.
    halo : int, optional
        For an ONNX file or a package that does not say it: on how many pixels around it a pixel
        depends. With it, images are cut into tiles; without it, the network is given whole images.

    Returns
    -------
    Translator
        Ready to be called.

    Raises
    ------
    FileError
        When the file is missing, truncated, of another kind or of another version of the format.
    InputError
        When ``path`` is no path, dropout or dtype contradict the file, or it lacks these weights.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from napari_pix2pix import load, train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> with TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.safetensors")
    ...     again = load(f"{folder}/model.safetensors")
    >>> again.digest == model.digest
    True
    """
    if is_hub_name(path):
        return load_fetched(
            fetch_model(path), weights=weights, dropout=dropout, dtype=dtype, halo=halo
        )
    path = as_path(path)
    if is_external(path):
        if dropout is not None:
            raise InputError(
                f"Nothing is dropped in ONNX files and packages: leave dropout out for {path}."
            )
        translator: Translator = load_external(path, dtype=dtype, halo=halo)
        return translator if weights is None else translator.with_weights(weights)
    if halo is not None:
        raise InputError(f"halo is for ONNX files and packages: {path} is none, so leave it out.")
    is_reference = is_torch_file(path)
    if not is_reference and not (dropout is None and dtype is None):
        raise InputError(
            f"dropout and dtype are for files of the PyTorch implementation (.pth): {path} says "
            "both itself, so leave them out."
        )
    tensors, info = _read_reference(path, dropout, dtype) if is_reference else _read_own(path)
    check_weights(tensors, info, path)
    try:
        translator = Translator(tensors, info)
    except (InputError, ConfigError) as error:
        raise FileError(f"{path} is damaged, or of another version. {error}") from error
    return translator if weights is None else translator.with_weights(weights)


def load_fetched(
    fetched: HubFile,
    *,
    weights: AppliedWeights | None = None,
    dropout: bool | None = None,
    dtype: str | None = None,
    halo: int | None = None,
) -> Translator:
    """Read a model that was fetched from the Hub, as `load` does; its card says its origin."""
    model = load(fetched.path, weights=weights, dropout=dropout, dtype=dtype, halo=halo)
    model.info = replace(model.info, origin=fetched.origin)
    return model


def read_foreign_info(path: Path) -> ModelInfo:
    """Return what is true of a model in a file of another program."""
    return load_external(path).info if is_external(path) else _read_reference(path)[1]


def _read_own(path: Path) -> tuple[dict[str, Tensor], ModelInfo]:
    stored, header = read_container(path)
    # Copies, since Windows can't replace a file that is mapped; without a checkpoint's optimizers.
    tensors = {k: v.clone() for k, v in stored.items() if not k.startswith("optimizer_")}
    return tensors, ModelInfo.from_header(header, path)


def _read_reference(
    path: Path, dropout: bool | None = None, dtype: str | None = None
) -> tuple[dict[str, Tensor], ModelInfo]:
    """Describe a generator of the PyTorch implementation, and its discriminator, as a model."""
    network, weights = read_generator(path)
    known = network.known_dropout
    if known is not None and dropout not in (None, known):
        raise InputError(
            f"{path} holds a {network} {'and' if known else 'without'} dropout, got "
            f"dropout={dropout}: leave it out."
        )
    has_dropout = dropout is not False if known is None else known
    source = _codec(dtype, network.in_channels)
    target = _codec(dtype, network.out_channels)
    discriminator = _read_reference_discriminator(path, network)
    notes = [_note_on_range(source), *discriminator.notes]
    if source.gray:
        notes.append("An image of one channel is taken for three equal ones, as it is there.")
    if known is None and dropout is None:
        notes.append(
            "A U-Net's file does not say whether it was trained with dropout: it is taken to be "
            "so, and drops only where a call asks for it."
        )
    info = ModelInfo(
        config=_config(network, has_dropout, discriminator.config_fields),
        source_codec=source,
        target_codec=target,
        conditions=(),
        baselines=Baselines(()),
        has_discriminator=bool(discriminator.weights),
        scores=None,
        history=(),
        summary=f"{_describe(source)} to {_describe(target)}, {network}, from {path.name}",
        notes=tuple(notes),
        steps=0,
        seconds=0.0,
        versions={},
    )
    tensors = {f"generator.{name}": value for name, value in weights.items()}
    return tensors | {f"discriminator.{k}": v for k, v in discriminator.weights.items()}, info


def _read_reference_discriminator(
    path: Path, generator: ReferenceGenerator
) -> _ReferenceDiscriminator:
    """Read the discriminator of a generator, where its file lies in the same folder."""
    file = discriminator_path(path)
    if file is None or not file.is_file():
        return _ReferenceDiscriminator()
    try:
        network, weights = read_discriminator(file)
    except FileError as error:
        return _ReferenceDiscriminator(notes=(f"The discriminator is left out: {error}",))
    alone = generator.out_channels
    together = generator.in_channels + alone
    if network.in_channels not in (alone, together):
        misfit = (
            f"The discriminator is left out: {file} takes {network.in_channels} channels, where "
            f"the generator's source and image have {together} and its image alone {alone}."
        )
        return _ReferenceDiscriminator(notes=(misfit,))
    conditional = network.in_channels == together
    # CycleGAN's files are called latest_net_G_A and latest_net_G_B; it learns with least squares.
    loss = "vanilla" if path.stem.endswith("_net_G") else "lsgan"
    config_fields = {
        "discriminator_layers": network.layers,
        "discriminator_width": network.width,
        "discriminator_norm": network.norm,
        "conditional": conditional,
        "adversarial": loss,
    }
    sees = "source and image" if conditional else "the image alone"
    note = (
        f"Its discriminator is {file.name}: a {network}, which sees {sees}. Its loss is not in the "
        f"file: {loss} is assumed."
    )
    return _ReferenceDiscriminator(weights, config_fields, (note,))


def _config(
    network: ReferenceGenerator, has_dropout: bool, discriminator: Mapping[str, Any]
) -> TrainConfig:
    """Return the reference recipe with these networks."""
    return TrainConfig(
        preset="reference",
        generator=network.kind,
        depth=network.depth,
        blocks=network.blocks,
        width=network.width,
        norm=network.norm,
        dropout=0.5 if has_dropout else 0.0,
        patch=max(256, 2**network.depth),
        source_normalisation="dtype",
        target_normalisation="dtype",
        **discriminator,
    )


def _codec(name: str | None, channels: int) -> ImageCodec:
    """Map the whole range of an integer dtype to [-1, 1]; without a name, of the image's dtype."""
    try:
        dtype = np.iinfo(np.dtype(name or _DTYPE)).dtype
    except (TypeError, ValueError):
        raise InputError(
            f"dtype must be an integer dtype, whose range becomes -1 to 1, such as 'uint8' or "
            f"'uint16'; got {name!r}."
        ) from None
    layout = Layout() if channels == 1 else Layout(-3)
    if is_rgb := channels == _RGB:  # as the reference implementation takes three channels
        layout = Layout(-1, rgb=True)
    codec = range_of_dtype(dtype, channels, layout)
    return replace(codec, assumed=name is None, gray=is_rgb)


def _describe(codec: ImageCodec) -> str:
    return describe_images(codec.channels, codec.layout, None if codec.assumed else codec.dtype)


def _note_on_range(codec: ImageCodec) -> str:
    span = f"{codec.low[0]:.0f} to {codec.high[0]:.0f}, the range of {codec.dtype}, become"
    if codec.assumed:
        integers = "0 to 255 of uint8, 0 to 65535 of uint16"
        span = f"the whole range of the image's integer dtype ({integers}) becomes"
    return f"Files of the PyTorch implementation hold no intensities: {span} -1 to 1 and back."
