"""ONNX files: written whole or not at all, and never without a look at what they compute."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.errors import FileError
from napari_pix2pix.inference.tiling import TileGrid
from napari_pix2pix.io.libraries import needing
from napari_pix2pix.io.onnx_devices import CPU, check_runs_on, providers_of
from napari_pix2pix.io.onnx_graph import INPUT, OUTPUT, build_graph
from napari_pix2pix.io.paths import replacing

ENDING = ".onnx"
_TOLERANCE = 1e-4  # of the range of what comes out
_SIZES = ((1, 1), (2, 1), (2, 3))  # of the smallest that the network takes
_BATCHES = 1, 2
_FATAL = 4  # a level of its log


def write_onnx(
    path: Path,
    generator: UNet | ResNet,
    out_channels: int,
    description: str,
    metadata: Mapping[str, str],
) -> None:
    """Write a generator as an ONNX file, once ONNX Runtime computes the same as PyTorch.

    Raises
    ------
    FileError
        When a library is missing, the file can't be written, or the outputs differ.
    """
    with needing("onnx", "An ONNX file"):
        import onnx
    model = build_graph(generator, out_channels, description, metadata)
    onnx.checker.check_model(model)
    with replacing(path) as fresh:
        onnx.save(model, fresh)  # its networks are far below the 2 GB that one file holds
        check_onnx(fresh, generator)


def run_onnx(path: Path, planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run an ONNX file on planes (B, C, H, W), on the CPU."""
    return open_session(path).run([OUTPUT], {INPUT: planes})[0]


def check_onnx(path: Path, generator: UNet | ResNet) -> None:
    """Compare an ONNX file with its generator, on three sizes and two batches of noise."""
    session, rng = open_session(path), np.random.default_rng(0)
    least = TileGrid.of_network(generator, 1, 1).padded[0]
    device = next(generator.parameters()).device
    for batch in _BATCHES:
        for rows, columns in _SIZES:
            depth = [2 * size for size in generator.least_sizes[:-2]]  # of volumes
            shape = (batch, generator.in_channels, *depth, rows * least, columns * least)
            planes = rng.uniform(-1, 1, shape).astype(np.float32)
            with torch.inference_mode():
                wanted = generator(torch.from_numpy(planes).to(device)).cpu().numpy()
            found = session.run([OUTPUT], {INPUT: planes})[0]
            span = max(float(np.ptp(wanted)), 1e-3)
            error = float(np.abs(found - wanted).max()) / span
            if not error <= _TOLERANCE:
                raise FileError(
                    f"ONNX Runtime computes something else than PyTorch (off by {error:.2g} of the "
                    "range), so no file was written: update onnxruntime."
                )


def open_session(model: Path | bytes, device: torch.device = CPU) -> Any:
    """Open an ONNX file, or what it holds, for ONNX Runtime; a `DeviceError` if not there."""
    with needing("onnx", "An ONNX file"):
        from onnxruntime import InferenceSession, SessionOptions
    options = SessionOptions()
    options.log_severity_level = _FATAL  # what goes wrong is raised, too
    options.intra_op_num_threads = torch.get_num_threads()
    # Without its fallback, which prints and goes on elsewhere when a device fails.
    session = InferenceSession(
        model, options, providers=providers_of(device), enable_fallback=False
    )
    session.disable_fallback()
    check_runs_on(session, device)
    return session
