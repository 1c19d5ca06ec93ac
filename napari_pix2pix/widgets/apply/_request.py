"""From what is chosen in the Apply dock to images for a model: which frames, which part."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.resampled import resample_image
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
from napari_pix2pix.widgets.apply._view import ApplyView
from napari_pix2pix.widgets.apply.work import Job
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.model_dock import ModelDock
from napari_pix2pix.widgets.common.result_layers import ResultSpec, results_of

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.data.lazy_image import LazyImage


_IN_VIEW, _FOLLOWED = 1, 2  # entries of the list of parts


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

    def request(
        self, viewer: napari.viewer.Viewer, *, copy: CopyMode
    ) -> tuple[ApplyRequest, list[LazyImage]]:
        """Return what is to be done and the opened images; raises `InputError` if it can't be."""
        model, card = self.model, self.card
        if model is None or card is None:
            raise InputError("Choose a model that can be read: train one, or open a file.")
        self._check_samples(card)
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
                "Mean and deviation of samples are two layers and replace none: untick Replace "
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


class ApplyChoices(ModelDock):
    """What is chosen in the Apply dock; all that the mouse can choose is a property here."""

    _view: ApplyView

    @property
    def model(self) -> ModelEntry | None:
        """The model; None where there is none or its file can't be read."""
        return self._view.picker.model

    def set_model(self, model: Any) -> None:
        """Choose a `ModelEntry`, the path of a file, or a `Translator`."""
        if hasattr(model, "predict_frame"):
            known = [entry for entry in models().known() if entry.translator is model]
            model = known[0] if known else models().remember(model, "model")
        self._view.picker.choose(model)

    @property
    def card(self) -> ModelInfo | None:
        """What the model is."""
        return self._view.picker.info

    @property
    def layers(self) -> list[list[Any]]:
        """One list a result: a layer, or the layers that are its channels."""
        return self._view.layers.groups

    def set_layers(self, layers: Sequence[Any], *, by_channel: bool = False) -> None:
        """Choose the layers to translate, or with ``by_channel`` the channels of one image."""
        self._view.layers.choose(layers, by_channel=by_channel)

    @property
    def condition(self) -> Hashable:
        """The condition; None for a model without any."""
        return self._view.condition.value

    @condition.setter
    def condition(self, value: Hashable) -> None:
        self._view.condition.choose(value)

    @property
    def current_frame(self) -> bool:
        """Whether only the frames that are shown are translated."""
        return bool(self._view.frames.currentData())

    @current_frame.setter
    def current_frame(self, value: bool) -> None:
        self._view.frames.setCurrentIndex(int(value))

    @property
    def visible_only(self) -> bool:
        """Whether only the part in view is translated."""
        return bool(self._view.part.currentData() == _IN_VIEW)

    @visible_only.setter
    def visible_only(self, value: bool) -> None:
        self._view.part.setCurrentIndex(int(value))

    @property
    def follows_view(self) -> bool:
        """Whether tiles are translated where the user looks from now on, and only there."""
        return bool(self._view.part.currentData() == _FOLLOWED)

    @follows_view.setter
    def follows_view(self, value: bool) -> None:
        self._view.part.setCurrentIndex(_FOLLOWED if value else 0)

    @property
    def replaces(self) -> bool:
        """Whether results take the places of their sources."""
        return self._view.replaces.isChecked()

    @replaces.setter
    def replaces(self, value: bool) -> None:
        self._view.replaces.setChecked(value)

    @property
    def shows_uncertainty(self) -> bool:
        """Whether several samples are drawn, and their deviation is shown over their mean."""
        return self._view.uncertainty.isEnabled() and self._view.uncertainty.isChecked()

    @shows_uncertainty.setter
    def shows_uncertainty(self, value: bool) -> None:
        if value and not self._view.uncertainty.isEnabled():
            raise InputError(self._view.uncertainty.toolTip())
        self._view.uncertainty.setChecked(value)

    @property
    def options(self) -> PredictOptions:
        """The advanced options."""
        return self._view.options.options()

    @options.setter
    def options(self, value: PredictOptions) -> None:
        self._view.options.set_options(value)
