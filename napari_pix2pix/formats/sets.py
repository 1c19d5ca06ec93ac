"""Image files as training sets, and translated images beside where their sources lay."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from napari_pix2pix.errors import InputError
from napari_pix2pix.formats.geometry import ImageFile
from napari_pix2pix.formats.images import read_image
from napari_pix2pix.formats.paths import expand_paths, match_by_name
from napari_pix2pix.formats.writing import write_image
from napari_pix2pix.pairs.pair import Pair
from napari_pix2pix.pairs.planes import Layout, Planes


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
        Sentences on the files that have no partner, and on images in a file that are not read.

    Raises
    ------
    FileError, InputError
        When a file can't be read or nothing matches.
    """
    matched, notes = match_by_name(expand_paths(source), expand_paths(target))
    pairs = []
    for source_path, target_path in matched:
        images = read_image(source_path, axes), _read_target(target_path, axes)
        pairs.append(Pair(*map(image_planes, images), name=source_path.name))
        notes += [note for image in images for note in image.notes]
    return pairs, notes


def image_planes(image: ImageFile) -> Planes:
    """Open an image by what its axes say, whatever a bare array of that shape would pass for."""
    # Counted from the end, so that it holds for any number of frame axes.
    axis = image.axes.index("C") - len(image.axes) if "C" in image.axes else None
    return Planes(image.data, channel_axis=axis, rgb="S" in image.axes, what="image")


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
    axes = _with_channels(source.axes.replace("C", "").replace("S", ""), layout)
    if Path(path).suffix.lower() == ".zarr":
        array, axes = _in_zarr_order(array, axes)
    return write_image(path, array, axes, source.scale, source.units, overwrite=overwrite)


def write_made(
    path: str | os.PathLike[str], array: np.ndarray, *, layout: Layout, overwrite: bool = False
) -> Path:
    """Write an image that was made without a source: it has no pixel size.

    Parameters
    ----------
    path : path-like
        The file; its ending chooses the format.
    array : numpy.ndarray
        One image.
    layout : Layout
        Where it has its channels.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    Path
        The file.
    """
    return write_image(path, array, _with_channels("YX", layout), overwrite=overwrite)


def _with_channels(axes: str, layout: Layout) -> str:
    """Put the channels among the axes where `Layout.assemble` puts them."""
    if layout.rgb:
        return f"{axes}S"
    if layout.channel_axis is None:
        return axes
    # In front, where the image has too few axes.
    place = max(len(axes) + 1 + layout.channel_axis, 0)
    return f"{axes[:place]}C{axes[place:]}"


def _read_target(path: Path, axes: str | None) -> ImageFile:
    """Read a target; ``axes``, which describe the source, help only where the file says nothing."""
    try:
        return read_image(path)
    except InputError:
        if axes is None:
            raise
        return read_image(path, axes)


def _in_zarr_order(array: np.ndarray, axes: str) -> tuple[np.ndarray, str]:
    """OME-Zarr wants its axes in one order."""
    order = "".join(axis for axis in "TCZYX" if axis in axes)
    if len(order) < len(axes):
        return array, axes
    return array.transpose([axes.index(axis) for axis in order]), order
