"""Write arrays as image files, with axes, pixel size and units where the format holds them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.atomic import replacing
from napari_pix2pix.io.image_file import check_axes, guess_axes, standard_unit
from napari_pix2pix.io.provenance import software_tag

# What a classic TIFF can address, less room for its tags.
_CLASSIC_TIFF_BYTES = 2**32 - 2**25
_WHOLE_BYTES = 1 << 28  # what is larger and not in memory is written in tiles
_TILE = 512
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


@dataclass(frozen=True)
class _Image:
    """An image ready to be written: checked, with units spelled out."""

    data: Any
    axes: str
    scale: dict[str, float]
    units: dict[str, str]
    channel_names: tuple[str, ...]
    record: Mapping[str, Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.data.dtype)

    @property
    def in_tiles(self) -> bool:
        """Whether it is read and written piece by piece, since it is large and on a disk."""
        lazy = not isinstance(self.data, np.ndarray)
        return lazy and self.nbytes > _WHOLE_BYTES and self.dtype != np.dtype(bool)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.data.shape, dtype=np.int64)) * self.dtype.itemsize


def write_image(
    path: str | os.PathLike[str],
    array: Any,
    axes: str | None = None,
    scale: Mapping[str, float] | None = None,
    units: Mapping[str, str] | None = None,
    *,
    channel_names: Sequence[str] = (),
    record: Mapping[str, Any] | None = None,
    overwrite: bool = True,
) -> Path:
    """Write an image; the ending of `path` chooses the format.

    ``.ome.tif`` OME-TIFF; ``.tif`` an ImageJ hyperstack where ImageJ has the data type and the
    order of axes, otherwise TIFF with OME or plain metadata; ``.zarr`` OME-Zarr; ``.png`` 8- or
    16-bit gray and 8-bit RGB, ``.npy`` any array, the latter two without geometry. Above 4 GB TIFF
    becomes BigTIFF. The file is written beside `path` and renamed: a failure leaves an old file
    as it was.

    Parameters
    ----------
    path : path-like
        The file to write, in a folder that exists.
    array : array
        Bool, integer or real values.
    axes : str, optional
        One letter an axis (TZCYXSQ); may be left out for (H, W) and RGB.
    scale : mapping of str to float, optional
        Pixel size by axis letter, in `units`; letters that are no axis here are left out.
    units : mapping of str to str, optional
        Unit by axis letter, such as "micrometer"; "pixel" is no unit.
    channel_names : sequence of str
        One a channel, where `axes` has C.
    record : mapping, optional
        JSON values that say what the image was made of, for TIFF and zarr: see `read_record`.
    overwrite : bool
        False refuses a path that exists.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    FileError
        Unknown ending, no such folder, no permission, disk full, or a file in the way.
    InputError
        The format can't hold the array's type or axes, or `axes` don't fit the array.
    """
    path = Path(path)
    write = find_writer(path)
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists already; choose another name or allow overwriting.")
    image = _checked(
        path, array, axes, scale or {}, units or {}, tuple(channel_names), record or {}
    )
    check_format(path, image.dtype, image.axes)
    with replacing(path, folder=path.suffix.lower() == ".zarr") as fresh:
        write(fresh, image)
    return path


def find_writer(path: Path) -> Callable[[Path, _Image], None]:
    """Return what writes files with this ending, or say which endings there are."""
    name = path.name.lower()
    if name.endswith((".ome.tif", ".ome.tiff")):
        return _write_ome_tiff
    writers = {
        ".tif": _write_tiff,
        ".tiff": _write_tiff,
        ".png": _write_png,
        ".npy": _write_npy,
        ".zarr": _write_zarr,
    }
    if path.suffix.lower() not in writers:
        raise FileError(
            f"Can't write {path}: the ending {path.suffix!r} is not known; "
            "use .tif, .ome.tif, .zarr, .png or .npy."
        )
    return writers[path.suffix.lower()]


def check_format(path: Path, dtype: np.dtype[Any], axes: str) -> None:
    """Refuse an image that the format can't hold, before it is made.

    Parameters
    ----------
    path : Path
        Its ending names the format.
    dtype : numpy.dtype
    axes : str
        A letter each.

    Raises
    ------
    FileError
        Unknown ending.
    InputError
        The format can't hold the type or the axes.
    """
    write = find_writer(path)
    colours_of_bool = dtype == np.dtype(bool) and "S" in axes
    if write is _write_tiff and colours_of_bool:
        raise InputError(f"TIFF can't hold colours of bool, axes {axes}; name them C.")
    if write is _write_ome_tiff and (colours_of_bool or not _fits_ome(dtype, axes)):
        raise InputError(
            f"OME-TIFF can't hold {dtype} with axes {axes}; "
            "write to a name that ends in .tif without .ome, or in .npy."
        )
    gray = axes == "YX" and dtype in (np.dtype("u1"), np.dtype("u2"))
    if write is _write_png and not gray and (axes, dtype) != ("YXS", np.dtype("u1")):
        raise InputError(
            f"PNG can't hold {dtype} with axes {axes}, only one plane of uint8 or "
            "uint16, or uint8 RGB; write to a name that ends in .tif."
        )
    if write is _write_zarr and "".join(axis for axis in "TCZYX" if axis in axes) != axes:
        raise InputError(
            f"OME-Zarr can't hold the axes {axes}: it wants them from TCZYX in this order."
        )


def _checked(
    path: Path,
    array: Any,
    axes: str | None,
    scale: Mapping[str, float],
    units: Mapping[str, str],
    channel_names: tuple[str, ...],
    record: Mapping[str, Any],
) -> _Image:
    data = array if hasattr(array, "dtype") else np.asarray(array)
    shape = tuple(data.shape)
    if np.dtype(data.dtype).kind not in "buif" or 0 in shape:
        raise InputError(
            f"Can't write {path}: an array of shape {shape} and type {data.dtype} is no image; "
            "bool, integers or real numbers are needed."
        )
    axes = axes or guess_axes(shape, np.dtype(data.dtype))
    if axes is None:
        raise InputError(f"Can't write {path}: give axes for an array of shape {shape}.")
    axes = check_axes(axes, shape, "the image to write")
    channels = shape[axes.index("C")] if "C" in axes else 0
    spelled = {axis: standard_unit(unit) for axis, unit in units.items() if axis in axes}
    return _Image(
        data,
        axes,
        {axis: float(size) for axis, size in scale.items() if axis in axes and axis not in "CSQ"},
        {axis: unit for axis, unit in spelled.items() if unit},
        channel_names if len(channel_names) == channels else (),
        record,
    )


def _write_tiff(path: Path, image: _Image) -> None:
    spatial = [axis for axis in "ZYX" if axis in image.scale]
    one_unit = len({image.units.get(axis) for axis in spatial}) <= 1
    in_order = "".join(axis for axis in "TZCYXS" if axis in image.axes) == image.axes
    # ImageJ takes a size that is missing beside another for 1, and counts frames in seconds.
    all_or_none = spatial in ([], [axis for axis in "ZYX" if axis in image.axes])
    seconds = "T" not in image.scale or image.units.get("T", "second") == "second"
    type_fits = str(image.dtype) in _IMAGEJ_TYPES and ("S" not in image.axes or image.dtype == "u1")
    small = image.nbytes < _CLASSIC_TIFF_BYTES
    small = small and not image.in_tiles  # ImageJ has no tiles
    if one_unit and in_order and all_or_none and seconds and type_fits and small:
        _write_imagej(path, image)
    elif _fits_ome(image.dtype, image.axes):
        _write_ome_tiff(path, image)
    else:
        # Types that OME-XML lacks (64-bit integers, half floats): OME's keys in JSON.
        _save_tiff(path, image, _ome_keys(image), {"ome": False})


def _write_imagej(path: Path, image: _Image) -> None:
    metadata: dict[str, Any] = {"axes": image.axes}
    options: dict[str, Any] = {"imagej": True}
    if "X" in image.scale:
        options["resolution"] = (1 / image.scale["X"], 1 / image.scale["Y"])
        unit = image.units.get("X", "pixel")
        metadata["unit"] = "micron" if unit == "micrometer" else unit
    if "Z" in image.scale:
        metadata["spacing"] = image.scale["Z"]
    if "T" in image.scale:
        metadata["finterval"] = image.scale["T"]
    if image.channel_names:
        lengths = dict(zip(image.axes, image.data.shape, strict=True))
        planes = lengths.get("T", 1) * lengths.get("Z", 1)
        metadata["Labels"] = list(image.channel_names) * planes
    _save_tiff(path, image, metadata, options)


def _write_ome_tiff(path: Path, image: _Image) -> None:
    _save_tiff(path, image, _ome_keys(image), {"ome": True})


def _fits_ome(dtype: np.dtype[Any], axes: str) -> bool:
    return str(dtype) in _OME_TYPES and "Q" not in axes and axes.endswith(("YX", "YXS"))


def _ome_keys(image: _Image) -> dict[str, Any]:
    keys: dict[str, Any] = {"axes": image.axes}
    for axis, size in image.scale.items():
        key = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
        keys[key] = size
        default = "s" if axis == "T" else "pixel"
        keys[f"{key}Unit"] = _OME_UNITS.get(image.units.get(axis, ""), default)
    if image.channel_names:
        keys["Channel"] = {"Name": list(image.channel_names)}
    return keys


def _save_tiff(
    path: Path, image: _Image, metadata: dict[str, Any], options: dict[str, Any]
) -> None:
    import tifffile

    if image.in_tiles:
        options |= {"shape": image.data.shape, "dtype": image.dtype, "tile": (_TILE, _TILE)}
    if image.record:
        options |= {"software": software_tag(image.record)}
    tifffile.imwrite(
        path,
        _iter_tiles(image) if image.in_tiles else np.asarray(image.data),
        bigtiff=image.nbytes >= _CLASSIC_TIFF_BYTES,
        photometric="rgb" if image.axes.endswith("S") else "minisblack",
        metadata=metadata,
        **options,
    )


def _iter_tiles(image: _Image) -> Iterator[Any]:
    """Read an image in the tiles of its file, page by page; the last ones are filled up with 0."""
    pages, plane = image.data.shape, 2 + image.axes.endswith("S")
    height, width = pages[-plane], pages[1 - plane]
    for page in np.ndindex(*pages[:-plane]):
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                window = image.data[(*page, slice(top, top + _TILE), slice(left, left + _TILE))]
                tile = np.zeros((_TILE, _TILE, *pages[len(pages) - plane + 2 :]), image.dtype)
                tile[: window.shape[0], : window.shape[1]] = window
                yield tile


def _write_png(path: Path, image: _Image) -> None:
    import imageio.v3 as imageio

    imageio.imwrite(path, np.asarray(image.data))


def _write_npy(path: Path, image: _Image) -> None:
    np.save(path, np.asarray(image.data), allow_pickle=False)


def _write_zarr(path: Path, image: _Image) -> None:
    from napari_pix2pix.io.zarr_file import write_zarr

    write_zarr(
        path,
        image.data,
        image.axes,
        image.scale,
        image.units,
        image.channel_names,
        record=image.record,
    )
