"""The devices that ONNX Runtime offers, by the names that PyTorch has for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from napari_pix2pix.errors import DeviceError
from napari_pix2pix.io.libraries import needing

CPU = torch.device("cpu")
_CPU_PROVIDER = "CPUExecutionProvider"
# The programs within ONNX Runtime that can use a kind of device, the best one first. PyTorch calls
# AMD's GPUs cuda, too.
_PROVIDERS = {
    "cuda": ("CUDAExecutionProvider", "MIGraphXExecutionProvider", "ROCMExecutionProvider"),
    "mps": ("CoreMLExecutionProvider",),
    "cpu": (_CPU_PROVIDER,),
}
# TF32 has ten bits behind the point, too few for tiles that equal the whole; and the memory that is
# asked for should be no more than a window needs.
_CUDA_OPTIONS = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}


def choices_of(wanted: str) -> list[torch.device]:
    """Return the devices that a name stands for, to be tried in turn; a `DeviceError` for none.

    ``auto`` is a CUDA device where one is offered, or else the CPU. CoreML, which computes in half
    precision, is taken only where ``mps`` is asked for.
    """
    if wanted == "auto":
        return [*([torch.device("cuda", 0)] if _provider("cuda") else []), CPU]
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    if device is None or _provider(device.type) is None:
        names = " or ".join(["auto", *(kind for kind in _PROVIDERS if _provider(kind))])
        raise DeviceError(
            f"ONNX Runtime, which runs this model, offers no device {wanted!r} here: choose "
            f"{names}, or install the onnxruntime that is made for it."
        )
    return [torch.device("cuda", device.index or 0) if device.type == "cuda" else device]


def providers_of(device: torch.device) -> list[Any]:
    """Return what a session takes as its providers, to compute on a device."""
    name = _provider(device.type)
    if name is None or name == _CPU_PROVIDER:
        return [_CPU_PROVIDER]
    options: Mapping[str, str] = {}
    if device.type == "cuda":
        options = {"device_id": str(device.index or 0)}
    if name == "CUDAExecutionProvider":
        options = {**options, **_CUDA_OPTIONS}
    return [(name, dict(options)), _CPU_PROVIDER]


def check_runs_on(session: Any, device: torch.device) -> None:
    """Raise a `DeviceError` if a session came out on the CPU instead of its device."""
    # A provider is offered by how ONNX Runtime was built; that its libraries or the GPU are missing
    # shows when it is used, and is no error there.
    if _provider(device.type) not in session.get_providers():
        raise DeviceError(
            f"ONNX Runtime can't use {device} here, though it was made for it: check the driver "
            "and the versions of CUDA and cuDNN that it asks for, or choose cpu."
        )


def _provider(kind: str) -> str | None:
    """Name the program within ONNX Runtime that uses a kind of device; None if it has none."""
    with needing("onnx", "An ONNX file"):
        from onnxruntime import get_available_providers
    offered = get_available_providers()
    return next((name for name in _PROVIDERS.get(kind, ()) if name in offered), None)
