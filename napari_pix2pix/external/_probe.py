"""Which sizes of images or volumes a network takes, tried out where its file does not say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch

from napari_pix2pix.errors import FileError, Remedy, rounded
from napari_pix2pix.external._engines import OnnxEngine
from napari_pix2pix.external._network import End, PlaneSizes, Sizes, SteppedNetwork
from napari_pix2pix.io.onnx_reading import OnnxFile
from napari_pix2pix.io.read_limits import VARIABLE, read_limit

_STRIDES = 1, 2, 4, 8, 16, 32, 64, 128, 256
_MOST_OF_VOLUMES = 32  # of their strides: larger volumes take too long to be tried
_BYTES = 4  # of a number in floating point
_LEAST, _LEAST_PLANES = 64, 16  # pixels and planes of the smallest image that is tried


def find_sizes(onnx: OnnxFile, given: End, made: End) -> Sizes:
    """Find the sizes of a network: those that its input states, or the smallest strides."""
    lengths = dict(zip(given.axes, onnx.given.shape, strict=True))
    height, width, one = lengths["y"], lengths["x"], lengths["b"] == 1
    if height is not None and width is not None and height != width:
        raise FileError(
            f"{onnx.path} takes images of {height} x {width} pixels alone, and only squares can "
            "be cut out of any image: export it with free or equal sides."
        )
    side, is_volume = height or width, "z" in given.axes
    if side is not None:
        tried = [Sizes(1, side, fixed=True, one_by_one=one)]
    else:
        most = _MOST_OF_VOLUMES if is_volume else _STRIDES[-1]
        strides = [stride for stride in _STRIDES if stride <= most]
        tried = [Sizes(stride, _odd_multiple(stride, _LEAST), one_by_one=one) for stride in strides]
    if not is_volume:
        return _first_that_fits(onnx, given, made, tried)
    if (count := lengths["z"]) is not None:
        planes = PlaneSizes(1, count, fixed=True)
        tried = [replace(sizes, planes=planes) for sizes in tried]
        return _first_that_fits(onnx, given, made, tried)
    # Planes are halved as often as pixels, or less often.
    known = _first_that_fits(onnx, given, made, [_with_planes(sizes) for sizes in tried])
    fewer = [stride for stride in _STRIDES if stride <= _plane_stride(known)]
    return _first_that_fits(onnx, given, made, [_with_planes(known, stride) for stride in fewer])


def _plane_stride(sizes: Sizes) -> int:
    return _MOST_OF_VOLUMES if sizes.fixed else sizes.stride


def _with_planes(sizes: Sizes, stride: int | None = None) -> Sizes:
    """Return sizes of volumes; without a stride of planes with as large a one as pixels have."""
    stride = stride or _plane_stride(sizes)
    return replace(sizes, planes=PlaneSizes(stride, _odd_multiple(stride, _LEAST_PLANES)))


def _odd_multiple(stride: int, least: int) -> int:
    count = -(-least // stride)
    return stride * (count + 1 - count % 2)


def _first_that_fits(onnx: OnnxFile, given: End, made: End, tried: Sequence[Sizes]) -> Sizes:
    """Return the first sizes of which the network makes an image of the same size."""
    problem: FileError | None = None
    for sizes in tried:
        try:
            _try(onnx, given, made, sizes)
        except FileError as error:
            if len(tried) == 1:
                raise
            problem = error
        else:
            return sizes
    raise FileError(
        f"{onnx.path} makes an image of the same size of none that was tried ({problem})"
    ) from problem


def _check_window(onnx: OnnxFile, shape: tuple[int, ...]) -> None:
    """Refuse a window that a file costs nothing to claim, and that no memory holds."""
    needed, most = _BYTES * prod(shape), read_limit()
    if needed > most:
        raise FileError(
            f"{onnx.path} takes windows of {' x '.join(map(str, shape[2:]))} pixels alone, "
            f"{rounded(needed / 1e6, 3)} MB of source, and at most {rounded(most / 1e6, 3)} MB are "
            f"tried: export it with free or smaller sides, or raise the limit ({VARIABLE}, in MB).",
            remedies=(Remedy.READ_LIMIT,),
        )


def _try(onnx: OnnxFile, given: End, made: End, sizes: Sizes) -> None:
    depth = () if sizes.planes is None else (sizes.planes.least,)
    shape = (1, given.channels, *depth, sizes.least, sizes.least)
    _check_window(onnx, shape)
    network = SteppedNetwork(OnnxEngine.of(onnx), given, made, sizes)
    planes = network(torch.zeros(shape))
    if planes.shape[1] != made.channels:
        raise FileError(f"{onnx.path} makes {planes.shape[1]} channels, and says {made.channels}.")
