"""`convert`: a model becomes a file of ours, of the PyTorch implementation, ONNX or BioImage.IO."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from napari_pix2pix._load import load
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.errors import InputError, own_errors
from napari_pix2pix.export.files import EXPORT_ENDINGS, check_credits
from napari_pix2pix.export.interface import describe_range
from napari_pix2pix.io.model_header import ENDING, TORCH_ENDINGS
from napari_pix2pix.io.outputs import check_apart
from napari_pix2pix.io.paths import as_path, check_ending, check_free
from napari_pix2pix.io.pytorch_files import list_some
from napari_pix2pix.io.pytorch_networks import (
    ReferenceDiscriminator,
    ReferenceGenerator,
    discriminator_path,
    write_network,
)
from napari_pix2pix.training.config import AppliedWeights
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.translator import Translator

MODEL_ENDINGS = (ENDING, *TORCH_ENDINGS, *EXPORT_ENDINGS)
_LEAST_DEPTH = 5  # of the reference's U-Nets
_DROPOUT = 0.5  # in all of the reference's layers that have any
_GAN_MODES = {"vanilla": "vanilla", "lsgan": "lsgan", "wgan": "wgangp"}


@own_errors()
def convert(
    model: Translator | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    weights: AppliedWeights | None = None,
    authors: str | None = None,
    licence: str | None = None,
    overwrite: bool = True,
) -> tuple[str, ...]:
    """Write a model into a file of another kind, or with fewer weights into one of ours.

    Parameters
    ----------
    model : Translator or path-like
        A model, or a file that `load` reads.
    path : path-like
        A name that ends in ``.pth`` (or ``.pt``) gets the weights of the generator that is applied,
        as the PyTorch implementation of pix2pix loads them; one that ends in ``.onnx`` or ``.zip``
        (BioImage.IO) what `Translator.export` writes; one that ends in ``.safetensors``, or in no
        format's ending, a model of napari-pix2pix. Beside ``latest_net_G.pth`` the discriminator is
        written as ``latest_net_D.pth``, where that implementation has such a one.
    weights : {"last", "best"}, optional
        Write only these, without the other weights and the discriminator: a model of
        napari-pix2pix becomes a smaller file (`Translator.save` with ``slim``).
    authors, licence : str, optional
        For a BioImage.IO package alone, see `Translator.export`.
    overwrite : bool
        Whether files that are there are replaced.

    Returns
    -------
    tuple of str
        What the file does not hold, and how it is loaded there, a sentence each.

    Raises
    ------
    InputError
        When the other kind of file can't hold such a network, or authors and a licence, or the
        model lacks these weights; the sentence says what is missing.
    FileError
        When a file can't be read or written, its name has the ending of another format, or a
        library is missing.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_pix2pix import convert, train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> fields = {"preset": "reference", "depth": 5, "width": 4, "patch": 32, "steps": 2}
    >>> model = train(image, 1 - image, **fields)
    >>> with TemporaryDirectory() as folder:
    ...     notes = convert(model, f"{folder}/latest_net_G.pth")
    >>> notes[0].partition(":")[0]
    'Intensities are left out'
    """
    path = as_path(path)
    check_ending(path, *MODEL_ENDINGS, what="a model")
    check_credits(path, authors, licence)
    if not isinstance(model, Translator):
        check_apart([path], [as_path(model)])
    translator = model if isinstance(model, Translator) else load(model)
    info = translator.info
    info.check_weights()
    if weights is not None:
        translator = translator.with_weights(weights)
    if path.suffix.lower() in EXPORT_ENDINGS:
        return translator.export(path, authors=authors, licence=licence, overwrite=overwrite)
    if path.suffix.lower() not in TORCH_ENDINGS:
        translator.save(path, slim=weights is not None, overwrite=overwrite)
        return () if weights is None else tuple(_left_out(info, weights))
    return _write_reference(translator, path, overwrite)


def _left_out(info: ModelInfo, weights: AppliedWeights) -> Iterator[str]:
    """Say what of a model is not written with these weights alone."""
    others = [f"the {name} ones" for name in info.weights if name != weights]
    if info.has_discriminator:
        others.append("the discriminator")
    if others:
        yield f"It holds the {weights} weights alone, without {' and '.join(others)}."


def _write_reference(translator: Translator, path: Path, overwrite: bool) -> tuple[str, ...]:
    """Write the networks as files of the PyTorch implementation; return what they do not hold."""
    network = _reference_generator(translator)
    other = discriminator_path(path)
    discriminator = _reference_discriminator(translator, other)
    written = [path]
    if isinstance(discriminator, _Discriminator):
        written.append(discriminator.path)
    for file in written:
        check_free(file, overwrite=overwrite)
    write_network(path, network, translator.generator.state_dict())
    if isinstance(discriminator, _Discriminator):
        write_network(*discriminator)
    elif other is not None and other.exists():
        discriminator += f" The {other.name} that is there is of another model: remove it."
    return (*_notes(translator, network), _note_on(discriminator, translator))


class _Discriminator(NamedTuple):
    """A discriminator that the reference has, and the file to write it to."""

    path: Path
    network: ReferenceDiscriminator
    weights: Mapping[str, Tensor]


def _reference_generator(translator: Translator) -> ReferenceGenerator:
    """Describe a generator as one of the reference's, or say why it is none."""
    if foreign := list(_foreign_parts(translator)):
        raise InputError(
            f"The PyTorch implementation can't hold this model, which has {', '.join(foreign)}: "
            "train one with preset='reference', or keep this one in a file of napari-pix2pix."
        )
    config = translator.config
    assert config.generator != "encoder_decoder"
    assert config.norm != "group"
    return ReferenceGenerator(
        config.generator,
        translator.source_codec.planes,
        translator.target_codec.planes,
        config.width,
        config.norm,
        depth=config.depth,
        blocks=config.blocks,
        dropout=config.dropout > 0,
    )


