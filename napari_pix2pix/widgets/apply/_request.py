"""From what is chosen in the Apply dock to images for a model: which frames, which part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.resampled import resample_image
from napari_pix2pix.inference.uncertainty import parse_quantiles
from napari_pix2pix.napari_layers import (
    CopyMode,
    of_channel,
    result_name,
    result_record,
    snapshot,
    visible_region,
    with_model_channels,
)
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply.work import Job
from napari_pix2pix.widgets.common.known_models import NO_MODEL, ModelEntry
from napari_pix2pix.widgets.common.result_layers import ResultSpec, results_of
from napari_pix2pix.widgets.common.settings import read_settings

if TYPE_CHECKING:
    import napari.viewer


def make_job(
    viewer: napari.viewer.Viewer,
    layers: Sequence[Any],
    card: ModelInfo,
    *,
    condition: Any = None,
    current_frame: bool = False,
    visible_only: bool = False,
    copy: CopyMode = "small",
) -> tuple[Job, LazyImage]:
    """Return the job of a layer, or of its channels, and its image; raises `InputError`."""
    codec = card.source_codec
    taken = with_model_channels([snapshot(layer, copy=copy) for layer in layers], codec.layout)
    job = Job(taken, [])
    planes = job.planes(codec, card.config.z_context, card.config.ndim)
    view = view_of(viewer, layers[0])
    if visible_only and not view.pixels:
        raise InputError(
            f"{layers[0].name!r} is out of view: move it into view, or translate all of it."
        )
    frames = list(range(planes.frames))
    if current_frame:
        frames = frames_in_view(viewer, layers[0], taken[0].channel_axis, planes.frame_shape)
    # Results of earlier runs with the same condition are continued.
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
        [int(np.ravel_multi_index(frame, frame_shape)) for frame in product(*shown)]
        if shown
        else [0]
    )


def why_whole(card: ModelInfo, options: PredictOptions, *, replaces: bool) -> str:
    """Say why a model translates whole frames only, and no tiles where the user looks; else ""."""
    if card.config.ndim == 3:
        return "3D can't translate tile by tile where you look yet."
    per_image = options.norm_statistics != "running"
    if card.config.norm not in ("batch", "none") or per_image:
        return "The norms measure the whole image, so no tile is translated alone."
    if card.target_codec.kind == "instances":
        return "Objects get their numbers on the whole image, so no tile is translated alone."
    if options.samples > 1:
        return "Mean and deviation of samples are not made tile by tile."
    return "A result that grows where you look replaces no source." if replaces else ""


def with_preferred_device(options: PredictOptions, card: ModelInfo | None) -> PredictOptions:
    """Fill in the preferred device; looked up late, since napari reads all manifests for it."""
    if card is not None and card.engine != "torch":
        return options  # it runs where it can
    preferred = read_settings().device
    if options.device is not None or preferred == "auto":
        return options
    return options.model_copy(update={"device": preferred})


@dataclass(frozen=True, eq=False)
class FormState:
    """What is chosen in the dock."""

    model: ModelEntry | None
    card: ModelInfo | None  # of the model
    groups: Sequence[list[Any]]  # one a result: a layer, or the layers that are its channels
    by_channel: bool  # whether each channel is a layer of its own
    options: PredictOptions
    current_frame: bool  # only the frames that are shown
    visible_only: bool  # only the part in view
    follows_view: bool  # tile by tile where the user looks from now on
    replaces: bool  # whether results replace their sources
    quantiles: str = ""  # of several samples, such as "q5,q95"

    def request(
        self, viewer: napari.viewer.Viewer, *, copy: CopyMode
    ) -> tuple[ApplyRequest, list[LazyImage]]:
        """Return what is to be done and the opened images; raises `InputError` if it can't be."""
        model, card = self.model, self.card
        if model is None or card is None:
            raise InputError(NO_MODEL)
        self._check_samples(card)
        quantiles = parse_quantiles(self.quantiles) if self.options.samples > 1 else ()
        if self.follows_view and (reason := why_whole(card, self.options, replaces=self.replaces)):
            raise InputError(f"{reason} Choose all of it, or what is in view.")
        if not self.groups:
            raise InputError(
                f"Choose a layer for each of the {card.channels} channels that the model takes."
                if self.by_channel
                else "Choose the layers to translate."
            )
        jobs = [
            make_job(
                viewer,
                group,
                card,
                condition=self.options.condition,
                current_frame=self.current_frame,
                visible_only=self.visible_only,
                copy=copy,
            )
            for group in self.groups
        ]
        if self.options.resample:
            for _, image in jobs:
                resample_image(image, self.options, card.made_for.pixel_size, card.source_codec)
        request = ApplyRequest(
            model=model,
            card=card,
            sources=[group[0] for group in self.groups],
            jobs=[job for job, _ in jobs],
            options=self.options,
            replaces=self.replaces,
            follows_view=self.follows_view,
            quantiles=quantiles,
        )
        return request, [image for _, image in jobs]

    def _check_samples(self, card: ModelInfo) -> None:
        if self.replaces and card.splits_output:
            raise InputError(
                f"The model makes {card.outputs} layers, which replace none: untick Replace the "
                "source."
            )
        if self.options.samples == 1:
            return
        varies = self.options.dropout or card.config.noise_channels
        if self.options.samples > self.options.turns and not varies:
            raise InputError(
                f"Some of the {self.options.samples} samples would be the same: tick dropout, or "
                "take 8 turns and 8 samples."
            )
        if self.replaces:
            raise InputError(
                "Mean and deviation of samples are several layers and replace none: untick Replace "
                "the source, or untick Uncertainty and take 1 sample."
            )


@dataclass(frozen=True, eq=False)
class ApplyRequest:
    """What is to be done."""

    model: ModelEntry
    card: ModelInfo  # of the model
    sources: Sequence[Any]  # a layer for each job; of several channels the first
    jobs: Sequence[Job]
    options: PredictOptions
    replaces: bool  # whether results replace their sources
    follows_view: bool = False  # whether tiles are translated where the user looks
    quantiles: tuple[float, ...] = ()  # levels from 0 to 1, which are layers of several samples

    def result_specs(self, number: int, shown: str, digest: str) -> list[ResultSpec]:
        """Describe the layers of a result before they are there; ``shown`` as in a `Progress`.

        Where the targets of the training were a layer each, there is one for each channel.
        """
        job = self.jobs[number]
        given = np.result_type(*(source.data.dtype for source in job.sources))
        record = result_record(
            job.sources,
            model=self.model.name,
            digest=digest,
            weights=self.card.applied,
            condition=self.options.condition,
            trained_on=self.card.summary,
            scores=self.card.scores_by_side,
            channel_names=self.card.output_names(self.options.condition),
            samples=self.options.samples,
            shown=shown,
        )
        records = [record]
        if self.card.splits_output:
            records = [of_channel(record, channel) for channel in range(self.card.outputs)]
        return [
            ResultSpec(
                self.sources[number],
                job.sources[0],
                self.card.output_codec(given),
                result_name(one),
                one,
                self.card.output_looks(self.options.condition),
                is_part=job.region is not None,
            )
            for one in records
        ]
