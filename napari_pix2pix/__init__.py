"""Learn a translation between images of the same field from pairs, and apply it to new ones.

The public names are imported when they are first used, so that napari can read the plugin's
manifest and build its menus without waiting for PyTorch.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_pix2pix._convert import convert
    from napari_pix2pix._list_models import list_models
    from napari_pix2pix._load import load
    from napari_pix2pix._train import train
    from napari_pix2pix.data.pair import Pair
    from napari_pix2pix.errors import Pix2PixError
    from napari_pix2pix.evaluation.evaluate import evaluate
    from napari_pix2pix.training.config import TrainConfig
    from napari_pix2pix.translator import Translator

# OpenMP's threads sleep while they wait for work. By default they spin: beside another program a
# training step then takes three times as long (docs/decisions/053-threads-and-freed-memory.md).
# torch reads this once, when it is loaded; what the user has set stays.
if "torch" not in sys.modules:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

__all__ = [
    "Pair",
    "Pix2PixError",
    "TrainConfig",
    "Translator",
    "__version__",
    "convert",
    "evaluate",
    "list_models",
    "load",
    "train",
]

_HOMES = {
    "Pair": "data.pair",
    "Pix2PixError": "errors",
    "TrainConfig": "training.config",
    "Translator": "translator",
    "convert": "_convert",
    "evaluate": "evaluation.evaluate",
    "list_models": "_list_models",
    "load": "_load",
    "train": "_train",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
