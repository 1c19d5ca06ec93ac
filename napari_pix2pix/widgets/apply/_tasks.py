"""What the Apply dock does besides translating layers: maps of a layer, and images of noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.napari_layers import (
    discriminator_layer,
    generated_layer,
    generated_layers,
    result_record,
    unlikeness_layer,
)
from napari_pix2pix.widgets.apply._discriminator_map import compute_map, map_request
from napari_pix2pix.widgets.apply._forms import GenerateForm, GenerateProgress, generate
from napari_pix2pix.widgets.apply._request import FormState, with_preferred_device
from napari_pix2pix.widgets.apply._run import NewLayer
from napari_pix2pix.widgets.apply._unlikeness_map import compare_with_training
from napari_pix2pix.widgets.common.known_models import NO_MODEL
from napari_pix2pix.widgets.common.legend import DISCRIMINATOR_MAP, UNLIKENESS_MAP, Meaning
from napari_pix2pix.widgets.common.runner import Runner, Work

if TYPE_CHECKING:
    import napari.viewer


class ExtraTask(QObject):
    """Does work in a thread and adds its result as a layer, or one for each channel."""

    began = Signal(str)  # what is being done
    progressed = Signal(float, str)  # the progress from 0 to 1, and as text
    # a list of `NewLayer`, and the `Meaning` of their colours or None
    added = Signal(object, object)
    ended = Signal(str, bool)  # a sentence, and whether it is an error

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._make: Callable[[Any], list[Any]] | None = None
        self._message = ""
        self._meaning: Meaning | None = None
        self.runner = Runner(self, latest=(GenerateProgress,))
        self.runner.reported.connect(self._take)
        self.runner.finished.connect(self._finish)
        self.runner.failed.connect(self._fail)

    def map_discriminator(self, state: FormState) -> None:
        """Show where a layer looks false to the discriminator; raises `InputError` without one."""
        model, card = state.model, state.card
        if model is None or card is None:
            raise InputError(NO_MODEL)
        has_source = bool(card.channels)
        request = map_request(
            self._viewer, state.groups, state.options.condition, has_source=has_source
        )
        device = with_preferred_device(state.options, card).device
        self._start(
            "Judging",
            lambda control: compute_map(control, model, request, device),
            lambda logits: [discriminator_layer(logits, request.prediction[0])],
            "Done. Green looks real to the discriminator, pink looks false.",
            DISCRIMINATOR_MAP,
        )

    def map_unlikeness(self, state: FormState) -> None:
        """Show where an image is unlike the training's; raises `InputError` if it does not fit."""
        request, _ = state.request(self._viewer, copy="small")
        if len(request.jobs) != 1:
            raise InputError("Choose one image under Layers, to show where it is unlike.")
        [job] = request.jobs
        options = with_preferred_device(request.options, request.card)
        self._start(
            "Comparing",
            lambda control: compare_with_training(control, request.model, job, options),
            lambda values: [unlikeness_layer(values, job.sources[0])],
            "Done. 1 is above 99 % of the training images, and is orange; yellow is far above.",
            UNLIKENESS_MAP,
        )

    def generate(self, state: FormState, form: GenerateForm) -> None:
        """Let a model that takes no source make images of noise and the condition."""
        model, card = state.model, state.card
        assert model is not None
        assert card is not None
        device = with_preferred_device(PredictOptions(), card).device
        request = form.request(state.options.condition, device)

        def make(result: tuple[np.ndarray, str]) -> list[Any]:
            images, digest = result
            record = result_record(
                [],
                model=model.name,
                digest=digest,
                weights=card.applied,
                condition=request.condition,
                trained_on=card.summary,
                scores=card.scores_by_side,
                channel_names=card.output_names(request.condition),
                samples=len(images),
            )
            looks = card.output_looks(request.condition)
            if card.splits_output:
                return generated_layers(images, card.target_codec, record, looks)
            return [generated_layer(images, card.target_codec, record, looks)]

        self._start("Generating", lambda control: generate(control, model, request), make, "Done.")

    def _start(
        self,
        text: str,
        work: Work,
        make: Callable[[Any], list[Any]],  # turns the result into layers, in the main thread
        message: str,
        meaning: Meaning | None = None,  # of the colours of the layers that are made
    ) -> None:
        self._make, self._message, self._meaning = make, message, meaning
        self.began.emit(text)
        self.runner.start(work)

    def _take(self, made: GenerateProgress) -> None:
        part = made.done / made.total
        self.progressed.emit(part, f"{part:.0%}")

    def _finish(self, result: Any) -> None:
        assert self._make is not None
        if result is None:
            self.ended.emit("Cancelled.", False)
            return
        added = [NewLayer(self._viewer, layer) for layer in self._make(result)]
        self.added.emit(added, self._meaning)
        self.ended.emit(self._message, False)

    def _fail(self, sentence: str) -> None:
        self.ended.emit(sentence, True)
