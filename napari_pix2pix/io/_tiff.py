"""TIFF files with their geometry: OME-TIFF, ImageJ, LSM and plain."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_pix2pix.io.image_file import ImageFile, standard_unit

# tifffile logs each oddity of a broken file; the user gets one sentence from us instead.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

# Above this size an image is read window by window; below it, at once, which is quicker.
_EAGER_BYTES = 1 << 28
_MICROMETERS_PER_TAG_UNIT = {2: 25400.0, 3: 10000.0}  # inch, centimetre

Geometry = tuple[dict[str, float], dict[str, str], tuple[str, ...]]


def read_tiff(path: Path) -> ImageFile:
    """Read the first image of a TIFF file; ``axes`` is empty where the file does not tell them.

    Axes of length 1 beside Y and X are left out. Pixel sizes come from OME-XML, ImageJ's
    description, LSM's header, or the resolution tags where these name inch or centimetre.
    """
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        axes = _axes(tiff, series)
        scale, units, names = _geometry(tiff)
        notes: tuple[str, ...] = ()
        if len(tiff.series) > 1 and not tiff.is_lsm:  # LSM's others are thumbnails
            notes = (f"{path.name} holds {len(tiff.series)} images; the first was read.",)
        eager = series.size * series.dtype.itemsize <= _EAGER_BYTES
        data: Any = series.asarray() if eager else None
        if data is None and series.dataoffset is not None:  # one piece, as stored: any window
            data = tifffile.memmap(path, mode="r", series=0).reshape(series.shape)
    if data is None:
        import zarr

        data = zarr.open(tifffile.imread(path, aszarr=True, series=0, level=0), mode="r")
    channels = data.shape[axes.index("C")] if "C" in axes else 0
    return ImageFile(
        data=data,
        axes=axes,
        scale={axis: size for axis, size in scale.items() if axis in axes and size > 0},
        units={axis: unit for axis, unit in units.items() if axis in axes},
        channel_names=names if len(names) == channels else (),
        notes=notes,
    )


def _axes(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> str:
    axes = str(series.axes)
    stated = any("axes" in entry for entry in tiff.shaped_metadata or ())
    if "I" in axes or ("Q" in axes and not stated):
        return ""
    colour = axes.endswith("YXS") and series.shape[-1] in (3, 4)
    return axes if colour or "C" in axes else axes.replace("S", "C")


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
    return _resolution_tags(tiff)


def _ome(xml: str) -> Geometry:
    images = tifffile.xml2dict(xml)["OME"]["Image"]
    pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
    return _physical_sizes(pixels)


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
        units = {axis: own or unit for axis, own in stated.items()}
    if "spacing" in metadata:
        scale["Z"] = abs(float(metadata["spacing"]))
    if metadata.get("finterval"):
        scale["T"] = float(metadata["finterval"])
        units["T"] = standard_unit(metadata.get("tunit")) or "second"
    # ImageJ labels planes, channels fastest.
    names = metadata.get("Labels", [])[: metadata.get("channels", 0)]
    return scale, units, tuple(str(name) for name in names)


def _pixel_sizes(tiff: tifffile.TiffFile) -> dict[str, float]:
    """Read pixel sizes in units of the resolution tags; none where these say 1, as by default."""
    x, y = tiff.pages.first.resolution
    if not (x > 0 and y > 0 and np.isfinite([x, y]).all()) or (x, y) == (1, 1):
        return {}
    return {"Y": 1 / y, "X": 1 / x}


def _resolution_tags(tiff: tifffile.TiffFile) -> Geometry:
    factor = _MICROMETERS_PER_TAG_UNIT.get(int(tiff.pages.first.resolutionunit or 1))
    sizes = _pixel_sizes(tiff)
    if factor is None or not sizes:
        return {}, {}, ()
    return (
        {axis: size * factor for axis, size in sizes.items()},
        dict.fromkeys(sizes, "micrometer"),
        (),
    )
