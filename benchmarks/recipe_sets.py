"""Sets of pairs on which recipes are compared: unseen are whole fields where there are several.

Two folders hold the images, and a set whose folder is missing is left out:

``NAPARI_PIX2PIX_DATA``
    The real pairs that the tests use: phase contrast -> fluorescence (Christiansen et al. 2018,
    Apache-2.0), nuclei -> labels (BBBC038, CC0), a time lapse of two channels (ImageJ, BSD-3) and a
    volume of nuclei (StarDist, BSD-3). Only its ``train`` folders are read.
``NAPARI_PIX2PIX_PUBLIC``
    The repository ``CellProfiler/examples`` (images CC0): ``ExampleFly`` and
    ``ExampleIlluminationCorrection``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_pix2pix.io.reading import read_image

Array = np.ndarray
_SIDES = ("source", "target")
Pairs = tuple[list[Array], list[Array]]  # sources and targets, one image each


@dataclass(frozen=True)
class RecipeSet:
    """A set of pairs: how to read its training and its unseen part, and how it is scored."""

    name: str
    kind: str
    score: str  # primary: "pearson", or "f1" for instances
    folder: str  # the environment variable that names the folder
    read: Callable[[Path], tuple[Pairs, Pairs]]  # training pairs, unseen pairs
    fields: dict[str, object] = field(default_factory=dict)  # of `train`

    def available(self) -> bool:
        """Whether the images are here."""
        return self.folder in os.environ

    def pairs(self) -> tuple[Pairs, Pairs]:
        """Read training pairs and unseen pairs."""
        return self.read(Path(os.environ[self.folder]))


def _image(path: Path, axes: str | None = None) -> Array:
    return np.asarray(read_image(path, axes).data)


def _phase(target: int) -> Callable[[Path], tuple[Pairs, Pairs]]:
    """13 planes of phase contrast to one stain; the right 192 columns unseen, a gap of 16."""

    def read(folder: Path) -> tuple[Pairs, Pairs]:
        folder = folder / "phase_to_fluorescence"
        source = _image(folder / "source_phase_ZYX.tif", "CYX")
        stain = _image(folder / "target_DAPI_MAP2_NFH_CYX.tif", "CYX")[target]
        edge = source.shape[-1] - 192
        train = [source[..., : edge - 16]], [stain[..., : edge - 16]]
        return train, ([source[..., edge:]], [stain[..., edge:]])

    return read


def _time_lapse(folder: Path) -> tuple[Pairs, Pairs]:
    """One channel of a dividing cell to the other; the last ten frames unseen, a gap of five."""
    folder = folder / "timelapse_two_channels"
    source, target = (_image(folder / f"{side}_TYX.tif", "TYX") for side in _SIDES)
    return ([source[:36]], [target[:36]]), (list(source[41:]), list(target[41:]))


@cache
def _nuclei(folder: Path, name: str) -> tuple[list[Array], list[Array]]:
    sides = (sorted((folder / name / "train" / side).iterdir()) for side in _SIDES)
    sources, targets = ([_image(path) for path in files] for files in sides)
    return sources, targets


def _every_fourth(sources: list[Array], targets: list[Array]) -> tuple[Pairs, Pairs]:
    """Leave every fourth image unseen."""
    kept = [number for number in range(len(sources)) if number % 4 != 3]
    unseen = range(3, len(sources), 4)
    train, test = (
        ([sources[i] for i in part], [targets[i] for i in part]) for part in (kept, unseen)
    )
    return train, test


def _labels(name: str) -> Callable[[Path], tuple[Pairs, Pairs]]:
    return lambda folder: _every_fourth(*_nuclei(folder, name))


def _labels_to_image(folder: Path) -> tuple[Pairs, Pairs]:
    images, labels = _nuclei(folder, "nuclei_fluorescence")
    return _every_fourth([(label > 0).astype(np.uint8) for label in labels], images)


def _noisy(images: list[Array]) -> list[Array]:
    """Return what a short exposure would show: one photon for ten grey levels, and read noise."""
    rng = np.random.default_rng(0)
    return [
        (10 * rng.poisson(image / 10) + rng.normal(10, 5, image.shape)).astype(np.float32)
        for image in images
    ]


def _denoising(folder: Path) -> tuple[Pairs, Pairs]:
    images = _nuclei(folder, "nuclei_fluorescence")[0]
    images = [image if image.ndim == 2 else image[..., 0] for image in images]
    return _every_fourth(_noisy(images), images)


def _volume(folder: Path) -> tuple[Pairs, Pairs]:
    """Planes of a volume to labels; the last eight planes unseen, a gap of two."""
    source, labels = (_image(folder / "volume_nuclei" / f"{s}_ZYX.tif", "ZYX") for s in _SIDES)
    return ([source[:21]], [labels[:21]]), (list(source[23:]), list(labels[23:]))


def _fly(target: str) -> Callable[[Path], tuple[Pairs, Pairs]]:
    """DNA to another stain of the same field; two fields to train on, the third unseen."""

    def read(folder: Path) -> tuple[Pairs, Pairs]:
        images = folder / "ExampleFly" / "images"
        fields = ["01_POS002", "01_POS218", "01_POS076"]
        sources, targets = (
            [_image(images / f"{name}_{stain}.TIF") for name in fields] for stain in ("D", target)
        )
        return (sources[:2], targets[:2]), (sources[2:], targets[2:])

    return read


def _restoration(folder: Path) -> tuple[Pairs, Pairs]:
    """Read defocused, noisy fields and the sharp ones: 18 to train on, 6 unseen."""
    images = folder / "ExampleIlluminationCorrection" / "images"
    sharp = [_image(path) for path in sorted(images.glob("AS_09047_*f00d2.TIF"))]
    return _every_fourth(
        _noisy([ndimage.gaussian_filter(i.astype(float), 2) for i in sharp]), sharp
    )


_DATA, _PUBLIC = "NAPARI_PIX2PIX_DATA", "NAPARI_PIX2PIX_PUBLIC"
_STACK = {"channel_axis": 0}
_OBJECTS = {"target_kind": "instances"}
SETS = (
    RecipeSet("phase -> DAPI", "transmitted light", "pearson", _DATA, _phase(0), _STACK),
    RecipeSet("phase -> MAP2", "transmitted light", "pearson", _DATA, _phase(1), _STACK),
    RecipeSet("two channels", "fluorescence", "pearson", _DATA, _time_lapse),
    RecipeSet("fly DNA -> F", "fluorescence", "pearson", _PUBLIC, _fly("F")),
    RecipeSet("fly DNA -> R", "fluorescence", "pearson", _PUBLIC, _fly("R")),
    RecipeSet("denoising", "restoration", "pearson", _DATA, _denoising),
    RecipeSet("deblurring", "restoration", "pearson", _PUBLIC, _restoration),
    RecipeSet("labels -> nuclei", "labels to image", "pearson", _DATA, _labels_to_image),
    RecipeSet("nuclei", "image to labels", "f1", _DATA, _labels("nuclei_fluorescence"), _OBJECTS),
    RecipeSet(
        "stained nuclei", "image to labels", "f1", _DATA, _labels("nuclei_histology"), _OBJECTS
    ),
    RecipeSet("volume by plane", "volume", "f1", _DATA, _volume, _OBJECTS),
)
