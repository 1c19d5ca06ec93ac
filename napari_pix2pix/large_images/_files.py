"""Translate image files of any size: small ones at once, large ones block by block."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from napari_pix2pix.data.inputs import open_for_codec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import own_errors
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.tiling import OnTile
from napari_pix2pix.inference.uncertainty import summarise
from napari_pix2pix.inference.unlikeness import map_options, share_unlike
from napari_pix2pix.io.channels import take_channels
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.locks import locked
from napari_pix2pix.io.outputs import check_apart, check_replaceable
from napari_pix2pix.io.paths import files_read
from napari_pix2pix.io.plates import is_zarr_name
from napari_pix2pix.io.reading import check_there, lazy_image_of_file, read_image
from napari_pix2pix.io.resumable import warn_if_changed
from napari_pix2pix.io.writing import check_translation, write_translation
from napari_pix2pix.large_images._translate_file import (
    check_finished,
    needs_blocks,
    output_record,
    translate_file,
)
from napari_pix2pix.large_images.cluster import Cluster
from napari_pix2pix.translator import Translator

Watch: TypeAlias = Callable[[int], AbstractContextManager[OnTile | None]]


@contextmanager
def unwatched(parts: int) -> Iterator[None]:
    """Watch nothing."""
    yield None


def _check_files(source: Path, outs: Sequence[Path]) -> None:
    """Refuse a missing source, and outputs that would replace what is read or others made."""
    check_there(source)
    check_apart(outs, files_read([source]))
    for out in outs:
        check_replaceable(out, folder=is_zarr_name(out))


def _say_nothing(sentence: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class FileTranslation:
    """A model and how it is applied to files, one after another.

    Parameters
    ----------
    translator : Translator
        The model.
    options : PredictOptions
        How it is applied.
    tags : sequence of str
        Numbers of samples, or names of a summary; none for one sample.
    summarises : bool
        Whether the tags are ``mean``, ``std`` and quantiles such as ``q5``.
    axes : str, optional
        Replace those that a file states.
    channels : str, optional
        Of the sources, by number or name.
    part : tuple of str or None
        Region and frames, as the command takes them, such as ``("0:512,0:512", "0:10")``.
    resume : bool
        Keep what an earlier run has finished, and go on there.
    overwrite : bool
        Replace files that are there.
    cluster : Cluster, optional
        Its workers translate the blocks of large files.
    tell : callable, optional
        Called with each sentence that there is to know of the files.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import tifffile
    >>> from napari_pix2pix import train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> work = FileTranslation(model, PredictOptions(), resume=True)
    >>> with TemporaryDirectory() as folder:
    ...     source, out = Path(folder, "phase.tif"), Path(folder, "dapi.tif")
    ...     tifffile.imwrite(source, image)
    ...     unfinished = work.apply(source, [out])
    ...     tifffile.imread(out).shape
    (96, 96)
    """

    translator: Translator
    options: PredictOptions
    _: KW_ONLY
    tags: Sequence[str] = ()
    summarises: bool = False
    axes: str | None = None
    channels: str | None = None
    part: tuple[str | None, str | None] = (None, None)
    resume: bool = False
    overwrite: bool = False
    cluster: Cluster | None = None
    tell: Callable[[str], None] = _say_nothing

    @own_errors()
    def apply(self, source: Path, outs: Sequence[Path], watch: Watch = unwatched) -> list[Path]:
        """Translate a file into as many as there are tags; return those that were not finished.

        Parameters
        ----------
        source : Path
            The image file.
        outs : sequence of Path
            One for each tag, or one if there are no tags.
        watch : callable, optional
            Returns a context for a number of parts; it yields what is called with the pixels done
            and those of the part, again and again.

        Raises
        ------
        Pix2PixError
            When the file can't be read, translated or written; a `StoppedError` that `watch` raises
            ends the work. What is finished stays, and is kept by a later run with ``resume``.
        """
        _check_files(source, outs)
        tagged = zip(self.tags or ["1"], outs, strict=True)
        unfinished = {
            tag: path
            for tag, path in tagged
            if not self._finished(path, partial(self._record, source, tag))
        }
        if not unfinished:
            return []
        records = {tag: self._record(source, tag) for tag in unfinished}
        image = self._read(source)
        for note in image.notes:
            self.tell(note)
        if self._needs_blocks(image):
            self._in_blocks(source, image, unfinished, watch)
        else:
            with locked(*unfinished.values()):
                self._at_once(source, image, unfinished, records, watch)
        return list(unfinished.values())

    @own_errors()
    def write_unlikeness(self, source: Path, out: Path) -> None:
        """Write where a file is unlike the training images."""
        _check_files(source, [out])
        if self._finished(out, partial(self._record_of_map, source)):
            return
        image, layout, model = self._read(source), Layout(), self.translator
        check_translation(out, "float32", source=image, layout=layout)
        opened = open_for_codec(
            lazy_image_of_file(image), model.source_codec, model.z_context, model.ndim
        )
        seen = model.as_computed(opened, self.options)
        cells = model.predict_cells(seen, map_options(self.options))
        write_translation(
            out,
            model.show_cells(cells, seen),
            source=image,
            layout=layout,
            record=self._record_of_map(source),
            overwrite=self.overwrite,
        )
        if self._needs_blocks(image):  # which are not watched while they are translated
            shares = {frame: share_unlike(of_frame) for frame, of_frame in enumerate(cells)}
            if sentence := model.info.check_usual().warning(shares):
                warnings.warn(sentence, UserWarning, stacklevel=3)

    def _needs_blocks(self, image: ImageFile) -> bool:
        planes = self.options.samples * self.translator.target_codec.planes
        return needs_blocks(image, planes) or any(self.part) or self.cluster is not None

    def _read(self, source: Path) -> ImageFile:
        trained = self.translator.info.trained_channels[0]
        return take_channels(read_image(source, self.axes), self.channels, trained)

    def _finished(self, out: Path, record: Callable[[], dict[str, Any]]) -> bool:
        """Tell whether a resumed run has finished an output; raises if that was made otherwise."""
        if not (self.resume and out.exists()) or self.overwrite:
            return False
        is_known = check_finished(out, record())
        unknown = "" if is_known else "; the file does not name its model"
        self.tell(f"{out} is finished already{unknown}.")
        return True

    def _at_once(
        self,
        source: Path,
        image: ImageFile,
        outs: Mapping[str, Path],
        records: Mapping[str, dict[str, Any]],  # of the source as it was before it was read
        watch: Watch,
    ) -> None:
        planes, options = lazy_image_of_file(image), self.options
        translator = self.translator.for_dtypes(planes.dtype)
        codec = translator.target_codec
        pixel = translator.target_like("float" if self.summarises else options.output)
        for out in outs.values():
            check_translation(out, pixel.dtype, source=image, layout=codec.layout)
        with watch(planes.frames * options.samples) as on_tile:
            if self.summarises:
                fields = {**dict(options), "n": options.samples, "on_tile": on_tile}
                del fields["samples"], fields["output"]
                spread = partial(self.translator.spread, planes, **fields)
                drawn = summarise(lambda levels: spread(quantiles=levels), list(outs))
            else:
                arrays = self.translator(planes, on_tile=on_tile, **dict(options))
                drawn = dict(zip(self.tags, arrays, strict=True)) if self.tags else {"1": arrays}
        warn_if_changed(source, records[next(iter(outs))]["source"])
        for tag, out in outs.items():
            write_translation(
                out,
                drawn[tag],
                source=image,
                layout=codec.layout,
                kind="image" if pixel.dtype.kind == "f" else codec.kind,
                channel_names=self.translator.info.output_names(options.condition),
                # A deviation has a range of its own.
                looks=() if tag == "std" else self.translator.info.output_looks(options.condition),
                record=records[tag],
                overwrite=self.overwrite,
            )

    def _in_blocks(
        self, source: Path, image: ImageFile, outs: Mapping[str, Path], watch: Watch
    ) -> None:
        region, frames = self.part
        for tag, out in outs.items():
            sample, summary = self._wanted(tag)
            with watch(1) as on_tile:
                translate_file(
                    self.translator,
                    source,
                    image,
                    out,
                    self.options,
                    sample=sample,
                    summary=summary,
                    region=region,
                    frames=frames,
                    axes=self.axes,
                    channels=self.channels,
                    resume=self.resume,
                    overwrite=self.overwrite,
                    cluster=self.cluster,
                    on_tile=on_tile,
                )

    def _record(self, source: Path, tag: str) -> dict[str, Any]:
        """Return what an output is made of."""
        part = *self.part, self.channels
        return output_record(self.translator, source, self.options, *self._wanted(tag), *part)

    def _record_of_map(self, source: Path) -> dict[str, Any]:
        """Return what an unlikeness map is made of."""
        size = {"resample": self.options.resample, "pixel_size": self.options.pixel_size}
        if self.options.plane_distance is not None:
            size["plane_distance"] = self.options.plane_distance
        options = map_options(self.options).model_copy(update=size)
        record = output_record(self.translator, source, options, channels=self.channels)
        return record | {"shown": "unlikeness"}

    def _wanted(self, tag: str) -> tuple[int, str | None]:
        """Return which sample, or what of all samples, an output holds."""
        return (0, tag) if self.summarises else (int(tag) - 1, None)
