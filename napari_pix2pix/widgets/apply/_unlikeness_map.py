"""The unlikeness map of the chosen image: the work in a thread."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.apply._forms import GenerateProgress
from napari_pix2pix.widgets.apply.work import Job, load_known
from napari_pix2pix.widgets.common.known_models import ModelEntry


def compare_with_training(
    control: Control, known: ModelEntry, job: Job, options: PredictOptions
) -> Generator[GenerateProgress, None, np.ndarray | None]:
    """Compare frame by frame, and yield the progress; returns (..., H, W), or None if stopped."""
    from napari_pix2pix.inference.unlikeness import map_options  # loads torch, in the thread

    translator = known.with_its_weights(load_known(known))
    translator.info.check_usual()
    image = job.copied().planes(translator.source_codec, translator.z_context, translator.ndim)
    own = translator.detached_copy()  # another dock may use the model meanwhile
    image, plain = own.as_computed(image, options), map_options(options)
    cells = []
    for frame in range(image.frames):
        for tile in own.predict(image, plain, frames=[frame], decoded=False):
            if control.stopped:
                return None
            if tile.cells is not None:
                cells.append(tile.cells)
        yield GenerateProgress(frame + 1, image.frames)
    return translator.show_cells(cells, image)
