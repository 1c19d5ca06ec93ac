"""Image pairs from files: matched by name, listed in a CSV table, or side by side in one image."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import get_args

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import FileError, InputError, Pix2PixError, own_errors
from napari_pix2pix.io._regular_files import check_readable
from napari_pix2pix.io.csv_cells import cell_text, text_cell
from napari_pix2pix.io.pair_files import (
    Direction,
    Matching,
    PairFiles,
    ReadContext,
    ReadOptions,
    find_pairs,
    open_pairs,
    paths_of,
)
from napari_pix2pix.io.paths import as_path, expand_paths, replacing, shown_name
from napari_pix2pix.io.read_limits import check_table
from napari_pix2pix.io.resumable import file_fingerprint

_READ_COLUMNS = tuple(field.name for field in fields(ReadOptions))
_COLUMNS = ("source", "target", "condition", "mask", "set", "group", *_READ_COLUMNS)
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
    # Their fingerprints when they were opened.
    before: dict[Path, list[int]] = field(default_factory=dict)

    def changes(self) -> list[str]:
        """Say which files have changed since they were opened: large ones are read in parts."""
        changed = [path for path, one in self.before.items() if _fingerprint(path) != one]
        if not changed:
            return []
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        sentence = (
            f"{changed[0]}{more} changed while the pairs were read: the result may come from a "
            "mixture of old and new pixels, so do it again."
        )
        return [sentence]


@dataclass(frozen=True)
class FileSets:
    """Files of pairs to train on and to validate on, not opened, and sentences about them."""

    train: list[PairFiles]
    validation: list[PairFiles]
    notes: list[str]
    table: Path | None = None  # that lists them

    @property
    def paths(self) -> list[Path]:
        """All files that are read: sources, targets, masks and the table."""
        tables = [] if self.table is None else [self.table]
        return [*tables, *paths_of([*self.train, *self.validation])]

    def open(self, context: ReadContext | None = None) -> PairSets:
        """Open the files."""
        before = {path: _fingerprint(path) for path in self.paths}
        pairs, more = open_pairs([*self.train, *self.validation], context)
        count = len(self.train)
        return PairSets(pairs[:count], pairs[count:], [*self.notes, *more], self.paths, before)


def _fingerprint(path: Path) -> list[int]:
    try:
        return file_fingerprint(path)
    except (OSError, ValueError):  # it is not there; an empty folder has no last change
        return []


@own_errors()
def read_pairs(
    source: str | os.PathLike[str] | None,
    target: str | os.PathLike[str],
    *,
    mask: str | os.PathLike[str] | None = None,
    condition: str | None = None,
    options: ReadOptions | None = None,
    context: ReadContext | None = None,
    matching: Matching = "name",
) -> tuple[list[Pair], list[str]]:
    """Read pairs of files, folders or patterns, and notes about their files.

    They are matched by name, or with `matching` "order" as they are sorted.
    """
    files, notes = find_pairs(
        None if source is None else as_path(source),
        as_path(target),
        mask=None if mask is None else as_path(mask),
        condition=condition,
        options=options,
        matching=matching,
    )
    pairs, more = open_pairs(files, context)
    return pairs, notes + more


@dataclass(frozen=True)
class _Row:
    """One line of a table: its cells by column, and its position for messages."""

    cells: dict[str, str]
    where: str


@own_errors()
def read_table(
    path: str | os.PathLike[str],
    *,
    options: ReadOptions | None = None,
    context: ReadContext | None = None,
) -> PairSets:
    """Read the pairs that a CSV file lists; names and errors give their line.

    The first line names the columns in any order: ``target`` and optionally ``source``,
    ``condition``, ``mask``, ``set`` (train or validation), ``group`` (what is held out together,
    such as a patient; a well by default) and the fields of `ReadOptions`, which `options` stands
    for where a cell is empty. Paths are relative to the table.
    """
    return list_table(path, options=options).open(context)


def list_table(path: str | os.PathLike[str], *, options: ReadOptions | None = None) -> FileSets:
    """List the files that `read_table` reads."""
    path = Path(path)
    rows = list(_rows(path))
    if not rows:
        raise InputError(
            f"{path} lists no pairs: write source,target into the first line and one pair into "
            "each line below."
        )
    _check_all_or_none(rows)
    sets = FileSets([], [], [], path)
    for row in rows:
        files, notes = _list_row(path.parent, row, options or ReadOptions())
        chosen = sets.validation if row.cells["set"] == "validation" else sets.train
        chosen.extend(
            replace(
                pair,
                name=f"{pair.name} ({row.where})",
                where=row.where,
                named_group=row.cells["group"] or None,
            )
            for pair in files
        )
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
    check_readable(path, "a table of pairs")
    check_table(path)
    try:
        return path.read_text(encoding="utf-8-sig")
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
        name: cell_text(cell.strip()) for name, cell in zip(columns, cells, strict=False)
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


def _list_row(folder: Path, row: _Row, options: ReadOptions) -> tuple[list[PairFiles], list[str]]:
    cells = row.cells
    own = ReadOptions(**{name: cells[name] or None for name in _READ_COLUMNS})
    try:
        return find_pairs(
            folder / cells["source"] if cells["source"] else None,
            folder / cells["target"],
            mask=folder / cells["mask"] if cells["mask"] else None,
            condition=cells["condition"] or None,
            options=own.filled(options),
        )
    except Pix2PixError as error:
        raise type(error)(f"{row.where}: {error}", remedies=error.remedies) from error


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
            well = pair.well and _beside(Path(pair.well), folder)
            more = {
                "condition": pair.condition,
                "set": name,
                "group": pair.named_group or well,
                **asdict(pair.options),
            }
            rows.append({key: text_cell(str(cell or "")) for key, cell in (paths | more).items()})
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


def list_aligned(
    folder: str | os.PathLike[str],
    direction: Direction = "AtoB",
    *,
    test: bool = False,
    options: ReadOptions | None = None,
) -> FileSets:
    """List the images that `read_aligned` reads."""
    if direction not in get_args(Direction):
        raise InputError(f"direction must be 'AtoB' or 'BtoA', got {direction!r}.")
    folder = as_path(folder)
    parts = {name: folder / name for name in ("train", "val", "test") if (folder / name).is_dir()}
    sets = FileSets([], [], [])
    if test and (scored := parts.get("test") or parts.get("val")):
        chosen = [(scored, sets.validation)]
    elif "train" in parts and not test:
        chosen = [(parts["train"], sets.train)]
        chosen += [(parts["val"], sets.validation)] if "val" in parts else []
    else:
        chosen = [(folder, sets.train)]
    for part, files in chosen:
        files.extend(
            PairFiles(
                path,
                path,
                name=shown_name(path),
                options=options or ReadOptions(),
                halves=direction,
            )
            for path in expand_paths(part)
        )
    return sets


@own_errors()
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
    return list_aligned(folder, direction, test=test, options=options).open(context)
