"""TIFF files with their geometry: OME-TIFF, ImageJ, LSM, MetaMorph, slides and plain."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_pix2pix import __version__
from napari_pix2pix.io._contiguous import EAGER_BYTES as _EAGER_BYTES
from napari_pix2pix.io._contiguous import ContiguousArray
from napari_pix2pix.io._ome_files import open_tiff
from napari_pix2pix.io._orientation import is_turned
from napari_pix2pix.io._tiff_series import (
    check_complete,
    images_of,
    is_as_shown,
    notes_of,
    orientation_of,
    sample_axes,
    to_shown,
)
from napari_pix2pix.io.image_file import (
    RECORD_KEY,
    ImageFile,
    ImageSpec,
    convert_length,
    standard_unit,
)

# tifffile logs every oddity of a broken file; the user gets one sentence from us instead.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MICROMETERS_PER_TAG_UNIT = {2: 25400.0, 3: 10000.0}  # inch, centimetre
# What a classic TIFF can address, less room for its tags.
_CLASSIC_TIFF_BYTES = 2**32 - 2**25
_WHOLE_BYTES = 1 << 24  # larger images are written in compressed tiles, with a pyramid
_TILE = 512
_BUFFER_BYTES = 1 << 25  # of tiles that are compressed at once
_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_OME_TYPES = (
    *("bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64"),
)
_NAMES = "channel_names"  # our key in ImageJ's description, which has none for them
_OME_UNITS = {
    "picometer": "pm",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "angstrom": "Å",
    "inch": "in",
    "nanosecond": "ns",
    "microsecond": "µs",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
}

# Of planes, not of channels, as Bio-Formats writes them for ImageJ.
_PLANE_LABEL = re.compile(r"[czt]:\d+/\d+")


@dataclass(frozen=True)
class _Geometry:
    """What a file says of its image; parts as in `ImageFile`."""

    scale: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    origin: dict[str, float] = field(default_factory=dict)

    def exchanged(self) -> _Geometry:
        """Exchange what is said of Y and X; the place of an image that is turned is not known."""
        other = {"Y": "X", "X": "Y"}
        scale = {other.get(axis, axis): size for axis, size in self.scale.items()}
        units = {other.get(axis, axis): unit for axis, unit in self.units.items()}
        return _Geometry(scale, units, self.names)


def read_tiff(path: Path) -> ImageFile:
    """Read the first image of a TIFF file; ``axes`` is empty if the file does not state them.

    Axes of length 1 other than Y and X are left out.
    """
    data: Any
    with open_tiff(path) as tiff:
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

        sizes = dict.fromkeys("YX", _TILE) | dict.fromkeys("SC", -1)  # what a window reads is small
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
    names = tuple(str(c["Name"]) for c in _as_list(pixels.get("Channel")) if c.get("Name"))
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
    return _Geometry(scale, units, names, origin)


def _as_list(elements: Any) -> list[Any]:
    """Return elements of XML that may be one or none."""
    return elements if isinstance(elements, list) else [] if elements is None else [elements]


def _imagej(tiff: tifffile.TiffFile) -> _Geometry:
    metadata = tiff.imagej_metadata or {}
    unit = standard_unit(metadata.get("unit"))
    if unit is None:
        plain = _resolution_tags(tiff)
        scale, units = plain.scale or _pixel_sizes(tiff), plain.units
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
    return _Geometry(scale, units, _imagej_names(metadata), origin)


def _imagej_names(metadata: dict[str, Any]) -> tuple[str, ...]:
    """Read channel names: ours, or labels that all planes of a channel share."""
    if _NAMES in metadata:
        return tuple(map(str, json.loads(metadata[_NAMES])))
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


def _resolution_tags(tiff: tifffile.TiffFile) -> _Geometry:
    factor = _MICROMETERS_PER_TAG_UNIT.get(int(tiff.pages.first.resolutionunit or 1))
    sizes = _pixel_sizes(tiff)
    if factor is None or not sizes:
        return _Geometry()
    scale = {axis: size * factor for axis, size in sizes.items()}
    return _Geometry(scale, dict.fromkeys(sizes, "micrometer"))


def read_tiff_record(path: Path) -> Any:
    """Read the record of what a TIFF was made of; None if it has none."""
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.first.tags.get("Software")
    name, _, text = str(tag.value if tag else "").partition(" ")
    return json.loads(text.partition(" ")[2]) if name == RECORD_KEY else None


def write_tiff(path: Path, data: Any, spec: ImageSpec) -> None:
    """Write an ImageJ hyperstack if ImageJ can hold the image, else TIFF with OME's metadata."""
    spatial = [axis for axis in "ZYX" if axis in spec.scale]
    one_unit = len({spec.units.get(axis) for axis in spatial}) <= 1
    in_order = "".join(axis for axis in "TZCYXS" if axis in spec.axes) == spec.axes
    # If only some sizes are given, ImageJ takes the others as 1; it counts frames in seconds.
    all_or_none = spatial in ([], [axis for axis in "ZYX" if axis in spec.axes])
    seconds = "T" not in spec.scale or spec.units.get("T", "second") == "second"
    type_fits = str(spec.dtype) in _IMAGEJ_TYPES and ("S" not in spec.axes or spec.dtype == "u1")
    # ImageJ knows neither BigTIFF nor tiles, without which a large image is slow and takes room.
    small = spec.nbytes <= min(_WHOLE_BYTES, _CLASSIC_TIFF_BYTES)
    if one_unit and in_order and all_or_none and seconds and type_fits and small:
        _write_imagej(path, data, spec)
    elif fits_ome(spec.dtype, spec.axes):
        write_ome_tiff(path, data, spec)
    else:
        # OME-XML lacks some types (64-bit integers, half floats): OME's keys go into JSON instead.
        _write_pages(path, data, spec, ome=False)


