"""The sections of the Apply dock: files and folders, and learning from corrections."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.widgets.apply._choices import ApplyChoices
from napari_pix2pix.widgets.apply._corrections import CorrectionsForm
from napari_pix2pix.widgets.apply._files import FilesForm
from napari_pix2pix.widgets.apply._request import ApplyRequest, with_preferred_device
from napari_pix2pix.widgets.common.known_models import ModelEntry
from napari_pix2pix.widgets.common.runner import errors_in_words

if TYPE_CHECKING:
    import napari.viewer


class ApplySections(ApplyChoices):
    """What the Apply dock does besides translating layers, in sections that fold.

    Subclasses make the view, and then call `_add_sections`.
    """

    files: FilesForm
    corrections: CorrectionsForm

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__(napari_viewer)
        self._applied_to: list[list[Any]] = []  # by the last run

    def apply(self) -> None:
        """Apply the model to the layers that are chosen."""
        raise NotImplementedError

    def apply_to_files(
        self,
        given: str | os.PathLike[str],
        out: str | os.PathLike[str],
        *,
        ending: str = ".tif",
        overwrite: bool = False,
        acquisition: str | None = None,
    ) -> None:
        """Translate files into a folder; `files.ended` has the outcome, `files.summary` the rest.

        Parameters
        ----------
        given : path-like
            A file, a folder or a pattern.
        out : path-like
            The folder of the results, which is made if it is missing.
        ending : {".tif", ".ome.zarr"}
            The format of the results.
        overwrite : bool
            Replace existing files; otherwise what this model has finished is kept, and what was
            interrupted is continued.
        acquisition : str, optional
            Of plates: only the fields of this acquisition, by its number or name.

        Raises
        ------
        InputError, FileError
            When there is no model that takes a source, or files are being translated.
        """
        self.files.choose(
            Path(given), Path(out), ending=ending, overwrite=overwrite, acquisition=acquisition
        )
        self.files.start()

    def learn(self) -> None:
        """Learn from the corrected result, and apply the new model again.

        `corrections.ended` has the outcome; what is learned from is chosen in `corrections`.

        Raises
        ------
        InputError
            When nothing was corrected, or a model is being applied.
        """
        self._check_free()
        options = with_preferred_device(self.options, self.card)
        self.corrections.begin(options.device or "auto")
        self._show_state()

    def _add_sections(self) -> None:
        self.files = FilesForm(self._viewer, self._model_and_options)
        self._view.add_section("Files and folders", self.files)
        self.corrections = CorrectionsForm()
        self._view.add_section("Learn from corrections", self.corrections)
        for form in (self.files, self.corrections):
            form.runner.ended.connect(self._show_state)
        self.corrections.start.clicked.connect(self._try_to_learn)
        self.corrections.learned.connect(self._apply_learned)

    def _check_free(self) -> None:
        if self.running:
            raise InputError("A model is being applied: wait for its end, or cancel it.")

    def _try_to_learn(self) -> None:
        try:
            with errors_in_words():
                self.learn()
        except Pix2PixError as error:
            self.corrections.show_error(str(error))

    def _remember_results(self, request: ApplyRequest, results: Sequence[Any]) -> None:
        self.corrections.remember(results, self._applied_to, request)
        self.corrections.offer(list(self._viewer.layers))

    def _apply_learned(self, model: ModelEntry, sources: Sequence[Any]) -> None:
        """Apply a model that has learned from a correction to the same layers."""
        self.set_model(model)
        self.set_layers(list(sources), by_channel=len(sources) > 1)
        self._try_to(self.apply)
