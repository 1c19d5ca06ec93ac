"""OME-Zarr images (versions 0.4 and 0.5) and plain zarr arrays, read lazily."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.errors import FileError
from napari_pix2pix.formats.geometry import ImageFile, standard_unit

_MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a zarr group or array."""
    return path.suffix == ".zarr" or any((path / marker).exists() for marker in _MARKERS)


def read_zarr(path: Path) -> ImageFile:
    """Open the full resolution of an OME-Zarr image, or a plain zarr array, without reading it.

    Axes of length 1 beside Y and X are left out. ``axes`` is empty for a plain array.

    Raises
    ------
    FileError
        A group that is no OME-Zarr image.
    """
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return ImageFile(data=node, axes="")
    attributes: dict[str, Any] = dict(node.attrs)
    attributes = attributes.get("ome", attributes)
    if not attributes.get("multiscales"):
        raise FileError(f"{path} is a zarr group without an OME-Zarr image; name an array in it.")
    multiscale = attributes["multiscales"][0]
    level = multiscale["datasets"][0]
    axes = "".join(axis["name"] for axis in multiscale["axes"]).upper()
    sizes = np.multiply(_scale(level, axes), _scale(multiscale, axes))
    units = {
        letter: standard_unit(axis.get("unit"))
        for letter, axis in zip(axes, multiscale["axes"], strict=True)
    }
    data, kept = _squeeze(node[level["path"]], axes)
    channels = attributes.get("omero", {}).get("channels", [])
    return ImageFile(
        data=data,
        axes=kept,
        # A size of 1 without a unit is what writers put where nothing is known.
        scale={
            axis: float(size)
            for axis, size in zip(axes, sizes, strict=True)
            if axis in kept and axis != "C" and (units[axis] or size != 1)
        },
        units={axis: unit for axis, unit in units.items() if unit and axis in kept},
        channel_names=tuple(str(channel["label"]) for channel in channels if "label" in channel),
        labels="image-label" in attributes,
    )


def _scale(holder: dict[str, Any], axes: str) -> list[float]:
    for transformation in holder.get("coordinateTransformations", []):
        if transformation["type"] == "scale":
            return list(transformation["scale"])
    return [1.0] * len(axes)


def _squeeze(array: Any, axes: str) -> tuple[Any, str]:
    drop = tuple(i for i, n in enumerate(array.shape) if n == 1 and axes[i] not in "YX")
    if not drop:
        return array, axes
    import dask.array as da

    kept = "".join(axis for i, axis in enumerate(axes) if i not in drop)
    return da.from_array(array).squeeze(drop), kept


def write_zarr(
    path: Path,
    array: Any,
    axes: str,
    scale: dict[str, float],
    units: dict[str, str],
    channel_names: tuple[str, ...],
) -> None:
    """Write an OME-Zarr image (0.5) with axes from TCZYX in this order, as a pyramid.

    Levels are added, halving Y and X, until both fit into 256 pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on sizes of 1 for channels, and its own deprecations
        from ome_zarr.writer import write_image as write

        extent = max(array.shape[axes.index("Y")], array.shape[axes.index("X")])
        levels = max(0, math.ceil(math.log2(extent / 256)))
        omero = {"omero": {"channels": [_channel(name, array.dtype) for name in channel_names]}}
        write(
            array,
            str(path),
            scale_factors=[2 ** (level + 1) for level in range(levels)],
            method="nearest",  # right for labels too
            axes=[axis.lower() for axis in axes],
            axes_units={axis.lower(): units[axis] for axis in axes if axis in units},
            scale={axis.lower(): scale.get(axis, 1.0) for axis in axes},
            **(omero if channel_names else {}),
        )


def _channel(name: str, dtype: Any) -> dict[str, Any]:
    """Describe a channel; the format asks for colour and contrast beside its name."""
    integers = np.dtype(dtype).kind in "ui"
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if integers else (0, 1)
    window = {"min": low, "max": high, "start": low, "end": high}
    return {"label": name, "color": "FFFFFF", "window": window}
