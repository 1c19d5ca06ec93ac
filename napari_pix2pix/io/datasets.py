"""Image pairs from files: matched by name, listed in a CSV table, or side by side in one image."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import FileError, InputError, Pix2PixError, Remedy
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.pair_files import (
    PairFiles,
    ReadContext,
    ReadOptions,
    find_pairs,
    open_pairs,
    open_side,
    paths_of,
)
from napari_pix2pix.io.paths import as_path, expand_paths, replacing, shown_name
from napari_pix2pix.io.reading import read_image

_READ_COLUMNS = tuple(field.name for field in fields(ReadOptions))
_COLUMNS = ("source", "target", "condition", "mask", "set", *_READ_COLUMNS)
_ALL_OR_NONE = ("source", "condition")
_SETS = ("train", "validation")
_DELIMITERS = ",;\t"  # spreadsheets use the list separator of their country


@dataclass(frozen=True)
class PairSets:
    """Pairs to train on, pairs to validate on, and sentences about their files for the user."""

    train: list[Pair]
    validation: list[Pair]
    notes: list[str]
    files: list[Path] = field(default_factory=list)  # all that were read


def read_pairs(
    source: str | os.PathLike[str] | None,
    target: str | os.PathLike[str],
    *,
    mask: str | os.PathLike[str] | None = None,
    condition: str | None = None,
    options: ReadOptions | None = None,
    context: ReadContext | None = None,
) -> tuple[list[Pair], list[str]]:
    """Read pairs of files, folders or patterns, matched by name, and notes about their files."""
    files, notes = find_pairs(
        None if source is None else as_path(source),
        as_path(target),
        mask=None if mask is None else as_path(mask),
        condition=condition,
        options=options,
    )
    pairs, more = open_pairs(files, context)
    return pairs, notes + more


@dataclass(frozen=True)
class _Row:
    """One line of a table: its cells by column, and its position for messages."""

    cells: dict[str, str]
    where: str


def read_table(
    path: str | os.PathLike[str],
    *,
    options: ReadOptions | None = None,
    context: ReadContext | None = None,
) -> PairSets:
    """Read the pairs that a CSV file lists; names and errors give their line.

    The first line names the columns in any order: ``target`` and optionally ``source``,
    ``condition``, ``mask``, ``set`` (train or validation) and the fields of `ReadOptions`, which
    `options` stands for where a cell is empty. Paths are relative to the table.
    """
    path = Path(path)
    rows = list(_rows(path))
    if not rows:
        raise InputError(
            f"{path} lists no pairs: write source,target into the first line and one pair into "
            "each line below."
        )
    _check_all_or_none(rows)
    sets = PairSets([], [], [], [path])
    for row in rows:
        files, pairs, notes = _read_row(path.parent, row, options or ReadOptions(), context)
        sets.files.extend(paths_of(files))
        chosen = sets.validation if row.cells["set"] == "validation" else sets.train
        chosen.extend(replace(pair, name=f"{pair.name} ({row.where})") for pair in pairs)
        sets.notes.extend(notes)
    return sets


def _rows(path: Path) -> Iterator[_Row]:
    """Read the lines that are not empty."""
    text = _read_text(path)
    header = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=header.count), strict=True
    )
    try:
        columns = _columns(path, next(reader, ["source", "target"]))
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _row(columns, cells, f"{path.name}, line {reader.line_num}")
    except csv.Error as error:
        raise FileError(
            f"{path.name}, line {reader.line_num}, can't be read as CSV ({error}): save the table "
            "again."
        ) from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileError(f"There is no file {path}; check its name and folder.") from None
    except UnicodeDecodeError:
        raise FileError(f"{path} is not text in UTF-8: save the table as CSV in UTF-8.") from None
    except OSError as error:
        raise FileError(f"{path} can't be read: {error.strerror or error}.") from error


def _columns(path: Path, header: list[str]) -> list[str]:
    """Check the names of the columns."""
    columns = [name.strip().lower() for name in header]
    allowed = f"source and target, and optionally {', '.join(_COLUMNS[2:])}"
    if "target" not in columns:
        raise InputError(
            f"{path.name}, line 1, has no column 'target': the first line names the columns, "
            f"{allowed}."
        )
    for name in columns:
        if name not in _COLUMNS or columns.count(name) > 1:
            fault = "an unknown column" if name not in _COLUMNS else "twice the column"
            raise InputError(f"{path.name}, line 1, has {fault} {name!r}: use {allowed}.")
    return columns


def _row(columns: list[str], cells: list[str], where: str) -> _Row:
    if len(cells) > len(columns):
        raise InputError(
            f"{where}, has {len(cells)} cells for {len(columns)} columns: put text that contains "
            "the separator in double quotes."
        )
    values = dict.fromkeys(_COLUMNS, "") | {
        name: cell.strip() for name, cell in zip(columns, cells, strict=False)
    }
    if not values["target"]:
        raise InputError(f"{where}, names no target: give each pair one.")
    values["set"] = values["set"].lower() or "train"
    if values["set"] not in _SETS:
        raise InputError(f"{where}, has the set {values['set']!r}: use train or validation.")
    return _Row(values, where)


def _check_all_or_none(rows: list[_Row]) -> None:
    for name in _ALL_OR_NONE:
        empty = [row for row in rows if not row.cells[name]]
        if empty and len(empty) < len(rows):
            raise InputError(
                f"{empty[0].where}, has no {name}, but other lines have one: give one to each."
            )


def _read_row(
    folder: Path, row: _Row, options: ReadOptions, context: ReadContext | None
) -> tuple[list[PairFiles], list[Pair], list[str]]:
    cells = row.cells
    own = ReadOptions(**{name: cells[name] or None for name in _READ_COLUMNS})
    try:
        files, notes = find_pairs(
            folder / cells["source"] if cells["source"] else None,
            folder / cells["target"],
            mask=folder / cells["mask"] if cells["mask"] else None,
            condition=cells["condition"] or None,
            options=own.filled(options),
        )
        pairs, more = open_pairs(files, context)
    except Pix2PixError as error:
        raise type(error)(f"{row.where}: {error}", remedies=error.remedies) from error
    return files, pairs, notes + more


def write_table(
    path: Path, train: Iterable[PairFiles], validation: Iterable[PairFiles] = ()
) -> None:
    """Write files of pairs as a table, which may be corrected and is read by `read_table`."""
    folder = path.absolute().parent
    rows = []
    for name, files in (("train", train), ("validation", validation)):
        for pair in files:
            paths = {
                side: "" if one is None else _beside(one, folder)
                for side, one in vars(pair).items()
                if side in ("source", "target", "mask")
            }
            more = {"condition": pair.condition, "set": name, **asdict(pair.options)}
            rows.append(paths | more)
    used = [name for name in _COLUMNS if any(row[name] for row in rows)]
    with replacing(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, used, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _beside(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, or absolute on another drive."""
    try:
        return os.path.relpath(path.absolute(), folder)
    except ValueError:
        return str(path.absolute())


