"""The models that the docks share: trained, loaded and recent ones; and saving them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QInputDialog, QLineEdit, QMessageBox, QWidget

from napari_pix2pix.io.model_header import (
    DESCRIPTIONS,
    ENDING,
    TORCH_ENDINGS,
    is_foreign,
    model_files,
)
from napari_pix2pix.training.config import AppliedWeights, TrainConfig
from napari_pix2pix.training.events import Control
from napari_pix2pix.training.model_info import ModelInfo, read_model_info
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import memory, read_settings

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

# What file dialogs offer: models to train on, and models to apply.
WEIGHT_FILES = "Models (*.safetensors *.pth *.pt)"
MODEL_FILES = "Models (*.safetensors *.pth *.pt *.onnx *.zip rdf.yaml bioimageio.yaml)"

_MOST_FILES = 10
_MOST_MODELS = 4  # in memory at a time
_KEY = "models/recent"


@dataclass(frozen=True, eq=False)
class ModelEntry:
    """A model that can be applied: in memory, or in a file that a worker will read."""

    name: str  # results are named after it
    translator: Translator | None = None  # None until the file was read
    path: Path | None = None  # None for a model that was not saved
    weights: AppliedWeights | None = None  # chosen in a dock; None for those that it names

    def read_info(self) -> ModelInfo:
        """Return the model's info, in memory or from a file of ours; raises `FileError`."""
        if self.translator is not None:
            info = self.translator.info
        else:
            assert self.path is not None
            info = read_model_info(self.path)
        return info if self.weights is None else info.with_weights(self.weights)

    def with_its_weights(self, translator: Translator) -> Translator:
        """Return the model that was read with the weights that are chosen."""
        return translator if self.weights is None else translator.with_weights(self.weights)

    @property
    def is_unread(self) -> bool:
        """Whether it is a file of another program, which tells nothing before it is loaded."""
        return self.translator is None and self.path is not None and is_foreign(self.path)

    def is_same(self, other: ModelEntry) -> bool:
        """Whether both are of one model, in memory or in a file, with whatever weights."""
        if self.translator is not None and other.translator is not None:
            return self.translator is other.translator
        return self.path is not None and self.path == other.path


class Models(QObject):
    """The registry that all docks of one napari share; see `models`."""

    changed = Signal()  # a model or a file was added, or another one became the last
    exchanged = Signal(object, object)  # a translator, and what took its place

    def __init__(self) -> None:
        super().__init__()
        self._models: list[ModelEntry] = []  # the last one first
        self._offered: list[Path] = []  # files that come with samples
        self._folder_files: tuple[Path, ...] = ()  # of the folder that is offered

    def remember(
        self, translator: Translator, name: str, *, path: Path | None = None
    ) -> ModelEntry:
        """Make a model the last one; if known, it keeps its file unless a new one is given."""
        before = self._of(translator)
        if before is not None:
            self._models.remove(before)
            path = path or before.path
        path = None if path is None else path.absolute()
        added = ModelEntry(name, translator, path)
        # Another model that was saved there has no file any more.
        others = [
            replace(entry, path=None) if path is not None and entry.path == path else entry
            for entry in self._models
        ]
        self._models = [added, *others][:_MOST_MODELS]
        if path is not None:
            self._remember_file(path)
        self.changed.emit()
        return added

    def remember_read(self, translator: Translator, model: ModelEntry) -> ModelEntry:
        """Make a model that a thread has read the last one, unless another thread was faster."""
        holder = self._in_memory(model.path)
        if model.translator is None and holder is not None and holder.translator is not None:
            translator = holder.translator
        is_its_own = holder is None or holder.translator is translator
        path = model.path if is_its_own else None
        return self.remember(translator, model.name, path=path)

    def exchange(self, before: Translator, after: Translator) -> None:
        """Put a model in the place of another one: the same with other weights, not saved."""
        self._models = [
            replace(entry, translator=after, path=None) if entry.translator is before else entry
            for entry in self._models
        ]
        self.exchanged.emit(before, after)
        self.changed.emit()

    def known(self) -> tuple[ModelEntry, ...]:
        """Return the models in memory, the last one first."""
        return tuple(self._models)

    def last(self) -> ModelEntry | None:
        """Return the model that was trained or loaded last, or else the most recent file."""
        if self._models:
            return self._models[0]
        files = self.recent_files()
        return self.of_file(files[0]) if files else None

    def of_file(self, path: Path) -> ModelEntry:
        """Return the entry of a file, which need not have been read."""
        path = path.absolute()
        return self._in_memory(path) or ModelEntry(_name_of(path), path=path)

    def offer_file(self, path: Path) -> None:
        """Offer a file that the user has not chosen, after all that are recent."""
        path = path.absolute()
        if path not in self._offered:
            self._offered.append(path)
            self.changed.emit()

    def offer_folder(self, folder: Path) -> tuple[Path, ...]:
        """Offer all models in a folder beside the recent ones; return their files."""
        self._folder_files = tuple(path.absolute() for path in model_files(folder))
        self.changed.emit()
        return self._folder_files

    def offered_files(self) -> tuple[Path, ...]:
        """Return the recent files, then those that samples and the chosen folder offer."""
        files = dict.fromkeys([*_recent(), *self._offered, *self._folder_files])
        return tuple(path for path in files if path.exists())

    def recent_files(self) -> tuple[Path, ...]:
        """Return the recent files that still exist, the latest first."""
        return tuple(path for path in _recent() if path.exists())

    def _of(self, translator: Translator) -> ModelEntry | None:
        return next((entry for entry in self._models if entry.translator is translator), None)

    def _in_memory(self, path: Path | None) -> ModelEntry | None:
        if path is None:
            return None
        return next((entry for entry in self._models if entry.path == path), None)

    def _remember_file(self, path: Path) -> None:
        others = [other for other in _recent() if other != path]
        memory().setValue(_KEY, [str(file) for file in [path, *others][:_MOST_FILES]])


