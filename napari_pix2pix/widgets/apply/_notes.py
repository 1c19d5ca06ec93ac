"""What the Apply dock says of chosen images beforehand: what a run costs, and what is unusual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_pix2pix.widgets.apply._checks import InputCheck, SpeedTrial, estimate, sizes_differ
from napari_pix2pix.widgets.apply._request import ApplyRequest, FormState, with_preferred_device
from napari_pix2pix.widgets.apply._view import ApplyView
from napari_pix2pix.widgets.apply._view_tiles import is_followed, why_memory_of_whole

if TYPE_CHECKING:
    from napari_pix2pix.data.lazy_image import LazyImage


class RunNotes(QObject):
    """Shows what a run will cost, and what is unusual about the chosen images."""

    outdated = Signal()  # more is known of the costs

    def __init__(self, view: ApplyView, parent: QObject) -> None:
        super().__init__(parent)
        self._view = view
        self._trial = SpeedTrial(self)
        self._input_check = InputCheck(self)
        self._trial.found.connect(self.outdated)
        self._input_check.found.connect(view.note.set_text)

    def show(
        self, request: ApplyRequest, planes: Sequence[LazyImage], measured: float | None
    ) -> None:
        """Describe a run; ``measured`` are pixels per second and pass of the model's last run."""
        options, card, view = request.options, request.card, self._view
        self._input_check.check(card, planes, options)
        if request.follows_view:
            view.estimate.set_text("Tiles are translated where you look, and only there.")
            return
        costs = (
            estimate(
                card,
                request.jobs,
                planes,
                options,
                measured=measured,
                trial=self._trial.speed(request.model),
                tile=0 if view.options.whole else options.tile,
                quantiles=len(request.quantiles),
                in_tiles=is_followed(request, planes),
            ),
            why_memory_of_whole(request, planes),
        )
        view.estimate.set_text(" ".join(filter(None, costs)))
        view.resample.setVisible(any(sizes_differ(card, image, options) for image in planes))

    def clear(self) -> None:
        """Say nothing, where no run can begin."""
        self._view.estimate.set_text("")
        self._view.note.set_text("")
        self._view.resample.hide()
        self._input_check.forget()

    def try_speed(self, state: FormState) -> None:
        """Measure the speed of a model in memory, or of a file that the user chose."""
        model, card = state.model, state.card
        if model is None or card is None or not card.channels:
            return
        if model.translator is not None or self._view.picker.chosen:
            self._trial.begin(model, with_preferred_device(state.options, card).device)

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self._trial.close()
        self._input_check.close()
