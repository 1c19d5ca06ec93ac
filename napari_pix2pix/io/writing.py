"""Write arrays as image files, with axes, pixel size and units if the format holds them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from napari_pix2pix.data.channel_look import Looks
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import FileError, InputError, Remedy
from napari_pix2pix.io.image_file import (
    ImageFile,
    ImageSpec,
    check_axes,
    guess_axes,
    standard_unit,
)
from napari_pix2pix.io.outputs import is_own_zarr
from napari_pix2pix.io.paths import file_stem, replacing
from napari_pix2pix.io.plates import Plate, is_zarr_name, read_plate, write_plate

Writer: TypeAlias = Callable[[Path, Any, ImageSpec], None]


def write_image(
    path: str | os.PathLike[str],
    array: Any,
    axes: str | None = None,
    scale: Mapping[str, float] | None = None,
    units: Mapping[str, str] | None = None,
    *,
    origin: Mapping[str, float] | None = None,
    channel_names: Sequence[str] = (),
    looks: Looks = (),
    kind: Kind = "image",
    record: Mapping[str, Any] | None = None,
    overwrite: bool = True,
) -> Path:
    """Write an image; the ending of `path` chooses the format. A failure leaves an old file intact.

    ``.ome.tif`` is OME-TIFF; ``.tif`` an ImageJ hyperstack up to 16 MiB, otherwise TIFF with OME or
    plain metadata; ``.zarr`` OME-Zarr; ``.png`` gray or RGB of 8 or 16 bits; ``.npy`` any
    array. `axes` may be left out for (H, W) and RGB; `scale`, `units` and `origin`, the first
    pixel's position, are given by axis letter. `looks`, one a channel, say how an image is shown.
    """
    path = Path(path)
    data = array if hasattr(array, "dtype") else np.asarray(array)
    image = _image_of(data, path, axes, scale or {}, units or {}, origin or {}, channel_names)
    image = replace(image, looks=looks if kind == "image" else ()).checked()
    letters = image.axes.replace("S", "C")
    order = file_axes(path, image.axes)
    if order not in (image.axes, letters):
        data = data.transpose([letters.index(axis) for axis in order])
    spec = ImageSpec(
        order,
        tuple(data.shape),
        image.dtype,
        image.scale,
        image.units,
        image.channel_names,
        image.looks,
        image.origin,
        record or {},
        name=file_stem(path),
        kind=kind,
        rgb="S" in image.axes,
    )
    return write_spec(path, data, spec, overwrite=overwrite)


def write_spec(path: Path, data: Any, spec: ImageSpec, *, overwrite: bool = True) -> Path:
    """Write an image whose axes have the order of the file's format; see `file_axes`."""
    write = find_writer(path)
    if path.exists() and not overwrite:
        raise FileError(
            f"{path} exists already: choose another name, or overwrite it.",
            remedies=(Remedy.OVERWRITE,),
        )
    check_format(path, spec.dtype, spec.axes)
    with replacing(path, folder=is_zarr_name(path)) as temporary:
        write(temporary, data, spec)
    return path


def find_writer(path: Path) -> Writer:
    """Return the function that writes files with this ending."""
    name = path.name.lower()
    if name.endswith((".ome.tif", ".ome.tiff")):
        from napari_pix2pix.io._tiff_writing import write_ome_tiff

        return write_ome_tiff
    if name.endswith((".tif", ".tiff")):
        from napari_pix2pix.io._tiff_writing import write_tiff

        return write_tiff
    if is_zarr_name(path):
        from napari_pix2pix.io.zarr_file import write_zarr

        return write_zarr
    writers: dict[str, Writer] = {".png": _write_png, ".npy": _write_npy}
    if path.suffix.lower() not in writers:
        raise FileError(
            f"Can't write {path}: the ending {path.suffix!r} is not known; "
            "use .tif, .ome.tif, .zarr, .png or .npy."
        )
    return writers[path.suffix.lower()]


def check_format(path: Path, dtype: np.dtype[Any], axes: str) -> None:
    """Raise an `InputError` if the format that a path names can't hold an image."""
    from napari_pix2pix.io._tiff_writing import fits_ome, write_ome_tiff, write_tiff

    writer = find_writer(path)
    colours_of_bool = dtype == np.dtype(bool) and "S" in axes
    if writer is write_tiff and colours_of_bool:
        raise InputError(f"TIFF can't hold colours of bool, axes {axes}; name them C.")
    if writer is write_ome_tiff and (colours_of_bool or not fits_ome(dtype, axes)):
        raise InputError(
            f"OME-TIFF can't hold {dtype} with axes {axes}; "
            "write to a name that ends in .tif without .ome, or in .npy."
        )
    fits_png = axes in ("YX", "YXS") and dtype in (np.dtype("u1"), np.dtype("u2"))
    if writer is _write_png and not fits_png:
        raise InputError(
            f"PNG can't hold {dtype} with axes {axes}, only one plane or RGB of uint8 or uint16; "
            "write to a name that ends in .tif."
        )
    in_order = "".join(axis for axis in "TCZYX" if axis in axes) == axes
    if is_zarr_name(path) and not in_order:
        raise InputError(
            f"OME-Zarr can't hold the axes {axes}: it needs axes from TCZYX, in this order."
        )