def _foreign_parts(translator: Translator) -> Iterator[str]:
    """Name what the reference's generators lack."""
    config = translator.config
    if not translator.source_codec.channels:
        yield "no source"
    if translator.conditions:
        yield f"conditions ({', '.join(map(str, translator.conditions))})"
    if config.noise_channels:
        yield f"{config.noise_channels} noise planes"
    if config.ndim == 3:
        yield "volumes (ndim=3)"
    if config.z_context:
        yield f"neighbouring planes (z_context={config.z_context})"
    for what, codec in (("source", translator.source_codec), ("target", translator.target_codec)):
        if codec.kind != "image":
            yield f"labels as {what} ({codec.kind})"
    if config.generator == "encoder_decoder":
        yield "an encoder-decoder (generator='encoder_decoder')"
    if config.generator == "unet" and config.depth < _LEAST_DEPTH:
        yield f"a U-Net of {config.depth} halvings (depth), where {_LEAST_DEPTH} are the least"
    if config.norm == "group":
        yield "group norm (norm='group')"
    if config.upsampling != "transpose":
        yield f"another upsampling (upsampling={config.upsampling!r})"
    if config.activation != "tanh":
        yield f"another last layer (activation={config.activation!r})"


def _reference_discriminator(translator: Translator, path: Path | None) -> _Discriminator | str:
    """Describe a discriminator as one of the reference's, or say why none is written."""
    if path is None:
        return "No discriminator is written: only with a name like latest_net_G.pth."
    config = translator.config
    try:
        translator.info.check_discriminator()
    except InputError as error:
        return f"There is no {path.name}. {error}"
    discriminator = translator.discriminator
    assert discriminator is not None
    norm = config.discriminator_norm or config.norm
    if foreign := ", ".join(_foreign_to_discriminators(translator)):
        return f"There is no {path.name}: no discriminator there has {foreign}."
    assert norm != "group"
    network = ReferenceDiscriminator(
        discriminator.in_channels,
        config.discriminator_width,
        norm,
        config.discriminator_layers,
    )
    weights = discriminator.state_dict()
    if biases := network.surplus_weights(weights):
        return (
            f"There is no {path.name}: the discriminator has biases where the PyTorch "
            f"implementation has none ({list_some(biases)}); train with bias=False or with a norm."
        )
    return _Discriminator(path, network, weights)


def _foreign_to_discriminators(translator: Translator) -> Iterator[str]:
    """Name what the reference's discriminators lack."""
    config = translator.config
    if config.discriminator_scales > 1:
        yield f"several scales (discriminator_scales={config.discriminator_scales})"
    if config.spectral_norm:
        yield "spectral norm"
    if (config.discriminator_norm or config.norm) == "group":
        yield "group norm"


def _note_on(discriminator: _Discriminator | str, translator: Translator) -> str:
    """Say which discriminator is written, and how it is made there; or why none is."""
    if isinstance(discriminator, str):
        return discriminator
    config, written = translator.config, f"{discriminator.path.name} is its discriminator"
    network = discriminator.network
    if not config.conditional:
        return f"{written}, which sees the image alone: pix2pix there shows it the source, too."
    if network.norm != config.norm:
        return f"{written}; the commands there have one --norm for both networks, and these differ."
    mode = _GAN_MODES.get(config.adversarial)
    loss = f" --gan_mode {mode}" if mode else f"; the loss is {config.adversarial}, unlike there"
    return f"{written}; its options there: {network.flags}{loss}."


def _notes(translator: Translator, network: ReferenceGenerator) -> Iterator[str]:
    """Say what the file does not hold, and how it is used there."""
    config = translator.config
    codecs = {"source": translator.source_codec, "target": translator.target_codec}
    ranges = [
        f"{what} {describe_range(codec)}"
        for what, codec in codecs.items()
        if isinstance(codec, ImageCodec) and not _is_usual(codec)
    ]
    if ranges:
        yield (
            "Intensities are left out: there -1 to 1 goes in and comes out, which is "
            f"{', '.join(ranges)} here."
        )
    if translator.history:
        yield "Only the generator that is applied is written; no history, no scores."
    if network.kind == "unet" and config.dropout and config.dropout_placement != "reference":
        yield "Dropout, where it drops, is in other blocks of the U-Net there."
    if config.dropout not in (0.0, _DROPOUT):
        yield f"Dropout is {_DROPOUT} there and {config.dropout} here."
    if network.has_flags:
        yield f"Its options there: {network.flags}."
    else:
        name = "UnetGenerator" if network.kind == "unet" else "ResnetGenerator"
        yield f"The commands there have no {network}: make it from the class {name}."


def _is_usual(codec: ImageCodec) -> bool:
    """Whether the codec maps 0 to 255 of uint8, as the reference does."""
    return codec.dtype == "uint8" and set(codec.low) == {0.0} and set(codec.high) == {255.0}
