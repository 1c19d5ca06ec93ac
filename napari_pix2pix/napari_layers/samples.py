"""Sample data for napari's menu, from files that ``sample_data/draw.py`` generates.

Training source and target (512 x 512), an unseen source and, hidden, its truth (256 x 320) to the
right of them; 0.5 micrometer a pixel. A small model of each comes with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tifffile

_FOLDER = Path(__file__).parents[1] / "sample_data"
_PIXEL = 0.5  # micrometers
_GAP = 32  # pixels between the training pair and the unseen image next to it

LayerData = tuple[Any, dict[str, Any], str]
SampleName = Literal["stain_nuclei", "phase_fluorescence"]  # as in the manifest


@dataclass(frozen=True)
class Sample:
    """A pair to train on, and an unseen image with its truth: the names of their layers."""

    source: str
    target: str
    kind: str  # of the target's layers

    @property
    def train_source(self) -> str:
        """The layer to learn from."""
        return f"{self.source} train"

    @property
    def train_target(self) -> str:
        """The layer to learn to predict."""
        return f"{self.target} train"

    @property
    def unseen_source(self) -> str:
        """The layer to apply the model to."""
        return f"{self.source} unseen"

    @property
    def unseen_target(self) -> str:
        """The truth, to compare the prediction with."""
        return f"{self.target} unseen"

    @property
    def model(self) -> Path:
        """The file of a small model that was trained on the sample."""
        return _FOLDER / f"{self.source}_to_{self.target}.safetensors"

    def layers(self) -> list[LayerData]:
        """Read the layers; the unseen source comes last, so that napari selects it."""
        source, target = self._part("train", 0.0)
        left = (source[0].shape[1] + _GAP) * _PIXEL
        unseen, truth = self._part("unseen", left)
        truth[1]["visible"] = False
        return [source, target, truth, unseen]

    def _part(self, part: str, left: float) -> tuple[LayerData, LayerData]:
        """Read source and target of one part, which begins ``left`` micrometers to the right."""
        image = tifffile.imread(_FOLDER / f"{self.source}_{part}.tif")
        truth = tifffile.imread(_FOLDER / f"{self.source}_{part}_{self.target}.tif")
        geometry = {
            "scale": (_PIXEL, _PIXEL),
            "translate": (0.0, left),
            "units": ("micrometer", "micrometer"),
            "axis_labels": ("y", "x"),
        }
        rgb = {"rgb": True} if image.ndim == 3 else {}
        source = (image, {"name": f"{self.source} {part}", **rgb, **geometry}, "image")
        return source, (truth, {"name": f"{self.target} {part}", **geometry}, self.kind)


SAMPLES: dict[SampleName, Sample] = {
    "stain_nuclei": Sample("stain", "labels", "labels"),
    "phase_fluorescence": Sample("phase", "fluorescence", "image"),
}


def stain_nuclei() -> list[LayerData]:
    """Open a stained tissue (RGB, uint8) and the labels of its nuclei (uint16)."""
    return SAMPLES["stain_nuclei"].layers()


def phase_fluorescence() -> list[LayerData]:
    """Open phase contrast of cells and the fluorescence of their nuclei (both uint16)."""
    return SAMPLES["phase_fluorescence"].layers()
