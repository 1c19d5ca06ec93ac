"""A model as a package of the BioImage Model Zoo: one zip file that other programs run.

The package holds the network as ONNX, the codecs as steps before and after it, test tensors, a
cover picture and documentation. bioimageio.core tests it before it gets its name.
"""

from __future__ import annotations

import gc
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.data.codecs import Codec, ImageCodec, picture
from napari_pix2pix.data.volumes import decode, encode, flat_codec, middle_plane
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.export._documentation import write_readme
from napari_pix2pix.export._onnx_model import write_network
from napari_pix2pix.export._processing import decoding_steps, encoding_steps, package_dtype
from napari_pix2pix.export.interface import Interface, describe_interface
from napari_pix2pix.io.libraries import needing
from napari_pix2pix.io.onnx_file import run_onnx
from napari_pix2pix.io.onnx_graph import INPUT, OPSET, OUTPUT
from napari_pix2pix.io.paths import replacing
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.model_card import card_line
from napari_pix2pix.training.model_info import ModelInfo

if TYPE_CHECKING:
    from bioimageio.spec import ValidationSummary
    from bioimageio.spec.model.v0_5 import (
        Author,
        InputTensorDescr,
        ModelDescr,
        OutputTensorDescr,
    )

ENDING = ".zip"
_WEIGHTS, _README, _COVER = "weights.onnx", "README.md", "cover.png"
_TESTS = {INPUT: "test_source.npy", OUTPUT: "test_target.npy"}
_COVER_SIZE = 512, 256  # width and height in pixels; the model zoo asks for 2 to 1, or squares
_SMOOTH = 2.0  # sigma in pixels of the test image
_TOLERANCE = 1e-3  # of the range of what comes out: devices round differently
_MOST_TOLERANCE = 0.0099  # of the largest value
_PIX2PIX = (
    "Isola et al. 2017, Image-to-image translation with conditional adversarial networks",
    "10.1109/CVPR.2017.632",
)


def export_package(path: Path, generator: UNet | ResNet, info: ModelInfo) -> tuple[str, ...]:
    """Write a package with the model's authors and licence; return what a user has to know."""
    with needing("bioimageio", "A BioImage.IO package"):
        from bioimageio.core import test_model
    if not isinstance(info.source_codec, ImageCodec):
        raise InputError(
            "A BioImage.IO package can't turn labels into the planes that the network takes: "
            "write an ONNX file, and give it the planes."
        )
    _check_credits(info.config)
    interface = describe_interface(info, generator)
    with replacing(path) as fresh, tempfile.TemporaryDirectory() as name, _quiet():
        folder = Path(name)
        write_network(folder / _WEIGHTS, generator, info, interface)
        _write_tests(folder, info, interface)
        (folder / _README).write_text(write_readme(info, interface), encoding="utf-8")
        _write_cover(folder, info)
        _pack(fresh, _describe(folder, path.stem, info, interface))
        _check(test_model(fresh, stop_early=True))
    return (*interface.notes, *_notes(info))


def _check_credits(config: TrainConfig) -> None:
    """Refuse names and a licence that the format does not take, before anything is written."""
    from bioimageio.spec.model import v0_5
    from pydantic import TypeAdapter, ValidationError

    licence: Any = TypeAdapter(v0_5.ModelDescr.model_fields["license"].annotation)
    try:
        _authors(config)
        licence.validate_python(config.licence)
    except ValidationError as error:
        raise InputError(
            f"A package can't have the authors {config.authors!r} and the licence "
            f"{config.licence!r}: give names, and an identifier of SPDX, such as CC-BY-4.0 or MIT."
        ) from error


def _authors(config: TrainConfig) -> list[Author]:
    """Return the authors, whose names have commas between them."""
    from bioimageio.spec.model import v0_5

    names = [name.strip() for name in config.authors.split(",")]
    return [v0_5.Author(name=name) for name in names if name]


def _notes(info: ModelInfo) -> Iterator[str]:
    if info.target_codec.kind != "image":
        yield "Planes of labels come out: the package's README.md says how they become labels."
    if not _authors(info.config):
        yield "It names no authors: the model zoo asks for them."


def _write_tests(folder: Path, info: ModelInfo, interface: Interface) -> None:
    """Write an image of smooth noise, and what becomes of it."""
    from scipy import ndimage

    codec, size = info.source_codec, [axis.side for axis in interface.axes.values()]
    noise = np.random.default_rng(0).normal(size=(codec.planes, *size))
    smooth = ndimage.gaussian_filter(noise, (0, *[_SMOOTH] * len(size)))
    raw = decode(codec, np.clip(smooth / smooth.std(), -2, 2) / 2)
    conditions = np.zeros((len(info.conditions), *size), np.float32)
    conditions[:1] = 1
    planes = np.concatenate([encode(codec, raw), conditions])
    given = np.concatenate([raw, conditions]).astype(package_dtype(codec))
    made = run_onnx(folder / _WEIGHTS, planes[np.newaxis])[0]
    if isinstance(info.target_codec, ImageCodec):
        made = decode(info.target_codec, made).astype(package_dtype(info.target_codec))
    for tensor, values in ((INPUT, given), (OUTPUT, made)):
        np.save(folder / _TESTS[tensor], values[np.newaxis])


def _write_cover(folder: Path, info: ModelInfo) -> None:
    """Draw a held-out source, prediction and truth, or else the test image and its result."""
    from PIL import Image, ImageOps

    shown = info.thumbnail
    if shown is None:
        codecs = {INPUT: info.source_codec, OUTPUT: info.target_codec}
        shown = np.concatenate([_picture(folder / _TESTS[k], c) for k, c in codecs.items()], 1)
    ImageOps.pad(Image.fromarray(shown), _COVER_SIZE, color="white").save(folder / _COVER)


