"""OME-Zarr images (read: versions 0.1 to 0.5, written: 0.5) and plain zarr arrays, read lazily."""

from __future__ import annotations

import itertools
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.data.channel_look import ChannelLook
from napari_pix2pix.errors import FileError
from napari_pix2pix.io._looks import WHITE, colour_of_hex, limits_of
from napari_pix2pix.io._regular_files import check_inside
from napari_pix2pix.io.image_file import RECORD_KEY, ImageFile, ImageSpec, standard_unit

CHUNK = 512  # pixels in Y and X
_MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
_VERSIONS = ("0.1", "0.2", "0.3", "0.4", "0.5")
_RGB = ("#FF0000", "#00FF00", "#0000FF")
_LETTERS = {"time": "T", "channel": "C"}  # of axes by their type, whatever their names


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a zarr group or array."""
    return path.suffix == ".zarr" or any((path / marker).exists() for marker in _MARKERS)


def read_zarr(path: Path) -> ImageFile:
    """Open the full resolution of an OME-Zarr image, or a plain array without axes, unread.

    Axes of length 1 other than Y and X are left out.
    """
    import zarr

    from napari_pix2pix.io._zarr_store import open_zarr, read_lazily

    node = open_zarr(path)
    if isinstance(node, zarr.Array):
        return ImageFile(data=read_lazily(node, path), axes="")
    attributes = ome_attributes(node)
    if "bioformats2raw.layout" in attributes and "plate" not in attributes:
        notes = (f"{path.name} may hold several images; the first was read.",)
        check_inside(path / "0", path)
        return replace(read_zarr(path / "0"), notes=notes)
    if "plate" in attributes or "well" in attributes:
        raise FileError(f"{path} holds several images: name one, such as A/1/0 of a plate.")
    if not attributes.get("multiscales"):
        raise FileError(f"{path} is a zarr group without an OME-Zarr image: name an array in it.")
    multiscale = attributes["multiscales"][0]
    _check_version(attributes, multiscale, path)
    level = multiscale["datasets"][0]
    array: Any = read_lazily(node[level["path"]], path)
    stated = multiscale.get("axes", [*"tczyx"][-array.ndim :])  # up to 0.2 they are always these
    described = [axis if isinstance(axis, dict) else {"name": axis} for axis in stated]
    axes = "".join(
        _LETTERS.get(axis.get("type", ""), str(axis["name"])[:1].upper()) for axis in described
    )
    units = {
        letter: standard_unit(axis.get("unit"))
        for letter, axis in zip(axes, described, strict=True)
    }
    sizes, origin = _geometry([level, multiscale], len(axes))
    data, kept = _squeeze(array, axes)
    channels = (attributes.get("omero") or {}).get("channels", [])
    return ImageFile(
        data=data,
        axes=kept,
        # Writers put a size of 1 without a unit if they know none.
        scale={
            axis: size
            for axis, size in zip(axes, sizes, strict=True)
            if axis in kept and (units[axis] or size != 1)
        },
        units={axis: unit for axis, unit in units.items() if unit},
        origin={axis: n for axis, n in zip(axes, origin, strict=True) if axis in kept},
        channel_names=tuple(str(channel["label"]) for channel in channels if "label" in channel),
        looks=tuple(map(_look_of, channels)),
        labels="image-label" in attributes,
    )


def _look_of(channel: dict[str, Any]) -> ChannelLook:
    """Read how OME-Zarr says that a channel is shown."""
    window = channel.get("window") or {}
    limits = limits_of(window.get("start"), window.get("end"))
    return ChannelLook(colour_of_hex(channel.get("color", "")), limits=limits)


def ome_attributes(group: Any) -> dict[str, Any]:
    """Return the attributes of OME-Zarr, which version 0.5 keeps apart."""
    attributes = dict(group.attrs)
    return dict(attributes.get("ome", attributes))


def _check_version(attributes: dict[str, Any], multiscale: dict[str, Any], path: Path) -> None:
    version = str(attributes.get("version") or multiscale.get("version") or _VERSIONS[0])
    if ".".join(version.replace("-", ".").split(".")[:2]) not in _VERSIONS:
        raise FileError(
            f"{path} is OME-Zarr of version {version}, and versions {_VERSIONS[0]} to "
            f"{_VERSIONS[-1]} can be read: convert it to one of these."
        )


def _geometry(holders: list[dict[str, Any]], ndim: int) -> tuple[list[float], list[float]]:
    """Return pixel sizes and the first pixel's position: what all transformations make of them."""
    sizes, origin = np.ones(ndim), np.zeros(ndim)
    steps = (step for holder in holders for step in holder.get("coordinateTransformations", []))
    for step in steps:
        factor = step["scale"] if step["type"] == "scale" else 1
        sizes, origin = sizes * factor, origin * factor
        origin = origin + (step["translation"] if step["type"] == "translation" else 0)
    return sizes.tolist(), origin.tolist()


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
    """Add OME-Zarr's metadata and pyramid; a level keeps every second pixel, also of labels.

    Labels become ``labels/KIND`` of a group that shows the same pixels as its image.
    """
    import zarr

    group = zarr.open_group(path, mode="r+")
    axes, is_image = spec.axes, spec.kind == "image"
    levels: list[Any] = [group["0"]]
    for number in range(1, spec.levels):
        levels.append(_halved(group, str(number), levels[-1], axes))
    names = [str(number) for number in range(len(levels))]
    group.attrs[RECORD_KEY] = dict(spec.record)  # also an empty one says who wrote the image
    if is_image:
        _write_multiscale(group, names, spec, omero={"channels": _channels(levels[0], spec)})
    else:
        _move_to_labels(path, group, names, spec)


