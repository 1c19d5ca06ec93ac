"""TIFF files with their geometry: OME-TIFF, ImageJ, LSM, MetaMorph, slides and plain."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator
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
from napari_pix2pix.io.image_file import RECORD_KEY, ImageFile, ImageSpec, standard_unit

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
_OME_UNITS = {
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "angstrom": "Å",
    "inch": "in",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
}

Geometry = tuple[dict[str, float], dict[str, str], tuple[str, ...]]  # scale, units, channel names


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
        scale, units, names = _geometry(tiff)
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

        data = da.from_array(data)
    data, axes = to_shown(data, axes, page)
    if is_turned(orientation_of(page)):
        scale, units = (_exchanged(of_axis) for of_axis in (scale, units))
    if "I" in axes or ("Q" in axes and not stated):
        axes = ""
    channels = data.shape[axes.index("C")] if "C" in axes else 0
    return ImageFile(
        data=data,
        axes=axes,
        scale={axis: size for axis, size in scale.items() if axis in axes and size > 0},
        units={axis: unit for axis, unit in units.items() if axis in axes},
        channel_names=names if len(names) == channels else (),
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


def _exchanged(of_axis: dict[str, Any]) -> dict[str, Any]:
    """Exchange what is said of Y and X."""
    other = {"Y": "X", "X": "Y"}
    return {other.get(axis, axis): value for axis, value in of_axis.items()}


def _geometry(tiff: tifffile.TiffFile) -> Geometry:
    if tiff.ome_metadata:
        return _ome(tiff.ome_metadata)
    if tiff.lsm_metadata:
        sizes = {axis: tiff.lsm_metadata.get(f"VoxelSize{axis}", 0.0) * 1e6 for axis in "ZYX"}
        return sizes, dict.fromkeys("ZYX", "micrometer"), ()
    if tiff.shaped_metadata and "PhysicalSizeX" in tiff.shaped_metadata[0]:
        return _physical_sizes(tiff.shaped_metadata[0])
    if tiff.imagej_metadata:
        return _imagej(tiff)
    if tiff.stk_metadata:
        return _metamorph(tiff.stk_metadata)
    if tiff.is_svs:
        stated = re.search(r"MPP = ([\d.]+)", tiff.pages.first.description)
        if stated:
            return dict.fromkeys("YX", float(stated[1])), dict.fromkeys("YX", "micrometer"), ()
    return _resolution_tags(tiff)


def _ome(xml: str) -> Geometry:
    images = tifffile.xml2dict(xml)["OME"]["Image"]
    return _physical_sizes((images[0] if isinstance(images, list) else images)["Pixels"])


def _physical_sizes(pixels: dict[str, Any]) -> Geometry:
    """Read the attributes of OME's ``Pixels`` element."""
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    keys = {axis: (f"PhysicalSize{axis}", "µm") for axis in "ZYX"} | {"T": ("TimeIncrement", "s")}
    for axis, (key, default) in keys.items():
        if key in pixels:
            scale[axis] = float(pixels[key])
            unit = standard_unit(pixels.get(f"{key}Unit", default))
            if unit:
                units[axis] = unit
    channels = pixels.get("Channel", [])
    channels = channels if isinstance(channels, list) else [channels]
    names = tuple(str(channel["Name"]) for channel in channels if "Name" in channel)
    return scale, units, names


def _imagej(tiff: tifffile.TiffFile) -> Geometry:
    metadata = tiff.imagej_metadata or {}
    unit = standard_unit(metadata.get("unit"))
    if unit is None:
        scale, units, _ = _resolution_tags(tiff)
        scale = scale or _pixel_sizes(tiff)
    else:
        # ImageJ leaves out a spacing of 1, and units that are those of X.
        scale = dict.fromkeys("ZYX", 1.0) | _pixel_sizes(tiff)
        stated = {axis: standard_unit(metadata.get(f"{axis.lower()}unit")) for axis in "ZYX"}
        units = {axis: axis_unit or unit for axis, axis_unit in stated.items()}
    if "spacing" in metadata:
        scale["Z"] = abs(float(metadata["spacing"]))
    if metadata.get("finterval"):
        scale["T"] = float(metadata["finterval"])
        units["T"] = standard_unit(metadata.get("tunit")) or "second"
    # ImageJ labels planes, channels fastest.
    names = metadata.get("Labels", [])[: metadata.get("channels", 0)]
    return scale, units, tuple(str(name) for name in names)


def _metamorph(metadata: dict[str, Any]) -> Geometry:
    scale = {axis: float(metadata.get(f"{axis}Calibration") or 0) for axis in "YX"}
    unit = standard_unit(metadata.get("CalibrationUnits"))
    units = dict.fromkeys("YX", unit) if unit else {}
    distances = np.ravel(metadata.get("ZDistance", ()))
    if unit and distances.any():
        scale["Z"], units["Z"] = abs(float(distances[-1])), unit
    return scale, units, ()


def _pixel_sizes(tiff: tifffile.TiffFile) -> dict[str, float]:
    """Read pixel sizes in units of the resolution tags; none if these say 1, their default."""
    x, y = tiff.pages.first.resolution
    if not (x > 0 and y > 0 and np.isfinite([x, y]).all()) or (x, y) == (1, 1):
        return {}
    return {"Y": 1 / y, "X": 1 / x}


def _resolution_tags(tiff: tifffile.TiffFile) -> Geometry:
    factor = _MICROMETERS_PER_TAG_UNIT.get(int(tiff.pages.first.resolutionunit or 1))
    sizes = _pixel_sizes(tiff)
    if factor is None or not sizes:
        return {}, {}, ()
    scale = {axis: size * factor for axis, size in sizes.items()}
    return scale, dict.fromkeys(sizes, "micrometer"), ()


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
    if spec.channel_names:
        lengths = dict(zip(spec.axes, spec.shape, strict=True))
        planes = lengths.get("T", 1) * lengths.get("Z", 1)
        metadata["Labels"] = list(spec.channel_names) * planes
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
    keys: dict[str, Any] = {"axes": spec.axes}
    for axis, size in spec.scale.items():
        key = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
        keys[key] = size
        default = "s" if axis == "T" else "pixel"
        keys[f"{key}Unit"] = _OME_UNITS.get(spec.units.get(axis, ""), default)
    if spec.channel_names:
        keys["Channel"] = {"Name": list(spec.channel_names)}
    return keys


def _write_pages(path: Path, data: Any, spec: ImageSpec, *, ome: bool) -> None:
    """Write all pages; those of a large image in compressed tiles, in OME-TIFF with a pyramid."""
    options: dict[str, Any] = {"photometric": _photometric(spec)}
    first: dict[str, Any] = {**_software(spec), "metadata": _ome_keys(spec)}
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
