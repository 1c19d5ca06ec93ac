"""How much of an image is read at once, and whether a file can hold what it claims.

What a file says of its size costs nothing to write. Before anything is read, it is compared with
the file's own size, with the limit, and with the memory that is free.
"""

from __future__ import annotations

import os
from pathlib import Path

from napari_pix2pix.errors import ConfigError, FileError, Remedy, rounded
from napari_pix2pix.inference.memory_limits import available_memory

# A window of some thousand pixels, its chunks included. Real images that come in one piece are
# hardly packed tighter than to a half, so those that are larger are known by their files' size.
READ_LIMIT = 256 << 20
VARIABLE = "NAPARI_PIX2PIX_READ_LIMIT"  # of the environment, in MB
_MB = 10**6
_PACKED = 2  # times the size of its file that an image may take at any rate
_SHARE = 0.5  # of the free memory
# Of a picture that is decoded as a whole there are two copies for a moment.
_BYTES_PER_PIXEL = 2
# An array may leave out what is empty. One that claims more than this is no sparse label image.
_SPARSE = 64 << 30
_EMPTIEST = 10_000  # times the size of its files that a larger one may claim
_PAGE = 1024  # bytes that a page of a TIFF takes while it is known

_chosen: int | None = None
_preferred: int | None = None


def read_limit() -> int:
    """Return the bytes that are read of an image at once, at most."""
    if _chosen is not None:
        return _chosen
    if _preferred is not None:
        return _preferred
    text = os.environ.get(VARIABLE)
    return READ_LIMIT if not text else _in_bytes(text, VARIABLE)


def set_read_limit(megabytes: float | None) -> float | None:
    """Set the limit of this process in MB, None for the default; return what it was.

    Examples
    --------
    >>> before = set_read_limit(1000)
    >>> read_limit()
    1000000000
    >>> set_read_limit(before) == 1000
    True
    """
    global _chosen
    before = None if _chosen is None else _chosen / _MB
    _chosen = None if megabytes is None else _in_bytes(megabytes, "The limit of reading")
    return before


def prefer_read_limit(megabytes: float | None) -> None:
    """Take the limit from a user's preferences, in MB; None where they leave it as it was.

    It goes before the variable of the environment, and `set_read_limit` goes before both.
    """
    global _preferred
    _preferred = None if megabytes is None else _in_bytes(megabytes, "The limit of reading")


def check_at_once(needed: int, path: Path, *, size: int | None = None) -> None:
    """Refuse to read so many bytes at once of an image, whose files are `size` bytes large."""
    limit = read_limit()
    if needed > limit and needed > _PACKED * (_own_size(path) if size is None else size):
        raise FileError(
            f"{path} asks for {_in_mb(needed)} of memory at once, far more than its file holds; "
            f"at most {_in_mb(limit)} are read at once: save it as a tiled TIFF or as OME-Zarr, or "
            f"raise the limit ({VARIABLE}, in MB).",
            remedies=(Remedy.READ_LIMIT,),
        )
    free = available_memory()
    if needed > limit and needed > _SHARE * free:
        raise FileError(
            f"{path} asks for {_in_mb(needed)} of memory at once, and {_in_mb(free)} are free: "
            "save it as a tiled TIFF or as OME-Zarr, or close other programs."
        )


def check_picture(pixels: int, bytes_per_pixel: int, path: Path) -> None:
    """Refuse to decode a picture of so many pixels, all frames together, as a whole."""
    check_at_once(pixels * max(bytes_per_pixel, _BYTES_PER_PIXEL), path)


def check_pages(count: int, path: Path) -> None:
    """Refuse to look at so many pages, or planes, of a file."""
    most = read_limit() // _PAGE
    if count > most:
        raise FileError(
            f"{path} has {count:,} pages or more, and at most {most:,} are looked at: save it as "
            f"OME-Zarr, or raise the limit ({VARIABLE}, in MB: 1 for {_MB // _PAGE} pages).",
            remedies=(Remedy.READ_LIMIT,),
        )


def check_sparse(claimed: int, path: Path) -> None:
    """Refuse a folder whose array claims far more than its files can hold."""
    if claimed <= max(_SPARSE, read_limit()):
        return
    enough = -(-claimed // _EMPTIEST)
    if _bytes_in(path, enough) < enough:
        raise FileError(
            f"{path} claims to be an image of {rounded(claimed / 1e9)} GB and is nearly empty: it "
            "may be damaged or be still written; copy or export it again."
        )


def check_metadata(path: Path) -> None:
    """Refuse a description of an image that is larger than any: it would be read as a whole."""
    _check_text(path, "describes an image", "name the image")


def check_table(path: Path) -> None:
    """Refuse a table of pairs that is larger than any: it would be read as a whole."""
    _check_text(path, "lists pairs", "cut it into several tables")


def _check_text(path: Path, does: str, remedy: str) -> None:
    size, most = _own_size(path), read_limit() // 4
    if size > most:
        raise FileError(
            f"{path} {does} in {_in_mb(size)} of text, and at most {_in_mb(most)} are read: "
            f"{remedy}, or raise the limit ({VARIABLE}, in MB).",
            remedies=(Remedy.READ_LIMIT,),
        )


def check_chunk(needed: int, path: Path) -> None:
    """Refuse chunks of so many bytes, unless the image in a folder is as large."""
    size = _bytes_in(path, needed) if needed > read_limit() else 0
    check_at_once(needed, path, size=size)


def _own_size(path: Path) -> int:
    return path.stat().st_size


def _bytes_in(folder: Path, enough: int) -> int:
    """Count the bytes of the files in a folder, until there are enough; no link is followed."""
    total, folders = 0, [folder]
    while folders and total < enough:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
                if total >= enough:
                    break
    return total


def _in_bytes(megabytes: float | str, what: str) -> int:
    try:
        number = int(float(megabytes) * _MB)
    except (ValueError, OverflowError):
        number = 0
    if number < _MB:
        raise ConfigError(f"{what} must be a number of MB, 1 or more, got {megabytes!r}.")
    return number


def _in_mb(nbytes: int) -> str:
    return f"{rounded(nbytes / _MB, 3)} MB"
