"""Read image files of any kind as arrays with axes, pixel size and units.

TIFF, OME-Zarr and pictures have readers here, since napari's own reader drops geometry, bits and
orientation; other formats go through napari reader plugins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import FileError, InputError, Pix2PixError, Remedy
from napari_pix2pix.io._file_kinds import is_numpy, is_picture, is_tiff
from napari_pix2pix.io._regular_files import check_readable
from napari_pix2pix.io.image_file import AXES, ImageFile, check_axes, guess_axes
from napari_pix2pix.io.paths import as_path, file_stem
from napari_pix2pix.io.plates import missing_field

__all__ = ["ImageFile", "lazy_image_of_file", "read_image", "read_record"]

_EXAMPLES = {
    3: "for example ZYX, TYX, CYX or YXS",
    4: "for example TZYX, ZCYX or TYXS",
    5: "for example TZCYX",
}


def read_image(
    path: str | os.PathLike[str],
    axes: str | None = None,
    *,
    override: bool = True,
    remedy: Remedy = Remedy.AXES,
) -> ImageFile:
    """Read one image file, or one OME-Zarr folder (its full resolution).

    `axes`, one letter each (TZCYXS, Q for any other), replace those in the file; without
    `override` only if it states none. `remedy` is how the caller names them.
    """
    path = as_path(path)
    check_there(path)
    with _reader_errors(path):
        image = _reader_of(path)(path)
    _check_values(image, path)
    if not image.axes:
        image = _without_single_axes(image, axes)
        axes = axes or guess_axes(image.shape, image.dtype)
        if axes is None:
            raise InputError(
                f"{path} does not say what its axes of lengths {image.shape} are: "
                f"name them, {_EXAMPLES.get(len(image.shape), 'one letter for each')}.",
                remedies=(remedy,),
            )
    elif axes is not None and not override:
        if axes.upper() != image.axes:
            note = f"{path.name} states the axes {image.axes}, so {axes} is not used for it."
            image = replace(image, notes=(*image.notes, note))
        axes = None
    letters = _rename_unknown_axis(image.axes) if axes is None else axes
    try:
        letters = check_axes(letters, image.shape, str(path))
    except InputError as error:
        raise InputError(str(error), remedies=(remedy,)) from None
    data, letters, notes = _gray_without_alpha(image, letters, path)
    notes = (*image.notes, *notes)
    name = image.name or file_stem(path)
    return replace(image, data=_native(data), axes=letters, name=name, notes=notes).checked()


def check_there(path: Path) -> None:
    """Refuse what is no file or folder that can be read; a missing field is named by its plate."""
    if not os.path.lexists(path) and (missing := missing_field(path)):
        raise FileError(missing)
    check_readable(path)


def lazy_image_of_file(image: ImageFile) -> LazyImage:
    """Open an image according to its axes, not by the guess that is made for a bare array."""
    # Counted from the end, so that it holds for any number of frame axes.
    axis = image.axes.index("C") - len(image.axes) if "C" in image.axes else None
    planes = LazyImage(image.data, channel_axis=axis, rgb="S" in image.axes, what="image")
    return planes.named(image.channel_names).stating(image.pixel_size, image.looks)


def read_record(path: Path) -> dict[str, Any] | None:
    """Read the record of what an image file was made of; None if it has none (such as PNG)."""
    try:
        if path.is_dir():
            from napari_pix2pix.io.zarr_file import read_zarr_record

            record = read_zarr_record(path)
        elif is_tiff(path):
            from napari_pix2pix.io._tiff import read_tiff_record

            record = read_tiff_record(path)
        else:
            return None
    except Exception:  # each library raises errors of its own on a damaged file
        return None
    return record if isinstance(record, dict) else None


def _reader_of(path: Path) -> Callable[[Path], ImageFile]:
    """Choose the reader of a file; its libraries are imported only now."""
    if path.is_dir():
        from napari_pix2pix.io.zarr_file import is_zarr, read_zarr

        if not is_zarr(path):
            raise FileError(f"{path} is a folder, not an image: name the images in it.")
        return read_zarr
    if is_tiff(path) or path.suffix.lower() == ".ome":  # XML that names TIFF files
        from napari_pix2pix.io._tiff import read_tiff

        return read_tiff
    if is_numpy(path):
        from napari_pix2pix.io._contiguous import read_npy

        return read_npy
    if is_picture(path):
        from napari_pix2pix.io._pictures import read_picture

        return read_picture
    from napari_pix2pix.io._plugins import read_with_plugins

    return read_with_plugins


@contextmanager
def _reader_errors(path: Path) -> Iterator[None]:
    """Turn any exception of a reader into a `FileError`; each library raises its own."""
    try:
        yield
    except (Pix2PixError, MemoryError):
        raise
    except PermissionError as error:
        raise FileError(f"{path} can't be read: no permission.") from error
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FileError(
            f"{path} can't be read as an image ({reason}); it may be damaged, cut short, "
            "or need a napari reader plugin for its format."
        ) from error


def _check_values(image: ImageFile, path: Path) -> None:
    if image.dtype.kind not in "buif":
        raise InputError(
            f"{path} holds values of type {image.dtype}; bool, integers or real numbers are needed."
        )
    if len(image.shape) < 2 or 0 in image.shape:
        raise InputError(f"{path} holds no image: its shape is {image.shape}.")


def _rename_unknown_axis(axes: str) -> str:
    """Call an axis that only its format knows (position, angle, lifetime) Q."""
    unknown = [axis for axis in axes if axis not in AXES]
    return axes.replace(unknown[0], "Q") if len(unknown) == 1 else axes


def _gray_without_alpha(
    image: ImageFile, axes: str, path: Path
) -> tuple[Any, str, tuple[str, ...]]:
    """Leave the alpha of a gray image out; return data, axes, and a note about it."""
    if not axes.endswith("S") or image.shape[-1] != 2:
        return image.data, axes, ()
    data, keep = image.data, axes.replace("S", "C")
    if not isinstance(data, np.ndarray):
        import dask.array as da

        data = da.asarray(data)
    note = f"The alpha channel of {path.name} is left out; with the axes {keep} it is a channel."
    return data[..., 0], axes[:-1], (note,)


def _without_single_axes(image: ImageFile, axes: str | None) -> ImageFile:
    """Leave axes of length 1 out of an array that states none, unless `axes` names them."""
    shape = image.shape
    if axes is not None and len(axes) == len(shape):
        return image
    planes = [len(shape) - 2, len(shape) - 1]  # Y and X, maybe before a single channel
    if len(shape) > 2 and shape[-1] == 1 < min(shape[-3:-1]):
        planes = [len(shape) - 3, len(shape) - 2]
    index = tuple(
        slice(None) if length > 1 or axis in planes else 0 for axis, length in enumerate(shape)
    )
    if all(isinstance(part, slice) for part in index):
        return image
    if type(image.data) is not np.ndarray and not hasattr(image.data, "dask"):
        import dask.array as da

        return replace(image, data=da.from_array(image.data)[index])
    return replace(image, data=image.data[index])


def _native(data: Any) -> Any:
    """Convert numpy arrays (ImageJ writes big-endian) to the byte order that torch reads."""
    if type(data) is np.ndarray and not data.dtype.isnative:
        return data.astype(data.dtype.newbyteorder("="))
    return data