def _write_imagej(path: Path, data: Any, spec: ImageSpec) -> None:
    metadata: dict[str, Any] = {"axes": spec.axes}
    options: dict[str, Any] = _software(spec)
    if "X" in spec.scale:
        options["resolution"] = (1 / spec.scale["X"], 1 / spec.scale["Y"])
        unit = spec.units.get("X", "pixel")
        metadata["unit"] = "micron" if unit == "micrometer" else unit
    if "Z" in spec.scale:
        metadata["spacing"] = spec.scale["Z"]
    if "T" in spec.scale:
        metadata["finterval"] = spec.scale["T"]
        metadata |= {} if "T" in spec.units else {"tunit": "frame"}
    for axis in "ZYX":
        if axis in spec.origin:
            metadata[f"{axis.lower()}origin"] = -spec.origin[axis] / spec.scale.get(axis, 1.0)
    if spec.channel_names:
        lengths = dict(zip(spec.axes, spec.shape, strict=True))
        planes = lengths.get("T", 1) * lengths.get("Z", 1)
        metadata["Labels"] = list(spec.channel_names) * planes
        metadata[_NAMES] = json.dumps(spec.channel_names)
    photometric = _photometric(spec)
    tifffile.imwrite(
        path, np.asarray(data), imagej=True, photometric=photometric, metadata=metadata, **options
    )


def write_ome_tiff(path: Path, data: Any, spec: ImageSpec) -> None:
    """Write an OME-TIFF; see `fits_ome`."""
    _write_pages(path, data, spec, ome=True)


def fits_ome(dtype: np.dtype[Any], axes: str) -> bool:
    """Tell whether OME-TIFF can hold an image."""
    return str(dtype) in _OME_TYPES and "Q" not in axes and axes.endswith(("YX", "YXS"))


def _ome_keys(spec: ImageSpec) -> dict[str, Any]:
    keys: dict[str, Any] = {"axes": spec.axes, "Name": spec.name}
    for axis, size in spec.scale.items():
        if axis == "T" and axis not in spec.units:
            continue  # without a unit it would mean seconds
        key = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
        keys[key] = size
        keys[f"{key}Unit"] = _OME_UNITS.get(spec.units.get(axis, ""), "pixel")
    if spec.channel_names:
        keys["Channel"] = [{"Name": name} for name in spec.channel_names]
    if set(spec.origin) & {*"ZYX"}:
        outer = "".join(axis for axis in spec.axes if axis in "TZC")
        lengths = dict(zip(spec.axes, spec.shape, strict=True))
        planes = np.ndindex(*(lengths[axis] for axis in outer))
        keys["Plane"] = [_position(spec, dict(zip(outer, p, strict=True))) for p in planes]
    return keys


