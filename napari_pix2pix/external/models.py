"""`load_external`: an ONNX file or a BioImage.IO package becomes a translator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.errors import FileError, InputError, Pix2PixError, is_out_of_memory, plural
from napari_pix2pix.external._codecs import own_names, package_codec, plain_codec, target_codec
from napari_pix2pix.external._description import (
    Architecture,
    Description,
    Tensor,
    parse_description,
)
from napari_pix2pix.external._engines import Engine, OnnxEngine, TorchEngine
from napari_pix2pix.external._halos import with_halo
from napari_pix2pix.external._network import End, PlaneSizes, Sizes, SteppedNetwork
from napari_pix2pix.external._package_files import PackageFiles
from napari_pix2pix.external._probe import find_sizes
from napari_pix2pix.external._self_test import check_test_images
from napari_pix2pix.external._state_dicts import build_network, check_known
from napari_pix2pix.external._steps import measure_steps
from napari_pix2pix.external._translator import ExternalTranslator
from napari_pix2pix.inference.devices import estimate_bytes_per_pixel
from napari_pix2pix.inference.networks import measures_input
from napari_pix2pix.inference.tiling import TileGrid
from napari_pix2pix.io.model_header import FORMAT_NAME
from napari_pix2pix.io.onnx_file import ENDING as ONNX_ENDING
from napari_pix2pix.io.onnx_reading import OnnxEnd, OnnxFile, parse_onnx, read_onnx
from napari_pix2pix.metrics.baselines import Baselines
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.made_for import MadeFor
from napari_pix2pix.training.model_info import EngineKind, ModelInfo
from napari_pix2pix.training.state import build_generator
from napari_pix2pix.training.summary import describe_images

__all__ = ["ExternalTranslator", "load_external"]

# What torch, numpy and ONNX Runtime raise of sizes that no network can have.
_UNFIT = (RuntimeError, ValueError, OverflowError, TypeError, KeyError, AttributeError)


def load_external(
    path: Path, *, dtype: str | None = None, halo: int | None = None
) -> ExternalTranslator:
    """Read a model of another program, which ONNX Runtime or PyTorch runs.

    Parameters
    ----------
    path : Path
        An ONNX file, or a BioImage.IO package: a zip file, a folder, or its description.
    dtype : str, optional
        For an ONNX file of others: the whole range of this integer dtype becomes -1 to 1 in source
        and target. Without it, intensities go in and come out as they are.
    halo : int, optional
        For a file that does not say it: on how many pixels around it a pixel depends. Of volumes it
        counts along all three axes.

    Returns
    -------
    ExternalTranslator
        Ready to be called.

    Raises
    ------
    FileError
        When the file can't be read, is damaged, or its model can't be applied to images or
        volumes; nothing in it is run then.
    InputError
        When the file says itself what is given.
    """
    try:
        return _load_external(path, dtype, halo)
    except _UNFIT as error:
        if isinstance(error, Pix2PixError) or is_out_of_memory(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise FileError(
            f"{path} can't be applied: what it says of its network does not fit it ({reason}); use "
            "another copy of it."
        ) from error


def _load_external(path: Path, dtype: str | None, halo: int | None) -> ExternalTranslator:
    if path.suffix.lower() == ONNX_ENDING:
        onnx = read_onnx(path)
        return (
            _own(onnx, dtype, halo) if FORMAT_NAME in onnx.metadata else _plain(onnx, dtype, halo)
        )
    files = PackageFiles(path)
    try:
        described = parse_description(files.read_description())
    except FileError as error:
        raise FileError(f"{path} can't be applied: {error}".rstrip(".") + ".") from error
    _refuse_options(path, dtype=dtype)
    if described.architecture is not None:
        return _state_dict(files, described, described.architecture, halo)
    onnx = parse_onnx(files.read(described.weights.name, described.weights.sha256), path)
    if FORMAT_NAME in onnx.metadata:
        return _own(onnx, dtype, halo)
    ends = ((described.given, onnx.given), (described.made, onnx.made))
    given, made = (_described_end(onnx.path, tensor, end) for tensor, end in ends)
    return _package(path, OnnxEngine.of(onnx), given, made, described, halo)


def _own(onnx: OnnxFile, dtype: str | None, halo: int | None) -> ExternalTranslator:
    """Return a model that napari-pix2pix exported, with all that it said of itself."""
    _refuse_options(onnx.path, dtype=dtype, halo=halo)
    try:
        header = json.loads(onnx.metadata[FORMAT_NAME])
    except ValueError as error:
        raise FileError(f"{onnx.path} says of itself what can't be read ({error}).") from error
    info = ModelInfo.from_header(header, onnx.path)
    info = replace(
        info,
        has_discriminator=False,
        weights=(info.config.keep,),
        unlike=None,
        engine=OnnxEngine.kind,
        is_external=True,
    )
    planes = info.planes
    with torch.device("meta"):
        generator = build_generator(
            info.config, planes_in=planes.generator_in, planes_out=planes.generator_out
        )
    for end, count in ((onnx.given, planes.generator_in), (onnx.made, planes.generator_out)):
        if len(end.shape) != generator.ndim + 2 or end.shape[1] != count:
            raise FileError(
                f"{onnx.path} says that it has {plural(count, 'plane')} and has an array of "
                f"{end}: it was changed, so take another copy."
            )
    least = TileGrid.of_network(generator, 1, 1).padded[0]
    whole = measures_input(generator)
    sizes, axes = Sizes(generator.stride, least, halo=None if whole else generator.halo), "bcyx"
    if generator.ndim == 3:
        halo = None if whole else generator.halos[0]
        depth = PlaneSizes(generator.strides[0], generator.least_sizes[0], halo=halo)
        sizes, axes = replace(sizes, planes=depth), "bczyx"
    side = max(2 * generator.stride, generator.least_size)
    network = SteppedNetwork(
        OnnxEngine.of(onnx),
        End(onnx.given.name, axes, planes.generator_in),
        End(onnx.made.name, axes, planes.generator_out),
        sizes,
        bytes_per_pixel=estimate_bytes_per_pixel(generator, planes.generator_in, side=side),
    )
    return ExternalTranslator(network, info)


def _plain(onnx: OnnxFile, dtype: str | None, halo: int | None) -> ExternalTranslator:
    """Return the model of an ONNX file that says nothing of images."""
    given, made = (_end_of(onnx, end) for end in (onnx.given, onnx.made))
    sizes = find_sizes(onnx, given, made)
    is_rgb = given.channels == 3
    source = plain_codec(given, dtype, rgb=is_rgb)
    target = plain_codec(made, dtype, rgb=is_rgb and made.channels == 3)
    ranges = (
        "The file says nothing of intensities: they go in and come out as they are."
        if dtype is None
        else f"The file says nothing of intensities: the range of {dtype} becomes -1 to 1 and back."
    )
    sizes, notes = with_halo(onnx.path, sizes, halo, (), ())
    name = onnx.path.name
    network = SteppedNetwork(OnnxEngine.of(onnx), given, made, sizes)
    network.takes_halo = True
    text = f"ONNX network, from {name}"
    config = _config(network)
    info = _info(source, target, text, (ranges, *notes), config, OnnxEngine.kind)
    return ExternalTranslator(network, info)


def _state_dict(
    files: PackageFiles, described: Description, architecture: Architecture, halo: int | None
) -> ExternalTranslator:
    """Return the model of a package that PyTorch runs, once it makes the package's test image."""
    weights, tensors = described.weights, (described.given, described.made)
    check_known(architecture, files.path)
    content = files.read(weights.name, weights.sha256)
    channels = described.given.channels, described.made.channels
    network = build_network(architecture, content, files.path / weights.name, channels)
    engine = TorchEngine(network)
    given, made = (tensor.end("image", "float32") for tensor in tensors)
    steps = described.given.steps, described.made.steps
    alone = SteppedNetwork(engine, given, made, described.sizes, *steps)
    check_test_images(alone, described, files)
    return _package(files.path, engine, given, made, described, halo)