@cache
def models() -> Models:
    """Return the one registry of this process."""
    return Models()


def _name_of(path: Path) -> str:
    """Name a model by its file; the PyTorch implementation names its folder: facades/latest_net_G.

    >>> _name_of(Path("facades/latest_net_G.pth"))
    'facades latest'
    """
    if path.name in DESCRIPTIONS:  # of the package that is the folder
        return path.parent.name
    if not path.stem.endswith("_net_G"):
        return path.stem
    return f"{path.parent.name} {path.stem.removesuffix('_net_G')}"


def _recent() -> list[Path]:
    value = memory().value(_KEY, [])
    # Qt returns a list of one as its only entry.
    return [Path(file) for file in ([value] if isinstance(value, str) else value or [])]


# What a model is saved as: the first is ours, the others are for other programs.
_KINDS = {
    "napari-pix2pix (*.safetensors)": (ENDING,),
    "PyTorch implementation (*.pth *.pt)": TORCH_ENDINGS,
    "ONNX (*.onnx)": (".onnx",),
    "BioImage.IO package (*.zip)": (".zip",),
}
_ENDINGS = tuple(ending for endings in _KINDS.values() for ending in endings)
_LICENCES = ["CC-BY-4.0", "CC0-1.0", "MIT", "BSD-3-Clause"]


@dataclass(frozen=True)
class Written:
    """A file that a model was written to."""

    translator: Translator
    path: Path
    notes: tuple[str, ...]  # what it does not hold, and how it is used

    @property
    def is_ours(self) -> bool:
        """Whether it holds all of the model."""
        return self.path.suffix.lower() == ENDING


class ModelSaver(Runner):
    """Asks for a file, and writes a model there in a thread."""

    saved = Signal(object)  # a `Written`

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        # A lambda would keep the dock alive, with PySide6 for ever.
        self.finished.connect(self._on_finished)

    def ask(self, translator: Translator) -> None:
        """Let the user choose a file, and write the model into it."""
        folder, window = read_settings().models_folder, self.parent()
        assert isinstance(window, QWidget)
        name, kind = QFileDialog.getSaveFileName(
            window, "Save the model", str(folder / "model"), ";;".join(_KINDS)
        )
        if not name or self.running:
            return
        path = _named(Path(name), kind)
        # The dialog asked about the name as it was given.
        if path != Path(name) and path.exists() and not _may_replace(window, path):
            return
        credits = _Credits()
        if path.suffix.lower() == ".zip":
            credits = _ask_credits(window, translator.info.config)
            if not credits.licence:
                return

        def write(control: Control) -> Written:
            from napari_pix2pix._convert import convert

            notes = convert(translator, path, authors=credits.authors, licence=credits.licence)
            return Written(translator, path, notes)

        self.start(write)

    def _on_finished(self, written: Written) -> None:
        self.saved.emit(written)


def _named(path: Path, kind: str) -> Path:
    """Give a name the ending of the chosen kind; where none is chosen, its ending stays.

    >>> str(_named(Path("a.b"), "ONNX (*.onnx)")), str(_named(Path("a.zip"), "ONNX (*.onnx)"))
    ('a.b.onnx', 'a.onnx')
    """
    endings = _KINDS.get(kind, _ENDINGS)
    if path.suffix.lower() in endings:
        return path
    if path.suffix.lower() in _ENDINGS:
        return path.with_suffix(endings[0])
    return path.with_name(path.name + endings[0])


def _may_replace(window: QWidget, path: Path) -> bool:
    question = f"{path.name} exists. Replace it?"
    answer = QMessageBox.question(window, "Save the model", question)
    return bool(answer == QMessageBox.StandardButton.Yes)


class _Credits(NamedTuple):
    """Who made a model, and what others may do with it; None where that is not asked."""

    authors: str | None = None
    licence: str | None = None


def _ask_credits(window: QWidget, config: TrainConfig) -> _Credits:
    """Ask for the credits of a package; no licence where that is cancelled."""
    title = "BioImage.IO package"
    question = "Who made the model? Names, with commas between them:"
    shown = QLineEdit.EchoMode.Normal
    authors, is_given = QInputDialog.getText(window, title, question, shown, config.authors)
    if not is_given:
        return _Credits()
    question = "Licence: what others may do with the model."
    own = [config.licence] if config.licence else []
    offered = [*own, *(licence for licence in _LICENCES if licence not in own)]
    licence, is_given = QInputDialog.getItem(window, title, question, offered)
    return _Credits(authors, licence) if is_given else _Credits()
