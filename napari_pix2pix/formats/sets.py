"""Image files as training sets, and translated images beside where their sources lay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.errors import InputError
from napari_pix2pix.formats.geometry import ImageFile
from napari_pix2pix.formats.images import read_image
from napari_pix2pix.formats.paths import expand_paths, match_by_name
from napari_pix2pix.formats.writing import write_image
from napari_pix2pix.pairs.pair import Pair
from napari_pix2pix.pairs.planes import Layout

# Where every file's channel axis is put, so that one model takes CYX, TCYX and CZYX alike; RGB
# stays last.
_CHANNELS = -3


def read_pairs(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, axes: str | None = None
) -> tuple[list[Pair], list[str]]:
    """Read pairs of image files.

    Parameters
    ----------
    source, target : path-like
        A file, a folder or a pattern each; files are matched by name.
    axes : str, optional
        Axes of the sources, and of those targets that have as many axes, where the files do not
        say.

    Returns
    -------
    pairs : list of Pair
        Named by their source's file.
    notes : list of str
        A sentence on the files that have no partner.

    Raises
    ------
    FileError, InputError
        When a file can't be read or nothing matches.
    """
    matched, notes = match_by_name(expand_paths(source), expand_paths(target))
    pairs = []
    for source_path, target_path in matched:
        image = read_image(source_path, axes)
        pairs.append(
            Pair(
                channels_in_place(image)[0],
                channels_in_place(_read_target(target_path, axes))[0],
                channel_axis=_CHANNELS if "C" in image.axes else None,
                name=source_path.name,
            )
        )
    return pairs, notes


def channels_in_place(image: ImageFile) -> tuple[Any, str]:
    """Return an image's array and axes with its channels, if any, just before rows and columns."""
    if "C" not in image.axes:
        return image.data, image.axes
    axis = image.axes.index("C")
    axes = image.axes.replace("C", "")
    return _moved(image.data, axis), f"{axes[:-2]}C{axes[-2:]}"


def write_translated(
    path: str | os.PathLike[str],
    array: np.ndarray,
    *,
    source: ImageFile,
    layout: Layout,
    overwrite: bool = False,
) -> Path:
    """Write a translated image with the axes, pixel sizes and units of its source.

    Parameters
    ----------
    path : path-like
        The file; its ending chooses the format.
    array : numpy.ndarray
        What a translator made of ``source``.
    source : ImageFile
        The image that was translated.
    layout : Layout
        Where ``array`` has its channels.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    Path
        The file.
    """
    axes = source.axes.replace("C", "").replace("S", "")
    if layout.rgb:
        axes += "S"
    elif layout.channel_axis is not None:
        place = len(axes) + 1 + layout.channel_axis
        axes = f"{axes[:place]}C{axes[place:]}"
    return write_image(path, array, axes, source.scale, source.units, overwrite=overwrite)


def _read_target(path: Path, axes: str | None) -> ImageFile:
    """Read a target; ``axes``, which describe the source, help only where the file says nothing."""
    try:
        return read_image(path)
    except InputError:
        if axes is None:
            raise
        return read_image(path, axes)


def _moved(data: Any, axis: int) -> Any:
    if axis - data.ndim == _CHANNELS:
        return data
    if not isinstance(data, np.ndarray):
        import dask.array

        # Lazily: only what is asked for is read.
        data = dask.array.from_array(data)
    return np.moveaxis(data, axis, _CHANNELS)
