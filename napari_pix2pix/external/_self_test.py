"""The test images of a package: whether its network does here what it did where it was made."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_pix2pix.errors import FileError
from napari_pix2pix.external._description import Description, PackageFile
from napari_pix2pix.external._network import SteppedNetwork, as_planes
from napari_pix2pix.external._package_files import PackageFiles

_TOLERANCE = 0.01  # of the range of what comes out: another last layer is off by far more
_MOST_OFF = 1e-3  # of the pixels, since a rounded or binary one may come out otherwise


def check_test_images(network: SteppedNetwork, described: Description, files: PackageFiles) -> None:
    """Raise a `FileError` unless a network makes the package's test output of its test input."""
    given, wanted = (
        _read(files, tensor.test, tensor.axes) for tensor in (described.given, described.made)
    )
    made = network.fitted(lambda: given, given.shape[1:])(torch.from_numpy(given)[None]).numpy()[0]
    span = max(float(np.ptp(wanted)), 1e-3)
    is_same = made.shape == wanted.shape
    # What is NaN is off, too.
    if not is_same or (~(np.abs(made - wanted) <= _TOLERANCE * span)).mean() > _MOST_OFF:
        raise FileError(
            f"{files.path} makes another image of its test image than it says, so its network is "
            "not the one that it is taken for: export it as ONNX."
        )


def _read(files: PackageFiles, test: PackageFile | None, axes: str) -> NDArray[Any]:
    """Read the first test image of a tensor, (C, H, W), or its volume."""
    if test is None:
        raise FileError(
            f"{files.path} holds no test images, by which a network of PyTorch weights is told: "
            "export it as ONNX."
        )
    content = files.read(test.name, test.sha256)
    try:
        array = np.load(BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise FileError(
            f"{test.name} of {files.path} is no NumPy array, or it is damaged: take another copy "
            "of the package."
        ) from error
    if array.ndim != len(axes) or array.dtype.kind not in "biuf":
        raise FileError(f"{test.name} of {files.path} is no image with the axes {axes}.")
    image = np.moveaxis(array, axes.index("b"), 0)[0] if "b" in axes else array
    return as_planes(image, axes.replace("b", "")).astype(np.float32)
