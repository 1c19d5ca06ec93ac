"""Zarr arrays whose chunk holds any bytes, which no library would write."""

import json
import struct


def zarr_of(path, codec, packed, version):
    """Write an array of 40 x 40 pixels with one chunk, `packed`; `version` is 2, 3 or "shards"."""
    (path / "c" / "0").mkdir(parents=True)
    if version == 2:
        meta = {"zarr_format": 2, "shape": [40, 40], "chunks": [40, 40], "dtype": "|u1"}
        meta |= {"compressor": {"id": codec}, "filters": None, "fill_value": 0, "order": "C"}
        (path / ".zarray").write_text(json.dumps(meta))
        (path / "0.0").write_bytes(packed)
        return path
    blosc = {"typesize": 1, "cname": "lz4", "clevel": 5, "shuffle": "noshuffle", "blocksize": 0}
    settings = {"blosc": blosc, "gzip": {"level": 1}, "zstd": {"level": 1, "checksum": False}}
    codecs = [{"name": "bytes"}, {"name": codec, "configuration": settings[codec]}]
    if version == "shards":
        index = [{"name": "bytes", "configuration": {"endian": "little"}}]
        inner = {"chunk_shape": [40, 40], "codecs": codecs, "index_codecs": index}
        codecs = [{"name": "sharding_indexed", "configuration": inner | {"index_location": "end"}}]
        packed += struct.pack("<QQ", 0, len(packed))
    meta = {"zarr_format": 3, "node_type": "array", "shape": [40, 40], "data_type": "uint8"}
    meta["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": [40, 40]}}
    meta["chunk_key_encoding"] = {"name": "default", "configuration": {"separator": "/"}}
    meta |= {"fill_value": 0, "codecs": codecs, "attributes": {}}
    (path / "zarr.json").write_text(json.dumps(meta))
    (path / "c" / "0" / "0").write_bytes(packed)
    return path
