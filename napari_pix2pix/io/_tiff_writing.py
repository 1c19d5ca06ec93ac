"""TIFF files are written: ImageJ's hyperstacks, and OME-TIFF in compressed tiles with a pyramid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import tifffile

from napari_pix2pix import __version__
from napari_pix2pix.data.lengths import LENGTHS
from napari_pix2pix.io._looks import imagej_looks, ome_colour
from napari_pix2pix.io.image_file import RECORD_KEY, ImageSpec

# What a classic TIFF can address, less room for its tags.
_CLASSIC_TIFF_BYTES = 2**32 - 2**25
_WHOLE_BYTES = 1 << 24  # larger images are written in compressed tiles, with a pyramid
TILE = 512
_BUFFER_BYTES = 1 << 25  # of tiles that are compressed at once
_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_OME_TYPES = (
    *("bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64"),
)
NAMES_KEY = "channel_names"  # our key in ImageJ's description, which has none for them
_OME_UNITS = {name: unit.symbol for name, unit in LENGTHS.items()} | {
    "inch": "in",
    "nanosecond": "ns",
    "microsecond": "µs",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
}


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
        metadata[NAMES_KEY] = json.dumps(spec.channel_names)
    metadata |= imagej_looks(spec.looks)
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
    keys: dict[str, Any] = {"axes": spec.axes, "Name": spec.name, "UUID": _uuid(spec)}
    for axis, size in spec.scale.items():
        if axis == "T" and axis not in spec.units:
            continue  # without a unit it would mean seconds
        key = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
        keys[key] = size
        keys[f"{key}Unit"] = _OME_UNITS.get(spec.units.get(axis, ""), "pixel")
    if spec.channel_names or spec.looks:
        keys["Channel"] = _ome_channels(spec)
    if set(spec.origin) & {*"ZYX"}:
        outer = "".join(axis for axis in spec.axes if axis in "TZC")
        lengths = dict(zip(spec.axes, spec.shape, strict=True))
        planes = np.ndindex(*(lengths[axis] for axis in outer))
        keys["Plane"] = [_position(spec, dict(zip(outer, p, strict=True))) for p in planes]
    return keys


def _uuid(spec: ImageSpec) -> str:
    """Return an identifier of what the image is made of: the same file again has the same."""
    facts = [spec.record, spec.name, spec.axes, spec.shape, str(spec.dtype), spec.scale]
    return str(uuid5(NAMESPACE_URL, json.dumps([RECORD_KEY, *facts], sort_keys=True)))


def _ome_channels(spec: ImageSpec) -> list[dict[str, Any]]:
    """Return names and colours of channels, where they are known; OME-TIFF holds no range."""
    stated: list[dict[str, Any]] = [{} for _ in spec.channel_names or spec.looks]
    for channel, name in zip(stated, spec.channel_names, strict=False):
        channel["Name"] = name
    if any(look.colour for look in spec.looks):
        for channel, look in zip(stated, spec.looks, strict=True):
            channel["Color"] = ome_colour(look)
    return stated


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
    options |= {"tile": (TILE, TILE), "compression": "zlib", "predictor": narrow}
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
        for top in range(0, height, TILE * step):
            for left in range(0, width, TILE * step):
                down, over = (slice(at, at + TILE * step, step) for at in (top, left))
                window = data[(*page, down, over)]
                tile = np.zeros((TILE, TILE, *colours), spec.dtype)
                tile[: window.shape[0], : window.shape[1]] = window
                yield tile
