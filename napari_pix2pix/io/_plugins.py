"""Image files that napari's reader plugins read."""

from __future__ import annotations

import atexit
import io
import math
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io._regular_files import is_regular
from napari_pix2pix.io.image_file import ImageFile, standard_unit
from napari_pix2pix.io.read_limits import check_at_once

_DICOM = 128, b"DICM"
_DICOM_FRAMES = re.compile(rb"\x28\0\x08\0(?:IS..|..\0\0)\s*(\d+)", re.DOTALL)
_DICOM_WHITE_IS_0 = re.compile(rb"\x28\0\x04\0(?:CS..|..\0\0)MONOCHROME1", re.DOTALL)
# Plugins that read no images of their own: napari's claims tables and films, too, ours models.
_NO_IMAGES = "napari", "napari-pix2pix"
# Files called so come here only where they are damaged. napari's own reader would fail on them,
# and leave them open: Windows removes no open file.
_READ_WITHOUT_PLUGINS = {
    *(".tif", ".tiff", ".lsm", ".stk", ".svs"),
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
}


def has_plugin(path: Path) -> bool:
    """Tell whether a plugin, other than napari's own and this one, claims files called so."""
    return any(
        reader.plugin_name not in _NO_IMAGES and not {"*", "*.*"} & set(reader.filename_patterns)
        for reader in _plugin_manager().iter_compatible_readers([str(path)])
    )


def read_with_plugins(path: Path) -> ImageFile:
    """Read the first image or labels of a file with a reader plugin."""
    # napari's own reader would run the script.
    if path.suffix.lower() == ".py":
        raise FileError(f"{path} is a Python script, not an image: name an image.")
    if path.suffix.lower() in _READ_WITHOUT_PLUGINS and not has_plugin(path):
        raise FileError(
            f"{path} can't be read as an image: it does not begin like a {path.suffix} file. It "
            "may be damaged or cut short."
        )
    # Our users can't act on warnings of plugins, nor a program on what these print.
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        layers = _read_alone(path)
    images = [layer for layer in map(_with_defaults, layers) if layer[2] in ("image", "labels")]
    if not images:
        raise FileError(f"{path} holds no image or labels.")
    data, meta, kind = images[0]
    if isinstance(data, (list, tuple)):  # multiscale: full resolution first
        data = data[0]
    _check_dicom(path, np.ndim(data))
    _check_chunks(data, path)
    axes = _plugin_axes(data, meta)
    scale, units = _plugin_scale(axes, meta)
    names = meta.get("name")
    notes = (f"{path.name} holds {len(images)} images; the first was read.",)
    return ImageFile(
        data=data if hasattr(data, "dtype") else np.asarray(data),
        axes=axes,
        scale=scale,
        units=units,
        origin=_plugin_values(axes, meta, "translate"),
        channel_names=tuple(map(str, names)) if isinstance(names, (list, tuple)) else (),
        labels=kind == "labels",
        notes=notes if len(images) > 1 else (),
    )


def _check_chunks(data: Any, path: Path) -> None:
    """Refuse what is read later, in chunks that are larger than is read at once."""
    chunks = getattr(data, "chunksize", None) or getattr(data, "chunks", None)
    if chunks and all(isinstance(length, int) for length in chunks):
        check_at_once(math.prod(chunks) * np.dtype(data.dtype).itemsize, path)


def _check_dicom(path: Path, ndim: int) -> None:
    """Refuse DICOM files of which napari's own reader gives one frame of several, or a negative."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    at, magic = _DICOM
    if start[at : at + len(magic)] != magic:
        return
    frames = _DICOM_FRAMES.search(start)
    if frames and int(frames[1]) > 1 and ndim == 2:
        raise InputError(
            f"{path} holds {int(frames[1])} frames, of which its reader gives one: save them as "
            "TIFF."
        )
    if _DICOM_WHITE_IS_0.search(start):
        raise InputError(
            f"{path} stores white as 0, and would be read as a negative: save it as TIFF."
        )


def _read_alone(path: Path) -> list[Any]:
    """Read a file where a plugin can't take another one of its folder for it, or with it."""
    folder = Path(tempfile.mkdtemp(prefix="napari-pix2pix-"))
    alone = folder / path.name
    keep = False
    try:
        _link(path, alone)
        for companion in _companions(path):
            _link(companion, folder / companion.name)
        layers = _read(alone)
        # What is not an array in memory is read later, from the same place.
        keep = any(type(layer[0]) is not np.ndarray for layer in layers)
        return layers
    except (MemoryError, PermissionError):
        raise
    except Exception as error:
        # The file may need others that are not called like it: fine, where none can be mistaken.
        if not any(other.suffix == path.suffix for other in path.parent.iterdir() if other != path):
            return _read(path)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FileError(
            f"{path} can't be read as an image ({reason.replace(str(folder), str(path.parent))}); "
            "it may be damaged, cut short, need a napari reader plugin for its format, or need "
            "other files: put it with them into a folder of its own."
        ) from error
    finally:
        if keep:
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _read(path: Path) -> list[Any]:
    from npe2 import io_utils

    _plugin_manager()
    return list(io_utils.read([str(path)], stack=False))


def _plugin_manager() -> Any:
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    return manager


def _companions(path: Path) -> list[Path]:
    """List what may belong to a file: a.raw to a.mhd, a.oif.files to a.oif, _a_ to a.vsi."""
    called_like_it = re.compile(rf"_?{re.escape(path.stem)}(?![0-9A-Za-z])")
    return [
        other
        for other in path.parent.iterdir()
        if other.suffix != path.suffix
        and called_like_it.match(other.name)
        and (other.is_dir() or is_regular(other))
    ]


def _link(path: Path, link: Path) -> None:
    """Let a file or folder have a second name; copy it where that is impossible."""
    # A hard link first: plugins that follow a symbolic one would find the file's neighbours.
    links: list[Callable[..., None]] = [os.symlink] if path.is_dir() else [os.link, os.symlink]
    for make_link in links:
        with suppress(OSError):
            make_link(path.resolve(), link)
            return
    if path.is_dir():
        shutil.copytree(path, link)
    else:
        shutil.copy(path, link)


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
    scale = _plugin_values(axes, meta, "scale")
    units = meta.get("units") or ()
    units = [units] * len(scale) if isinstance(units, str) else list(units)
    named = zip(reversed(_plugin_letters(axes)), map(standard_unit, reversed(units)), strict=False)
    return scale, {axis: unit for axis, unit in named if unit}


def _plugin_values(axes: str, meta: dict[str, Any], key: str) -> dict[str, float]:
    """Read numbers of a layer's metadata by axis, of which it may have only the last ones."""
    given = meta.get(key)
    values = [] if given is None else list(given)
    pairs = zip(reversed(_plugin_letters(axes)), map(float, reversed(values)), strict=False)
    return dict(pairs)


def _plugin_letters(axes: str) -> list[str]:
    return [axis for axis in axes or "TZYX" if axis not in "CS"]
