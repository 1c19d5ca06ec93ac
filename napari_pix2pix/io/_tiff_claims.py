"""What a TIFF claims, compared with what it is, before its images are put together."""

from __future__ import annotations

import re
import struct
from math import prod
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.read_limits import check_at_once, check_pages

_LONGEST = 1 << 20  # pixels along Y and X: no slide is a tenth as wide
_PLANES = ("SizeT", "SizeC", "SizeZ")
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\s[^>]*")
_OME_SIZE = re.compile(r"\bSize[XYZCT]\s*=\s*[\"'](\d+)[\"']")
_IMAGEJ = re.compile(rb"ImageJ=[^\0]{0,4000}")
_IMAGEJ_COUNT = re.compile(rb"(?:images|frames|slices|channels)=(\d+)")


def check_page_chain(path: Path) -> None:
    """Refuse a file with more pages than are looked at, or whose pages form a loop."""
    # Only the links are followed: tifffile takes 20 s for a million pages.
    with path.open("rb") as file:
        start = file.read(16)
        order = "<" if start[:2] == b"II" else ">"
        is_big = start[2:4] in (b"+\0", b"\0+")
        count, link, tag = ("Q", "Q", 20) if is_big else ("H", "I", 12)
        ends, width = struct.calcsize(count), struct.calcsize(link)
        following, seen = _number(start[8 if is_big else 4 :], order + link), set[int]()
        while following:
            if following in seen:
                raise FileError(
                    f"{path} can't be read as an image: its pages lead back to an earlier one; it "
                    "is damaged."
                )
            seen.add(following)
            check_pages(len(seen), path)
            file.seek(following)
            tags = _number(file.read(ends), order + count)
            if tags > 1 << 16:
                return  # no tags but other bytes: tifffile says so
            file.seek(following + ends + tag * tags)
            following = _number(file.read(width), order + link)


def _number(content: bytes, form: str) -> int:
    size = struct.calcsize("=" + form.lstrip("<>"))
    return int(struct.unpack(form, content[:size])[0]) if len(content) >= size else 0


def check_ome_claims(root: ElementTree.Element, path: Path) -> None:
    """Refuse OME-XML that claims more planes than are looked at."""
    for element in root.iter():
        name = element.tag.rpartition("}")[2]
        if name == "Pixels":
            check_pages(prod(_whole(element, key, path) for key in _PLANES), path)
        elif name == "TiffData":
            check_pages(_whole(element, "PlaneCount", path), path)


def _whole(element: ElementTree.Element, key: str, path: Path) -> int:
    """Return a whole number that OME-XML states, 1 at least."""
    text = element.get(key, "1").strip()
    if len(text) > 20 or not text.isdecimal():
        raise FileError(
            f"{path} says {key} of {text[:20]!r}, and a whole number is needed: it is damaged; "
            "copy or export it again."
        )
    return max(1, int(text))


def check_descriptions(tiff: tifffile.TiffFile, path: Path) -> None:
    """Refuse a description of OME's or ImageJ's that claims more pages than are looked at."""
    page = max(1, tiff.pages.first.size)
    for pixels in _OME_PIXELS.findall(tiff.ome_metadata or ""):
        check_pages(prod(map(int, _OME_SIZE.findall(pixels))) // page, path)
    description = str(tiff.pages.first.description).encode(errors="replace")
    if (found := _IMAGEJ.match(description)) is not None:
        for count in _IMAGEJ_COUNT.findall(found[0]):
            check_pages(int(count[:20]), path)


def check_series(series: tifffile.TiffPageSeries, path: Path, *, whole: bool) -> None:
    """Refuse sides, strips and tiles that are too large; all of an image that is read `whole`."""
    itemsize = series.dtype.itemsize
    sides = [n for axis, n in zip(series.axes, series.shape, strict=True) if axis in "YX"]
    if max(sides, default=0) > _LONGEST:
        raise FileError(
            f"{path} claims to be {' x '.join(map(str, series.shape))} pixels, and an image is at "
            f"most {_LONGEST:,} wide: it is damaged; copy or export it again."
        )
    page = series.keyframe
    chunk = prod(page.chunks) * itemsize if page.chunks else 0
    check_at_once(max(chunk, series.size * itemsize if whole else 0), path)
