"""Image files as training sets, and translated images beside where their sources lay."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.paths import expand_paths, match_by_name
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import check_format, write_image


def read_pairs(
    source: str | os.PathLike[str] | None,
    target: str | os.PathLike[str],
    *,
    mask: str | os.PathLike[str] | None = None,
    condition: str | None = None,
    axes: str | None = None,
) -> tuple[list[Pair], list[str]]:
    """Read pairs of image files.

    Parameters
    ----------
    source, target : path-like
        A file, a folder or a pattern each; files are matched by name. A source of None is none for
        any target.
    mask : path-like, optional
        The same: an image for each pair, 0 where nothing is trained or scored.
    condition : str, optional
        What all of these pairs were made with.
    axes : str, optional
        Axes of the sources, and of those targets and masks that have as many axes, where the files
        do not say.

    Returns
    -------
    pairs : list of Pair
        Named by their source's file, or their target's.
    notes : list of str
        Sentences on the files that have no partner, and on images in a file that are not read.

    Raises
    ------
    FileError, InputError
        When a file can't be read, nothing matches, or a mask is missing.
    """
    matched: list[tuple[Path | None, Path]] = []
    notes: list[str] = []
    if source is None:
        matched += [(None, path) for path in expand_paths(target)]
    else:
        both, notes = match_by_name(expand_paths(source), expand_paths(target))
        matched += both
    named_by = [source_path or target_path for source_path, target_path in matched]
    masks, mask_notes = _match_masks(named_by, mask, "target" if source is None else "source")
    notes += mask_notes
    pairs = []
    for (source_path, target_path), mask_path in zip(matched, masks, strict=True):
        images = (
            None if source_path is None else read_image(source_path, axes),
            _read_partner(target_path, axes),
            None if mask_path is None else _read_partner(mask_path, axes),
        )
        planes = [None if image is None else image_planes(image) for image in images]
        name = (source_path or target_path).name
        pairs.append(Pair(*planes[:2], mask=planes[2], condition=condition, name=name))
        notes += [note for image in images if image is not None for note in image.notes]
    return pairs, notes


def image_planes(image: ImageFile) -> LazyImage:
    """Open an image by what its axes say, whatever a bare array of that shape would pass for."""
    # Counted from the end, so that it holds for any number of frame axes.
    axis = image.axes.index("C") - len(image.axes) if "C" in image.axes else None
    return LazyImage(image.data, channel_axis=axis, rgb="S" in image.axes, what="image")


def write_translated(
    path: str | os.PathLike[str],
    array: np.ndarray,
    *,
    source: ImageFile,
    layout: Layout,
    record: Mapping[str, Any] | None = None,
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
    record : mapping, optional
        As for `write_image`.
    overwrite : bool
        Whether a file that is there is replaced.

    Returns
    -------
    Path
        The file.
    """
    axes = translated_axes(source, layout)
    wanted = file_axes(path, axes)
    return write_image(
        path,
        array.transpose([axes.index(axis) for axis in wanted]),
        wanted,
        source.scale,
        source.units,
        channel_names=source.channel_names,
        record=record,
        overwrite=overwrite,
    )


def translated_axes(source: ImageFile, layout: Layout) -> str:
    """Return the axes of what a translator makes of an image."""
    return _with_channels(source.axes.replace("C", "").replace("S", ""), layout)


def file_axes(path: str | os.PathLike[str], axes: str) -> str:
    """Return axes in the order that a file wants: OME-Zarr has one of its own."""
    order = "".join(axis for axis in "TCZYX" if axis in axes)
    in_order = Path(path).suffix.lower() == ".zarr" and len(order) == len(axes)
    return order if in_order else axes


def check_translated(
    path: Path, dtype: np.dtype[Any] | str, *, source: ImageFile, layout: Layout
) -> None:
    """Refuse, before any work, a translated image that its file's format can't hold.

    Parameters
    ----------
    path : Path
        The file.
    dtype : numpy.dtype or str
        Of the translated image.
    source, layout
        As in `write_translated`.

    Raises
    ------
    FileError, InputError
        The sentence says what the format holds.
    """
    check_format(path, np.dtype(dtype), file_axes(path, translated_axes(source, layout)))


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


def _match_masks(
    paths: list[Path], mask: str | os.PathLike[str] | None, side: str
) -> tuple[list[Path] | list[None], list[str]]:
    """Return a mask for each source or target, by name, and sentences on masks left out."""
    if mask is None:
        return [None] * len(paths), []
    matched, notes = match_by_name(paths, expand_paths(mask), side=side, partner="mask")
    found = dict(matched)
    bare = [path.name for path in paths if path not in found]
    if bare:
        raise InputError(
            f"{len(bare)} of {len(paths)} {side}s have no mask of the same name, {bare[0]} among "
            "them: add it, or list the pairs in a table (--pairs), where a pair may have no mask."
        )
    return [found[path] for path in paths], notes


def _read_partner(path: Path, axes: str | None) -> ImageFile:
    """Read a target or mask; ``axes``, of the source, help only where the file says nothing."""
    try:
        return read_image(path)
    except InputError:
        if axes is None:
            raise
        return read_image(path, axes)
