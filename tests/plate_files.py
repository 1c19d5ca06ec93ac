"""Plates of OME-Zarr as microscopes and their programs write them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import zarr

CHANNELS = (("phase", "808080", 0, 255), ("DAPI", "0000FF", 5, 200))
PIXEL = 0.65  # micrometer
ACQUISITIONS = [{"id": 1, "name": "day 1", "maximumfieldcount": 2, "description": None}]
Version = Literal["0.4", "0.5"]


def write_wells(
    path: Path,
    fields: Mapping[str, np.ndarray],
    version: Version = "0.4",
    labels: Mapping[str, np.ndarray] | None = None,
    later: Collection[str] = (),
) -> Path:
    """Write a plate of images (C, Y, X), named such as A/1/0; labels lie in them as "nuclei".

    Images that are named in `later` are of the acquisition 2, "day 2", the others of "day 1".
    """
    wells = list(dict.fromkeys(name.rpartition("/")[0] for name in fields))
    rows = sorted({well.split("/")[0] for well in wells} | {"A", "B"})
    columns = sorted({well.split("/")[1] for well in wells} | {"1", "2"}, key=int)
    plate = {
        "version": version,
        "name": "screen",
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": [
            {
                "path": well,
                "rowIndex": rows.index(well.split("/")[0]),
                "columnIndex": columns.index(well.split("/")[1]),
            }
            for well in wells
        ],
        "acquisitions": [*ACQUISITIONS, *([{"id": 2, "name": "day 2"}] if later else [])],
        "field_count": 2,
    }
    _write_attributes(path, version, {"plate": plate})
    for well in wells:
        inside = [name for name in fields if name.rpartition("/")[0] == well]
        images = [
            {"path": name.rpartition("/")[2], "acquisition": 1 + (name in later)} for name in inside
        ]
        _write_attributes(path / well, version, {"well": {"images": images}})
    for name, image in fields.items():
        shown = [
            {
                "label": label,
                "color": colour,
                "window": {"min": 0, "max": 255, "start": low, "end": high},
            }
            for label, colour, low, high in CHANNELS[: len(image)]
        ]
        _write_image(path / name, image, "cyx", version, {"omero": {"channels": shown}})
    for name, image in (labels or {}).items():
        _write_attributes(path / name / "labels", version, {"labels": ["nuclei"]})
        more = {"image-label": {"source": {"image": "../../"}}}
        _write_image(path / name / "labels" / "nuclei", image, "yx", version, more)
    return path


def _write_image(path: Path, image: np.ndarray, axes: str, version: Version, more: dict) -> None:
    described = [
        {"name": axis, "type": "channel"}
        if axis == "c"
        else {"name": axis, "type": "space", "unit": "micrometer"}
        for axis in axes
    ]
    sizes = [1.0 if axis == "c" else PIXEL for axis in axes]
    steps = [{"type": "scale", "scale": sizes}]
    levels = [{"path": "0", "coordinateTransformations": steps}]
    multiscale = {"version": version, "axes": described, "datasets": levels}
    group = _write_attributes(path, version, {"multiscales": [multiscale], **more})
    names = None if version == "0.4" else list(axes)
    group.create_array("0", data=image, dimension_names=names)


def _write_attributes(path: Path, version: Version, attributes: dict) -> zarr.Group:
    if version == "0.4":
        return zarr.open_group(path, mode="a", zarr_format=2, attributes=attributes)
    ome = {"ome": {"version": version, **attributes}}
    return zarr.open_group(path, mode="a", zarr_format=3, attributes=ome)


def write_wells_with_ome_zarr(path: Path, fields: Mapping[str, np.ndarray]) -> Path:
    """Write the same images (C, Y, X) with ome-zarr's own writer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside ome_zarr
        from ome_zarr.writer import write_image, write_plate_metadata, write_well_metadata

        wells = list(dict.fromkeys(name.rpartition("/")[0] for name in fields))
        write_plate_metadata(zarr.open_group(path, mode="w"), ["A", "B"], ["1", "2"], wells)
        for well in wells:
            inside = [name for name in fields if name.rpartition("/")[0] == well]
            images = [name.rpartition("/")[2] for name in inside]
            write_well_metadata(zarr.open_group(path / well, mode="a"), images)
        for name, image in fields.items():
            group = zarr.open_group(path / name, mode="a")
            write_image(image, group, axes="cyx", scaler=None)
    return path
