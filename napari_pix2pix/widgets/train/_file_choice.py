"""Pairs of files that a training is to read: how they are named, listed and opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.io.datasets import FileSets, list_aligned, list_table
from napari_pix2pix.io.pair_files import Direction, Matching, PairFiles, find_pairs
from napari_pix2pix.io.paths import file_stem
from napari_pix2pix.napari_layers import copied_pair

Origin = Literal["layers", "folders", "table", "aligned"]

_MISSING = {
    "source": "Choose a source: a folder, a file or a pattern such as cells/*_ch0.tif.",
    "target": "Choose a target: a folder, a file or a pattern such as cells/*_ch1.tif.",
    "table": "Choose a table: a CSV file with the columns source and target.",
    "aligned": "Choose a folder of images that show source and target side by side.",
}


@dataclass(frozen=True)
class TrainingSets:
    """Pairs to train on, and those to validate on, if they were chosen."""

    train: Sequence[Pair]
    held_out: Sequence[Pair] = ()
    of_layers: bool = True  # which may change while the training reads them

    def copied(self) -> TrainingSets:
        """Return the same pairs with data that no one else can change; in any thread."""
        if not self.of_layers:
            return self
        train, held_out = (list(map(copied_pair, part)) for part in (self.train, self.held_out))
        return TrainingSets(train, held_out)


# Opens what was chosen; of files in a thread, since it reads them.
OpenSets = Callable[[], TrainingSets]


class FileChoice(BaseModel, frozen=True):
    """Which files are paired, and how; a resumed run finds them again by it."""

    origin: Literal["folders", "table", "aligned"]
    source: Path | None = None  # of folders; None without a source
    target: Path | None = None
    mask: Path | None = None
    matching: Matching = "name"
    path: Path | None = None  # the table, or the folder of A|B images
    direction: Direction = "AtoB"
    held_out: tuple[str, ...] | None = None  # names of pairs; None for those of the table or folder

    @property
    def name(self) -> str:
        """What the run's model is called."""
        if self.origin != "folders":
            return "" if self.path is None else file_stem(self.path)
        sides = [file_stem(side) for side in (self.source, self.target) if side is not None]
        return " → ".join(sides)

    def missing(self, *, has_source: bool) -> str:
        """Return what is still to be chosen, as a sentence; empty if nothing is."""
        if self.origin != "folders":
            return _MISSING[self.origin] if self.path is None else ""
        if has_source and self.source is None:
            return _MISSING["source"]
        return _MISSING["target"] if self.target is None else ""

    def list(self) -> FileSets:
        """Find the files, without opening them; raises a `Pix2PixError` that says what is wrong."""
        if self.origin == "folders":
            assert self.target is not None
            files, notes = find_pairs(
                self.source, self.target, mask=self.mask, matching=self.matching
            )
            return FileSets(files, [], notes)
        assert self.path is not None
        if self.origin == "table":
            return list_table(self.path)
        return list_aligned(self.path, self.direction)


class ListedFiles:
    """Files of pairs that were found, and which of them are held out."""

    def __init__(self, choice: FileChoice, sets: FileSets, held_out: Sequence[bool]) -> None:
        self.choice = choice
        self.notes = tuple(sets.notes)
        self.files = (*sets.train, *sets.validation)
        self.held_out = tuple(held_out)

    @classmethod
    def of(cls, choice: FileChoice) -> ListedFiles:
        """List the files of a choice; raises a `Pix2PixError`."""
        sets = choice.list()
        if choice.held_out is None:
            held_out = [False] * len(sets.train) + [True] * len(sets.validation)
        else:
            held_out = [one.name in choice.held_out for one in (*sets.train, *sets.validation)]
        return cls(choice, sets, held_out)

    def holding_out(self, held_out: Sequence[bool]) -> ListedFiles:
        """Return the same files with others held out."""
        return ListedFiles(self.choice, FileSets([*self.files], [], [*self.notes]), held_out)

    def remembered(self) -> FileChoice:
        """Return the choice with the pairs that are held out."""
        names = [one.name for one, held in zip(self.files, self.held_out, strict=True) if held]
        return self.choice.model_copy(update={"held_out": tuple(names)})

    def part(self, *, held_out: bool) -> list[PairFiles]:
        """Return the files of one of the two sets."""
        both = zip(self.files, self.held_out, strict=True)
        return [files for files, held in both if held == held_out]

    def check(self) -> None:
        """Refuse to hold out everything."""
        if all(self.held_out):
            raise InputError("All pairs are held out: untick some, to train on them.")

    @cached_property
    def _sets(self) -> TrainingSets:
        parts = (self.part(held_out=False), self.part(held_out=True))
        opened = FileSets(*parts, []).open()
        return TrainingSets(opened.train, opened.validation, of_layers=False)

    def open(self, *, has_source: bool = True) -> TrainingSets:
        """Read the files, once; in a thread."""
        sets = self._sets
        if has_source:
            return sets
        train, held_out = (
            [replace(pair, source=None) for pair in part] for part in (sets.train, sets.held_out)
        )
        return TrainingSets(train, held_out, of_layers=False)
