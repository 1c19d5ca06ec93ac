"""Large images: TIFF is small and has a pyramid."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from helpers import gray_noise

from napari_pix2pix.io import _tiff
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image

# --- TIFF ---------------------------------------------------------------------------------------

SIZES, MICRONS = {"Y": 0.5, "X": 0.25}, dict.fromkeys("YX", "micrometer")


@pytest.mark.parametrize("ending", [".tif", ".ome.tif"])
@pytest.mark.parametrize(
    ("dtype", "axes", "shape"),
    [
        ("uint8", "YX", (600, 300)),
        ("uint16", "ZYX", (2, 600, 300)),
        ("uint32", "YX", (600, 300)),
        ("int16", "CYX", (2, 600, 300)),
        ("float32", "YX", (600, 300)),
        ("uint8", "YXS", (600, 300, 3)),
        ("bool", "YX", (600, 300)),
    ],
)
def test_large_tiff_has_a_pyramid_of_its_pixels(tmp_path, monkeypatch, ending, dtype, axes, shape):
    monkeypatch.setattr(_tiff, "_WHOLE_BYTES", 100)
    array = (gray_noise(*shape) > 128) if dtype == "bool" else gray_noise(*shape).astype(dtype)
    path = write_image(tmp_path / f"a{ending}", array, axes, SIZES, MICRONS)
    with tifffile.TiffFile(path) as tiff:
        (series,) = tiff.series
        assert [level.is_pyramidal for level in series.levels] == [True, False, False]
        for number, level in enumerate(series.levels):
            step = slice(None, None, 2**number)
            down, over = (axes.index(axis) for axis in "YX")
            index = tuple(step if i in (down, over) else slice(None) for i in range(len(axes)))
            np.testing.assert_array_equal(level.asarray(), array[index])
            assert level.keyframe.is_tiled
            assert level.keyframe.compression.name == "ADOBE_DEFLATE"
    found = read_image(path)
    assert (found.axes, found.scale, found.units) == (axes, SIZES, MICRONS)
    np.testing.assert_array_equal(found.data, array)
    assert not found.notes


@pytest.mark.parametrize(
    ("dtype", "axes"), [("int64", "ZYX"), ("float16", "ZYX"), ("uint8", "QYX"), ("uint8", "YXC")]
)
def test_large_tiff_that_ome_lacks_is_compressed_too(tmp_path, monkeypatch, dtype, axes):
    monkeypatch.setattr(_tiff, "_WHOLE_BYTES", 100)
    array = np.zeros((2, 600, 300) if axes.endswith("YX") else (600, 300, 2), dtype)
    array[:, 100:140] = 7
    path = write_image(tmp_path / "a.tif", array, axes, SIZES, MICRONS)
    assert path.stat().st_size < array.nbytes / 10
    found = read_image(path)
    assert (found.axes, found.scale) == (axes, SIZES)
    np.testing.assert_array_equal(found.data, array)


def test_a_large_empty_image_stays_small(tmp_path):
    path = write_image(tmp_path / "a.tif", np.zeros((8192, 4096), np.uint8), "YX")
    assert path.stat().st_size < 1e6


def test_a_small_tiff_is_a_hyperstack_of_imagej(tmp_path):
    path = write_image(tmp_path / "a.tif", gray_noise(60, 70), "YX", SIZES, MICRONS)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej
        assert tiff.pages[0].compression == 1
