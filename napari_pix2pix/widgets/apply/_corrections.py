"""The part of the Apply dock that learns from results which the user has corrected."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import KEY, mask_of, snapshot
from napari_pix2pix.training.events import Event, Step
from napari_pix2pix.widgets.apply._corrections_work import (
    CopiedResult,
    CorrectionRequest,
    Learned,
    MadeResult,
    joined,
    learn,
    like_target,
)
from napari_pix2pix.widgets.common.elements import (
    ProgressRow,
    Sentence,
    lay_out_column,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.forms import NumberBox
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.layer_choice import LayerChoice, is_image, is_mask, unwrapped
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import in_time_units, read_settings

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_pix2pix.widgets.apply._request import ApplyRequest

_MOST_BYTES = 2**28  # of a result that is kept as it was made
_STEPS = 150


class CorrectionsForm(QWidget):
    """Which result was corrected and where, and how long the model learns from it."""

    learned = Signal(object, object)  # a `ModelEntry` and the sources to apply it to
    ended = Signal(str, bool)  # a sentence, and whether it is an error

    def __init__(self) -> None:
        super().__init__()
        self._made: list[MadeResult] = []
        self._request: MadeResult | None = None  # what is being learned from
        self.result = LayerChoice(self._is_result, "apply the model first")
        self.result.setToolTip(
            "The result that you have corrected: paint in its labels, or change its pixels."
        )
        self.correction = LayerChoice(is_image, "in the result")
        self.correction.setToolTip(
            "Where the correct values are: in the result, which you edited, or in another layer of "
            "the same size."
        )
        self.where = LayerChoice(is_mask, "where edited")
        self.where.setToolTip(
            "The part to learn from: what differs from the model's result, with whole objects and "
            "a margin of 8 pixels, or the inside of a Labels or Shapes layer."
        )
        self.steps = NumberBox(integer=True)
        self.steps.setRange(1, 100_000)
        self.steps.setValue(_STEPS)
        self.steps.setToolTip("How long the model learns from the correction.")
        self.start = push_button(
            "Learn from this",
            "Train on, from this model, on what you corrected; then apply the new model again.",
        )
        self.stop = push_button("Stop", "End here, and apply what was learned so far.")
        self.progress = ProgressRow("Learning from a correction")
        self.error, self.status = Sentence(is_error=True), Sentence()
        self.runner = Runner(self)
        self._device = "auto"
        self._lay_out()
        self._connect()
        self._show_state()

    @property
    def running(self) -> bool:
        """Whether a model is learning."""
        return self.runner.running

    def remember(
        self,
        results: Sequence[Layer],
        groups: Sequence[Sequence[Layer]],
        request: ApplyRequest,
    ) -> None:
        """Keep results as they were made, to see later what was corrected in them.

        ``groups`` are the layers of each source, one or several that are its channels.
        """
        by_id = {str(group[0].unique_id): tuple(group) for group in groups if group}
        condition = request.options.condition
        by_source: dict[str, list[Layer]] = {}
        for layer in map(unwrapped, results):
            record = layer.metadata.get(KEY, {})
            if not record.get("shown"):
                by_source.setdefault(record.get("source_id", ""), []).append(layer)
        for source_id, layers in by_source.items():
            sources = by_id.get(source_id)
            size = sum(layer.data.nbytes for layer in layers)
            # A result may have replaced its source.
            if sources is None or size > _MOST_BYTES or any(one in sources for one in layers):
                continue
            self._made = [made for made in self._made if layers[0] not in made.layers]
            copy = CopiedResult([layer.data for layer in layers])
            self._made.append(
                MadeResult(tuple(layers), copy, sources, request.model, request.card, condition)
            )

    def offer(self, layers: Sequence[Any]) -> None:
        """Offer the layers of a viewer."""
        present = [unwrapped(layer) for layer in layers]
        self._made = [made for made in self._made if set(made.layers) <= set(present)]
        for choice in (self.result, self.correction, self.where):
            choice.offer(present)
        if self.result.layer is None and self._made:
            self.result.choose(self._made[-1].layers[0])
        self._show_state()

    def begin(self, device: str) -> None:
        """Learn from what is chosen; `learned` has the model.

        Raises
        ------
        InputError
            When nothing was corrected, or a model is learning.
        """
        if self.running:
            raise InputError("A model is learning: wait for the end, or stop it.")
        made, request = self._choices(device)
        self._request = made
        self.error.set_text("")
        self.status.set_text("")
        self.progress.begin("Preparing")
        folder = read_settings().autosave_folder
        self.runner.start(partial(learn, request=request, folder=folder))
        self._show_state()

    def close_work(self) -> None:
        """Stop, and wait for the end of the step in progress."""
        self.runner.close()
        self.progress.finish()

    def show_error(self, sentence: str) -> None:
        """Show why nothing can be learned."""
        self.error.set_text(sentence)

    def _choices(self, device: str) -> tuple[MadeResult, CorrectionRequest]:
        chosen = self.result.layer
        made = next((one for one in self._made if chosen in one.layers), None)
        if made is None or chosen is None:
            raise InputError(
                "Choose a result that a model made in this session: apply the model, correct the "
                "result, and then learn from it."
            )
        made.info.check_weights()
        corrected = self.correction.layer or chosen
        sources = tuple(snapshot(layer, copy="small") for layer in made.sources)
        mask = None if self.where.layer is None else mask_of(self.where.layer, sources[0])
        after = joined([(corrected if one is chosen else one).data for one in made.layers])
        before = made.copy.array
        if mask is None and after.shape == before.shape and np.array_equal(after, before):
            raise InputError(
                f"{corrected.name!r} is as the model made it: paint or edit it where it is wrong, "
                "and then learn from it."
            )
        request = CorrectionRequest(
            made.model,
            made.info,
            sources,
            like_target(before, made.info),
            like_target(after, made.info),
            mask,
            made.condition,
            int(self.steps.value()),
            device,
        )
        return made, request

    def _is_result(self, layer: Layer) -> bool:
        return any(layer in made.layers for made in self._made)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Step):
            left = f"step {event.step}, {in_time_units(event.seconds_left)} left"
            self.progress.show_part(event.progress, left)

    def _on_finished(self, learned: Learned | None) -> None:
        made = self._request
        assert made is not None
        self.progress.finish()
        self._show_state()
        if learned is None:
            self._end("Stopped before the first step: nothing was learned.")
            return
        entry = models().remember(learned.translator, learned.name, run=learned.run)
        kept = "Save it to keep it." if learned.run is None else "It is kept under Runs."
        self._end(f"{learned.name} has learned from the correction, and is applied. {kept}")
        self.learned.emit(entry, made.sources)

    def _on_failed(self, sentence: str) -> None:
        self.progress.finish()
        self._end(sentence, is_error=True)

    def _end(self, sentence: str, *, is_error: bool = False) -> None:
        self.error.set_text(sentence if is_error else "")
        self.status.set_text("" if is_error else sentence)
        self.ended.emit(sentence, is_error)

    def _show_state(self) -> None:
        self.start.setEnabled(not self.running and bool(self._made))
        self.stop.setEnabled(self.running and not self.runner.stopping)

    def _connect(self) -> None:
        self.stop.clicked.connect(self.runner.stop)
        self.runner.reported.connect(self._on_event)
        self.runner.finished.connect(self._on_finished)
        self.runner.failed.connect(self._on_failed)
        self.runner.ended.connect(self._show_state)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Result", self.result)
        form.addRow("Correction", self.correction)
        form.addRow("Where", self.where)
        form.addRow("Steps", self.steps)
        buttons = row_of(self.start, self.stop)
        lay_out_column(self, form, buttons, self.progress, self.status, self.error, spacing=4)
