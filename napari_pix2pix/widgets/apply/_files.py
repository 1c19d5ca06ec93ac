"""The part of the Apply dock that translates files and folders into files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakMethod

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLabel, QLineEdit, QWidget

from napari_pix2pix.errors import FileError, InputError, Pix2PixError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.widgets.apply._files_work import (
    SHOWN,
    FilesProgress,
    FilesRequest,
    FilesSummary,
    open_result,
    translate_files,
)
from napari_pix2pix.widgets.common.elements import (
    Choice,
    ProgressRow,
    Sentence,
    follow_font,
    lay_out_column,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.known_models import NO_MODEL, ModelEntry
from napari_pix2pix.widgets.common.path_field import PathField
from napari_pix2pix.widgets.common.runner import Runner, errors_in_words

if TYPE_CHECKING:
    import napari.viewer

_PERIOD = 300  # milliseconds between two looks at the progress
_SUMMARY = "mean,std"
_FORMATS = {"TIFF": ".tif", "OME-Zarr": ".ome.zarr"}


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
        self.acquisition = QLineEdit()
        self.acquisition.setPlaceholderText("all")
        self.acquisition.setToolTip(
            "For plates: only the fields of this acquisition, by its number or name."
        )
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

    def choose(
        self, given: Path, out: Path, *, ending: str, overwrite: bool, acquisition: str | None
    ) -> None:
        """Show other files, another folder and format; raises `InputError`."""
        if self.format.findData(ending) < 0:
            raise InputError(f"ending must be {' or '.join(_FORMATS.values())}, got {ending!r}.")
        self.input.path, self.out.path = given, out
        self.format.setCurrentIndex(self.format.findData(ending))
        self.overwrite.setChecked(overwrite)
        self.acquisition.setText(acquisition or "")

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
            raise InputError(NO_MODEL)
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
        acquisition = self.acquisition.text().strip() or None
        return FilesRequest(model, options, given, out, ending, overwrite, summary, acquisition)

    def _on_apply(self) -> None:
        try:
            with errors_in_words():
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
            with errors_in_words():
                for path in self.summary.written[:SHOWN]:
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
        label = QLabel("Input")
        follow_font(label, self.summary_of, self.acquisition)
        for field in (self.input, self.out):
            follow_font(label, field.line, field.browse)
        form.addRow(label, self.input)
        form.addRow("Acquisition", self.acquisition)
        form.addRow("Results in", self.out)
        form.addRow("Format", self.format)
        form.addRow("Of samples", self.summary_of)
        buttons = row_of(self.apply, self.cancel, self.show_results)
        lay_out_column(
            self, form, self.overwrite, buttons, self.progress, self.status, self.error, spacing=4
        )