def _package(
    path: Path, engine: Engine, given: End, made: End, described: Description, halo: int | None
) -> ExternalTranslator:
    """Return the model of somebody's package, with its steps."""
    target, last = target_codec(described.made)
    source = package_codec(described.given)
    before, after = described.given.steps, (*described.made.steps, *last)
    sizes, notes = with_halo(path, described.sizes, halo, before, after)
    network = SteppedNetwork(engine, given, made, sizes, before, after)
    network.takes_halo = described.sizes.halo is None and not measure_steps(after)
    texts = {"authors": described.authors, "licence": described.licence}
    info = _info(source, target, described.text, notes, _config(network, **texts), engine.kind)
    names = tuple(own_names(tensor) for tensor in (described.given, described.made))
    info = replace(
        info,
        source_channels=names[0],
        channel_names=(names[1],),
        made_for=MadeFor(pixel_size=described.pixel_size),
    )
    return ExternalTranslator(network, info)


def _config(network: SteppedNetwork, authors: str = "", licence: str = "") -> TrainConfig:
    """Return a config whose norm says whether images are measured; little else is known."""
    norm: Literal["instance", "none"] = "instance" if measures_input(network) else "none"
    ndim: Literal[2, 3] = 3 if network.ndim == 3 else 2
    return TrainConfig(norm=norm, dropout=0.0, authors=authors, licence=licence, ndim=ndim)


