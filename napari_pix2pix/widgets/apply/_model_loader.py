"""Models that a thread brings into memory: from the Hub, or once more with another halo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pix2pix.errors import InputError
from napari_pix2pix.io.hub import fetch_model, repository_name
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.runner import Runner

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


class ModelLoader(QObject):
    """Loads one model at a time, and lets all docks know it."""

    loaded = Signal(object)  # the `ModelEntry`
    failed = Signal(str)  # a sentence
    ended = Signal()  # after one of them

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._remember: Callable[[tuple[Translator, Path]], ModelEntry] = _remember_fetched
        self._runner = Runner(self)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self.failed)
        self._runner.ended.connect(self.ended)

    @property
    def running(self) -> bool:
        """Whether a model is being loaded."""
        return self._runner.running

    def fetch(self, name: str) -> None:
        """Fetch a model from the Hub by its name; raises `InputError` while one is loaded."""
        self._check_free()
        self._remember = _remember_fetched
        self._runner.start(lambda _control: _fetch(name))

    def load_with_halo(self, model: ModelEntry, halo: int | None) -> None:
        """Load a file of another program once more, with another halo.

        The model takes the place of the one that is in memory.

        Raises
        ------
        InputError
            When it is no such file, or a model is being loaded.
        """
        self._check_free()
        before, path = model.translator, model.path
        if before is None or path is None or not takes_halo(model):
            raise InputError(f"{model.name} has the halo that its file says: leave it as it is.")

        def remember(read: tuple[Translator, Path]) -> ModelEntry:
            models().exchange(before, read[0])
            return models().remember(read[0], model.name, path=path)

        self._remember = remember
        self._runner.start(lambda _control: _load(path, halo))

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self._runner.close()

    def _check_free(self) -> None:
        if self.running:
            raise InputError("A model is being loaded: wait for its end.")

    def _on_finished(self, read: tuple[Translator, Path]) -> None:
        self.loaded.emit(self._remember(read))


def takes_halo(model: ModelEntry) -> bool:
    """Whether a model that is in memory takes a halo, since its file says none."""
    return model.translator is not None and getattr(model.translator.generator, "takes_halo", False)


def known_halo(model: ModelEntry) -> int | None:
    """Return the halo of a model that takes one; None where it is not known."""
    assert model.translator is not None
    network: Any = model.translator.generator
    return None if network.tile == 0 else int(network.halo)


def _remember_fetched(read: tuple[Translator, Path]) -> ModelEntry:
    translator, path = read
    return models().remember(translator, repository_name(path) or path.stem, path=path)


# These import torch, which the GUI thread must not wait for.
def _fetch(name: str) -> tuple[Translator, Path]:
    from napari_pix2pix._load import load_fetched

    fetched = fetch_model(name)
    return load_fetched(fetched), fetched.path


def _load(path: Path, halo: int | None) -> tuple[Translator, Path]:
    from napari_pix2pix._load import load

    return load(path, halo=halo), path
