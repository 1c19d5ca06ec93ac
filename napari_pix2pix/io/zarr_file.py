"""OME-Zarr images (versions 0.4 and 0.5) and plain zarr arrays, read lazily."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.image_file import RECORD_KEY, ImageFile, ImageSpec, standard_unit

CHUNK = 512  # pixels in Y and X
_MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a zarr group or array."""
    return path.suffix == ".zarr" or any((path / marker).exists() for marker in _MARKERS)


def read_zarr(path: Path) -> ImageFile:
    """Open the full resolution of an OME-Zarr image, or a plain array without axes, unread.

    Axes of length 1 other than Y and X are left out.
    """
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return ImageFile(data=node, axes="")
    attributes: dict[str, Any] = dict(node.attrs)
    attributes = attributes.get("ome", attributes)
    if not attributes.get("multiscales"):
        raise FileError(f"{path} is a zarr group without an OME-Zarr image: name an array in it.")
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
        # Writers put a size of 1 without a unit if they know none.
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


def write_zarr(path: Path, data: Any, spec: ImageSpec) -> None:
    """Write an OME-Zarr image (0.5) with axes from TCZYX in this order, as a pyramid."""
    level = create_zarr(path, spec.shape, spec.dtype, spec.axes)
    for window in chunks_of(level):
        level[window] = np.asarray(data[window])
    finish_zarr(path, spec)


def create_zarr(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], axes: str) -> Any:
    """Create an OME-Zarr image and return its empty full resolution, in chunks of 512 x 512."""
    import zarr

    return _create_level(zarr.create_group(path), "0", shape, dtype, axes)


def finish_zarr(path: Path, spec: ImageSpec) -> None:
    """Add OME-Zarr's metadata and pyramid; a level keeps every second pixel, also of labels."""
    import zarr

    group = zarr.open_group(path, mode="r+")
    axes = spec.axes
    levels: list[Any] = [group["0"]]
    for number in range(1, spec.levels):
        levels.append(_halved(group, str(number), levels[-1], axes))
    origin = [spec.origin.get(axis, 0.0) for axis in axes]
    datasets = []
    for number in range(len(levels)):
        sizes = [spec.scale.get(a, 1.0) * (2.0**number if a in "YX" else 1.0) for a in axes]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": sizes}]
        if any(origin):
            transforms.append({"type": "translation", "translation": origin})
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    omero = {"channels": [_channel(name, levels[0].dtype) for name in spec.channel_names]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside ome_zarr
        from ome_zarr.writer import write_multiscales_metadata

        write_multiscales_metadata(
            group,
            datasets,
            axes=[axis.lower() for axis in axes],
            axes_units={axis.lower(): spec.units[axis] for axis in axes if axis in spec.units},
            **({"metadata": {"omero": omero}} if spec.channel_names else {}),
        )
    if spec.record:
        group.attrs[RECORD_KEY] = dict(spec.record)


def read_zarr_record(path: Path) -> Any:
    """Read the record of what a zarr group was made of; None if it has none."""
    import zarr

    return zarr.open(path, mode="r").attrs.get(RECORD_KEY) if is_zarr(path) else None


def _create_level(
    group: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], axes: str
) -> Any:
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=tuple(min(n, CHUNK) if a in "YX" else 1 for n, a in zip(shape, axes, strict=True)),
        dimension_names=[axis.lower() for axis in axes],
        overwrite=True,
    )


def _halved(group: Any, name: str, above: Any, axes: str) -> Any:
    steps = [2 if axis in "YX" else 1 for axis in axes]
    shape = tuple(-(-n // step) for n, step in zip(above.shape, steps, strict=True))
    level = _create_level(group, name, shape, above.dtype, axes)
    for window in chunks_of(level):
        both = list(zip(window, steps, strict=True))
        wide = tuple(slice(span.start * step, span.stop * step) for span, step in both)
        level[window] = above[wide][tuple(slice(None, None, step) for step in steps)]
    return level


def chunks_of(array: Any) -> Iterator[tuple[slice, ...]]:
    """Iterate over the chunks of an array, as slices."""
    spans = (
        [slice(first, min(first + step, length)) for first in range(0, length, step)]
        for length, step in zip(array.shape, array.chunks, strict=True)
    )
    return itertools.product(*spans)


def _channel(name: str, dtype: Any) -> dict[str, Any]:
    """Describe a channel; the format requires colour and contrast along with its name."""
    integers = np.dtype(dtype).kind in "ui"
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if integers else (0, 1)
    window = {"min": low, "max": high, "start": low, "end": high}
    return {"label": name, "color": "FFFFFF", "window": window}
