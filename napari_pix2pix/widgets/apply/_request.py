"""From layers in a viewer to images for a model: which frames, which part, what is in view.

From what is chosen in the Apply dock to what is to be done.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import CallOptions
from napari_pix2pix.inference.tiling import Box
from napari_pix2pix.napari_layers import (
    Copy,
    as_trained,
    result_name,
    result_record,
    snapshot,
    visible_region,
)
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply.work import Job
from napari_pix2pix.widgets.common.known_models import ModelEntry
from napari_pix2pix.widgets.common.result_layers import ResultSpec, results_of

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.data.lazy_image import LazyImage


def make_job(
    viewer: napari.viewer.Viewer,
    layers: Sequence[Any],
    card: ModelInfo,
    *,
    condition: Any = None,
    current_frame: bool = False,
    visible_only: bool = False,
    copy: Copy = "small",
) -> tuple[Job, LazyImage]:
    """Make an image of a layer, or of several that are its channels.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the layers are.
    layers : sequence of Image or Labels
    card : ModelInfo
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


@dataclass(frozen=True, eq=False)
class FormState:
    """What is chosen in the dock.

    Attributes
    ----------
    model : KnownModel or None
    card : ModelInfo or None
        Of the model.
    groups : sequence of lists of layers
        One a result: a layer, or the layers that are its channels.
    by_channel : bool
        Whether each channel is a layer of its own.
    condition, options
        As a `Translator` is called with.
    current_frame, visible_only : bool
        Whether only what is shown is translated.
    replaces : bool
        Whether results take the places of their sources.
    """

    model: ModelEntry | None
    card: ModelInfo | None
    groups: Sequence[list[Any]]
    by_channel: bool
    condition: Hashable
    options: CallOptions
    current_frame: bool
    visible_only: bool
    replaces: bool

    def order(
        self, viewer: napari.viewer.Viewer, *, copy: Copy
    ) -> tuple[ApplyRequest, list[LazyImage]]:
        """Say what is to be done, and open the images.

        Parameters
        ----------
        viewer : napari.viewer.Viewer
        copy : bool or "small"
            As in `snapshot`.

        Raises
        ------
        InputError
            When it can't be done.
        """
        model, card = self.model, self.card
        if model is None or card is None:
            raise InputError("Choose a model that can be read: train one, or open a file.")
        self._check_samples(card)
        if not self.groups:
            raise InputError(
                f"Choose a layer for each of the {card.channels} channels that the model takes."
                if self.by_channel
                else "Choose the layers to translate."
            )
        made = [
            make_job(
                viewer,
                group,
                card,
                condition=self.condition,
                current_frame=self.current_frame,
                visible_only=self.visible_only,
                copy=copy,
            )
            for group in self.groups
        ]
        order = ApplyRequest(
            model=model,
            card=card,
            sources=[group[0] for group in self.groups],
            jobs=[job for job, _ in made],
            condition=self.condition,
            options=self.options,
            replaces=self.replaces,
        )
        return order, [planes for _, planes in made]

    def _check_samples(self, card: ModelInfo) -> None:
        if self.options.samples == 1:
            return
        if not (self.options.dropout or card.config.noise_channels):
            raise InputError(
                f"All {self.options.samples} samples would be the same: tick dropout as well."
            )
        if self.replaces:
            raise InputError(
                "Mean and deviation of samples are two layers and replace none: untick Replace "
                "the source, or take 1 sample."
            )


@dataclass(frozen=True, eq=False)
class ApplyRequest:
    """What is to be done.

    Attributes
    ----------
    model : KnownModel
    card : ModelInfo
        Of the model.
    sources : sequence of Layer
        One a job; of several channels the first.
    jobs : sequence of Job
    condition, options
        As a `Translator` is called with.
    replaces : bool
        Whether results take the places of their sources.
    """

    model: ModelEntry
    card: ModelInfo
    sources: Sequence[Any]
    jobs: Sequence[Job]
    condition: Hashable
    options: CallOptions
    replaces: bool

    def made(self, number: int, shown: str, digest: str) -> ResultSpec:
        """Say what a result of a job will be; ``shown`` as in a `Progress`."""
        job = self.jobs[number]
        given = np.result_type(*(source.data.dtype for source in job.sources))
        record = result_record(
            job.sources,
            model=self.model.name,
            digest=digest,
            condition=self.condition,
            trained_on=self.card.summary,
            scores=self.card.scores_by_side,
            samples=self.options.samples,
            shown=shown,
        )
        return ResultSpec(
            self.sources[number],
            job.sources[0],
            self.card.output_codec(given),
            result_name(record),
            record,
            self.model.look,
            is_part=job.region is not None,
        )
