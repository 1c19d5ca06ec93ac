"""Models that were trained elsewhere than in the Train dock are kept like its own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pix2pix.errors import FileError
from napari_pix2pix.widgets.runs.records import KeptRun

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


def keep_model(translator: Translator, folder: Path, name: str) -> Path | None:
    """Write a model and its record into the folder of runs; None where that can't be written.

    It takes as long as the model is large: call it in the thread that trained the model.
    """
    run = KeptRun.new(folder, name=name, rows=[], fields={})
    try:
        run.write(translator)
        run.mark("ended")
    except FileError:
        with suppress(OSError):
            run.path.unlink()
        return None
    return run.path
