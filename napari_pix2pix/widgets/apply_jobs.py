"""From layers in a viewer to images for a model: which frames, which part, what is in view."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.errors import InputError
from napari_pix2pix.layers import Copy, as_trained, snapshot, visible_region
from napari_pix2pix.pairs.planes import Planes
from napari_pix2pix.translation.tiles import Box
from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.apply_work import Job
from napari_pix2pix.widgets.in_place import results_of

if TYPE_CHECKING:
    import napari.viewer


def make_job(
    viewer: napari.viewer.Viewer,
    layers: Sequence[Any],
    card: Card,
    *,
    condition: Any = None,
    current_frame: bool = False,
    visible_only: bool = False,
    copy: Copy = "small",
) -> tuple[Job, Planes]:
    """Make an image of a layer, or of several that are its channels.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the layers are.
    layers : sequence of Image or Labels
    card : Card
        Of the model.
    condition : hashable, optional
        What results of earlier runs were made with.
    current_frame, visible_only : bool
        Only what the viewer shows.
    copy : bool or "small"
        As in `snapshot`.

    Returns
    -------
    job : Job
    planes : Planes
        The image, opened.

    Raises
    ------
    InputError
        When the model does not take it, or nothing of it is in view.
    """
    codec = card.source_codec
    taken = as_trained([snapshot(layer, copy=copy) for layer in layers], codec.layout)
    job = Job(taken, [])
    planes = job.planes(codec, card.config.z_context)
    view = view_of(viewer, layers[0])
    if visible_only and not view.pixels:
        raise InputError(
            f"{layers[0].name!r} is out of view: move it into view, or translate all of it."
        )
    frames = list(range(planes.frames))
    if current_frame:
        frames = frames_in_view(viewer, layers[0], taken[0].channel_axis, planes.frame_shape)
    before = results_of(viewer, layers[0], condition, card.target_codec)
    return Job(taken, frames, view if visible_only else None, view, before), planes


def view_of(viewer: napari.viewer.Viewer, layer: Any) -> Box:
    """Return the part of a layer's frames that is in view; empty where none is."""
    rows, columns = visible_region(viewer, layer)
    return Box(
        rows.start, max(rows.start, rows.stop), columns.start, max(columns.start, columns.stop)
    )


def frames_in_view(
    viewer: napari.viewer.Viewer,
    layer: Any,
    channel_axis: int | None,
    frame_shape: tuple[int, ...],
) -> list[int]:
    """List the frames that are shown: one on each slider, all along axes that are displayed."""
    point = np.asarray(layer.world_to_data(viewer.dims.point), float)[-layer.ndim :]
    displayed = [axis - viewer.dims.ndim for axis in viewer.dims.displayed]
    axes = [axis - layer.ndim for axis in range(layer.ndim) if axis - layer.ndim != channel_axis]
    shown = []
    for axis, length in zip(axes, frame_shape, strict=False):
        here = int(np.clip(round(point[axis]), 0, length - 1))
        shown.append(range(length) if axis in displayed else [here])
    return (
        [int(np.ravel_multi_index(one, frame_shape)) for one in product(*shown)] if shown else [0]
    )