def _info(
    source: ImageCodec,
    target: ImageCodec,
    text: str,
    notes: Sequence[str],
    config: TrainConfig,
    engine: EngineKind,
) -> ModelInfo:
    """Describe a model that another program trained."""
    summary = " ".join(text.split())
    ends = (
        describe_images(codec.channels, codec.layout, codec.dtype) for codec in (source, target)
    )
    return ModelInfo(
        config=config,
        source_codec=source,
        target_codec=target,
        conditions=(),
        baselines=Baselines(()),
        has_discriminator=False,
        scores=None,
        history=(),
        summary=f"{' to '.join(ends)}, {summary}",
        notes=tuple(notes),
        steps=0,
        seconds=0.0,
        versions={},
        engine=engine,
        is_external=True,
    )


def _refuse_options(path: Path, *, dtype: str | None = None, halo: int | None = None) -> None:
    """Refuse what a file says itself."""
    for name, value in (("dtype", dtype), ("halo", halo)):
        if value is not None:
            raise InputError(f"{path} says its {name} itself: leave {name} out, got {value!r}.")


def _end_of(onnx: OnnxFile, end: OnnxEnd) -> End:
    """Find the axes of an array that nothing is said of: channels have a fixed length."""
    shape, space = end.shape, "zyx"[-len(end.shape) + 2 :]
    if len(shape) not in (4, 5):
        raise FileError(
            f"{onnx.path} has arrays of {end} ({end.name}), and planes or volumes are needed: 4 "
            "axes, which are batch, channel, y and x, or 5, with z before y."
        )
    if shape[1] is not None and not (shape[-1] is not None and shape[-1] < shape[1]):
        return End(end.name, f"bc{space}", shape[1], end.dtype)
    if shape[-1] is not None:
        return End(end.name, f"b{space}c", shape[-1], end.dtype)
    raise FileError(
        f"{onnx.path} does not say how many channels {end.name} has ({end}): export it with a "
        "fixed number."
    )


def _described_end(path: Path, tensor: Tensor, end: OnnxEnd) -> End:
    """Return a network's input or output, as the package describes it."""
    lengths = dict(zip(tensor.axes, end.shape, strict=False))
    fits = len(end.shape) == len(tensor.axes) and lengths.get("c") in (None, tensor.channels)
    if not fits:
        raise FileError(
            f"{path} describes an array {end.name} with {plural(len(tensor.axes), 'axis')} and "
            f"{plural(tensor.channels, 'channel')}, and its network has one of {end}: take another "
            "copy of the package."
        )
    return tensor.end(end.name, end.dtype)
