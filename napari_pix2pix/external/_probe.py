"""Which heights and widths a network takes, tried out where its file does not say it."""

from __future__ import annotations

import torch

from napari_pix2pix.errors import FileError
from napari_pix2pix.external._engines import OnnxEngine
from napari_pix2pix.external._network import End, Sizes, SteppedNetwork
from napari_pix2pix.io.onnx_reading import OnnxFile

_STRIDES = 1, 2, 4, 8, 16, 32, 64, 128, 256
_LEAST = 64  # pixels of the smallest image that is tried


def find_sizes(onnx: OnnxFile, given: End, made: End) -> Sizes:
    """Find the sizes of a network: those that its input states, or the smallest stride."""
    lengths = dict(zip(given.axes, onnx.given.shape, strict=True))
    height, width, one = lengths["y"], lengths["x"], lengths["b"] == 1
    if height is None and width is None:
        return _find_stride(onnx, given, made, one)
    if height is not None and width is not None and height != width:
        raise FileError(
            f"{onnx.path} takes images of {height} x {width} pixels alone, and only squares can "
            "be cut out of any image: export it with free or equal sides."
        )
    side = height or width
    assert side is not None
    sizes = Sizes(1, side, fixed=True, one_by_one=one)
    _try(onnx, given, made, sizes)
    return sizes


def _find_stride(onnx: OnnxFile, given: End, made: End, one: bool) -> Sizes:
    """Try sides that are odd multiples of 1, 2, 4 and so on."""
    problem: FileError | None = None
    for stride in _STRIDES:
        count = -(-_LEAST // stride)
        sizes = Sizes(stride, stride * (count + 1 - count % 2), one_by_one=one)
        try:
            _try(onnx, given, made, sizes)
        except FileError as error:
            problem = error
        else:
            return sizes
    raise FileError(
        f"{onnx.path} makes an image of the same size of none that was tried ({problem})"
    ) from problem


def _try(onnx: OnnxFile, given: End, made: End, sizes: Sizes) -> None:
    network = SteppedNetwork(OnnxEngine.of(onnx), given, made, sizes)
    planes = network(torch.zeros(1, given.channels, sizes.least, sizes.least))
    if planes.shape[1] != made.channels:
        raise FileError(f"{onnx.path} makes {planes.shape[1]} channels, and says {made.channels}.")
