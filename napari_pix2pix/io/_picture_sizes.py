"""How many pixels pictures have, told by their first bytes, before they are decoded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

Size = tuple[int, int, int]  # width, height, bytes of one pixel

NETPBM = re.compile(rb"P([2356])(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)\s+(\d+)\s")
_RADIANCE = re.compile(rb"[-+]Y\s+(\d+)\s+[-+]X\s+(\d+)\s*\n")
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the kind of colours
_COLOURS = 3  # where a format hides their number
_DEEP = 2  # bytes of a sample, likewise


def picture_size(start: bytes) -> Size | None:
    """Read the size of a picture from its first bytes; None if they do not tell it.

    >>> picture_size(b"P5 640 480 255 ")
    (640, 480, 1)
    """
    return next((size for size in (read(start) for read in _READERS) if size is not None), None)


def _of_png(start: bytes) -> Size | None:
    if not start.startswith(b"\x89PNG") or len(start) < 26:
        return None
    width, height, bits, colours = struct.unpack_from(">IIBB", start, 16)
    return width, height, _PNG_SAMPLES.get(colours, 4) * -(-bits // 8)


def _of_jpeg_2000(start: bytes) -> Size | None:
    at = start.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(start) < at + 43:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", start, at + 8)
    samples, bits = struct.unpack_from(">HB", start, at + 40)
    return max(0, right - left), max(0, bottom - top), samples * -(-((bits & 0x7F) + 1) // 8)


def _of_jpeg_xl(start: bytes) -> Size | None:
    if start.startswith(b"\xff\x0a"):
        at = 2
    elif start[4:8] == b"JXL " and (at := start.find(b"\xff\x0a", start.find(b"jxlc"))) > 0:
        at += 2
    else:
        return None
    bits = _Bits(start[at : at + 16])
    small = bits.take(1)
    height = _jpeg_xl_length(bits, small)
    ratio = bits.take(3)
    # The width is stated, or one of seven ratios, the widest of which is 2.
    width = 2 * height if ratio else _jpeg_xl_length(bits, small)
    return width, height, _COLOURS * _DEEP


def _jpeg_xl_length(bits: _Bits, small: int) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return bits.take((9, 13, 18, 30)[bits.take(2)]) + 1


class _Bits:
    """Bits of bytes, the lowest first."""

    def __init__(self, content: bytes) -> None:
        self._rest = int.from_bytes(content, "little")

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        value = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return value


def _of_avif(start: bytes) -> Size | None:
    sizes = [
        struct.unpack_from(">II", start, found.end() + 4)
        for found in re.finditer(rb"ispe", start)
        if len(start) >= found.end() + 12
    ]
    if start[4:12] != b"ftypavif" or not sizes:
        return None
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return width, height, _COLOURS * _DEEP


def _of_radiance(start: bytes) -> Size | None:
    found = _RADIANCE.search(start) if start.startswith(b"#?R") else None
    return None if found is None else (int(found[2]), int(found[1]), 3 * 4)


def _of_netpbm(start: bytes) -> Size | None:
    found = NETPBM.match(start)
    if found is None:
        return None
    kind, width, height, highest = map(int, found.groups())
    return width, height, (1 if kind in (2, 5) else 3) * (1 if highest < 256 else 2)


_READERS: tuple[Callable[[bytes], Size | None], ...] = (
    _of_png,
    _of_jpeg_2000,
    _of_jpeg_xl,
    _of_avif,
    _of_radiance,
    _of_netpbm,
)
