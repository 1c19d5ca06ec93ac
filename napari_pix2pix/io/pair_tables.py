"""Training sets that are listed in a CSV file, a line for each pair or set of pairs.

Pairs as the PyTorch reference implementation keeps them: side by side in one image, ``A|B``.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import FileError, InputError, Pix2PixError
from napari_pix2pix.io.datasets import image_planes, read_pairs
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.paths import as_path, expand_paths
from napari_pix2pix.io.reading import read_image

_COLUMNS = ("source", "target", "condition", "mask", "set")
_ALL_OR_NONE = ("source", "condition")
_SETS = ("train", "validation")
_DELIMITERS = ",;\t"  # spreadsheets write what their country separates lists with


@dataclass(frozen=True)
class PairSets:
    """Pairs to train on, pairs to validate on, and what the user should know of their files."""

    train: list[Pair]
    validation: list[Pair]
    notes: list[str]


@dataclass(frozen=True)
class _Row:
    """One line of a table: its cells by column, and where it stands."""

    cells: dict[str, str]
    where: str


def read_table(path: str | os.PathLike[str], *, axes: str | None = None) -> PairSets:
    """Read the pairs that a CSV file lists.

    The first line names the columns, in any order: ``source`` and ``target``, each a file, a folder
    or a pattern, as in `read_pairs`; and, where they are wanted, ``condition``, ``mask``, and
    ``set``, which is ``train`` or ``validation`` (empty: train). Paths are relative to the file.
    Without a ``source`` in any line the pairs have none.

    Parameters
    ----------
    path : path-like
        Text in UTF-8; commas, semicolons or tabs between the cells.
    axes : str, optional
        As in `read_pairs`.

    Returns
    -------
    PairSets
        Pairs named by their source's file, or their target's, and their line.

    Raises
    ------
    FileError, InputError
        When the table or a file in it can't be read or used; the sentence names the line.
    """
    path = Path(path)
    rows = list(_rows(path))
    if not rows:
        raise InputError(
            f"{path} lists no pairs: write source,target into the first line and each pair into a "
            "line below it."
        )
    _check_all_or_none(rows)
    sets = PairSets([], [], [])
    for row in rows:
        pairs, notes = _read_row(path.parent, row, axes)
        chosen = sets.validation if row.cells["set"] == "validation" else sets.train
        chosen.extend(replace(pair, name=f"{pair.name} ({row.where})") for pair in pairs)
        sets.notes.extend(notes)
    return sets


def _rows(path: Path) -> Iterator[_Row]:
    """Read the lines that hold anything."""
    text = _text(path)
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
            "anew."
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileError(f"There is no file {path}; check its name and folder.") from None
    except UnicodeDecodeError:
        raise FileError(f"{path} is no text in UTF-8: save the table as CSV in UTF-8.") from None
    except OSError as error:
        raise FileError(f"{path} can't be read: {error.strerror or error}.") from error


def _columns(path: Path, header: list[str]) -> list[str]:
    """Return the names of the columns, or say what is wrong with them."""
    columns = [name.strip().lower() for name in header]
    allowed = "source and target, and if wanted condition, mask and set"
    if "target" not in columns:
        raise InputError(
            f"{path.name}, line 1, has no column 'target': the first line names the columns, "
            f"{allowed}."
        )
    for name in columns:
        if name not in _COLUMNS or columns.count(name) > 1:
            what = "an unknown column" if name not in _COLUMNS else "twice the column"
            raise InputError(f"{path.name}, line 1, has {what} {name!r}: there may be {allowed}.")
    return columns


def _row(columns: list[str], cells: list[str], where: str) -> _Row:
    if len(cells) > len(columns):
        raise InputError(
            f"{where}, has {len(cells)} cells for {len(columns)} columns: put text that holds the "
            "separator in double quotes."
        )
    found = dict.fromkeys(_COLUMNS, "") | {
        name: cell.strip() for name, cell in zip(columns, cells, strict=False)
    }
    if not found["target"]:
        raise InputError(f"{where}, names no target: give one to each pair.")
    found["set"] = found["set"].lower() or "train"
    if found["set"] not in _SETS:
        raise InputError(f"{where}, has the set {found['set']!r}: use train or validation.")
    return _Row(found, where)


def _check_all_or_none(rows: list[_Row]) -> None:
    for name in _ALL_OR_NONE:
        bare = [row for row in rows if not row.cells[name]]
        if bare and len(bare) < len(rows):
            raise InputError(
                f"{bare[0].where}, has no {name}, and other lines have one: give one to each."
            )


def _read_row(folder: Path, row: _Row, axes: str | None) -> tuple[list[Pair], list[str]]:
    cells = row.cells
    try:
        return read_pairs(
            folder / cells["source"] if cells["source"] else None,
            folder / cells["target"],
            mask=folder / cells["mask"] if cells["mask"] else None,
            condition=cells["condition"] or None,
            axes=axes,
        )
    except Pix2PixError as error:
        raise type(error)(f"{row.where}: {error}") from error


Direction = Literal["AtoB", "BtoA"]


def read_aligned(
    folder: str | os.PathLike[str],
    direction: Direction = "AtoB",
    *,
    test: bool = False,
    axes: str | None = None,
) -> PairSets:
    """Read a folder of images whose left half (A) and right half (B) show the same field.

    Parameters
    ----------
    folder : path-like
        With the folders ``train`` and, if there is one, ``val`` in it, or ``test``; or with the
        images themselves.
    direction : {"AtoB", "BtoA"}
        Which half is the source.
    test : bool
        Read what a model is scored on: ``test``, or else ``val``.
    axes : str, optional
        Axes of the images where the files do not say.

    Returns
    -------
    PairSets
        Of ``train`` to train on and of ``val`` to validate on, or of ``test`` in place of ``val``
        and nothing to train on; of a folder without such folders, all to train on. Named by their
        files.

    Raises
    ------
    FileError, InputError
        When a file can't be read, there is none, or an image is of odd width.

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
    found = {name: folder / name for name in ("train", "val", "test") if (folder / name).is_dir()}
    sets = PairSets([], [], [])
    if test and (held_out := found.get("test") or found.get("val")):
        parts = [(held_out, sets.validation)]
    elif "train" in found and not test:
        parts = [(found["train"], sets.train)]
        parts += [(found["val"], sets.validation)] if "val" in found else []
    else:
        parts = [(folder, sets.train)]
    for part, pairs in parts:
        for path in expand_paths(part):
            image = read_image(path, axes)
            pairs.append(_split(image, path, direction))
            sets.notes.extend(image.notes)
    return sets


def _split(image: ImageFile, path: Path, direction: Direction) -> Pair:
    """Take an image apart in the middle."""
    width = image.shape[image.axes.index("X")]
    if width % 2:
        raise InputError(
            f"{path} is {width} pixels wide: two halves of one size lie side by side in an even "
            "width only, so cut the image anew."
        )
    left, right = (
        image_planes(replace(image, data=_image_columns(image, slice(first, first + width // 2))))
        for first in (0, width // 2)
    )
    source, target = (left, right) if direction == "AtoB" else (right, left)
    return Pair(source, target, name=path.name)


def _image_columns(image: ImageFile, columns: slice) -> Any:
    data = image.data
    if not isinstance(data, np.ndarray) and not hasattr(data, "dask"):
        import dask.array as da

        data = da.from_array(data)  # a large file stays on the disk
    return data[(slice(None),) * image.axes.index("X") + (columns,)]
