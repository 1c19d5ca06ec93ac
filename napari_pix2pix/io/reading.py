"""Read image files of any kind as arrays with axes, pixel size and units.

TIFF and OME-Zarr have readers here, since napari's own reader drops their geometry; other formats
go through napari reader plugins.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import FileError, InputError, Pix2PixError, Remedy
from napari_pix2pix.io.image_file import AXES, ImageFile, check_axes, guess_axes, standard_unit
from napari_pix2pix.io.paths import file_stem

__all__ = ["ImageFile", "lazy_image_of_file", "read_image", "read_record"]

_TIFF_SUFFIXES = {".tif", ".tiff", ".lsm"}


def read_image(path: str | os.PathLike[str], axes: str | None = None) -> ImageFile:
    """Read one image file, or one OME-Zarr folder (its full resolution).

    `axes`, one letter each (TZCYXS, Q for any other), replace those in the file.
    """
    path = Path(path)
    if not path.exists():
        raise FileError(f"There is no file {path}; check its name and folder.")
    with _reader_errors(path):
        image = _reader_of(path)(path)
    _check_values(image, path)
    if axes is None and not image.axes:
        axes = guess_axes(image.shape, image.dtype)
        if axes is None:
            raise InputError(
                f"{path} does not say what its axes of lengths {image.shape} are: "
                "name them, for example ZYX, TYX, CYX or YXS.",
                remedies=(Remedy.AXES,),
            )
    letters = _rename_unknown_axis(image.axes) if axes is None else axes
    letters = check_axes(letters, image.shape, str(path))
    return replace(
        image,
        data=_native(image.data),
        axes=letters,
        scale={axis: size for axis, size in image.scale.items() if axis in letters},
        units={axis: unit for axis, unit in image.units.items() if axis in letters},
        name=image.name or file_stem(path),
        channel_names=image.channel_names if "C" in letters else (),
    )


def lazy_image_of_file(image: ImageFile) -> LazyImage:
    """Open an image according to its axes, not by the guess that is made for a bare array."""
    # Counted from the end, so that it holds for any number of frame axes.
    axis = image.axes.index("C") - len(image.axes) if "C" in image.axes else None
    return LazyImage(image.data, channel_axis=axis, rgb="S" in image.axes, what="image")


def read_record(path: Path) -> dict[str, Any] | None:
    """Read the record of what an image file was made of; None if it has none (such as PNG)."""
    try:
        if path.is_dir():
            from napari_pix2pix.io.zarr_file import read_zarr_record

            record = read_zarr_record(path)
        elif path.suffix.lower() in (".tif", ".tiff"):
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
    if path.suffix.lower() in _TIFF_SUFFIXES:
        from napari_pix2pix.io._tiff import read_tiff

        return read_tiff
    return _read_with_plugins


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


def _read_with_plugins(path: Path) -> ImageFile:
    # napari's own reader would run the script.
    if path.suffix.lower() == ".py":
        raise FileError(f"{path} is a Python script, not an image: name an image.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # our users can't act on warnings of plugins
        from npe2 import PluginManager, io_utils

        PluginManager.instance().discover()
        layers = io_utils.read([str(path)], stack=False)
    images = [layer for layer in map(_with_defaults, layers) if layer[2] in ("image", "labels")]
    if not images:
        raise FileError(f"{path} holds no image or labels.")
    data, meta, kind = images[0]
    if isinstance(data, (list, tuple)):  # multiscale: full resolution first
        data = data[0]
    axes = _plugin_axes(data, meta)
    scale, units = _plugin_scale(axes, meta)
    notes = (f"{path.name} holds {len(images)} images; the first was read.",)
    return ImageFile(
        data=data if hasattr(data, "dtype") else np.asarray(data),
        axes=axes,
        scale=scale,
        units=units,
        labels=kind == "labels",
        notes=notes if len(images) > 1 else (),
    )


def _with_defaults(layer: tuple[Any, ...]) -> tuple[Any, dict[str, Any], str]:
    """Fill in the metadata and the type that a layer data tuple may leave out."""
    meta = layer[1] if len(layer) > 1 and layer[1] else {}
    return layer[0], meta, layer[2] if len(layer) > 2 else "image"


def _plugin_axes(data: Any, meta: dict[str, Any]) -> str:
    """Read axes from a layer's metadata, whose labels leave out the channels and RGB."""
    labels = "".join(str(label) for label in meta.get("axis_labels") or ()).upper()
    channel = meta.get("channel_axis")
    left_out = (channel is not None) + bool(meta.get("rgb"))
    if len(labels) != np.ndim(data) - left_out or not labels:
        return ""
    if channel is not None:
        channel %= np.ndim(data)
        labels = labels[:channel] + "C" + labels[channel:]
    return labels + "S" * bool(meta.get("rgb"))


def _plugin_scale(axes: str, meta: dict[str, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Read pixel sizes from a layer's metadata, one for each axis other than the channels."""
    letters = [axis for axis in axes or "TZYX" if axis not in "CS"]
    given = meta.get("scale")
    sizes = [] if given is None else list(given)
    units = meta.get("units") or ()
    units = [units] * len(sizes) if isinstance(units, str) else list(units)
    scale = dict(zip(reversed(letters), map(float, reversed(sizes)), strict=False))
    named = zip(reversed(letters), map(standard_unit, reversed(units)), strict=False)
    return scale, {axis: unit for axis, unit in named if unit}


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


def _native(data: Any) -> Any:
    """Convert numpy arrays (ImageJ writes big-endian) to the byte order that torch reads."""
    if type(data) is np.ndarray and not data.dtype.isnative:
        return data.astype(data.dtype.newbyteorder("="))
    return data
