import json
import struct

import numpy as np
import pytest
import tifffile
from helpers import gray_noise
from numcodecs import get_codec
from PIL import Image
from zarr_files import zarr_of

from napari_pix2pix.errors import ConfigError, FileError, Remedy
from napari_pix2pix.io import read_limits
from napari_pix2pix.io.read_limits import (
    VARIABLE,
    prefer_read_limit,
    read_limit,
    set_read_limit,
)
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image


@pytest.fixture
def one_megabyte():
    before = set_read_limit(1)
    yield
    set_read_limit(before)


def test_limit_comes_from_the_environment_unless_it_is_set(monkeypatch):
    assert read_limit() == read_limits.READ_LIMIT
    monkeypatch.setenv(VARIABLE, "2000")
    assert read_limit() == 2 * 10**9
    before = set_read_limit(3)
    assert read_limit() == 3_000_000
    set_read_limit(before)
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(ConfigError, match="must be a number of MB, 1 or more, got 'much'"):
        read_limit()


def test_limit_of_the_preferences_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv(VARIABLE, "2000")
    prefer_read_limit(5)
    assert read_limit() == 5_000_000
    before = set_read_limit(3)
    assert read_limit() == 3_000_000
    set_read_limit(before)
    prefer_read_limit(None)
    assert read_limit() == 2 * 10**9


@pytest.mark.usefixtures("one_megabyte")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.bmp", "a.webp", "a.pgm"])
def test_picture_of_many_pixels_is_refused_unless_its_file_is_as_large(tmp_path, name):
    path = tmp_path / name
    Image.new("L", (1000, 1000), 7).save(path)
    if name in ("a.bmp", "a.pgm"):
        assert read_image(path).shape == (1000, 1000)
        return
    with pytest.raises(FileError, match=r"asks for .* MB of memory at once, far more") as caught:
        read_image(path)
    assert caught.value.remedies == (Remedy.READ_LIMIT,)
    set_read_limit(10)
    assert read_image(path).shape[:2] == (1000, 1000)


@pytest.mark.usefixtures("one_megabyte")
@pytest.mark.parametrize("codec", ["j2k", "avif", "jxl", "png"])
def test_size_of_a_picture_is_known_before_it_is_decoded(tmp_path, codec):
    import imagecodecs

    encode = {
        "j2k": imagecodecs.jpeg2k_encode,
        "avif": imagecodecs.avif_encode,
        "jxl": imagecodecs.jpegxl_encode,
        "png": imagecodecs.png_encode,
    }[codec]
    dtype = np.uint8 if codec in ("avif", "jxl") else np.uint16
    path = tmp_path / f"a.{codec}"
    path.write_bytes(encode(np.zeros((900, 1100), dtype)))
    with pytest.raises(FileError, match="far more than its file holds"):
        read_image(path)


def test_memory_that_is_free_is_compared_with_what_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(read_limits, "available_memory", lambda: 3_000_000)
    monkeypatch.setattr(read_limits, "READ_LIMIT", 1_000_000)
    path = tmp_path / "a.bmp"
    Image.new("L", (1500, 1500)).save(path)  # as large as it says
    with pytest.raises(FileError, match=r"asks for 4\.5 MB of memory at once, and 3 MB are free"):
        read_image(path)


@pytest.mark.parametrize("shape", [(2**62, 3), (10**30, 2, 2), (5, 5, 5)])
def test_array_that_is_shorter_than_it_claims(tmp_path, shape):
    text = str({"descr": "<u2", "fortran_order": False, "shape": shape}).encode() + b"\n"
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(100))
    with pytest.raises(FileError, match="bytes are missing: it was cut short or is damaged"):
        read_image(path)


@pytest.mark.usefixtures("one_megabyte")
def test_strip_that_claims_more_than_its_file_holds(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((1500, 1500), "u1"), compression="zlib", rowsperstrip=1500)
    with pytest.raises(FileError, match="far more than its file holds"):
        read_image(path)
    tifffile.imwrite(path, np.zeros((1500, 1500), "u1"), compression="zlib", tile=(256, 256))
    assert read_image(path).shape == (1500, 1500) if path.stat().st_size > 10**6 else True


