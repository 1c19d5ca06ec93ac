"""The part of the Apply dock that translates files and folders into files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakMethod

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLineEdit, QWidget

from napari_pix2pix.errors import FileError, InputError, Pix2PixError, StoppedError, plural
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.paths import expand_paths, file_stem, shown_name
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.zarr_file import is_zarr
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.common.elements import (
    Choice,
    ProgressRow,
    Sentence,
    lay_out_column,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.known_models import ModelEntry
from napari_pix2pix.widgets.common.path_field import PathField
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import in_time_units

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.inference.tiling import OnTile
    from napari_pix2pix.large_images import Watch

_PERIOD = 300  # milliseconds between two looks at the progress
_SHOWN = 3  # results, failures and notes that are named
_SUMMARY = "mean,std"
_FORMATS = {"TIFF": ".tif", "OME-Zarr": ".ome.zarr"}


@dataclass(frozen=True)
class FilesRequest:
    """Which files are translated, and where the results go."""

    model: ModelEntry
    options: PredictOptions
    given: Path  # a file, a folder or a pattern
    out: Path  # a folder
    ending: str
    overwrite: bool
    summary: str  # what is written of several samples, such as "mean,std,q5"


@dataclass(frozen=True)
class FilesSummary:
    """What became of the files."""

    written: tuple[Path, ...]
    kept: int  # files that an earlier run had finished
    failed: tuple[tuple[str, str], ...]  # names and reasons
    notes: tuple[str, ...]
    left: int  # files that were not begun or not finished, since the work was cancelled
    out: Path
    are_images: bool = True  # and not labels

    def __str__(self) -> str:
        parts = [f"Wrote {plural(len(self.written), 'file')} into {self.out}."]
        if self.kept:
            parts.append(f"{plural(self.kept, 'input')} had been finished before.")
        if self.left:
            left = plural(self.left, "input")
            parts.append(f"Cancelled with {left} to go: the same choices continue there.")
        parts += [f"Failed: {name}: {why}" for name, why in self.failed[:_SHOWN]]
        if len(self.failed) > _SHOWN:
            parts.append(f"{len(self.failed) - _SHOWN} more failed.")
        return "\n".join([*parts, *self.notes[:_SHOWN]])


@dataclass
class FilesProgress:
    """How far a thread has come; the dock looks at it now and then."""

    total: int = 0  # files
    done: int = 0
    name: str = ""  # of the file in progress
    part: float = 0.0  # of that file
    began: float = field(default_factory=perf_counter)

    @property
    def share(self) -> float:
        """The share of the work that is done, from 0 to 1."""
        return (self.done + self.part) / self.total if self.total else 0.0

    def __str__(self) -> str:
        share = self.share
        left = (perf_counter() - self.began) * (1 / share - 1) if share else 0.0
        time = f", {in_time_units(left)} left" if share else ""
        return f"{self.name}: {self.done + 1} of {self.total}{time}"


def _make_results_folder(folder: Path) -> None:
    """Make the folder of results; raises `FileError` where that is no place for one."""
    if any(map(is_zarr, (folder, *folder.parents))):
        raise FileError(f"{folder} is, or lies in, an OME-Zarr image: choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"Can't make the folder {folder}: {error.strerror or error}; choose another."
        ) from error


def translate_files(
    control: Control, request: FilesRequest, progress: FilesProgress
) -> Generator[None, None, FilesSummary]:
    """Translate files one after another, in a thread; what is finished stays."""
    # These import torch, which the GUI thread must not wait for.
    from napari_pix2pix.inference.uncertainty import parse_summary
    from napari_pix2pix.large_images import FileTranslation
    from napari_pix2pix.large_images.outputs import prepare_outputs

    inputs = expand_paths(request.given)
    options = request.options
    tags = parse_summary(request.summary) if options.samples > 1 else []
    _make_results_folder(request.out)
    outs = prepare_outputs(
        request.given, inputs, request.out, tags, request.ending, model=request.model.file
    )
    read = request.model.with_its_weights(load_known(request.model))
    notes: list[str] = []
    work = FileTranslation(
        deepcopy(read),  # another dock may use the model meanwhile
        options,
        tags=tags,
        summarises=bool(tags),
        resume=not request.overwrite,
        overwrite=request.overwrite,
        tell=notes.append,
    )
    progress.total = len(inputs)
    written: list[Path] = []
    failed: list[tuple[str, str]] = []
    kept = 0
    for source, names in zip(inputs, outs, strict=True):
        progress.name, progress.part = shown_name(source), 0.0
        yield
        if control.stopped:
            break
        try:
            made = work.apply(source, names, _watching(control, progress))
        except StoppedError:
            break
        except Pix2PixError as error:
            failed.append((shown_name(source), str(error)))
        else:
            written += made
            kept += not made
        progress.done += 1
    left = len(inputs) - progress.done
    told = tuple(dict.fromkeys(note for note in notes if "finished already" not in note))
    are_images = read.target_codec.kind == "image" or bool(tags) or options.output == "float"
    return FilesSummary(tuple(written), kept, tuple(failed), told, left, request.out, are_images)


def _watching(control: Control, progress: FilesProgress) -> Watch:
    """Return what follows the translation of a file, and ends it when it is cancelled."""

    @contextmanager
    def watch(parts: int) -> Iterator[OnTile]:
        done_parts = 0

        def on_tile(done: int, total: int) -> None:
            nonlocal done_parts
            if control.stopped:
                raise StoppedError("Cancelled.")
            progress.part = min((done_parts + done / total) / parts, 1.0)
            done_parts += done >= total

        yield on_tile

    return watch


def open_result(viewer: napari.viewer.Viewer, path: Path, *, is_image: bool) -> None:
    """Add a file that was written as a layer; napari's own reader knows no OME-Zarr."""
    image = read_image(path)
    axes = image.axes.replace("S", "")
    scale = [image.scale.get(axis, 1.0) for axis in axes if axis != "C"]
    name = file_stem(path)
    if not is_image:
        viewer.add_labels(image.data, name=name, scale=scale)
    elif "C" in axes:
        viewer.add_image(image.data, name=name, scale=scale, channel_axis=axes.index("C"))
    else:
        viewer.add_image(image.data, name=name, scale=scale, rgb="S" in image.axes)


