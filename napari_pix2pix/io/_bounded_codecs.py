"""Codecs of zarr that refuse a chunk which would unpack to far more than the array says."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import imagecodecs
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import ShardingCodec

from napari_pix2pix.errors import FileError

_SLACK = 1 << 20  # bytes: what filters and checksums add
_TIMES = 2  # and so many times the size of the array's own values
_PIECE = 1 << 20
_DEFLATE = 1032  # to how many times its size deflate unpacks at most
_BLOSC_SIZE, _LZ4_SIZE = slice(4, 8), slice(0, 4)  # where a chunk states its size


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def bounded(metadata: Any, path: Path) -> Any:
    """Return the metadata of an array with compressors that keep to the size of its chunks."""
    other = copy(metadata)  # to replace a field of it would parse all of them again
    if metadata.zarr_format == 3:
        codecs = tuple(_bounded_codec(codec, path) for codec in metadata.codecs)
        object.__setattr__(other, "codecs", codecs)
    elif metadata.compressor is not None:
        most = _most(prod(metadata.chunks) * metadata.dtype.to_native_dtype().itemsize)
        compressor = _BoundedNumcodec(metadata.compressor, most, path)
        object.__setattr__(other, "compressor", compressor)
    return other


def _bounded_codec(codec: Any, path: Path) -> Any:
    if isinstance(codec, ShardingCodec):
        return ShardingCodec(
            chunk_shape=codec.chunk_shape,
            codecs=tuple(_bounded_codec(one, path) for one in codec.codecs),
            index_codecs=codec.index_codecs,
            index_location=codec.index_location,
        )
    if isinstance(codec, BytesBytesCodec) and _name_of(codec) in _CHECKS:
        return _BoundedCodec(codec, path)
    return codec


@dataclass(frozen=True)
class _BoundedCodec(BytesBytesCodec):
    """A compressor of version 3."""

    inner: BytesBytesCodec
    path: Path

    @property
    def is_fixed_size(self) -> bool:  # type: ignore[override]
        return self.inner.is_fixed_size

    def to_dict(self) -> dict[str, Any]:
        return self.inner.to_dict()

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> int:
        return self.inner.compute_encoded_size(input_byte_length, chunk_spec)

    async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
        size = prod(chunk_spec.shape) * chunk_spec.dtype.to_native_dtype().itemsize
        _check_unpacked(_name_of(self.inner), chunk_bytes.to_bytes(), _most(size), self.path)
        (decoded,) = await self.inner.decode([(chunk_bytes, chunk_spec)])
        return decoded


class _BoundedNumcodec:
    """A compressor of version 2."""

    def __init__(self, inner: Any, most: int, path: Path) -> None:
        self.codec_id = str(inner.codec_id)
        self._inner, self._most, self._path = inner, most, path

    def get_config(self) -> dict[str, Any]:
        return dict(self._inner.get_config())

    def encode(self, buf: Any) -> Any:
        return self._inner.encode(buf)

    def decode(self, buf: Any, out: Any = None) -> Any:
        _check_unpacked(self.codec_id, bytes(buf), self._most, self._path)
        return self._inner.decode(buf, out)


def _check_unpacked(name: str, packed: bytes, most: int, path: Path) -> None:
    """Refuse what a compressor would unpack to more bytes than `most`; others are let through."""
    check = _CHECKS.get(name)
    if check is not None and not check(packed, most):
        raise FileError(
            f"{path} holds a chunk of {len(packed):,} bytes that unpacks to more than twice a "
            "chunk of the image: it is damaged; copy or export it again."
        )


def _states(where: slice) -> Callable[[bytes, int], bool]:
    return lambda packed, most: int.from_bytes(packed[where], "little") <= most


def _streams(make: Callable[[], _Decompressor], ratio: int | None) -> Callable[[bytes, int], bool]:
    """Return a check that unpacks piece by piece, where the size does not rule it out."""

    def check(packed: bytes, most: int) -> bool:
        if ratio is not None and len(packed) * ratio <= most:
            return True
        unpacker, total, rest = make(), 0, packed
        while total <= most:
            piece = unpacker.decompress(rest, _PIECE)
            rest = getattr(unpacker, "unconsumed_tail", b"")
            total += len(piece)
            if getattr(unpacker, "eof", False) or not (piece or rest):
                following = getattr(unpacker, "unused_data", b"")
                if not following:
                    return True
                unpacker, rest = make(), following  # formats may hold several streams
        return False

    return check


def _zstd_fits(packed: bytes, most: int) -> bool:
    try:
        imagecodecs.zstd_decode(packed, out=most)
    except imagecodecs.ZstdError as error:
        return "too small" not in str(error)  # what is damaged is found by the codec itself
    return True


_CHECKS: dict[str, Callable[[bytes, int], bool]] = {
    "blosc": _states(_BLOSC_SIZE),
    "lz4": _states(_LZ4_SIZE),
    "gzip": _streams(lambda: zlib.decompressobj(wbits=47), _DEFLATE),
    "zlib": _streams(lambda: zlib.decompressobj(wbits=47), _DEFLATE),
    "bz2": _streams(bz2.BZ2Decompressor, None),
    "lzma": _streams(lzma.LZMADecompressor, None),
    "zstd": _zstd_fits,
}


def _name_of(codec: Any) -> str:
    """Return the name of a codec of version 3, such as gzip."""
    return str(codec.to_dict()["name"]).removeprefix("numcodecs.")


def _most(size: int) -> int:
    return _TIMES * size + _SLACK