def remove_partial(path: Path) -> None:
    """Remove what zarr had begun to write when a run was killed."""
    for left in path.rglob("*.partial"):
        left.unlink(missing_ok=True)


def _move_to_labels(path: Path, group: Any, names: list[str], spec: ImageSpec) -> None:
    """Make the levels those of ``labels/KIND``, where readers look for labels."""
    from ome_zarr.writer import add_metadata

    folder = Path("labels", spec.kind)
    shutil.rmtree(path / "labels", ignore_errors=True)  # of a run that was killed here
    labels, label = group.create_group("labels"), group.create_group(folder.as_posix())
    _write_multiscale(label, names, spec)
    _write_multiscale(group, [(folder / name).as_posix() for name in names], spec)
    version = {"version": _VERSIONS[-1]}
    add_metadata(labels, {**version, "labels": [spec.kind]})
    add_metadata(label, {"image-label": {**version, "source": {"image": "../../"}}})
    # The image is no other: also where it is opened without its labels, these are shown as such.
    add_metadata(group, {"image-label": version})
    for name in reversed(names):
        (path / name).rename(path / folder / name)


def _write_multiscale(
    group: Any, names: list[str], spec: ImageSpec, omero: dict[str, Any] | None = None
) -> None:
    """Write axes, names, pixel sizes and positions of the levels of an image."""
    axes = spec.axes
    origin = [spec.origin.get(axis, 0.0) for axis in axes]
    datasets = []
    for number, name in enumerate(names):
        sizes = [spec.scale.get(a, 1.0) * (2.0**number if a in "YX" else 1.0) for a in axes]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": sizes}]
        if any(origin):  # the same for all levels, which begin with the same pixel
            transforms.append({"type": "translation", "translation": origin})
        datasets.append({"path": name, "coordinateTransformations": transforms})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside ome_zarr
        from ome_zarr.writer import write_multiscales_metadata

        write_multiscales_metadata(
            group,
            datasets,
            axes=[axis.lower() for axis in axes],
            axes_units={axis.lower(): spec.units[axis] for axis in axes if axis in spec.units},
            name=spec.name or None,
            **({"metadata": {"omero": omero}} if omero else {}),
        )


def read_zarr_record(path: Path) -> Any:
    """Read the record of what a zarr group was made of; None if it has none."""
    from napari_pix2pix.io._zarr_store import open_zarr

    return (open_zarr(path).attrs.get(RECORD_KEY) or None) if is_zarr(path) else None


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


def _channels(level: Any, spec: ImageSpec) -> list[dict[str, Any]]:
    """Describe channels: colour and contrast, which the format requires, and names if known."""
    axis = spec.axes.find("C")
    ranges = _ranges(level, axis)
    colours = _RGB if spec.rgb else (WHITE,) * len(ranges)
    looks = spec.looks or tuple(map(ChannelLook, colours))
    names: Sequence[str] = spec.channel_names
    channels = []
    for number, ((low, high), look) in enumerate(zip(ranges, looks, strict=True)):
        start, end = look.limits or (low, high if high > low else low + 1)
        window = {"min": low, "max": high, "start": start, "end": end}
        label = {"label": names[number]} if names else {}
        colour = (look.colour or WHITE).removeprefix("#")
        channels.append({**label, "color": colour, "window": window, "active": True})
    return channels


def _ranges(level: Any, axis: int) -> list[tuple[float, float]]:
    """Return the lowest and highest finite value of each channel, read chunk by chunk."""
    ranges = np.tile([np.inf, -np.inf], (1 if axis < 0 else level.shape[axis], 1))
    for window in chunks_of(level):
        values = level[window]
        values = values[np.isfinite(values)]
        if values.size:
            row = ranges[0 if axis < 0 else window[axis].start]  # a chunk has one channel
            row[:] = min(row[0], values.min()), max(row[1], values.max())
    number = float if level.dtype.kind == "f" else int
    return [(number(low), number(high)) if low <= high else (0, 0) for low, high in ranges]
