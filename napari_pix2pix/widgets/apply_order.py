"""From what is chosen in the Apply dock to what is to be done."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.errors import InputError
from napari_pix2pix.layers import Copy, result_name, result_record
from napari_pix2pix.translation.options import CallOptions
from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.apply_jobs import make_job
from napari_pix2pix.widgets.apply_work import Job
from napari_pix2pix.widgets.in_place import Made
from napari_pix2pix.widgets.models import KnownModel

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.pairs.planes import Planes


@dataclass(frozen=True, eq=False)
class Choices:
    """What is chosen in the dock.

    Attributes
    ----------
    model : KnownModel or None
    card : Card or None
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

    model: KnownModel | None
    card: Card | None
    groups: Sequence[list[Any]]
    by_channel: bool
    condition: Hashable
    options: CallOptions
    current_frame: bool
    visible_only: bool
    replaces: bool

    def order(self, viewer: napari.viewer.Viewer, *, copy: Copy) -> tuple[Order, list[Planes]]:
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
        order = Order(
            model=model,
            card=card,
            sources=[group[0] for group in self.groups],
            jobs=[job for job, _ in made],
            condition=self.condition,
            options=self.options,
            replaces=self.replaces,
        )
        return order, [planes for _, planes in made]

    def _check_samples(self, card: Card) -> None:
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
class Order:
    """What is to be done.

    Attributes
    ----------
    model : KnownModel
    card : Card
        Of the model.
    sources : sequence of Layer
        One a job; of several channels the first.
    jobs : sequence of Job
    condition, options
        As a `Translator` is called with.
    replaces : bool
        Whether results take the places of their sources.
    """

    model: KnownModel
    card: Card
    sources: Sequence[Any]
    jobs: Sequence[Job]
    condition: Hashable
    options: CallOptions
    replaces: bool

    def made(self, number: int, shown: str, digest: str) -> Made:
        """Say what a result of a job will be; ``shown`` as in a `Progress`."""
        job = self.jobs[number]
        given = np.result_type(*(source.data.dtype for source in job.sources))
        record = result_record(
            job.sources,
            model=self.model.name,
            digest=digest,
            condition=self.condition,
            trained_on=self.card.summary,
            scores=self.card.scores,
            samples=self.options.samples,
            shown=shown,
        )
        return Made(
            self.sources[number],
            job.sources[0],
            self.card.makes(given),
            result_name(record),
            record,
            self.model.look,
            is_part=job.region is not None,
        )
