"""The files of pairs: how they are named and read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import Pair, stop_if_asked
from napari_pix2pix.errors import InputError, Pix2PixError, Remedy
from napari_pix2pix.io.channels import TrainedChannels, take_channels
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.matching import match_by_name, match_in_order, pair_names
from napari_pix2pix.io.paths import expand_paths, shown_name
from napari_pix2pix.io.plates import well_of
from napari_pix2pix.io.reading import lazy_image_of_file, read_image

Direction = Literal["AtoB", "BtoA"]
Matching = Literal["name", "order"]


@dataclass(frozen=True)
class ReadOptions:
    """How the files of pairs are read: options of the shell, and columns of tables."""

    source_axes: str | None = None  # replace what the file states
    target_axes: str | None = None  # where the file states none, like the masks'
    mask_axes: str | None = None
    source_channels: str | None = None  # by number or name, such as 0,DAPI; all by default
    target_channels: str | None = None
    wells: str | None = None  # of plates, such as "A1, B*"; all by default
    acquisition: str | None = None  # of plates, by number or name; all by default

    def filled(self, others: ReadOptions) -> ReadOptions:
        """Return the same with those of `others` where none is given."""
        pairs = ((getattr(self, one.name), getattr(others, one.name)) for one in fields(self))
        return ReadOptions(*(mine or other for mine, other in pairs))


@dataclass(frozen=True)
class ReadContext:
    """What holds for all files of a command."""

    override: bool = False  # whether target_axes and mask_axes replace what the files state
    source: TrainedChannels | None = None  # channels of the model that the pairs are for
    target: TrainedChannels | None = None


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair."""

    source: Path | None
    target: Path
    mask: Path | None = None
    condition: str | None = None
    name: str = ""
    options: ReadOptions = field(default_factory=ReadOptions)
    halves: Direction | None = None  # where source and target are the halves of one image
    where: str = ""  # the line of a table, for messages
    named_group: str | None = None  # that a table states

    @property
    def group(self) -> str | None:
        """What is held out together: what a table states, else the fields of the well."""
        return self.named_group or self.well

    @property
    def well(self) -> str | None:
        """The well that the pair lies in, with the folder of its plate; None without one."""
        wells = (None if path is None else well_of(path) for path in (self.source, self.target))
        return next(filter(None, wells), None)

    def open(self, context: ReadContext) -> tuple[Pair, tuple[str, ...]]:
        """Open the files as a pair; also return notes about them."""
        try:
            return self._open_halves(context) if self.halves else self._open_files(context)
        except Pix2PixError as error:
            if not self.where:
                raise
            raise type(error)(f"{self.where}: {error}", remedies=error.remedies) from error

    def _open_files(self, context: ReadContext) -> tuple[Pair, tuple[str, ...]]:
        options = self.options
        notes: list[str] = []
        source = mask = None
        if self.source is not None:
            image = read_image(self.source, options.source_axes)
            source, more = open_side(image, options.source_channels, context.source)
            notes += more
        image = self._read_partner(self.target, options.target_axes, Remedy.TARGET_AXES, context)
        target, more = open_side(
            image, options.target_channels, context.target, Remedy.TARGET_CHANNELS
        )
        notes += more
        if self.mask is not None:
            image = self._read_partner(self.mask, options.mask_axes, Remedy.MASK_AXES, context)
            mask, more = open_side(image, None, None)
            notes += more
        pair = Pair(
            source,
            target,
            mask=mask,
            condition=self.condition,
            name=self.name,
            group=self.group,
        )
        return pair, tuple(notes)

    def _open_halves(self, context: ReadContext) -> tuple[Pair, tuple[str, ...]]:
        """Split an image in the middle."""
        options, path = self.options, self.target
        image = read_image(path, options.source_axes)
        width = image.shape[image.axes.index("X")]
        if width % 2:
            raise InputError(
                f"{path} is {width} pixels wide, but two halves of equal size need an even width: "
                "crop the image again."
            )
        halves = [
            replace(image, data=_image_columns(image, slice(first, first + width // 2)), notes=())
            for first in (0, width // 2)
        ]
        first, second = halves if self.halves == "AtoB" else halves[::-1]
        source, notes = open_side(first, options.source_channels, context.source)
        target, more = open_side(
            second, options.target_channels, context.target, Remedy.TARGET_CHANNELS
        )
        return Pair(source, target, name=self.name), (*image.notes, *notes, *more)

    def _read_partner(
        self, path: Path, axes: str | None, remedy: Remedy, context: ReadContext
    ) -> ImageFile:
        """Read a target or mask, with the source's axes if it states none and none are given."""
        if axes is not None or self.options.source_axes is None:
            return read_image(path, axes, override=context.override, remedy=remedy)
        try:
            return read_image(path, remedy=remedy)
        except InputError:
            return read_image(path, self.options.source_axes, remedy=remedy)


def _image_columns(image: ImageFile, columns: slice) -> Any:
    data = image.data
    if not isinstance(data, np.ndarray) and not hasattr(data, "dask"):
        import dask.array as da

        data = da.from_array(data)  # a large file is not read as a whole
    return data[(slice(None),) * image.axes.index("X") + (columns,)]


def paths_of(files: Iterable[PairFiles]) -> list[Path]:
    """List the files of pairs: sources, targets and masks."""
    named = (path for one in files for path in (one.source, one.target, one.mask))
    return [path for path in named if path is not None]


def open_side(
    image: ImageFile,
    channels: str | None,
    trained: TrainedChannels | None,
    remedy: Remedy = Remedy.CHANNELS,
) -> tuple[LazyImage, tuple[str, ...]]:
    """Open the channels of an image that are chosen, or those of a model; also return notes."""
    image = take_channels(image, channels, trained, remedy)
    return lazy_image_of_file(image), image.notes


def open_pairs(
    files: Iterable[PairFiles], context: ReadContext | None = None
) -> tuple[list[Pair], list[str]]:
    """Open the files of pairs; also return notes about them."""
    pairs: list[Pair] = []
    notes: list[str] = []
    for one in files:
        stop_if_asked()
        pair, more = one.open(context or ReadContext())
        pairs.append(pair)
        notes += more
    return pairs, notes


def find_pairs(
    source: Path | None,
    target: Path,
    *,
    mask: Path | None = None,
    condition: str | None = None,
    options: ReadOptions | None = None,
    matching: Matching = "name",
) -> tuple[list[PairFiles], list[str]]:
    """Match the files of files, folders or patterns by name or order; also return notes.

    Without a `source` no target has one. `mask` is 0 where nothing is trained or scored. In order,
    the first source belongs to the first target, whatever their names, and so do masks.
    """
    options = options or ReadOptions()
    chosen_fields = options.wells, options.acquisition
    options = replace(options, wells=None, acquisition=None)  # which the files show
    matched: list[tuple[Path | None, Path]] = []
    notes: list[str] = []
    if source is None:
        matched += [(None, path) for path in expand_paths(target, *chosen_fields)]
    else:
        sources = expand_paths(source, *chosen_fields)
        targets = expand_paths(target, *chosen_fields)
        chosen = options.source_channels is not None or options.target_channels is not None
        if matching == "order":
            matched += match_in_order(sources, targets, may_be_same=chosen)
        else:
            with_source, notes = match_by_name(sources, targets, may_be_same=chosen)
            matched += with_source
    named_by = [source_path or target_path for source_path, target_path in matched]
    side = "target" if source is None else "source"
    mask_paths = None if mask is None else expand_paths(mask, *chosen_fields)
    masks, mask_notes = _match_masks(named_by, mask_paths, side, matching)
    files = [
        PairFiles(source_path, target_path, mask_path, condition, name, options)
        for (source_path, target_path), mask_path, name in zip(
            matched, masks, pair_names(named_by), strict=True
        )
    ]
    return files, notes + mask_notes


def _match_masks(
    paths: list[Path], mask: list[Path] | None, side: str, matching: Matching
) -> tuple[list[Path] | list[None], list[str]]:
    """Match a mask to each source or target; also return notes about unused masks."""
    if mask is None:
        return [None] * len(paths), []
    if matching == "order":
        in_order = match_in_order(paths, mask, side=side, partner="mask")
        return [path for _, path in in_order], []
    matched, notes = match_by_name(paths, mask, side=side, partner="mask")
    mask_of = dict(matched)
    unmasked = [shown_name(path) for path in paths if path not in mask_of]
    if unmasked:
        raise InputError(
            f"{len(unmasked)} of {len(paths)} {side}s {'has' if len(unmasked) == 1 else 'have'} no "
            f"mask of the same name, {unmasked[0]} among them: add it, or list the pairs in a "
            "table, where a pair may have no mask.",
            remedies=(Remedy.TABLE,),
        )
    return [mask_of[path] for path in paths], notes
