"""Looks in a thread whether chosen images are such as their model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_pix2pix.pairs.oddness import odd_intensities
from napari_pix2pix.pairs.planes import Planes
from napari_pix2pix.pairs.sets import foreign_dtype
from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.runner import Runner


class OddnessCheck(QObject):
    """Always looks at the newest choice; the same choice is looked at once.

    Parameters
    ----------
    parent : QObject

    Attributes
    ----------
    found : Signal(str)
        What is odd about the newest choice, as sentences; empty where nothing is.
    """

    found = Signal(str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._wanted: tuple[Card, tuple[Planes, ...]] | None = None
        self._seen: tuple[object, ...] = ()
        self._runner = Runner(self)
        self._runner.finished.connect(self._on_finished)
        self._runner.ended.connect(self._begin)

    def look(self, card: Card, images: Sequence[Planes]) -> None:
        """Look at images for a model."""
        seen = (card, *(_place(one.array) for image in images for one in image.members))
        if seen == self._seen:
            return
        self._seen, self._wanted = seen, (card, tuple(images))
        if not self._runner.running:
            self._begin()

    def forget(self) -> None:
        """Say nothing of what was looked at, and look at it again when it is chosen again."""
        self._seen, self._wanted = (), None
        self._runner.stop()

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self._wanted = None
        self._runner.close()

    def _begin(self) -> None:
        if self._wanted is not None:
            (card, images), self._wanted = self._wanted, None
            seen = self._seen
            self._runner.start(lambda _control: (seen, _odd(card, images)))

    def _on_finished(self, told: tuple[tuple[object, ...], str]) -> None:
        seen, said = told
        if seen == self._seen:
            self.found.emit(said)


def _place(array: Any) -> object:
    """Return what another array differs in; images are opened anew, and their data are not."""
    interface = getattr(array, "__array_interface__", None)
    where = id(array) if interface is None else interface["data"]
    return where, array.shape, str(array.dtype)


def _odd(card: Card, images: Sequence[Planes]) -> str:
    codecs = card.source_codec, card.target_codec
    said = [foreign_dtype(card.source_codec, image.dtype) for image in images]
    said += [odd_intensities(image, *codecs, card.intensities) for image in images]
    return " ".join(dict.fromkeys(filter(None, said)))
