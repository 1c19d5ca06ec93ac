"""What the plugin understands of the chosen pairs, found out in a thread while the user chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pix2pix.data.pair import Pair, stops_when
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.control import Control
from napari_pix2pix.widgets.common.runner import Runner

_DELAY = 300  # milliseconds without a change before the pairs are looked at


@dataclass(frozen=True, eq=False)
class Understood:
    """What training on the pairs would be.

    Attributes
    ----------
    summary : str
        In one line.
    notes : tuple of str
        What the user should know.
    config : TrainConfig
        With what was left open for the pairs to tell.
    model : TrainConfig or None
        What holds for fields that are not given, of the model that the training begins from.
    steps_per_epoch : int
    memory : int
        Estimate of the bytes that training takes on its device.
    """

    summary: str
    notes: tuple[str, ...]
    config: TrainConfig
    model: TrainConfig | None
    steps_per_epoch: int
    memory: int


class PairSummary(QObject):
    """Checks pairs again and again, always the newest, and never in the GUI thread.

    Parameters
    ----------
    parent : QObject, optional

    Attributes
    ----------
    due : Signal()
        Some time has passed since the last change: give pairs to `check`.
    understood : Signal(object)
        An `Understood` of the newest pairs.
    wrong : Signal(str)
        Why they can't be trained on.
    """

    due = Signal()
    understood = Signal(object)
    wrong = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY)
        self._runner = Runner(self)
        self._is_stale = False
        self._timer.timeout.connect(self._on_time)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        self._runner.ended.connect(self._on_ended)

    @property
    def is_busy(self) -> bool:
        """Whether something newer is still to be understood."""
        return self._runner.running or self._timer.isActive()

    def touch(self) -> None:
        """Something has changed; what is being found out is no longer of interest."""
        self._is_stale = self._runner.running
        self._runner.stop()
        self._timer.start()

    def check(self, pairs: Sequence[Pair], config: TrainConfig, start: Any = None) -> None:
        """Look at pairs, and at the model to begin from, in a thread."""
        self._runner.start(lambda control: _understand(control, pairs, config, start))

    def close(self) -> None:
        """Wait for the thread, and say nothing more."""
        self._timer.stop()
        self._runner.close()

    def _on_time(self) -> None:
        if not self._runner.running:  # else its end starts the timer again
            self.due.emit()

    def _on_finished(self, understood: Any) -> None:
        if not self._is_stale:
            self.understood.emit(understood)

    def _on_failed(self, sentence: str) -> None:
        if not self._is_stale:
            self.wrong.emit(sentence)

    def _on_ended(self) -> None:
        if self._is_stale:
            self._is_stale = False
            self._timer.start()


def _understand(
    control: Control, pairs: Sequence[Pair], config: TrainConfig, start: Any
) -> Understood:
    # torch comes with these: only a thread may wait for it.
    from napari_pix2pix._train import open_pretrained
    from napari_pix2pix.inference.devices import choose_device, out_of_memory_in_words
    from napari_pix2pix.training.dataset import prepare
    from napari_pix2pix.training.hardware import training_memory

    choose_device(config.device)
    model = None if start is None else open_pretrained(start)
    config = config if model is None else model.fill(config)
    hint = "Close other programs, or crop the layers."
    with out_of_memory_in_words("reading the layers", hint), stops_when(lambda: control.stopped):
        data = prepare(pairs, config, start=model)
    return Understood(
        summary=data.summary,
        notes=data.notes,
        config=data.config,
        model=None if model is None else model.fill(TrainConfig()),
        steps_per_epoch=data.steps_per_epoch,
        memory=training_memory(data),
    )