Direction = Literal["AtoB", "BtoA"]


def read_aligned(
    folder: str | os.PathLike[str],
    direction: Direction = "AtoB",
    *,
    test: bool = False,
    options: ReadOptions | None = None,
    context: ReadContext | None = None,
) -> PairSets:
    """Read a folder of images whose left half (A) and right half (B) show the same field.

    `folder` holds the folders ``train``, ``val`` and ``test`` or some of them, or the images
    themselves, which are all for training. With `test`, ``validation`` holds the images of
    ``test``, or else of ``val``, and ``train`` is empty. Pairs are named by their files.

    Examples
    --------
    ::

        pairs = read_aligned("facades", "BtoA")
        sources, targets = zip(*((pair.source, pair.target) for pair in pairs.train))
        translator = train(list(sources), list(targets), validation=pairs.validation)
    """
    if direction not in get_args(Direction):
        raise InputError(f"direction must be 'AtoB' or 'BtoA', got {direction!r}.")
    folder = as_path(folder)
    parts = {name: folder / name for name in ("train", "val", "test") if (folder / name).is_dir()}
    sets = PairSets([], [], [])
    if test and (scored := parts.get("test") or parts.get("val")):
        chosen = [(scored, sets.validation)]
    elif "train" in parts and not test:
        chosen = [(parts["train"], sets.train)]
        chosen += [(parts["val"], sets.validation)] if "val" in parts else []
    else:
        chosen = [(folder, sets.train)]
    for part, pairs in chosen:
        for path in expand_paths(part):
            pair, notes = _split(
                path, direction, options or ReadOptions(), context or ReadContext()
            )
            pairs.append(pair)
            sets.files.append(path)
            sets.notes.extend(notes)
    return sets


def _split(
    path: Path, direction: Direction, options: ReadOptions, context: ReadContext
) -> tuple[Pair, list[str]]:
    """Split an image in the middle; also return notes."""
    image = read_image(path, options.source_axes)
    width = image.shape[image.axes.index("X")]
    if width % 2:
        raise InputError(
            f"{path} is {width} pixels wide, but two halves of equal size need an even width: crop "
            "the image again."
        )
    halves = [
        replace(image, data=_image_columns(image, slice(first, first + width // 2)), notes=())
        for first in (0, width // 2)
    ]
    first, second = halves if direction == "AtoB" else halves[::-1]
    source, notes = open_side(first, options.source_channels, context.source)
    target, more = open_side(
        second, options.target_channels, context.target, Remedy.TARGET_CHANNELS
    )
    return Pair(source, target, name=shown_name(path)), [*image.notes, *notes, *more]


def _image_columns(image: ImageFile, columns: slice) -> Any:
    data = image.data
    if not isinstance(data, np.ndarray) and not hasattr(data, "dask"):
        import dask.array as da

        data = da.from_array(data)  # a large file is not read as a whole
    return data[(slice(None),) * image.axes.index("X") + (columns,)]
