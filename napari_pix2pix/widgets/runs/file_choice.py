"""Which files a run is trained on; a resumed run finds them again by it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from napari_pix2pix.io.datasets import FileSets, list_aligned, list_table
from napari_pix2pix.io.pair_files import Direction, Matching, ReadOptions, find_pairs
from napari_pix2pix.io.paths import file_stem

_MISSING = {
    "source": "Choose a source: a folder, a file or a pattern such as cells/*_ch0.tif.",
    "target": "Choose a target: a folder, a file or a pattern such as cells/*_ch1.tif.",
    "table": "Choose a table: a CSV file with the columns source and target.",
    "aligned": "Choose a folder of images that show source and target side by side.",
}


class FileChoice(BaseModel, frozen=True):
    """Which files are paired, and how."""

    origin: Literal["folders", "table", "aligned"]
    source: Path | None = None  # of folders; None without a source
    target: Path | None = None
    mask: Path | None = None
    matching: Matching = "name"
    acquisition: str | None = None  # of plates in folders; None for all
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
                self.source,
                self.target,
                mask=self.mask,
                options=ReadOptions(acquisition=self.acquisition),
                matching=self.matching,
            )
            return FileSets(files, [], notes)
        assert self.path is not None
        if self.origin == "table":
            return list_table(self.path)
        return list_aligned(self.path, self.direction)
