"""Sample data for napari's menu, from files that ``sample_data/draw.py`` generates.

Training source and target (512 x 512), an unseen source and, hidden, its truth (256 x 320) to the
right of them; 0.5 micrometer a pixel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tifffile

_FOLDER = Path(__file__).parents[1] / "sample_data"
_PIXEL = 0.5  # micrometers
_GAP = 32  # pixels between the training pair and the unseen image next to it

LayerData = tuple[Any, dict[str, Any], str]


def stain_nuclei() -> list[LayerData]:
    """Open a stained tissue (RGB, uint8) and the labels of its nuclei (uint16)."""
    return _layers("stain", "labels", "labels")


def phase_fluorescence() -> list[LayerData]:
    """Open phase contrast of cells and the fluorescence of their nuclei (both uint16)."""
    return _layers("phase", "fluorescence", "image")


def _layers(source: str, target: str, kind: str) -> list[LayerData]:
    layers: list[LayerData] = []
    shift = 0.0
    for part in ("train", "unseen"):
        image = tifffile.imread(_FOLDER / f"{source}_{part}.tif")
        truth = tifffile.imread(_FOLDER / f"{source}_{part}_{target}.tif")
        geometry = {
            "scale": (_PIXEL, _PIXEL),
            "translate": (0.0, shift),
            "units": ("micrometer", "micrometer"),
            "axis_labels": ("y", "x"),
        }
        rgb = {"rgb": True} if image.ndim == 3 else {}
        layers.append((image, {"name": f"{source} {part}", **rgb, **geometry}, "image"))
        shown = {"name": f"{target} {part}", "visible": part == "train"}
        layers.append((truth, shown | geometry, kind))
        shift += (image.shape[1] + _GAP) * _PIXEL
    return layers
