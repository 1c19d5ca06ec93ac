"""How fast models are: tried in a thread when they are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from qtpy.QtCore import QObject, Signal

from napari_pix2pix.widgets.apply_work import Speed, try_speed
from napari_pix2pix.widgets.models import KnownModel, models
from napari_pix2pix.widgets.runner import Runner

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


class SpeedTrial(QObject):
    """Tries one model after another, and remembers what it found.

    Parameters
    ----------
    parent : QObject

    Attributes
    ----------
    found : Signal()
        A trial is over.
    """

    found = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._speeds: WeakKeyDictionary[Translator, Speed] = WeakKeyDictionary()
        self._next: tuple[KnownModel, str | None] | None = None
        self._runner = Runner(self)
        self._runner.finished.connect(self._take)
        self._runner.ended.connect(self._go_on)

    @property
    def running(self) -> bool:
        """Whether a model is being tried."""
        return self._runner.running

    def speed(self, model: KnownModel) -> Speed | None:
        """Return what is known of a model; None before its trial."""
        return None if model.translator is None else self._speeds.get(model.translator)

    def begin(self, model: KnownModel, device: str | None) -> None:
        """Try a model that was not tried yet, after the one that is being tried.

        A model that is not in memory is read from its file, and then known to all docks.
        """
        self._next = model, device
        if not self.running:
            self._go_on()

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self._next = None
        self._runner.close()

    def _go_on(self) -> None:
        if self._next is None:
            return
        (model, device), self._next = self._next, None
        if self.speed(model) is None:
            self._runner.start(lambda _control: (model, try_speed(model, device)))

    def _take(self, told: tuple[KnownModel, Speed]) -> None:
        model, speed = told
        self._speeds[speed.translator] = speed
        if model.translator is None:
            models().remember_read(speed.translator, model)
        self.found.emit()
