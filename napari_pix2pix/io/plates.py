"""Plates of OME-Zarr (HCS): their fields are images like any other, and lie in PLATE/ROW/COLUMN."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io._acquisitions import Acquisition, choose_acquisition
from napari_pix2pix.io._wells import choose_wells
from napari_pix2pix.io.image_file import RECORD_KEY
from napari_pix2pix.io.zarr_file import is_zarr, ome_attributes

_MARKERS = ("zarr.json", ".zattrs")
_OTHERS = "repair the plate, or name other wells or fields, such as A/1/0."


@dataclass(frozen=True)
class Plate:
    """What a plate holds: the attributes of OME-Zarr, and its wells."""

    path: Path
    attributes: dict[str, Any]
    fields: dict[str, list[str]]  # of each well, such as A/1; they need not be there

    @property
    def names(self) -> list[str]:
        """List the fields of all wells, such as A/1/0."""
        return [f"{well}/{field}" for well, fields in self.fields.items() for field in fields]


@dataclass(frozen=True)
class _Found:
    """A well or an image that a path names."""

    path: Path
    well: str  # such as A/1; empty for an image in no plate
    is_whole: bool = False  # whether it is a whole well

    def images(self) -> list[Path]:
        """Return the image, or the fields of the well."""
        if not self.is_whole:
            return [self.path]
        plate = self.path.parents[1]
        with _damage_in_words(plate):
            return [self.path / field for field in _fields_of(plate, self.well)]


def read_plate(path: Path) -> Plate | None:
    """Open a plate; None if a path is none."""
    attributes = _plate_attributes(path)
    if attributes is None:
        return None
    with _damage_in_words(path):
        wells = _wells_of(path, attributes)
        return Plate(path, attributes, {well: _fields_of(path, well) for well in wells})


def expand_plates(
    images: Iterable[Path], given: Path, *, wells: str | None = None, acquisition: str | None = None
) -> list[Path]:
    """Return images, and the fields of plates and wells in their place.

    `wells` are names such as "A1, B*", `acquisition` is a number or name; None stands for all, else
    all images must lie in plates, as fields or labels. `given` is what the images were found by.
    """
    found = [one for image in images for one in _find(image)]
    if wells is not None:
        _check_in_plates(found, given, "Wells", f"wells={wells!r}")
        chosen = choose_wells([one.well for one in found], wells, given)
        found = [one for one in found if one.well in chosen]
    expanded = [image for one in found for image in one.images()]
    if acquisition is not None:
        _check_in_plates(found, given, "Acquisitions", f"acquisition={acquisition!r}")
        fields = ((image, _acquisition_of(image)) for image in expanded)
        expanded = choose_acquisition(fields, acquisition, given)
    if not expanded:
        raise FileError(f"{given} holds no images: name a plate that does.")
    return expanded


def _check_in_plates(found: Iterable[_Found], given: Path, what: str, option: str) -> None:
    """Refuse to choose from images that lie in no plate."""
    if not all(one.well for one in found):
        raise InputError(
            f"{what} are chosen from plates of OME-Zarr, and {given} is none: leave {option} out, "
            "or list the pairs in a table."
        )


def _acquisition_of(path: Path) -> Acquisition | None:
    """Return the acquisition of a field or its labels; None where its well states none."""
    place = place_in_plate(image_of_labels(path))
    if place is None:
        return None
    plate, row, column, field = place
    with _damage_in_words(plate):
        stated = (one for one in _images(plate, f"{row}/{column}") if str(one["path"]) == field)
        number = next(stated, {}).get("acquisition")
        if number is None:
            return None
        known = (_plate_attributes(plate) or {}).get("acquisitions") or []
        names = (one.get("name") for one in known if one.get("id") == number)
        return Acquisition(str(number), str(next(names, None) or ""))


def plates_of(given: Path, images: Sequence[Path]) -> list[Plate]:
    """Return the plates that images are fields of, with only these; none if some are no fields.

    `given` is what they were found by: fields that are named one by one are images.
    """
    if name_in_plate(given) or not all(map(name_in_plate, images)):
        return []
    fields: dict[Path, set[str]] = {}
    for image in images:
        path = image.parents[2]
        fields.setdefault(path, set()).add(image.relative_to(path).as_posix())
    return [_plate_with(path, kept) for path, kept in fields.items()]


def _plate_with(path: Path, kept: set[str]) -> Plate:
    """Open a plate with only these fields, and the wells that hold them."""
    held = {name.rpartition("/")[0] for name in kept}
    attributes = _plate_attributes(path) or {}
    with _damage_in_words(path):
        fields = {
            well: [field for field in _fields_of(path, well) if f"{well}/{field}" in kept]
            for well in _wells_of(path, attributes)
            if well in held
        }
    return Plate(path, attributes, fields)


def _find(image: Path) -> list[_Found]:
    """Find the wells of a plate; a well and other images stand for themselves."""
    attributes = _plate_attributes(image)
    if attributes is not None:
        with _damage_in_words(image):
            return [
                _Found(image / well, well, is_whole=True) for well in _wells_of(image, attributes)
            ]
    if len(image.parents) > 1 and "well" in (_attributes(image) or {}):
        return [_Found(image, f"{image.parent.name}/{image.name}", is_whole=True)]
    place = name_in_plate(image_of_labels(image))
    return [_Found(image, place.rpartition("/")[0])]


def image_of_labels(path: Path) -> Path:
    """Return the image that labels of OME-Zarr belong to; other images are returned as they are."""
    inside = path.parent.name == "labels" and is_zarr(path.parent.parent)
    return path.parent.parent if inside else path


def place_in_plate(path: Path) -> tuple[Path, str, str, str] | None:
    """Return the plate, row, column and name of a field; None if a path is none."""
    folders = path.parents
    if path.suffix or len(folders) < 3 or _plate_attributes(folders[2]) is None:
        return None
    return folders[2], folders[1].name, folders[0].name, path.name


def name_in_plate(path: Path) -> str:
    """Return the place of a field in its plate, such as A/1/0; else empty."""
    place = place_in_plate(path)
    return "/".join(place[1:]) if place else ""


def plate_around(path: Path) -> Path | None:
    """Return the plate that a field or its labels lie in; None for another image."""
    place = place_in_plate(image_of_labels(path))
    return place[0] if place else None


def well_of(path: Path) -> str | None:
    """Return the well of a field or its labels, with the folder of its plate; None without one."""
    field = image_of_labels(path)
    return str(field.parent) if place_in_plate(field) else None


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
            _names(attributes, "rows"),
            _names(attributes, "columns"),
            list(like.fields),
            acquisitions=_acquisitions(attributes) or None,
            field_count=attributes.get("field_count"),
            name=attributes.get("name"),
        )
        for well, fields in like.fields.items():
            named = {str(image["path"]): image for image in _images(like.path, well)}
            images = [{"path": field, **_known(named[field], "acquisition")} for field in fields]
            write_well_metadata(zarr.create_group(path / well), images)


def _acquisitions(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is known of the acquisitions: programs write None where they know nothing."""
    keys = "id", "name", "maximumfieldcount", "description", "starttime", "endtime"
    return [_known(one, *keys) for one in attributes.get("acquisitions") or []]


