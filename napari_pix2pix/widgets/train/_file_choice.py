"""Pairs of files that a training is to read: how they are listed and opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.io.datasets import FileSets
from napari_pix2pix.io.pair_files import PairFiles
from napari_pix2pix.io.paths import shown_name
from napari_pix2pix.napari_layers import copied_pair
from napari_pix2pix.widgets.runs.file_choice import FileChoice

Origin = Literal["layers", "folders", "table", "aligned"]

_SIDES = "left", "right"


@dataclass(frozen=True)
class TrainingSets:
    """Pairs to train on, and those to validate on, if they were chosen."""

    train: Sequence[Pair]
    held_out: Sequence[Pair] = ()
    of_layers: bool = True  # which may change while the training reads them
    # What the first pair's source and target are called, where that is not the pair's own name.
    names: tuple[str, str] | None = None
    changes: Callable[[], list[str]] = list  # says which files have changed since they were opened

    def copied(self) -> TrainingSets:
        """Return the same pairs with data that no one else can change; in any thread."""
        if not self.of_layers:
            return self
        train, held_out = (list(map(copied_pair, part)) for part in (self.train, self.held_out))
        return TrainingSets(train, held_out)


# Opens what was chosen; of files in a thread, since it reads them.
OpenSets = Callable[[], TrainingSets]


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

    @property
    def names(self) -> tuple[str, str]:
        """What source and target of the first pair to train on are called."""
        files = self.part(held_out=False)[0]
        if files.halves is not None:
            left, right = (f"{side} half of {_file_name(files.target)}" for side in _SIDES)
            return (left, right) if files.halves == "AtoB" else (right, left)
        source = "source" if files.source is None else _file_name(files.source)
        return source, _file_name(files.target)

    @cached_property
    def _sets(self) -> TrainingSets:
        parts = (self.part(held_out=False), self.part(held_out=True))
        opened = FileSets(*parts, []).open()
        return TrainingSets(
            opened.train,
            opened.validation,
            of_layers=False,
            names=self.names,
            changes=opened.changes,
        )

    def open(self, *, has_source: bool = True) -> TrainingSets:
        """Read the files, once; in a thread."""
        sets = self._sets
        if has_source:
            return sets
        train, held_out = (
            [replace(pair, source=None) for pair in part] for part in (sets.train, sets.held_out)
        )
        return replace(sets, train=train, held_out=held_out)


def _file_name(path: Path) -> str:
    """Name a file with its folder, which often says what it shows."""
    return f"{path.parent.name}/{shown_name(path)}"
