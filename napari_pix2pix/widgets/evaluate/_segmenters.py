"""What finds objects in images that are scored: Otsu's threshold, or a model that makes labels."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.io.paths import as_path
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.common.elements import Choice
from napari_pix2pix.widgets.common.known_models import MODEL_FILES, ModelEntry, models
from napari_pix2pix.widgets.common.runner import errors_in_words
from napari_pix2pix.widgets.common.settings import read_settings

if TYPE_CHECKING:
    from napari_pix2pix.metrics.segmentation import Segmenter

Finder: TypeAlias = "Literal['otsu'] | ModelEntry | None"  # None where no objects are scored

_FIXED = "not scored", "by Otsu's threshold"
_ANOTHER = "by the model of a file…"
_TIP = (
    "Compare bright objects in prediction and truth: their number, outlines and brightness. They "
    "are found by Otsu's threshold, in images of one channel, or by a model that makes labels"
)


class SegmenterChoice(Choice):
    """Combo box of what finds objects; models that make labels are offered by their names."""

    chosen = Signal()  # something else is chosen
    refused = Signal(str)  # why a file can't be used

    def __init__(self) -> None:
        super().__init__()
        self._models: list[ModelEntry] = []
        self._value: Finder = None
        self.set_tip(_TIP)
        self.activated.connect(self._take)
        models().changed.connect(self.refresh)
        self.refresh()

    @property
    def value(self) -> Finder:
        """What finds the objects."""
        return self._value

    def choose(self, value: Finder | str | os.PathLike[str]) -> None:
        """Choose "otsu", a model that makes labels, the path of its file, or None.

        Raises
        ------
        InputError
            When the model makes images.
        FileError
            When the file can't be read.
        """
        finder: Finder
        if value is None or isinstance(value, ModelEntry):
            finder = value
        else:
            finder = "otsu" if value == "otsu" else models().of_file(as_path(value))
        if isinstance(finder, ModelEntry) and not finder.is_unread:
            check_makes_labels(finder.name, finder.read_info().target_codec.kind)
        self._value = finder
        self.refresh()
        self.chosen.emit()

    def refresh(self) -> None:
        """Offer the models that are known by now; the choice stays."""
        value = self._value
        self._models = [entry for entry in models().listed() if _makes_labels(entry)]
        if isinstance(value, ModelEntry):
            found = [entry for entry in self._models if entry.is_same(value)]
            if not found:
                self._models.insert(0, value)
            self._value = value = (found or [value])[0]
        names = [f"by {entry.name}" for entry in self._models]
        index = 2 + self._models.index(value) if isinstance(value, ModelEntry) else 0
        self.blockSignals(True)
        self.clear()
        self.addItems([*_FIXED, *names, _ANOTHER])
        self.setCurrentIndex(1 if value == "otsu" else index)
        self.blockSignals(False)
        self.refresh_tip()

    def _take(self, index: int) -> None:
        if index < len(_FIXED):
            self._try_to_choose("otsu" if index else None)
        elif index < len(_FIXED) + len(self._models):
            self._try_to_choose(self._models[index - len(_FIXED)])
        else:
            self._ask()

    def _ask(self) -> None:
        """Ask for the file of a model."""
        folder = str(read_settings().models_folder)
        kinds = f"{MODEL_FILES};;All files (*)"
        path, _ = QFileDialog.getOpenFileName(self, "Open a model that makes labels", folder, kinds)
        self._try_to_choose(Path(path) if path else self._value)

    def _try_to_choose(self, value: Finder | Path) -> None:
        try:
            with errors_in_words():
                self.choose(value)
        except Pix2PixError as error:
            self.refresh()
            self.refused.emit(str(error))


def load_segmenter(finder: Finder) -> Segmenter | None:
    """Return what finds objects, read from its file if need be; in a thread."""
    from napari_pix2pix.metrics.segmentation import segment_otsu

    if not isinstance(finder, ModelEntry):
        return segment_otsu if finder == "otsu" else None
    translator = finder.with_its_weights(load_known(finder))
    check_makes_labels(finder.name, translator.target_codec.kind)
    return deepcopy(translator)  # another dock may use the model meanwhile


def check_makes_labels(name: str, kind: str) -> None:
    """Refuse a model that makes images."""
    if kind == "image":
        raise InputError(f"The segmenter {name} makes images: choose a model that makes labels.")


def _makes_labels(entry: ModelEntry) -> bool:
    """Whether a model is known to make labels of images; files that can't be read do not."""
    try:
        with errors_in_words():
            info = None if entry.is_unread else entry.read_info()
    except Pix2PixError:
        return False
    return info is not None and bool(info.channels) and info.target_codec.kind != "image"
