"""Plates of OME-Zarr (HCS): their fields are images like any other, and lie in PLATE/ROW/COLUMN."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.image_file import RECORD_KEY
from napari_pix2pix.io.zarr_file import is_zarr, ome_attributes


@dataclass(frozen=True)
class Plate:
    """What a plate holds: the attributes of OME-Zarr, and its wells."""

    path: Path
    attributes: dict[str, Any]
    wells: tuple[str, ...]  # such as A/1

    @property
    def names(self) -> list[str]:
        """List the fields of all wells, such as A/1/0."""
        return [f"{well}/{image['path']}" for well in self.wells for image in self.images(well)]

    def images(self, well: str) -> Sequence[dict[str, Any]]:
        """Return the attributes of a well's images."""
        attributes = _attributes(self.path / well) or {}
        if "well" not in attributes:
            raise FileError(f"{self.path} names the well {well}, and there is none: repair it.")
        images: Sequence[dict[str, Any]] = attributes["well"]["images"]
        return images


def read_plate(path: Path) -> Plate | None:
    """Open a plate; None if a path is none."""
    plate = (_attributes(path) or {}).get("plate")
    if plate is None:
        return None
    return Plate(path, dict(plate), tuple(str(well["path"]) for well in plate["wells"]))


def image_of_labels(path: Path) -> Path:
    """Return the image that labels of OME-Zarr belong to; other images are returned as they are."""
    inside = path.parent.name == "labels" and is_zarr(path.parent.parent)
    return path.parent.parent if inside else path


def name_in_plate(path: Path) -> str:
    """Return the place of a field in its plate, such as A/1/0; else empty."""
    folders = path.parents
    if path.suffix or len(folders) < 3 or read_plate(folders[2]) is None:
        return ""
    return path.relative_to(folders[2]).as_posix()


def is_zarr_name(path: Path) -> bool:
    """Tell whether a name is that of an OME-Zarr image: it ends so, or lies in a well."""
    if path.suffix:
        return path.suffix.lower() == ".zarr"
    # An unfinished field lies in a folder of its own in the well.
    return any("well" in (_attributes(folder) or {}) for folder in path.parents[:2])


def write_plate(path: Path, like: Plate) -> None:
    """Write a plate with the rows, columns, wells and fields of another, and without images."""
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside ome_zarr
        from ome_zarr.writer import write_plate_metadata, write_well_metadata

        attributes = like.attributes
        write_plate_metadata(
            zarr.create_group(path, attributes={RECORD_KEY: {}}),
            [row["name"] for row in attributes["rows"]],
            [column["name"] for column in attributes["columns"]],
            list(like.wells),
            acquisitions=attributes.get("acquisitions"),
            field_count=attributes.get("field_count"),
            name=attributes.get("name"),
        )
        for well in like.wells:
            write_well_metadata(zarr.create_group(path / well), list(like.images(well)))


def _attributes(path: Path) -> dict[str, Any] | None:
    """Return the attributes of a group; None if a path is none."""
    if not path.is_dir() or not is_zarr(path):
        return None
    from napari_pix2pix.io._zarr_store import open_zarr

    try:
        return ome_attributes(open_zarr(path))
    except Exception:  # damaged in one of many ways: its reader says so
        return None
