"""ONNX files of anyone: what they take and make, and whether they can be trusted with an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.errors import FileError
from napari_pix2pix.io._regular_files import check_readable
from napari_pix2pix.io.libraries import needing
from napari_pix2pix.io.onnx_file import open_session

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

MOST_BYTES = 2 << 30  # of a file of weights; ONNX itself holds no more in one file
_FLOATS = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"}


@dataclass(frozen=True)
class OnnxEnd:
    """The input or output of an ONNX file."""

    name: str
    shape: tuple[int | None, ...]  # None where any length will do
    dtype: str

    def __str__(self) -> str:
        return " x ".join("any" if length is None else str(length) for length in self.shape)


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX file with one input and one output, of floating point."""

    path: Path
    content: bytes
    given: OnnxEnd
    made: OnnxEnd
    metadata: Mapping[str, str]


def read_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file; a `FileError` says why it can't be applied to images."""
    check_readable(path, "an ONNX file")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise FileError(
                f"{path} has {size / 2**30:.1f} GB, more than the 2 GB of an ONNX file."
            )
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"Can't read {path}: {error.strerror or error}.") from error
    return parse_onnx(content, path)


def parse_onnx(content: bytes, path: Path) -> OnnxFile:
    """Parse what an ONNX file holds; `path` is what errors name."""
    _check_weights(content, path)
    try:
        session = open_session(content)
    except FileError:
        raise
    except Exception as error:  # ONNX Runtime has a class for each of its codes
        reason = " ".join(str(error).split())[-200:]
        raise FileError(
            f"ONNX Runtime can't open {path} ({reason}): update onnxruntime."
        ) from error
    given, made = (_only_end(path, *end) for end in _ends(session))
    metadata = session.get_modelmeta().custom_metadata_map
    return OnnxFile(path, content, given, made, dict(metadata))


def _ends(session: Any) -> Iterable[tuple[str, Any]]:
    return ("input", session.get_inputs()), ("output", session.get_outputs())


def _only_end(path: Path, what: str, ends: Any) -> OnnxEnd:
    if len(ends) != 1:
        names = ", ".join(end.name for end in ends)
        raise FileError(
            f"{path} has {len(ends)} {what}s ({names}): one image in and one out are needed."
        )
    [end] = ends
    if end.type not in _FLOATS:
        raise FileError(
            f"The {what} {end.name} of {path} is a {end.type}, and images in floating point are "
            "needed: export the network with float32 planes."
        )
    shape = tuple(length if isinstance(length, int) else None for length in end.shape)
    return OnnxEnd(end.name, shape, _FLOATS[end.type])


def _check_weights(content: bytes, path: Path) -> None:
    """Refuse what is no ONNX file, names other files, or holds weights that are not finite."""
    with needing("onnx", "An ONNX file"):
        import onnx
    try:
        model: ModelProto = onnx.load_model_from_string(content)
    except Exception as error:  # of protobuf, whose classes differ between versions
        raise FileError(
            f"{path} is not an ONNX file, or it is cut short or damaged: use another copy of it."
        ) from error
    for weights in _weights(model.graph):
        if weights.data_location == onnx.TensorProto.EXTERNAL:
            raise FileError(
                f"{path} keeps weights ({weights.name}) in another file, which is not read: export "
                "it as one file."
            )
        try:
            values = onnx.numpy_helper.to_array(weights)
        except (ValueError, TypeError, KeyError) as error:
            raise FileError(
                f"{path} has weights ({weights.name}) that are not of the shape or kind that it "
                f"says ({error}): use another copy of it."
            ) from error
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise FileError(
                f"{path} has weights ({weights.name}) that are NaN or infinite, so nothing but NaN "
                "could come out: train it again, or take another copy."
            )


def _weights(graph: GraphProto) -> Iterable[TensorProto]:
    """Go through the weights of a graph, and those within its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            # Of a constant, which may well be infinite, it matters alone whether it is elsewhere.
            if attribute.HasField("t") and attribute.t.data_location:
                yield attribute.t
            if attribute.HasField("g"):
                yield from _weights(attribute.g)
