import numpy as np
import pytest
import tifffile

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io import _tiff
from napari_pix2pix.io.reading import read_image


def gray(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(1, 200, shape).astype(dtype)


def test_imagej_of_other_programs(tmp_path):
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "spacing": 1.5, "unit": "\\u00B5m", "finterval": 3.0}
    tifffile.imwrite(
        path, gray(4, 9, 12, dtype="uint16"), imagej=True, resolution=(4, 2), metadata=metadata
    )
    image = read_image(path)
    assert image.axes == "ZYX"
    assert image.scale == pytest.approx({"Z": 1.5, "Y": 0.5, "X": 0.25})
    assert image.units == dict.fromkeys("ZYX", "micrometer")
    assert image.data.dtype.isnative
    np.testing.assert_array_equal(image.data, gray(4, 9, 12))


@pytest.mark.parametrize(
    ("stated", "resolution", "scale", "units"),
    [
        # ImageJ leaves out a spacing of 1, and writes a pixel of 1 x 1 as it writes no size.
        ({}, (4, 2), (1.0, 0.5, 0.25), ("micrometer",) * 3),
        ({}, (1, 1), (1.0, 1.0, 1.0), ("micrometer",) * 3),
        ({"spacing": -1.5}, (4, 2), (1.5, 0.5, 0.25), ("micrometer",) * 3),
        (
            {"spacing": 300, "zunit": "nm", "yunit": "mm"},
            (4, 2),
            (300.0, 0.5, 0.25),
            ("nanometer", "millimeter", "micrometer"),
        ),
    ],
)
def test_what_imagej_leaves_out(tmp_path, stated, resolution, scale, units):
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "unit": "um", **stated}
    tifffile.imwrite(path, gray(4, 9, 12), imagej=True, resolution=resolution, metadata=metadata)
    image = read_image(path)
    assert image.scale == pytest.approx(dict(zip("ZYX", scale, strict=True)))
    assert image.units == dict(zip("ZYX", units, strict=True))


def test_imagej_has_a_unit_of_time(tmp_path):
    metadata = {"axes": "TYX", "finterval": 5, "tunit": "min"}
    tifffile.imwrite(tmp_path / "a.tif", gray(4, 9, 12), imagej=True, metadata=metadata)
    image = read_image(tmp_path / "a.tif")
    assert (image.scale, image.units) == ({"T": 5.0}, {"T": "minute"})


def test_ome_units_and_channel_names(tmp_path):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "TCYX", "Channel": {"Name": ["DAPI", "actin"]}}
    metadata |= {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    metadata |= {"TimeIncrement": 2, "TimeIncrementUnit": "min"}
    tifffile.imwrite(path, gray(3, 2, 9, 12), photometric="minisblack", metadata=metadata)
    image = read_image(path)
    assert (image.axes, image.channel_axis) == ("TCYX", 1)
    assert image.scale == {"T": 2.0, "Y": 0.5, "X": 250.0}
    assert image.units == {"T": "minute", "Y": "micrometer", "X": "nanometer"}
    assert image.channel_names == ("DAPI", "actin")


@pytest.mark.parametrize(
    ("unit", "resolution", "scale"),
    [
        ("CENTIMETER", (20000, 10000), {"Y": 1.0, "X": 0.5}),
        ("INCH", (25400, 25400), {"Y": 1.0, "X": 1.0}),
        ("NONE", (2, 2), {}),
        ("INCH", (1, 1), {}),
        ("INCH", (300, 300), {}),  # for printers
        ("INCH", (301, 301), {"Y": 25400 / 301, "X": 25400 / 301}),
        ("CENTIMETER", (300, 300), {"Y": 10000 / 300, "X": 10000 / 300}),
    ],
)
def test_plain_resolution(tmp_path, unit, resolution, scale):
    tifffile.imwrite(
        tmp_path / "a.tif", gray(9, 12), resolution=resolution, resolutionunit=unit, metadata=None
    )
    image = read_image(tmp_path / "a.tif")
    assert image.scale == pytest.approx(scale)
    assert image.units == dict.fromkeys(scale, "micrometer")


def test_imagej_without_a_unit_has_no_size_of_printers(tmp_path):
    how = {"imagej": True, "resolution": (72, 72), "resolutionunit": "INCH"}
    tifffile.imwrite(tmp_path / "a.tif", gray(9, 12), **how)
    image = read_image(tmp_path / "a.tif")
    assert (image.scale, image.units) == ({}, {})


@pytest.mark.parametrize("metadata", [None, {}])
def test_pages_without_axes_ask_for_them(tmp_path, metadata):
    how = {"photometric": "minisblack", "metadata": metadata}
    tifffile.imwrite(tmp_path / "a.tif", gray(5, 9, 12), **how)
    with pytest.raises(InputError, match=r"does not say what its axes.*name them"):
        read_image(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif", axes="ZYX").axes == "ZYX"


def test_many_samples_are_channels(tmp_path):
    options = {"planarconfig": "contig", "photometric": "minisblack", "metadata": None}
    tifffile.imwrite(tmp_path / "b.tif", gray(9, 12, 5), extrasamples=(0,) * 4, **options)
    assert read_image(tmp_path / "b.tif").axes == "YXC"


def test_singleton_axes_go(tmp_path):
    metadata = {"axes": "TZCYX"}
    tifffile.imwrite(tmp_path / "a.tif", gray(1, 1, 1, 9, 12), imagej=True, metadata=metadata)
    assert read_image(tmp_path / "a.tif").axes == "YX"


def test_second_image_is_mentioned(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(gray(9, 12))
        writer.write(gray(20, 30))
    image = read_image(tmp_path / "a.tif")
    assert image.shape == (9, 12)
    assert image.notes == ("a.tif holds 2 images; the first was read.",)


@pytest.mark.parametrize(
    "options",
    [{"imagej": True, "resolution": (2, 2)}, {"tile": (16, 16), "compression": "zlib"}],
    ids=["mapped", "compressed"],
)
def test_large_files_are_read_by_window(tmp_path, monkeypatch, options):
    monkeypatch.setattr(_tiff, "_EAGER_BYTES", 100)
    array = gray(5, 40, 50, dtype="uint16")
    tifffile.imwrite(tmp_path / "a.tif", array, metadata={"axes": "ZYX"}, **options)
    image = read_image(tmp_path / "a.tif")
    assert not isinstance(image.data, np.ndarray)
    is_mapped = "imagej" in options
    assert (image.axes, image.shape) == ("ZYX", array.shape)
    assert image.scale == ({"Y": 0.5, "X": 0.5} if is_mapped else {})
    np.testing.assert_array_equal(image.data[2, 3:9, 4:8], array[2, 3:9, 4:8])
    if not is_mapped:
        image.data.store.close()


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("options", [{"imagej": True}, {"compression": "zlib"}, {}])
def test_truncated(tmp_path, keep, options):
    whole = tmp_path / "whole.tif"
    tifffile.imwrite(whole, gray(60, 70), **options)
    content = whole.read_bytes()
    cut = tmp_path / "cut.tif"
    cut.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(FileError, match=r"cut\.tif can't be read"):
        read_image(cut)