def _image_of(
    data: Any,
    path: Path,
    axes: str | None,
    scale: Mapping[str, float],
    units: Mapping[str, str],
    origin: Mapping[str, float],
    channel_names: Sequence[str],
) -> ImageFile:
    """Check an array and its metadata; spell the units out."""
    shape, dtype = tuple(data.shape), np.dtype(data.dtype)
    if dtype.kind not in "buif" or 0 in shape:
        raise InputError(
            f"Can't write {path}: an array of shape {shape} and type {data.dtype} is not an image; "
            "bool, integers or real numbers are needed."
        )
    axes = axes or guess_axes(shape, dtype)
    if axes is None:
        raise InputError(f"Can't write {path}: give axes for an array of shape {shape}.")
    spelled = {axis: standard_unit(unit) for axis, unit in units.items()}
    return ImageFile(
        data=data,
        axes=check_axes(axes, shape, "the image to write"),
        scale=scale,
        units={axis: unit for axis, unit in spelled.items() if unit},
        origin=origin,
        channel_names=tuple(channel_names),
    ).checked()


def _write_png(path: Path, data: Any, spec: ImageSpec) -> None:
    import imagecodecs

    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(data)))


def _write_npy(path: Path, data: Any, spec: ImageSpec) -> None:
    np.save(path, np.asarray(data), allow_pickle=False)


def begin_plate(path: Path, like: Plate) -> None:
    """Write a plate without images, or go on with one that has these wells and fields."""
    if not path.exists():
        with replacing(path, folder=True) as fresh:
            write_plate(fresh, like)
        return
    there = read_plate(path)
    if there is None or not {*like.names} <= {*there.names} or not is_own_zarr(path):
        raise FileError(
            f"{path} exists, and is no plate like {like.path} that napari-pix2pix made: choose "
            "another name."
        )


# Translated images: axes, pixel sizes and units are those of the source.


def write_translation(
    path: str | os.PathLike[str],
    array: np.ndarray,
    *,
    source: ImageFile,
    layout: Layout,
    kind: Kind = "image",
    channel_names: Sequence[str] = (),
    looks: Looks = (),
    record: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a translated image with the axes, pixel sizes, units and place of its source."""
    return write_image(
        path,
        array,
        translation_axes(source, layout),
        source.scale,
        source.units,
        origin=source.origin,
        channel_names=channel_names,
        looks=looks,
        kind=kind,
        record=record,
        overwrite=overwrite,
    )


def translation_axes(source: ImageFile, layout: Layout) -> str:
    """Return the axes of an image's translation."""
    return _with_channels(source.axes.replace("C", "").replace("S", ""), layout)


def file_axes(path: str | os.PathLike[str], axes: str) -> str:
    """Return axes in the order that the file's format requires: OME-Zarr has a fixed one."""
    order = "".join(axis for axis in "TCZYX" if axis in axes.replace("S", "C"))
    reorder = is_zarr_name(Path(path)) and len(order) == len(axes)
    return order if reorder else axes


def check_translation(
    path: Path, dtype: np.dtype[Any] | str, *, source: ImageFile, layout: Layout
) -> None:
    """Fail early if the file's format can't hold a translation of `dtype`."""
    check_format(path, np.dtype(dtype), file_axes(path, translation_axes(source, layout)))


def write_generated(
    path: str | os.PathLike[str],
    array: np.ndarray,
    *,
    layout: Layout,
    is_volume: bool = False,
    channel_names: Sequence[str] = (),
    looks: Looks = (),
    overwrite: bool = False,
) -> Path:
    """Write an image or a volume that was generated without a source: it has no pixel size."""
    axes = _with_channels("ZYX" if is_volume else "YX", layout)
    return write_image(
        path, array, axes, channel_names=channel_names, looks=looks, overwrite=overwrite
    )


def _with_channels(axes: str, layout: Layout) -> str:
    """Insert the channels where `Layout.assemble` puts them."""
    if layout.rgb:
        return f"{axes}S"
    if layout.channel_axis is None:
        return axes
    # In front if the image has too few axes.
    index = max(len(axes) + 1 + layout.channel_axis, 0)
    return f"{axes[:index]}C{axes[index:]}"
