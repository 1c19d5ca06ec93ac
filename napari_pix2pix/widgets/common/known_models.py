"""The models that the docks share: trained, loaded and recent ones, and those of kept runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_pix2pix.io.hub import repository_name
from napari_pix2pix.io.model_header import DESCRIPTIONS, is_foreign, model_files
from napari_pix2pix.training.config import AppliedWeights
from napari_pix2pix.training.model_info import ModelInfo, read_model_info
from napari_pix2pix.widgets.common.settings import memory, read_settings
from napari_pix2pix.widgets.runs.records import KeptRun, describe_run, find_run, kept_runs

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

# What file dialogs offer: models to train on, and models to apply.
WEIGHT_FILES = "Models (*.safetensors *.pth *.pt)"
MODEL_FILES = "Models (*.safetensors *.pth *.pt *.onnx *.zip rdf.yaml bioimageio.yaml)"
# What a dock says that needs a model.
NO_MODEL = "Choose a model that can be read: train one, or open a file."

_MOST_FILES = 10
_MOST_MODELS = 4  # in memory at a time, besides those that no file holds
_RECENT, _LAST = "models/recent", "models/last"


@dataclass(frozen=True, eq=False)
class ModelEntry:
    """A model that can be applied: in memory, or in a file that a worker will read."""

    name: str  # results are named after it
    translator: Translator | None = None  # None until the file was read
    path: Path | None = None  # None for a model that was not saved
    weights: AppliedWeights | None = None  # chosen in a dock; None for those that it names
    run: Path | None = None  # the kept file of the run that it was trained in

    @property
    def file(self) -> Path | None:
        """The file that holds it: that of its run, or the one it was saved in; None without."""
        return self.run if self.run is not None and self.run.exists() else self.path

    @property
    def details(self) -> str:
        """What tells the model of a run from others of the same name; empty for other models."""
        run = None if self.run is None else find_run(self.run)
        return "" if run is None else describe_run(run)

    def read_info(self) -> ModelInfo:
        """Return the model's info, in memory or from a file of ours; raises `FileError`."""
        if self.translator is not None:
            info = self.translator.info
        else:
            assert self.file is not None
            info = read_model_info(self.file)
        return info if self.weights is None else info.with_weights(self.weights)

    def load(self) -> Translator:
        """Return the model as it is remembered, read from its file if it is not in memory."""
        if self.translator is not None:
            return self.translator
        from napari_pix2pix._load import load

        assert self.file is not None
        return load(self.file)

    def with_its_weights(self, translator: Translator) -> Translator:
        """Return the model that was read with the weights that are chosen."""
        return translator if self.weights is None else translator.with_weights(self.weights)

    @property
    def is_unread(self) -> bool:
        """Whether it is a file of another program, which tells nothing before it is loaded."""
        return self.translator is None and self.file is not None and is_foreign(self.file)

    def is_same(self, other: ModelEntry) -> bool:
        """Whether both are of one model, in memory or in a file, with whatever weights."""
        if self.translator is not None and other.translator is not None:
            return self.translator is other.translator
        return self.shares_file(other)

    def shares_file(self, other: ModelEntry) -> bool:
        """Whether one file, of a run or where it was saved, holds both."""
        of_one_run = self.run is not None and self.run == other.run
        return of_one_run or (self.path is not None and self.path == other.path)