@pytest.mark.usefixtures("one_megabyte")
def test_pages_that_nobody_wants_to_count(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, gray_noise(1000, 2, 2), metadata=None)
    with pytest.raises(FileError, match="has 977 pages or more, and at most 976 are looked at"):
        read_image(path, "TYX")


def test_pages_that_form_a_loop(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, gray_noise(2, 20, 20), metadata=None, photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        first, second = (page.offset for page in tiff.pages)
    content = bytearray(path.read_bytes())
    tags = struct.unpack_from("<H", content, second)[0]
    struct.pack_into("<I", content, second + 2 + 12 * tags, first)
    path.write_bytes(content)
    with pytest.raises(FileError, match="its pages lead back to an earlier one"):
        read_image(path, "TYX")


@pytest.mark.parametrize(
    ("stated", "claimed"), [('SizeZ="3"', 'SizeZ="4000000000"'), ('SizeX="20"', f'SizeX="{2**62}"')]
)
def test_description_that_claims_more_planes_than_there_are(tmp_path, stated, claimed):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, gray_noise(3, 20, 20), metadata={"axes": "ZYX"})
    tifffile.tiffcomment(path, tifffile.tiffcomment(path).replace(stated, claimed))
    with pytest.raises(FileError, match="pages or more, and at most 262,144 are looked at"):
        read_image(path)


def test_description_whose_numbers_are_none_is_named_with_its_file(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, gray_noise(3, 20, 20), metadata={"axes": "ZYX"})
    tifffile.tiffcomment(path, tifffile.tiffcomment(path).replace('SizeC="1"', 'SizeC="one"'))
    with pytest.raises(FileError, match=r"a.ome.tif says SizeC of 'one', .* copy or export"):
        read_image(path)


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.9])
@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True},
        {"metadata": None},
        {"metadata": {"axes": "TYX"}, "ome": True},
        {"compression": "zlib"},
        {"bigtiff": True, "compression": "zlib", "tile": (16, 16)},
    ],
    ids=["imagej", "plain", "ome", "zlib", "big"],
)
def test_stack_that_was_cut_off_is_refused(tmp_path, keep, options):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, gray_noise(8, 60, 70), photometric="minisblack", **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(FileError, match=r"a\.tif (can't be read|lacks)"):
        read_image(path, "TYX")


@pytest.mark.parametrize(
    ("codec", "version"),
    [
        *((codec, 2) for codec in ("gzip", "zlib", "blosc", "zstd", "bz2", "lzma", "lz4")),
        *((codec, version) for codec in ("gzip", "blosc", "zstd") for version in (3, "shards")),
    ],
)
def test_chunk_that_unpacks_to_more_than_the_image_has_is_refused(tmp_path, codec, version):
    values = gray_noise(40, 40)
    pack = get_codec({"id": codec}).encode
    right = zarr_of(tmp_path / "right", codec, bytes(pack(values.tobytes())), version)
    np.testing.assert_array_equal(np.asarray(read_image(right).data), values)
    bomb = zarr_of(tmp_path / "bomb", codec, bytes(pack(bytes(20_000_000))), version)
    with pytest.raises(FileError, match="that unpacks to more than twice a"):
        np.asarray(read_image(bomb).data)


@pytest.mark.parametrize(
    ("shape", "chunk", "refusal"),
    [
        ([2**62, 3, 2**62], [1, 3, 40], "GB and is nearly empty"),
        ([3, 40, 40], [1, 2**31, 40], "far more than its file holds"),
        ([3, 40, 40], [1, 0, 40], "can't be read|damaged"),
    ],
)
def test_zarr_that_claims_any_size_is_refused(tmp_path, shape, chunk, refusal):
    path = write_image(tmp_path / "a.zarr", gray_noise(3, 40, 40), "ZYX")
    meta = json.loads((path / "0" / "zarr.json").read_text())
    meta["shape"] = shape
    meta["chunk_grid"]["configuration"]["chunk_shape"] = chunk
    (path / "0" / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(FileError, match=refusal):
        read_image(path)
