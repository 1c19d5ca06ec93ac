"""A window with patches as the network will see them: source above target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pix2pix.data.codecs import picture
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.widgets.common.elements import Sentence, picture_label
from napari_pix2pix.widgets.common.runner import Runner

_COLUMNS = 6
_SIDE = 112  # pixels of a patch on the screen


@dataclass(frozen=True, eq=False)
class Patches:
    """Pictures of patches, uint8 (h, w, 3) each, source and target by turns."""

    sources: tuple[np.ndarray, ...]
    targets: tuple[np.ndarray, ...]
    side: int


class PatchPreview(QDialog):
    """Draws patches in a thread and shows them.

    Parameters
    ----------
    pairs : sequence of Pair
    config : TrainConfig
    start : Translator or Path, optional
        The model that the training begins from.
    parent : QWidget, optional
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        config: TrainConfig,
        start: Any = None,
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
        self._said = Sentence()
        self._other = QPushButton("Other patches")
        self._other.setToolTip("Draw the patches of another step.")
        layout = QVBoxLayout(self)
        layout.addLayout(self._grid)
        layout.addWidget(self._said)
        layout.addWidget(self._other)
        self._runner = Runner(self)
        self._runner.finished.connect(self._show)
        self._runner.failed.connect(self._said.say)
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
        self._said.say("Drawing patches ...")
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
        for row, (word, pictures) in enumerate(
            (("source", patches.sources), ("target", patches.targets))
        ):
            self._grid.addWidget(QLabel(word), row, 0)
            for column, shown in enumerate(pictures):
                self._grid.addWidget(picture_label(shown, _SIDE), row, column + 1)
        side = patches.side
        self._said.say(
            f"{side} x {side} pixels each, turned, mirrored and jittered as in training."
        )


def _draw(pairs: Sequence[Pair], config: TrainConfig, start: Any, step: int) -> Patches:
    from napari_pix2pix._train import open_pretrained
    from napari_pix2pix.training.dataset import prepare

    model = None if start is None else open_pretrained(start)
    config = config if model is None else model.fill(config)
    data = prepare(pairs, config.model_copy(update={"batch": _COLUMNS}), start=model)
    drawn = data.sampler.batch(step)
    return Patches(
        tuple(picture(planes, data.source_codec) for planes in drawn.source),
        tuple(picture(planes, data.target_codec) for planes in drawn.target),
        config.patch,
    )
