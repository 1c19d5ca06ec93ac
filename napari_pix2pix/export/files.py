"""`export_model`: the ending of a name chooses what is written for other programs."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.export._onnx_model import export_onnx
from napari_pix2pix.export._package import ENDING as PACKAGE_ENDING
from napari_pix2pix.export._package import Credits as Credits
from napari_pix2pix.export._package import export_package
from napari_pix2pix.io.onnx_file import ENDING as ONNX_ENDING
from napari_pix2pix.training.model_info import ModelInfo

EXPORT_ENDINGS = (ONNX_ENDING, PACKAGE_ENDING)


def export_model(
    path: Path, generator: UNet | ResNet, info: ModelInfo, credits: Credits
) -> tuple[str, ...]:
    """Write a model's generator for other programs; return what their users have to know."""
    applied = deepcopy(generator).cpu().float().eval()
    if path.suffix.lower() == PACKAGE_ENDING:
        return export_package(path, applied, info, credits)
    return export_onnx(path, applied, info)
