"""Files that are translated into files in a thread of the Apply dock."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from napari_pix2pix.errors import FileError, Pix2PixError, StoppedError, plural
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.paths import expand_paths, file_stem, shown_name
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.zarr_file import is_zarr
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.common.known_models import ModelEntry
from napari_pix2pix.widgets.common.settings import in_time_units, shown_error

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.inference.tiling import OnTile
    from napari_pix2pix.large_images import Watch

SHOWN = 3  # results, failures and notes that are named


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
    acquisition: str | None = None  # of plates, by number or name; None for all


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
        parts += [f"Failed: {name}: {why}" for name, why in self.failed[:SHOWN]]
        if len(self.failed) > SHOWN:
            parts.append(f"{len(self.failed) - SHOWN} more failed.")
        return "\n".join([*parts, *self.notes[:SHOWN]])


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

    inputs = expand_paths(request.given, acquisition=request.acquisition)
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
            failed.append((shown_name(source), shown_error(error)))
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
