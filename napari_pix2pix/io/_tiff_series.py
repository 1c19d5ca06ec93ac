"""Which image of a TIFF is read, and how its values lie: samples, palettes, white as 0, turned."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io._orientation import as_shown

_COLOURS = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
_GRAYS = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_ALPHA = (1, 2)  # kinds of extra samples
_JPEG = (6, 7, 33007)  # compressions that tifffile decodes to RGB
_ORIENTATION = 274  # the tag
# What tifffile gives as it is stored, though it is neither gray nor red, green and blue.
_FOREIGN: dict[int | None, str] = {
    PHOTOMETRIC.CIELAB: "CIE L*a*b*",
    PHOTOMETRIC.ICCLAB: "CIE L*a*b*",
    PHOTOMETRIC.ITULAB: "CIE L*a*b*",
    PHOTOMETRIC.CFA: "raw camera",
    PHOTOMETRIC.LINEAR_RAW: "raw camera",
    PHOTOMETRIC.LOGL: "logarithmic",
    PHOTOMETRIC.LOGLUV: "logarithmic",
}
# Formats whose pages a reader of tifffile numbers in its own way.
_OWN_CHAINS = ("is_lsm", "is_ndpi", "is_scanimage")


def images_of(tiff: tifffile.TiffFile, path: Path) -> list[tifffile.TiffPageSeries]:
    """List the images of a file, that which is read first; no thumbnails, no planes elsewhere."""
    images = [one for one in tiff.series if not one.keyframe.is_reduced] or tiff.series
    if tiff.is_scn:
        return sorted(images, key=lambda one: -one.size)  # a picture of the slide comes first
    if tiff.is_ome and len(images) > 1:
        return [one for one in images if path.name in map(_file_name, one)] or images
    return images


def _file_name(page: tifffile.TiffPage | tifffile.TiffFrame | None) -> str:
    return page.parent.filehandle.name if page else ""


def check_complete(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path) -> None:
    """Refuse a file that was cut off, of which tifffile would read the rest, or black planes."""
    pages = [] if series.dataoffset is not None else [*series]
    if None in pages:
        raise FileError(
            f"{path} lacks {pages.count(None)} of the {len(pages)} planes that it describes: copy "
            "or export it again."
        )
    if pages:
        parts = math.prod(series.keyframe.chunked)
        if any(len(page.dataoffsets) < parts for page in pages):
            raise FileError(
                f"{path} lacks strips or tiles of the {parts:,} that it describes: copy or export "
                "it again."
            )
        ends = [
            (page.parent.filehandle.size, offset + count)
            for page in pages
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
    else:
        size = series.keyframe.parent.filehandle.size
        ends = [(size, (series.dataoffset or 0) + series.nbytes)]
    stated = (tiff.imagej_metadata or {}).get("images", 1)
    too_few = series.kind == "generic" and stated > len(series)
    if too_few or not _chain_ends(tiff) or any(end > size for size, end in ends):
        raise FileError(f"{path} can't be read as an image: it was cut short; copy it again.")


def _chain_ends(tiff: tifffile.TiffFile) -> bool:
    """Tell whether the last page that was found says that it is the last."""
    position = tiff.pages.next_page_offset
    if position is None or any(getattr(tiff, own) for own in _OWN_CHAINS):
        return True
    tiff.filehandle.seek(position)
    following = tiff.filehandle.read(tiff.tiff.offsetsize)
    return len(following) == tiff.tiff.offsetsize and not any(following)


def sample_axes(series: tifffile.TiffPageSeries, path: Path) -> str:
    """Return the axes of a series: S for colours, or gray, with or without alpha; C for others."""
    page, axes = series.keyframe, str(series.axes)
    _check_colours(series, path)
    if "S" not in axes or "C" in axes:
        return axes
    base = 3 if page.photometric in _COLOURS else 1
    alpha = bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA
    samples = series.shape[axes.index("S")]
    is_picture = samples == base + alpha and page.photometric in _COLOURS + _GRAYS
    return axes if is_picture else axes.replace("S", "C")


def _check_colours(series: tifffile.TiffPageSeries, path: Path) -> None:
    page = series.keyframe
    foreign = _FOREIGN.get(page.photometric)
    if page.photometric == PHOTOMETRIC.SEPARATED and page.samplesperpixel >= 4:
        foreign = "CMYK"
    if page.photometric == PHOTOMETRIC.YCBCR and page.compression not in _JPEG:
        foreign = "YCbCr"
    if page.photometric == PHOTOMETRIC.MINISWHITE and series.dtype.kind not in "bu":
        raise InputError(
            f"{path} stores white as 0 in values of type {series.dtype}, of which none is black: "
            "save it with black as 0."
        )
    if foreign:
        raise InputError(
            f"{path} holds {foreign} colours, of which no channel is red, green or blue: save it "
            "as RGB."
        )


def is_as_shown(page: tifffile.TiffPage, axes: str) -> bool:
    """Tell whether values are stored as viewers show them."""
    white = page.photometric == PHOTOMETRIC.MINISWHITE
    return not white and orientation_of(page) == 1 and axes.find("S") in (-1, len(axes) - 1)


def to_shown(data: Any, axes: str, page: tifffile.TiffPage) -> tuple[Any, str]:
    """Return values as viewers show them, and their axes: upright, bright is high, S is last."""
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        white = data.dtype.type((1 << page.bitspersample) - 1)
        data = ~data if data.dtype.kind == "b" else white - data
    data = as_shown(data, axes, orientation_of(page))
    if "S" in axes:
        data = np.moveaxis(data, axes.index("S"), -1)
        axes = axes.replace("S", "") + "S"
    return data, axes


def notes_of(page: tifffile.TiffPage, name: str) -> list[str]:
    """Return what the user has to know of values that are not read as they are stored."""
    notes = []
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        notes.append(f"{name} stores white as 0: its values were inverted, so that bright is high.")
    if page.photometric == PHOTOMETRIC.PALETTE:
        notes.append(f"{name} has a palette: its indices were read, not its colours.")
    return notes


def orientation_of(page: tifffile.TiffPage) -> int:
    """Return one of TIFF's 8 orientations; 1 is upright."""
    return int(page.tags.valueof(_ORIENTATION, 1))
