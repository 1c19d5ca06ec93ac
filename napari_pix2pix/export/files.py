"""`export_model`: the ending of a name chooses what is written for other programs."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.errors import InputError
from napari_pix2pix.export._onnx_model import export_onnx
from napari_pix2pix.export._package import ENDING as PACKAGE_ENDING
from napari_pix2pix.export._package import export_package
from napari_pix2pix.io.onnx_file import ENDING as ONNX_ENDING
from napari_pix2pix.training.model_info import ModelInfo

EXPORT_ENDINGS = (ONNX_ENDING, PACKAGE_ENDING)
_LICENCE = "CC-BY-4.0"  # of a package, where neither the caller nor the model names one


def export_model(path: Path, generator: UNet | ResNet, info: ModelInfo) -> tuple[str, ...]:
    """Write a model's generator for other programs; return what their users have to know."""
    applied = deepcopy(generator).cpu().float().eval()
    if path.suffix.lower() == PACKAGE_ENDING:
        licensed = info.with_texts({"licence": info.config.licence or _LICENCE})
        return export_package(path, applied, licensed)
    return export_onnx(path, applied, info)


def check_credits(path: Path, authors: str | None, licence: str | None) -> None:
    """Refuse authors and a licence for a file that has no place for them."""
    if path.suffix.lower() == PACKAGE_ENDING or (authors is None and licence is None):
        return
    raise InputError(
        f"Authors and a licence are for packages (.zip) alone, and {path.name} is none: leave them "
        "out. Translator.describe, or the command napari-pix2pix info, gives them to the model."
    )