class FilesForm(QWidget):
    """Files to translate, where their translations go, and how far the work is."""

    ended = Signal(str, bool)  # the summary, or what went wrong and True

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        model: Callable[[], tuple[ModelEntry | None, PredictOptions]],
    ) -> None:
        super().__init__()
        # Not the method itself: it holds the dock, and PySide6 crashes where such a ring of widgets
        # is collected.
        self._viewer, self._model = viewer, WeakMethod(model)
        self._progress = FilesProgress()
        self.summary: FilesSummary | None = None  # of the last run
        self.input = PathField(
            "folder",
            "file",
            tip="What is translated: a folder, a file (also a plate), or a pattern with * such as "
            "phase/*.tif.",
        )
        self.out = PathField("folder", tip="The folder of the results; made if it is missing.")
        self.format = Choice()
        for name, ending in _FORMATS.items():
            self.format.addItem(name, ending)
        self.format.setToolTip("What the results are written as. Both keep pixel size and axes.")
        self.summary_of = QLineEdit(_SUMMARY)
        self.summary_of.setToolTip(
            "What is written of several samples (see Advanced), a file each: mean, std, and "
            "quantiles such as q5 for 5 %."
        )
        self.overwrite = QCheckBox("Replace existing files")
        self.overwrite.setToolTip(
            "Unticked, files that this model has finished are kept, and one that was interrupted "
            "is continued."
        )
        self.apply = push_button("Translate files", "Translate the files, one after another.")
        self.cancel = push_button("Cancel", "Stop; the files that are finished stay.")
        self.show_results = push_button("Open results", "Open the first results in the viewer.")
        self.progress = ProgressRow("Translating files")
        self.error, self.status = Sentence(is_error=True), Sentence()
        self.runner = Runner(self)
        self._timer = QTimer(self)
        self._timer.setInterval(_PERIOD)
        self._lay_out()
        self._connect()
        self._show_state()

    @property
    def running(self) -> bool:
        """Whether files are being translated."""
        return self.runner.running

    def start(self) -> None:
        """Translate the files; `ended` has the summary.

        Raises
        ------
        InputError, FileError
            When a choice is missing or can't be, or files are being translated.
        """
        request = self._request()
        self._progress = FilesProgress()
        progress = self._progress
        self.error.set_text("")
        self.status.set_text("")
        self.progress.begin("Listing the files")
        self.runner.start(lambda control: translate_files(control, request, progress))
        self._timer.start()
        self._show_state()

    def choose(self, given: Path, out: Path, *, ending: str, overwrite: bool) -> None:
        """Show other files, another folder and format; raises `InputError`."""
        if self.format.findData(ending) < 0:
            raise InputError(f"ending must be {' or '.join(_FORMATS.values())}, got {ending!r}.")
        self.input.path, self.out.path = given, out
        self.format.setCurrentIndex(self.format.findData(ending))
        self.overwrite.setChecked(overwrite)

    def close_work(self) -> None:
        """Stop, and wait for the end of the block in progress."""
        self._timer.stop()
        self.runner.close()
        self.progress.finish()

    def _request(self) -> FilesRequest:
        if self.running:
            raise InputError("Files are being translated: wait for the end, or cancel it.")
        ask_for_model = self._model()
        assert ask_for_model is not None  # the dock is there as long as its parts
        model, options = ask_for_model()
        if model is None:
            raise InputError("Choose a model that can be read: train one, or open a file.")
        if not model.is_unread and not model.read_info().channels:
            raise InputError("This model takes no source: it can't translate files.")
        given, out = self.input.path, self.out.path
        if given is None:
            raise InputError("Choose the files to translate: a folder, a file or a pattern.")
        if out is None:
            raise InputError("Choose the folder of the results.")
        if out.is_file():
            raise FileError(f"{out} is a file: choose a folder for the results.")
        ending = self.format.currentData()
        overwrite, summary = self.overwrite.isChecked(), self.summary_of.text()
        return FilesRequest(model, options, given, out, ending, overwrite, summary)

    def _on_apply(self) -> None:
        try:
            self.start()
        except Pix2PixError as error:
            self.error.set_text(str(error))

    def _on_cancel(self) -> None:
        self.runner.stop()
        self._show_state()

    def _on_timer(self) -> None:
        if self._progress.total:
            self.progress.show_part(self._progress.share, str(self._progress))

    def _on_finished(self, summary: FilesSummary) -> None:
        self.summary = summary
        self._end(str(summary))

    def _on_failed(self, sentence: str) -> None:
        self._end(sentence, is_error=True)

    def _end(self, sentence: str, *, is_error: bool = False) -> None:
        self._timer.stop()
        self.progress.finish()
        self.error.set_text(sentence if is_error else "")
        self.status.set_text("" if is_error else sentence)
        self._show_state()
        self.ended.emit(sentence, is_error)

    def _on_show(self) -> None:
        if self.summary is None:
            return
        try:
            for path in self.summary.written[:_SHOWN]:
                open_result(self._viewer, path, is_image=self.summary.are_images)
        except Pix2PixError as error:
            self.error.set_text(str(error))

    def _show_state(self) -> None:
        self.apply.setEnabled(not self.running)
        self.cancel.setEnabled(self.running and not self.runner.stopping)
        self.show_results.setEnabled(self.summary is not None and bool(self.summary.written))

    def _connect(self) -> None:
        self.apply.clicked.connect(self._on_apply)
        self.cancel.clicked.connect(self._on_cancel)
        self.show_results.clicked.connect(self._on_show)
        self._timer.timeout.connect(self._on_timer)
        self.runner.finished.connect(self._on_finished)
        self.runner.failed.connect(self._on_failed)
        self.runner.ended.connect(self._show_state)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Input", self.input)
        form.addRow("Results in", self.out)
        form.addRow("Format", self.format)
        form.addRow("Of samples", self.summary_of)
        buttons = row_of(self.apply, self.cancel, self.show_results)
        lay_out_column(
            self, form, self.overwrite, buttons, self.progress, self.status, self.error, spacing=4
        )
