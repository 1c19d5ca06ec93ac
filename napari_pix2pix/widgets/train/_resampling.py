"""Brings the targets of a pair to the pixels of its source, as new layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_pix2pix.errors import Pix2PixError
from napari_pix2pix.napari_layers import Snapshot, snapshot
from napari_pix2pix.napari_layers.matching import (
    resampled_data,
    resampled_layer,
    shows_same_field,
)
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.common.layer_choice import insert_inactive, unwrapped
from napari_pix2pix.widgets.common.runner import Runner, errors_in_words
from napari_pix2pix.widgets.train._pair_rows import PairChoice

if TYPE_CHECKING:
    import napari.viewer


def can_resample(choice: PairChoice) -> bool:
    """Whether all targets show the field of the source in other numbers of pixels."""
    try:
        with errors_in_words():
            source = snapshot(choice.sources[0], copy=False)
            targets = [snapshot(layer, copy=False) for layer in choice.targets]
    except Pix2PixError:
        return False
    return all(shows_same_field(target, source) for target in targets)


class TargetResampler(Runner):
    """Resamples targets in a thread, and adds them to the viewer."""

    resampled = Signal(int, object)  # the row of the pair, and its new target layers

    def __init__(self, parent: QWidget, viewer: napari.viewer.Viewer) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._row = 0
        self._source: Snapshot | None = None
        self._targets: list[Snapshot] = []
        self.finished.connect(self._on_finished)

    def resample(self, choice: PairChoice, row: int) -> None:
        """Resample the targets of a row; nothing while others are."""
        if self.running:
            return
        self._row = row
        source = self._source = snapshot(choice.sources[0], copy=False)
        targets = self._targets = [snapshot(layer, copy=False) for layer in choice.targets]

        def work(_control: Control) -> list[Any]:
            return [resampled_data(target.copied(), source) for target in targets]

        self.start(work)

    def _on_finished(self, data: list[Any]) -> None:
        source, layers = self._source, self._viewer.layers
        assert source is not None
        made = []
        for array, target in zip(data, self._targets, strict=True):
            layer = resampled_layer(array, target, source)
            insert_inactive(layers, len(layers), layer)
            made.append(unwrapped(layer))
        self.resampled.emit(self._row, made)
