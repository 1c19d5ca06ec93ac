"""OME-TIFF images whose planes lie in several files of one folder."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from napari_pix2pix.errors import FileError
from napari_pix2pix.io._file_kinds import is_tiff
from napari_pix2pix.io._regular_files import check_inside
from napari_pix2pix.io._tiff_claims import check_ome_claims, check_page_chain
from napari_pix2pix.io.read_limits import check_metadata


@dataclass(frozen=True)
class OmeFiles:
    """The files of one image."""

    described_in: Path  # an OME-TIFF, or a companion that is only XML
    xml: str
    parts: tuple[Path, ...]  # other files with planes, in order; empty for an image of one file
    names: frozenset[str]  # all files with planes of it, as the description calls them


def find_ome_files(path: Path) -> OmeFiles | None:
    """Find the files of the image that a file holds planes of; None if it is no OME-TIFF."""
    described_in, xml = path, _ome_xml(path)
    if not xml:
        return None
    root = ElementTree.fromstring(xml)
    for element in root:
        if element.tag.endswith("BinaryOnly"):
            described_in = path.parent / element.attrib["MetadataFile"]
            check_inside(described_in, path.parent)
            if described_in == path or not described_in.is_file():
                raise FileError(
                    f"{path} holds planes of an image that {described_in.name} describes, which is "
                    "missing: put it into the same folder."
                )
            xml = _ome_xml(described_in)
            root = ElementTree.fromstring(xml)
    check_ome_claims(root, described_in)
    images = [_file_names(element) for element in root if element.tag.endswith("Image")]
    names = next((names for names in images if path.name in names), images[0] if images else {})
    others = [
        described_in.parent / name
        for name, uuid in names.items()
        if name != described_in.name and not (uuid and uuid == root.get("UUID"))
    ]
    for other in others:
        check_inside(other, described_in.parent)
    return OmeFiles(described_in, xml, tuple(others), frozenset(names))


def _file_names(image: ElementTree.Element) -> dict[str, str | None]:
    """Return the files that planes of an image lie in, with their UUIDs."""
    uuids = [element for element in image.iter() if element.tag.endswith("UUID")]
    return {element.attrib["FileName"]: element.text for element in uuids if element.attrib}


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF, or the image of several OME-TIFF files that one of them, or XML, names."""
    files = find_ome_files(path)
    if files is None or not files.parts:
        return _open_one(path)
    missing = [part.name for part in files.parts if not part.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileError(
            f"{path} is part of an image in several files, of which {missing[0]}{more} can't be "
            "found: put all of them into one folder, under the names that they were written with."
        )
    if is_tiff(files.described_in):
        return tifffile.TiffFile(files.described_in)
    return tifffile.TiffFile(files.parts[0], omexml=files.xml)


def _open_one(path: Path) -> tifffile.TiffFile:
    check_page_chain(path)
    tiff = tifffile.TiffFile(path)
    if len(tiff.pages) or path.suffix.lower() != ".ndpi":
        return tiff
    tiff.close()  # tifffile takes any .ndpi for one of Hamamatsu's
    return tifffile.TiffFile(path, is_ndpi=False)


def image_key(path: Path) -> Hashable:
    """Return what the files of one image have in common: their names, or the only file's path."""
    try:
        files = find_ome_files(path) if path.is_file() and is_tiff(path) else None
    except Exception:  # the file is damaged, or lacks others: whoever reads it says so
        return path
    return (path.parent, files.names) if files and files.parts else path


def files_of_image(path: Path) -> list[Path]:
    """List the files that reading an image takes, itself included."""
    try:
        files = find_ome_files(path) if path.is_file() and is_tiff(path) else None
    except Exception:  # as above
        files = None
    return [path] if files is None else [path, files.described_in, *files.parts]


def _ome_xml(path: Path) -> str:
    """Return the OME-XML of a TIFF or of a file that is nothing else; '' if there is none."""
    if not is_tiff(path):
        check_metadata(path)
        return path.read_text(encoding="utf-8")
    with _open_one(path) as tiff:
        return tiff.ome_metadata or ""