def _picture(path: Path, codec: Codec) -> NDArray[np.uint8]:
    codec = flat_codec(codec)  # of volumes the middle plane is shown
    values = middle_plane(np.load(path)[0])[: codec.planes]
    return picture(codec.encode(values) if codec.kind == "image" else values, codec)


def _describe(folder: Path, name: str, info: ModelInfo, interface: Interface) -> ModelDescr:
    """Return the description of a package whose files lie in a folder."""
    from bioimageio.spec.model import v0_5
    from pydantic import ValidationError

    plain = re.sub(r"[^A-Za-z0-9_+\- ()]", " ", name)
    text, doi = _PIX2PIX
    axes = interface.axes
    weights = v0_5.OnnxWeightsDescr(source=folder / _WEIGHTS, opset_version=OPSET)
    try:
        return v0_5.ModelDescr(
            name=f"pix2pix {plain}"[:64],
            description=card_line(info)[:512],
            authors=_authors(info.config),
            license=info.config.licence,
            cite=[v0_5.CiteEntry(text=text, doi=v0_5.Doi(doi))],
            tags=["pix2pix", "image-to-image-translation", "napari-pix2pix", f"{len(axes)}d"],
            covers=[v0_5.FileDescr(source=folder / _COVER)],
            documentation=v0_5.FileDescr(source=folder / _README),
            inputs=[_input(folder, info, interface)],
            outputs=[_output(folder, info, interface)],
            weights=v0_5.WeightsDescr(onnx=weights),
            config=v0_5.Config(bioimageio=_tolerance(folder, info)),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise FileError(
            f"bioimageio.core refuses the package ({first['msg'][:300]}): update it, or write "
            "an ONNX file."
        ) from error


def _input(folder: Path, info: ModelInfo, interface: Interface) -> InputTensorDescr:
    from bioimageio.spec.model import v0_5

    assert isinstance(info.source_codec, ImageCodec)
    sizes = {
        name: v0_5.ParameterizedSize(min=axis.side, step=axis.stride)
        for name, axis in interface.axes.items()
    }
    return v0_5.InputTensorDescr(
        id=v0_5.TensorId(INPUT),
        description="Images, and a plane a condition" if info.conditions else "Images",
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=[*interface.inputs]),
            *(v0_5.SpaceInputAxis(id=v0_5.AxisId(name), size=size) for name, size in sizes.items()),
        ],
        test_tensor=v0_5.FileDescr(source=folder / _TESTS[INPUT]),
        data=v0_5.IntervalOrRatioDataDescr(type=package_dtype(info.source_codec)),
        preprocessing=encoding_steps(info.source_codec, len(info.conditions)),
        pad=v0_5.ReflectPadding() if interface.halo else None,
    )


def _output(folder: Path, info: ModelInfo, interface: Interface) -> OutputTensorDescr:
    from bioimageio.spec.model import v0_5

    codec = info.target_codec
    steps = decoding_steps(codec) if isinstance(codec, ImageCodec) else []
    return v0_5.OutputTensorDescr(
        id=v0_5.TensorId(OUTPUT),
        description="Images" if codec.kind == "image" else "Planes of labels: see README.md",
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=[*interface.outputs]),
            *(_output_axis(name, axis.halo) for name, axis in interface.axes.items()),
        ],
        test_tensor=v0_5.FileDescr(source=folder / _TESTS[OUTPUT]),
        data=v0_5.IntervalOrRatioDataDescr(type=package_dtype(codec)),
        postprocessing=steps,
    )


def _output_axis(axis: str, halo: int) -> Any:
    """Return an axis as long as that of the input; pixels have the size 1, which rounds nothing."""
    from bioimageio.spec.model import v0_5

    name = v0_5.AxisId(axis)
    size = v0_5.SizeReference(tensor_id=v0_5.TensorId(INPUT), axis_id=name)
    if not halo:
        return v0_5.SpaceOutputAxis(id=name, size=size)
    return v0_5.SpaceOutputAxisWithHalo(id=name, size=size, halo=halo)


def _tolerance(folder: Path, info: ModelInfo) -> Any:
    """Return how far outputs may be off elsewhere: a grey level, where there are such."""
    from bioimageio.spec.model import v0_5

    codec, made = info.target_codec, np.load(folder / _TESTS[OUTPUT])
    wanted = _TOLERANCE * float(np.ptp(made))
    if codec.kind == "image" and made.dtype.kind in "iu":
        wanted = max(wanted, 1.0)
    # The format allows a hundredth of the largest value at most, and none where that is no number
    # above 0.
    most = max(0.0, _MOST_TOLERANCE * float(made.max()))
    tolerance = v0_5.ReproducibilityTolerance(absolute_tolerance=min(wanted, most))
    return v0_5.BioimageioConfig(reproducibility_tolerance=[tolerance] if most else [])


def _pack(path: Path, described: ModelDescr) -> None:
    from bioimageio.spec import save_bioimageio_package

    save_bioimageio_package(described, output_path=path)


def _check(summary: ValidationSummary) -> None:
    """Raise a `FileError` with the first words of bioimageio.core's test, if that failed."""
    if summary.status == "passed":
        return
    errors = [error.msg for detail in summary.details for error in detail.errors]
    reason = " ".join((errors or [summary.status])[0].split())
    raise FileError(
        f"bioimageio.core's test of the package failed ({reason[:300]}), so no file was written: "
        "update bioimageio.core, or write an ONNX file."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep bioimageio's log and warnings from the screen: what matters is in its summary."""
    from loguru import logger

    logger.disable("bioimageio")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield
            finally:
                gc.collect()  # it leaves files open, which Windows could not rename
    finally:
        logger.enable("bioimageio")