def _known(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys if values.get(key) is not None}


def _wells_of(path: Path, attributes: dict[str, Any]) -> Iterator[str]:
    """Iterate over the wells of a plate, each a row and a column of it."""
    for well in attributes.get("wells") or []:
        name = str(well["path"])
        row, _, column = name.partition("/")
        if row not in _names(attributes, "rows") or column not in _names(attributes, "columns"):
            raise FileError(
                f"{path} names the well {name!r}, which is no row and column of it: repair it."
            )
        yield name


def _names(attributes: dict[str, Any], side: str) -> list[str]:
    """Return the names of rows or columns, which are those of folders."""
    named = [str(one["name"]) for one in attributes[side]]
    return [name for name in named if name.isalnum()]


def _fields_of(plate: Path, well: str) -> list[str]:
    """Return the names of a well's fields, which are folders directly inside it."""
    names = [str(image["path"]) for image in _images(plate, well)]
    for name in names:
        if not name or name.startswith(".") or {"/", "\\"} & {*name}:
            raise FileError(
                f"The well {well} of {plate} names the field {name!r}, which is no folder in it: "
                "repair the plate."
            )
    return names


def _images(plate: Path, well: str) -> Sequence[dict[str, Any]]:
    """Return the attributes of a well's images."""
    attributes = _attributes(plate / well) or {}
    if "well" not in attributes:
        raise FileError(f"{plate} names the well {well}, and there is none: {_OTHERS}")
    images: Sequence[dict[str, Any]] = attributes["well"]["images"]
    return images


def missing_field(path: Path) -> str:
    """Say that a plate names a field that is not there; empty for what is no field."""
    place = place_in_plate(path)
    if place is None:
        return ""
    return f"{place[0]} names the field {name_in_plate(path)}, and there is none: {_OTHERS}"


@contextmanager
def _damage_in_words(path: Path) -> Iterator[None]:
    """Raise a `FileError` where attributes of a plate lack something or are of another type."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise FileError(
            f"{path} is a plate whose description is damaged ({error}): repair it."
        ) from error


def _plate_attributes(path: Path) -> dict[str, Any] | None:
    """Return the attributes of a plate; None if a path is none."""
    return (_attributes(path) or {}).get("plate")


def _attributes(path: Path) -> dict[str, Any] | None:
    """Return the attributes of a group; None if a path is none."""
    if not path.is_dir() or not is_zarr(path):
        return None
    markers = [path / name for name in _MARKERS]
    return _read_attributes(path, tuple(one.stat().st_mtime_ns for one in markers if one.exists()))


@lru_cache(maxsize=1024)  # each field of a plate asks for those of its plate and well
def _read_attributes(path: Path, changed: tuple[int, ...]) -> dict[str, Any] | None:
    """Return the attributes of a group that was written at these times."""
    from napari_pix2pix.io._zarr_store import open_zarr

    try:
        return ome_attributes(open_zarr(path))
    except Exception:  # damaged in one of many ways: its reader says so
        return None
