"""The dock that trains a network on open layers or on files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_pix2pix.errors import InputError
from napari_pix2pix.io.pair_files import Direction, Matching
from napari_pix2pix.training.config import AppliedWeights, TrainConfig
from napari_pix2pix.widgets.common.closing import DockWatch
from napari_pix2pix.widgets.runs.file_choice import FileChoice
from napari_pix2pix.widgets.runs.records import KeptRun
from napari_pix2pix.widgets.train._session import TrainSession
from napari_pix2pix.widgets.train._view import TrainView

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_pix2pix.translator import Translator


class TrainDock(QWidget):
    """Trains a network on pairs of layers or files.

    Everything that the mouse can do is a property or a method. A training goes on where the dock is
    closed, and the next Train dock of the viewer shows it.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer

    Attributes
    ----------
    state_changed : Signal(str)
        One of idle, preparing, training, paused, stopped, done, failed.
    apply_requested : Signal(object)
        The user wants to apply this `Translator`.

    Examples
    --------
    >>> dock, widget = viewer.window.add_plugin_dock_widget(
    ...     "napari-pix2pix", "Train"
    ... )  # doctest: +SKIP
    >>> widget.add_pair(viewer.layers["stain"], viewer.layers["nuclei"])  # doctest: +SKIP
    >>> widget.set_fields(epochs=5)  # doctest: +SKIP
    >>> widget.train()  # doctest: +SKIP
    """

    state_changed = Signal(str)
    apply_requested = Signal(object)

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.session = TrainSession.of(napari_viewer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view.panel)
        self.view.panel.show()
        self.session.state_changed.connect(self.state_changed)
        self.view.outcome.apply_requested.connect(self.apply_requested)
        watch = DockWatch(self)
        watch.docked.connect(self._on_docked)
        watch.undocked.connect(self._on_undocked)

    @property
    def view(self) -> TrainView:
        """What the dock shows."""
        return self.session.view

    @property
    def state(self) -> str:
        """One of idle, preparing, training, paused, stopped, done, failed."""
        return str(self.view.status.state)

    @property
    def translator(self) -> Translator | None:
        """The model of the last run, or None."""
        return self.session.translator

    @property
    def config(self) -> TrainConfig:
        """The config that the form shows; `set_fields` changes it.

        Raises
        ------
        ConfigError
            When the fields don't fit each other.
        """
        return TrainConfig(**self.view.form.fields)

    def set_fields(self, **fields: Any) -> None:
        """Set fields of `TrainConfig` in the form; those that are not given stay as they are.

        Raises
        ------
        ConfigError
            When there is no such field or its value is out of range; nothing is then changed.
        """
        self.view.form.set_fields(fields)

    @property
    def start_from(self) -> Translator | Path | None:
        """The model to start from, in memory or a file; None for a new one."""
        return self.view.form.options.start_from

    @start_from.setter
    def start_from(self, model: Translator | str | os.PathLike[str] | None) -> None:
        if isinstance(model, str | os.PathLike):
            model = Path(model)
        self.view.form.options.start_from = model

    def add_pair(
        self,
        source: Layer | Sequence[Layer],
        target: Layer | Sequence[Layer],
        mask: Layer | None = None,
        condition: str | None = None,
        *,
        held_out: bool = False,
    ) -> None:
        """Add a pair of layers.

        Parameters
        ----------
        source, target : layer or sequence of layers
            In this viewer; several are channels of one image.
        mask : Labels or Shapes layer, optional
        condition : str, optional
        held_out : bool
            Whether the run is validated on this pair instead of being trained on it.
        """
        pairs = self.view.form.pairs
        pairs.add(_as_list(source), _as_list(target), mask, condition, held_out=held_out)

    def set_folders(
        self,
        source: str | os.PathLike[str] | None,
        target: str | os.PathLike[str],
        *,
        mask: str | os.PathLike[str] | None = None,
        matching: Matching = "name",
        acquisition: str | None = None,
    ) -> None:
        """Train on files, which are listed at once.

        Parameters
        ----------
        source, target, mask : path-like, optional
            A file, a folder or a pattern each; without a source see `set_source`.
        matching : {"name", "order"}
            Whether files belong together by their names, or as they are sorted.
        acquisition : str, optional
            Of plates: only the fields of this acquisition, by its number or name.

        Raises
        ------
        InputError, FileError
            When the files don't tell which belong together, or there are none.
        """
        paths = [None if path is None else Path(path) for path in (source, target, mask)]
        choice = FileChoice(
            origin="folders",
            source=paths[0],
            target=paths[1],
            mask=paths[2],
            matching=matching,
            acquisition=acquisition,
        )
        self.view.form.data.set_files(choice)

    def set_table(self, path: str | os.PathLike[str]) -> None:
        """Train on the files that a CSV table lists; raises `InputError` or `FileError`."""
        self.view.form.data.set_files(FileChoice(origin="table", path=Path(path)))

    def set_aligned(self, folder: str | os.PathLike[str], direction: Direction = "AtoB") -> None:
        """Train on A|B images, which show source and target side by side.

        Parameters
        ----------
        folder : path-like
            Holds the images, or folders ``train`` and ``val`` with them.
        direction : {"AtoB", "BtoA"}
            Whether the left half is the source, or the right one.

        Raises
        ------
        InputError, FileError
            When there are no images.
        """
        choice = FileChoice(origin="aligned", path=Path(folder), direction=direction)
        self.view.form.data.set_files(choice)

    def set_layers(self) -> None:
        """Train on layers again, after files."""
        self.view.form.data.set_files(None)

    def set_source(self, kind: str) -> None:
        """Choose what the network sees.

        Parameters
        ----------
        kind : str
            "" for the sources that are chosen, "none" for a training that generates images, or how
            sources are made of targets, see ``derive`` of `TrainConfig`.
        """
        self.view.form.data.set_source(kind)

    def clear_pairs(self) -> None:
        """Remove all pairs."""
        self.view.form.pairs.clear()

    def train(self) -> None:
        """Start a run; `state_changed` reports its states.

        Raises
        ------
        InputError, ConfigError
            When layers or config can't be trained on, or a run is in progress.
        """
        self.session.start()

    def try_it(self) -> None:
        """Train on a sample for at most a minute, apply the model and compare with the truth.

        Raises
        ------
        InputError
            When a run is in progress.
        """
        self.session.try_it()

    def pause(self) -> None:
        """Pause the run before its next step."""
        self.session.pause()

    def resume(self) -> None:
        """Resume a paused run."""
        self.session.resume()

    def stop(self) -> None:
        """Stop the run; the model so far is kept."""
        self.session.stop()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the model of the last run to a file.

        Raises
        ------
        InputError
            When there is none.
        FileError
            When the file can't be written.
        """
        if self.translator is None:
            raise InputError("There is no model yet: train one first.")
        self.translator.save(path)
        self.view.outcome.show_saved(self.translator, Path(path))

    def choose_weights(self, weights: AppliedWeights) -> None:
        """Take the last weights of the run's model, or those of its best validation.

        Raises
        ------
        InputError
            When there is no model, or it lacks these weights.
        """
        self.session.choose_weights(weights)

    def resume_run(self, run: KeptRun) -> None:
        """Resume an interrupted run.

        Raises
        ------
        InputError
            When its layers are not open.
        FileError
            When its files are gone.
        """
        self.session.resume_run(run)

    def reset_choices(self, event: Any = None) -> None:
        """Follow the viewer's layer list; napari calls it."""
        self.session.reset_choices()

    def close_work(self) -> None:
        """Stop all work and wait for it; what it has learned is kept for the next start."""
        self.session.close_work()

    def _on_docked(self, window: QWidget) -> None:
        self.session.enter_window(window)

    def _on_undocked(self) -> None:
        self.session.leave_dock()


def _as_list(layers: Layer | Sequence[Layer]) -> list[Layer]:
    return list(layers) if isinstance(layers, Sequence) else [layers]
