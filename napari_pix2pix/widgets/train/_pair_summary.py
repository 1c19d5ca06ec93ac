"""What the dock shows of the chosen pairs before a run: a summary, and patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_pix2pix.data.codecs import picture
from napari_pix2pix.data.pair import Pair, stop_when
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.common.elements import Sentence, picture_label, push_button
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.train._file_choice import OpenSets

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

_COLUMNS = 6
_SIDE = 112  # pixels of a patch on the screen


@dataclass(frozen=True)
class PairSummary:
    """What a training on the chosen pairs would be."""

    text: str  # sizes and kinds of source and target, in words
    notes: tuple[str, ...]  # what the user should know
    config: TrainConfig  # with what the pairs decide, such as the kind of the target
    start_config: TrainConfig | None  # the defaults that the model to start from sets
    steps_per_epoch: int
    memory: int  # estimate of the memory on the device, in bytes


def summarise_pairs(
    control: Control,
    pairs: Sequence[Pair],
    config: TrainConfig,
    start: Translator | Path | None = None,
    held_out: Sequence[Pair] = (),
) -> PairSummary:
    """Prepare a training on pairs, only to describe it; done in a thread."""
    # These import torch, which the GUI thread must not wait for.
    from napari_pix2pix._train import open_pretrained
    from napari_pix2pix.inference.devices import choose_device, out_of_memory_in_words
    from napari_pix2pix.training.dataset import prepare
    from napari_pix2pix.training.hardware import training_memory

    choose_device(config.device)
    model = None if start is None else open_pretrained(start)
    config = config if model is None else model.fill(config)
    hint = "Close other programs, or crop the layers."
    with out_of_memory_in_words("reading the layers", hint), stop_when(lambda: control.stopped):
        data = prepare(pairs, config, held_out=held_out, start=model)
    return PairSummary(
        text=f"{data.summary[0].upper()}{data.summary[1:]}.",
        notes=data.notes,
        config=data.config,
        start_config=None if model is None else model.fill(TrainConfig()),
        steps_per_epoch=data.steps_per_epoch,
        memory=training_memory(data),
    )


def summarise_chosen(
    control: Control, chosen: OpenSets, config: TrainConfig, start: Translator | Path | None
) -> PairSummary:
    """Read what is chosen, and describe a training on it; done in a thread."""
    with stop_when(lambda: control.stopped):
        sets = chosen()
    return summarise_pairs(control, sets.train, config, start, sets.held_out)


@dataclass(frozen=True, eq=False)
class Patches:
    """Pictures of patches, (H, W, 3) uint8 each."""

    sources: tuple[np.ndarray, ...]
    targets: tuple[np.ndarray, ...]
    side: int


class PatchPreview(QDialog):
    """A window with patches as the network sees them, source above target; drawn in a thread."""

    def __init__(
        self,
        pairs: Sequence[Pair] | OpenSets,
        config: TrainConfig,
        start: Translator | Path | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Patches as the network sees them")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._pairs = pairs
        self._config = config
        self._start = start
        self._step = 0
        self.patches: Patches | None = None
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        self._message = Sentence()
        self._other = push_button("Other patches", "Draw the patches of another step.")
        layout = QVBoxLayout(self)
        layout.addLayout(self._grid)
        layout.addWidget(self._message)
        layout.addWidget(self._other)
        self._runner = Runner(self)
        self._runner.finished.connect(self._show)
        self._runner.failed.connect(self._message.set_text)
        self._runner.ended.connect(self._on_ended)
        self._other.clicked.connect(self.draw)
        self.finished.connect(self._on_closed)
        self.resize(_COLUMNS * (_SIDE + 4) + 60, 2 * _SIDE + 110)
        self.draw()

    def draw(self) -> None:
        """Draw the patches of the next step."""
        if self._runner.running:
            return
        self._other.setEnabled(False)
        self._message.set_text("Drawing patches ...")
        pairs, config, start, step = self._pairs, self._config, self._start, self._step
        self._runner.start(lambda control: _draw(pairs, config, start, step))
        self._step += 1

    def _on_ended(self) -> None:
        self._other.setEnabled(True)

    def _on_closed(self) -> None:
        self._runner.close()

    def _show(self, patches: Patches) -> None:
        self.patches = patches
        while (item := self._grid.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.deleteLater()
        rows = {"source": patches.sources, "target": patches.targets}
        for row, (title, pictures) in enumerate(rows.items()):
            self._grid.addWidget(QLabel(title), row, 0)
            for column, shown in enumerate(pictures):
                self._grid.addWidget(picture_label(shown, _SIDE), row, column + 1)
        side = patches.side
        self._message.set_text(
            f"{side} x {side} pixels each, turned, mirrored and jittered as in training."
        )


def _draw(
    pairs: Sequence[Pair] | OpenSets,
    config: TrainConfig,
    start: Translator | Path | None,
    step: int,
) -> Patches:
    from napari_pix2pix._train import open_pretrained
    from napari_pix2pix.training.dataset import prepare

    model = None if start is None else open_pretrained(start)
    config = config if model is None else model.fill(config)
    if callable(pairs):
        pairs = pairs().train
    data = prepare(pairs, config.model_copy(update={"batch": _COLUMNS}), start=model)
    batch = data.sampler.batch(step)
    return Patches(
        tuple(picture(planes, data.source_codec) for planes in batch.source),
        tuple(picture(planes, data.target_codec) for planes in batch.target),
        config.patch,
    )
