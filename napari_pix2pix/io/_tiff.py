"""TIFF files are read with their geometry: OME-TIFF, ImageJ, LSM, MetaMorph, slides and plain."""

from __future__ import annotations

import json
import logging
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_pix2pix.data.channel_look import ChannelLook, Looks
from napari_pix2pix.data.lengths import convert_length
from napari_pix2pix.io._contiguous import EAGER_BYTES as _EAGER_BYTES
from napari_pix2pix.io._contiguous import ContiguousArray
from napari_pix2pix.io._looks import colour_of_ome, looks_of_imagej
from napari_pix2pix.io._ome_files import open_tiff
from napari_pix2pix.io._orientation import is_turned
from napari_pix2pix.io._tiff_claims import check_descriptions, check_series
from napari_pix2pix.io._tiff_series import (
    check_complete,
    images_of,
    is_as_shown,
    notes_of,
    orientation_of,
    sample_axes,
    to_shown,
)
from napari_pix2pix.io._tiff_writing import NAMES_KEY, TILE
from napari_pix2pix.io.image_file import (
    RECORD_KEY,
    ImageFile,
    standard_unit,
)

# tifffile logs every oddity of a broken file; the user gets one sentence from us instead.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_INCH, _CENTIMETRE = 2, 3  # of the resolution tags
_MICROMETERS_PER_TAG_UNIT = {_INCH: 25400.0, _CENTIMETRE: 10000.0}
_OF_PRINTERS = {72, 96, 150, 300, 600}  # per inch: programs write them into any image
# Of planes, not of channels, as Bio-Formats writes them for ImageJ.
_PLANE_LABEL = re.compile(r"[czt]:\d+/\d+")


@dataclass(frozen=True)
class _Geometry:
    """What a file says of its image; parts as in `ImageFile`."""

    scale: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    origin: dict[str, float] = field(default_factory=dict)
    looks: Looks = ()

    def exchanged(self) -> _Geometry:
        """Exchange what is said of Y and X; the place of an image that is turned is not known."""
        other = {"Y": "X", "X": "Y"}
        scale = {other.get(axis, axis): size for axis, size in self.scale.items()}
        units = {other.get(axis, axis): unit for axis, unit in self.units.items()}
        return _Geometry(scale, units, self.names, looks=self.looks)


def read_tiff(path: Path) -> ImageFile:
    """Read the first image of a TIFF file; ``axes`` is empty if the file does not state them.

    Axes of length 1 other than Y and X are left out.
    """
    data: Any
    with open_tiff(path) as tiff:
        check_descriptions(tiff, path)
        images = images_of(tiff, path)
        series = images[0]
        page = series.keyframe
        check_complete(tiff, series, path)
        axes = sample_axes(series, path)
        geometry = _geometry(tiff)
        notes = _notes(images, path)
        in_parts = series.size > min(page.size, math.prod(page.chunks))  # not one compressed strip
        small = series.size * series.dtype.itemsize <= _EAGER_BYTES
        in_memory = small or series.transform or not (in_parts or series.dataoffset)
        check_series(series, path, whole=bool(in_memory))
        if in_memory:
            data = series.asarray()
        elif series.dataoffset is not None:
            file, dtype = page.parent.filehandle.path, series.dtype.newbyteorder(tiff.byteorder)
            data = ContiguousArray(Path(file), series.dataoffset, series.shape, dtype)
        else:
            import zarr

            data = zarr.open(series.aszarr(level=0), mode="r")
        stated = any("axes" in entry for entry in tiff.shaped_metadata or ())
    if not in_memory and not is_as_shown(page, axes):
        import dask.array as da

        sizes = dict.fromkeys("YX", TILE) | dict.fromkeys("SC", -1)  # what a window reads is small
        data = da.from_array(data, chunks=tuple(sizes.get(axis, 1) for axis in axes))
    data, axes = to_shown(data, axes, page)
    if is_turned(orientation_of(page)):
        geometry = geometry.exchanged()
    if "I" in axes or ("Q" in axes and not stated):
        axes = ""
    return ImageFile(
        data=data,
        axes=axes,
        scale=geometry.scale,
        units=geometry.units,
        origin=geometry.origin,
        channel_names=geometry.names,
        looks=geometry.looks,
        notes=notes,
    )


def _notes(images: list[tifffile.TiffPageSeries], path: Path) -> tuple[str, ...]:
    """Say what else the file holds, and what was not read as it is stored."""
    notes = []
    if len(images) > 1:
        notes.append(f"{path.name} holds {len(images)} images; the first was read.")
    if images[0].is_multifile:
        notes.append(f"{path.name} is part of an image in several files; all of it was read.")
    return (*notes, *notes_of(images[0].keyframe, path.name))


def _geometry(tiff: tifffile.TiffFile) -> _Geometry:
    if tiff.ome_metadata:
        return _ome(tiff.ome_metadata)
    if tiff.lsm_metadata:
        sizes = {axis: tiff.lsm_metadata.get(f"VoxelSize{axis}", 0.0) * 1e6 for axis in "ZYX"}
        return _Geometry(sizes, dict.fromkeys("ZYX", "micrometer"))
    if tiff.shaped_metadata and "PhysicalSizeX" in tiff.shaped_metadata[0]:
        return _physical_sizes(tiff.shaped_metadata[0])
    if tiff.imagej_metadata:
        return _imagej(tiff)
    if tiff.stk_metadata:
        return _metamorph(tiff.stk_metadata)
    if tiff.is_svs:
        stated = re.search(r"MPP = ([\d.]+)", tiff.pages.first.description)
        if stated:
            sizes = dict.fromkeys("YX", float(stated[1]))
            return _Geometry(sizes, dict.fromkeys("YX", "micrometer"))
    return _resolution_tags(tiff)