class Models(QObject):
    """The registry that all docks of one napari share; see `models`."""

    changed = Signal()  # a model or a file was added or is gone, or another one became the last
    exchanged = Signal(object, object)  # a translator, and what took its place

    def __init__(self) -> None:
        super().__init__()
        self._models: list[ModelEntry] = []  # the last one first
        self._offered: list[Path] = []  # files that come with samples
        self._folder_files: tuple[Path, ...] = ()  # of the folder that is offered

    def remember(
        self,
        translator: Translator,
        name: str,
        *,
        path: Path | None = None,
        run: Path | None = None,
    ) -> ModelEntry:
        """Make a model the last one; if known, it keeps its files unless new ones are given."""
        before = self._of(translator)
        if before is not None:
            self._models.remove(before)
            path, run = path or before.path, run or before.run
        path = None if path is None else path.absolute()
        added = ModelEntry(name, translator, path, run=run)
        # Another model that was saved there has no file any more.
        others = [
            replace(entry, path=None) if path is not None and entry.path == path else entry
            for entry in self._models
        ]
        self._models = _bounded([added, *others])
        if path is not None:
            self._remember_file(path)
        if added.file is not None:
            memory().setValue(_LAST, str(added.file))
        self.changed.emit()
        return added

    def remember_read(self, translator: Translator, model: ModelEntry) -> ModelEntry:
        """Make a model that a thread has read the last one, unless another thread was faster."""
        holder = self._in_memory(model)
        if model.translator is None and holder is not None and holder.translator is not None:
            translator = holder.translator
        is_its_own = holder is None or holder.translator is translator
        path, run = (model.path, model.run) if is_its_own else (None, None)
        return self.remember(translator, model.name, path=path, run=run)

    def exchange(self, before: Translator, after: Translator) -> None:
        """Put a model in the place of another one: the same with other weights, not saved.

        The record of its run, if it is of one, remembers the choice.
        """
        held = self._of(before)
        run = None if held is None or held.run is None else find_run(held.run)
        if run is not None:
            run.with_weights(after.info.applied)
        self._models = [
            replace(entry, translator=after, path=None) if entry.translator is before else entry
            for entry in self._models
        ]
        self.exchanged.emit(before, after)
        self.changed.emit()

    def known(self) -> tuple[ModelEntry, ...]:
        """Return the models in memory, the last one first."""
        return tuple(self._models)

    def listed(self) -> tuple[ModelEntry, ...]:
        """Return all models that docks offer: in memory, of kept runs, and of recent files."""
        found = list(self._models)
        runs = kept_runs(read_settings().autosave_folder)
        files = [self.of_file(path) for path in self.offered_files()]
        for entry in (*map(self.of_run, runs), *files):
            if not any(entry.is_same(other) for other in found):
                found.append(entry)
        return tuple(found)

    def last(self) -> ModelEntry | None:
        """Return the model that was trained or loaded last, if need be from its file.

        Without any, that of a sample that was opened.
        """
        if self._models:
            return self._models[0]
        last = memory().value(_LAST)
        paths = ([Path(last)] if last else []) + [*_recent(), *self._offered]
        file = next((path for path in paths if path.exists()), None)
        return None if file is None else self.of_file(file)

    def of_file(self, path: Path) -> ModelEntry:
        """Return the entry of a file, which need not have been read."""
        path = path.absolute()
        run = find_run(path)
        if run is not None:
            return self.of_run(run)
        entry = ModelEntry(_name_of(path), path=path)
        return self._in_memory(entry) or entry

    def of_run(self, run: KeptRun) -> ModelEntry:
        """Return the entry of a kept run, which need not have been read."""
        record = run.record
        entry = ModelEntry(run.name, path=record.saved, weights=record.weights, run=run.path)
        return self._in_memory(entry) or entry

    def choose_weights(self, run: KeptRun, weights: AppliedWeights) -> None:
        """Let a run's model be applied with its last weights or its best, from now on."""
        held = self.of_run(run).translator
        if held is not None:
            self.exchange(held, held.with_weights(weights))
        else:
            run.with_weights(weights)
            self.changed.emit()

    def rename(self, run: KeptRun, name: str) -> None:
        """Give a run's model another name."""
        run.changed(name=name)
        self._models = [
            replace(entry, name=name) if entry.run == run.path else entry for entry in self._models
        ]
        self.changed.emit()

    def delete(self, run: KeptRun) -> None:
        """Delete a run; its model stays known only where it was saved in a file, too."""
        run.discard()
        self._models = [
            replace(entry, run=None) if entry.run == run.path else entry
            for entry in self._models
            if entry.run != run.path or entry.path is not None
        ]
        self.changed.emit()

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

    def _in_memory(self, file: ModelEntry) -> ModelEntry | None:
        return next((entry for entry in self._models if entry.shares_file(file)), None)

    def _remember_file(self, path: Path) -> None:
        others = [other for other in _recent() if other != path]
        memory().setValue(_RECENT, [str(file) for file in [path, *others][:_MOST_FILES]])


@cache
def models() -> Models:
    """Return the one registry of this process."""
    return Models()


def _bounded(entries: list[ModelEntry]) -> list[ModelEntry]:
    """Leave out the oldest that a file holds; what is in memory alone is never left out."""
    in_files = [entry for entry in entries if entry.file is not None]
    too_many = in_files[_MOST_MODELS:]
    return [entry for entry in entries if entry not in too_many]


def _name_of(path: Path) -> str:
    """Name a model by its file; the PyTorch implementation names its folder: facades/latest_net_G.

    >>> _name_of(Path("facades/latest_net_G.pth"))
    'facades latest'
    """
    if path.name in DESCRIPTIONS:  # of the package that is the folder
        return path.parent.name
    if repository := repository_name(path):
        return repository
    if not path.stem.endswith("_net_G"):
        return path.stem
    return f"{path.parent.name} {path.stem.removesuffix('_net_G')}"


def _recent() -> list[Path]:
    value = memory().value(_RECENT, [])
    # Qt returns a list of one as its only entry.
    return [Path(file) for file in ([value] if isinstance(value, str) else value or [])]
