"""Read image files of any kind as arrays with axes, pixel size and units.

TIFF and OME-Zarr are read here, since napari's own reader drops their geometry. All else goes
through the reader plugins that the user has, which works without Qt.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.errors import FileError, InputError, Pix2PixError
from napari_pix2pix.io.image_file import ImageFile, check_axes, guess_axes, standard_unit
from napari_pix2pix.io.paths import file_stem

__all__ = ["ImageFile", "read_image"]

_TIFF_SUFFIXES = {".tif", ".tiff", ".lsm"}


def read_image(path: str | os.PathLike[str], axes: str | None = None) -> ImageFile:
    """Read one image file, or one OME-Zarr folder (its full resolution).

    Parameters
    ----------
    path : path-like
        TIFF, OME-TIFF, ImageJ-TIFF, LSM; a ``.zarr`` folder; or whatever the installed napari
        reader plugins open (PNG, JPEG, NPY and more without any).
    axes : str, optional
        One letter an axis (TZCYXS, Q for any other), instead of what the file says. Pixel sizes
        that the file states for these letters are kept.

    Returns
    -------
    ImageFile
        The array, bool, integer or real, with its axes, pixel sizes and units.

    Raises
    ------
    FileError
        The file is missing, can't be read, or is understood by no reader.
    InputError
        Its axes are unknown and not given, `axes` don't fit, or its values are no real numbers.
    """
    path = Path(path)
    if not path.exists():
        raise FileError(f"There is no file {path}; check its name and folder.")
    with _understood(path):
        found = _reader_of(path)(path)
    _check_values(found, path)
    if axes is None and not found.axes:
        axes = guess_axes(found.shape, found.dtype)
        if axes is None:
            raise InputError(
                f"{path} does not say what its axes of lengths {found.shape} are: "
                "give them with axes (--axes), for example ZYX, TYX, CYX or YXS."
            )
    letters = _drop_foreign(found.axes) if axes is None else axes
    letters = check_axes(letters, found.shape, str(path))
    return replace(
        found,
        data=_native(found.data),
        axes=letters,
        scale={axis: size for axis, size in found.scale.items() if axis in letters},
        units={axis: unit for axis, unit in found.units.items() if axis in letters},
        name=found.name or file_stem(path),
        channel_names=found.channel_names if "C" in letters else (),
    )


def _reader_of(path: Path) -> Any:
    """Return the function that reads `path`; its libraries are imported only now."""
    if path.is_dir():
        from napari_pix2pix.io.zarr_file import is_zarr, read_zarr

        if not is_zarr(path):
            raise FileError(f"{path} is a folder, not an image; name the images in it.")
        return read_zarr
    if path.suffix.lower() in _TIFF_SUFFIXES:
        from napari_pix2pix.io._tiff import read_tiff

        return read_tiff
    return _read_with_plugins


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises into one sentence; which errors these are is up to them."""
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
    # napari's own reader of scripts would run them.
    if path.suffix.lower() == ".py":
        raise FileError(f"{path} is a Python script, not an image; name an image.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs: no user of ours can act on them
        from npe2 import PluginManager, io_utils

        PluginManager.instance().discover()
        layers = io_utils.read([str(path)], stack=False)
    images = [layer for layer in map(_complete, layers) if layer[2] in ("image", "labels")]
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


def _complete(layer: tuple[Any, ...]) -> tuple[Any, dict[str, Any], str]:
    """Fill in what a layer data tuple may leave out."""
    meta = layer[1] if len(layer) > 1 and layer[1] else {}
    return layer[0], meta, layer[2] if len(layer) > 2 else "image"


def _plugin_axes(data: Any, meta: dict[str, Any]) -> str:
    """Axes from a layer's metadata; its labels leave out the channels and RGB."""
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
    """Pixel sizes from a layer's metadata, one for each axis but channels."""
    letters = [axis for axis in axes or "TZYX" if axis not in "CS"]
    given = meta.get("scale")
    sizes = [] if given is None else list(given)
    units = meta.get("units") or ()
    units = [units] * len(sizes) if isinstance(units, str) else list(units)
    scale = dict(zip(reversed(letters), map(float, reversed(sizes)), strict=False))
    named = zip(reversed(letters), map(standard_unit, reversed(units)), strict=False)
    return scale, {axis: unit for axis, unit in named if unit}


def _check_values(found: ImageFile, path: Path) -> None:
    if found.dtype.kind not in "buif":
        raise InputError(
            f"{path} holds values of type {found.dtype}; bool, integers or real numbers are needed."
        )
    if len(found.shape) < 2 or 0 in found.shape:
        raise InputError(f"{path} holds no image: its shape is {found.shape}.")


def _drop_foreign(axes: str) -> str:
    """Call an axis that only its format knows (position, angle, lifetime) Q."""
    foreign = [axis for axis in axes if axis not in "TZCYXSQ"]
    return axes.replace(foreign[0], "Q") if len(foreign) == 1 else axes


def _native(data: Any) -> Any:
    """Bring numpy arrays (ImageJ writes big-endian) to the byte order that torch reads.

    What lies on a disk stays there: it is brought to that order window by window.
    """
    if type(data) is np.ndarray and not data.dtype.isnative:
        return data.astype(data.dtype.newbyteorder("="))
    return data