def _position(spec: ImageSpec, plane: dict[str, int]) -> dict[str, Any]:
    """Return where a plane lies, as attributes of OME's ``Plane`` element."""
    position: dict[str, Any] = {}
    for axis in "ZYX":
        if axis in spec.origin:
            step = plane.get(axis, 0) * spec.scale.get(axis, 1.0)
            position[f"Position{axis}"] = spec.origin[axis] + step
            position[f"Position{axis}Unit"] = _OME_UNITS.get(spec.units.get(axis, ""), "pixel")
    return position


def _ome_lists(spec: ImageSpec) -> dict[str, Any]:
    """Return the keys as tifffile takes them: a list for each attribute of several elements."""
    keys = _ome_keys(spec)
    for element in {"Channel", "Plane"} & set(keys):
        keys[element] = {key: [each[key] for each in keys[element]] for key in keys[element][0]}
    return keys


def _write_pages(path: Path, data: Any, spec: ImageSpec, *, ome: bool) -> None:
    """Write all pages; those of a large image in compressed tiles, in OME-TIFF with a pyramid."""
    options: dict[str, Any] = {"photometric": _photometric(spec)}
    keys = _ome_lists(spec) if ome else _ome_keys(spec)
    first: dict[str, Any] = {**_software(spec), "metadata": keys}
    bits = spec.dtype == np.dtype(bool)  # which tifffile packs along the wrong axis of samples
    large = spec.nbytes > _WHOLE_BYTES and not (bits and spec.axes.endswith("C"))
    # A pyramid adds a third.
    kind: dict[str, Any] = {"bigtiff": 2 * spec.nbytes >= _CLASSIC_TIFF_BYTES, "ome": ome}
    if not large:
        tifffile.imwrite(path, np.asarray(data), **kind, **first, **options)
        return
    # What every reader reads. Differences of neighbours are small for integers only.
    narrow = spec.dtype.kind in "iu" and spec.dtype.itemsize <= 4
    options |= {"tile": (_TILE, _TILE), "compression": "zlib", "predictor": narrow}
    options |= {"dtype": spec.dtype, "buffersize": _BUFFER_BYTES}
    if spec.axes.endswith("C"):
        options["planarconfig"] = "contig"
    levels = spec.levels if ome else 1  # tifffile does not find another pyramid again
    first["subifds"] = levels - 1
    with tifffile.TiffWriter(path, **kind) as tiff:
        for level in range(levels):
            shape = spec.level_shape(level)
            tiff.write(_iter_tiles(data, spec, level), shape=shape, **first, **options)
            first = {"subfiletype": 1, "metadata": None}


def _photometric(spec: ImageSpec) -> str:
    return "rgb" if spec.axes.endswith("S") else "minisblack"


def _software(spec: ImageSpec) -> dict[str, str]:
    """Return the tag that holds the record."""
    text = f"{RECORD_KEY} {__version__} {json.dumps(spec.record)}"
    return {"software": text} if spec.record else {}


def _iter_tiles(data: Any, spec: ImageSpec, level: int) -> Iterator[Any]:
    """Read a level in tiles of its file, page by page; the last ones are padded with 0."""
    plane = 2 + (spec.axes[-1] in "CS")  # axes of a page
    pages, (height, width, *colours) = spec.shape[:-plane], spec.shape[-plane:]
    step = 2**level
    for page in np.ndindex(*pages):
        for top in range(0, height, _TILE * step):
            for left in range(0, width, _TILE * step):
                down, over = (slice(at, at + _TILE * step, step) for at in (top, left))
                window = data[(*page, down, over)]
                tile = np.zeros((_TILE, _TILE, *colours), spec.dtype)
                tile[: window.shape[0], : window.shape[1]] = window
                yield tile
