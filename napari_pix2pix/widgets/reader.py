"""napari's reader of model files: a model that is dropped or opened is chosen in the Apply dock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_pix2pix.errors import Pix2PixError, own_errors
from napari_pix2pix.io.model_header import is_foreign, read_header
from napari_pix2pix.widgets.commands import open_dock

# What napari takes for: opened, and there is no layer to add.
_NO_LAYER = [(None,)]


def get_reader(path: str | list[str]) -> Callable[[Any], list[tuple[None]]] | None:
    """Return what opens a model file; None for several files, and for a file that is no model."""
    if isinstance(path, list) or not _is_model(Path(path)):
        return None
    return open_model


@own_errors()
def open_model(path: Any) -> list[tuple[None]]:
    """Choose a model file in the Apply dock of the viewer in front; it adds no layer."""
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        open_dock(viewer, "Apply").set_model(Path(path))
    return _NO_LAYER


def _is_model(path: Path) -> bool:
    """Whether a file looks like a model; of PyTorch's, only reading all of it tells."""
    try:
        with own_errors():
            if not is_foreign(path):
                read_header(path)
    except Pix2PixError:
        return False
    return True