def _ome(xml: str) -> _Geometry:
    image = _as_list(tifffile.xml2dict(xml)["OME"]["Image"])[0]
    return _physical_sizes(image["Pixels"], image.get("StageLabel", {}))


def _physical_sizes(pixels: dict[str, Any], stage: dict[str, Any] | None = None) -> _Geometry:
    """Read the attributes of OME's ``Pixels`` element, and the position of an image on a stage."""
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    keys = {axis: (f"PhysicalSize{axis}", "µm") for axis in "ZYX"} | {"T": ("TimeIncrement", "s")}
    for axis, (key, default) in keys.items():
        if key in pixels:
            scale[axis] = float(pixels[key])
            unit = standard_unit(pixels.get(f"{key}Unit", default))
            if unit:
                units[axis] = unit
    channels = _as_list(pixels.get("Channel"))
    names = tuple(str(channel["Name"]) for channel in channels if channel.get("Name"))
    coloured = [channel["Color"] for channel in channels if "Color" in channel]
    looks = tuple(ChannelLook(colour_of_ome(colour)) for colour in coloured)
    origin = {}
    planes = _as_list(pixels.get("Plane"))
    for axis in "ZYX":
        holder, key = (planes[0] if planes else {}), f"Position{axis}"
        if key not in holder:
            holder, key = stage or {}, axis
        unit = standard_unit(holder.get(f"{key}Unit"))
        position = convert_length(float(holder.get(key, 0.0)), unit, units.get(axis))
        if position is not None:
            origin[axis] = position
    return _Geometry(scale, units, names, origin, looks)


def _as_list(elements: Any) -> list[Any]:
    """Return elements of XML that may be one or none."""
    return elements if isinstance(elements, list) else [] if elements is None else [elements]


def _imagej(tiff: tifffile.TiffFile) -> _Geometry:
    metadata = tiff.imagej_metadata or {}
    unit = standard_unit(metadata.get("unit"))
    if unit is None:
        plain = _resolution_tags(tiff)
        scale, units = plain.scale, plain.units
        if not scale and not _is_for_printers(tiff):
            scale = _pixel_sizes(tiff)
    else:
        # ImageJ leaves out a spacing of 1, and units that are those of X.
        scale = dict.fromkeys("ZYX", 1.0) | _pixel_sizes(tiff)
        stated = {axis: standard_unit(metadata.get(f"{axis.lower()}unit")) for axis in "ZYX"}
        units = {axis: axis_unit or unit for axis, axis_unit in stated.items()}
    if "spacing" in metadata:
        scale["Z"] = abs(float(metadata["spacing"]))
    if "finterval" in metadata:
        scale["T"] = float(metadata["finterval"])
        of_time = standard_unit(metadata.get("tunit", "sec"))
        units |= {"T": of_time} if of_time else {}
    # The origin is a pixel, the one at position 0.
    pixels = {axis: float(metadata.get(f"{axis.lower()}origin", 0.0)) for axis in "ZYX"}
    origin = {axis: -pixel * scale.get(axis, 1.0) for axis, pixel in pixels.items()}
    return _Geometry(scale, units, _imagej_names(metadata), origin, looks_of_imagej(metadata))


def _imagej_names(metadata: dict[str, Any]) -> tuple[str, ...]:
    """Read channel names: ours, or labels that all planes of a channel share."""
    if NAMES_KEY in metadata:
        return tuple(map(str, json.loads(metadata[NAMES_KEY])))
    labels, channels = list(map(str, metadata.get("Labels", []))), metadata.get("channels", 0)
    names = labels[:channels]  # channels go fastest
    planes = len(labels) // channels if channels else 0
    if labels != names * planes or not all(names) or any(map(_PLANE_LABEL.match, names)):
        return ()
    return tuple(names)


def _metamorph(metadata: dict[str, Any]) -> _Geometry:
    scale = {axis: float(metadata.get(f"{axis}Calibration") or 0) for axis in "YX"}
    unit = standard_unit(metadata.get("CalibrationUnits"))
    units = dict.fromkeys("YX", unit) if unit else {}
    distances = np.ravel(metadata.get("ZDistance", ()))
    if unit and distances.any():
        scale["Z"], units["Z"] = abs(float(distances[-1])), unit
    return _Geometry(scale, units)


def _pixel_sizes(tiff: tifffile.TiffFile) -> dict[str, float]:
    """Read pixel sizes in units of the resolution tags; none if these say 1, their default."""
    x, y = tiff.pages.first.resolution
    if not (x > 0 and y > 0 and np.isfinite([x, y]).all()) or (x, y) == (1, 1):
        return {}
    return {"Y": 1 / y, "X": 1 / x}


def _is_for_printers(tiff: tifffile.TiffFile) -> bool:
    page = tiff.pages.first
    return page.resolutionunit == _INCH and _OF_PRINTERS.issuperset(page.resolution)


def _resolution_tags(tiff: tifffile.TiffFile) -> _Geometry:
    factor = _MICROMETERS_PER_TAG_UNIT.get(int(tiff.pages.first.resolutionunit or 1))
    sizes = _pixel_sizes(tiff)
    if factor is None or not sizes or _is_for_printers(tiff):
        return _Geometry()
    scale = {axis: size * factor for axis, size in sizes.items()}
    return _Geometry(scale, dict.fromkeys(sizes, "micrometer"))


def read_tiff_record(path: Path) -> Any:
    """Read the record of what a TIFF was made of; None if it has none."""
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.first.tags.get("Software")
    name, _, text = str(tag.value if tag else "").partition(" ")
    return json.loads(text.partition(" ")[2]) if name == RECORD_KEY else None
