import errno
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_pix2pix.data.channel_look import ChannelLook
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io import _tiff_writing
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image

SHAPES = {
    "YX": (9, 12),
    "YXS": (9, 12, 3),
    "ZYX": (4, 9, 12),
    "TYX": (4, 9, 12),
    "CYX": (2, 9, 12),
    "CZYX": (2, 4, 9, 12),
    "TZCYX": (2, 3, 4, 9, 12),
    "QYX": (4, 9, 12),
    "YXC": (9, 12, 5),
    "ZYXS": (4, 9, 12, 4),
}
INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
DTYPES = ["bool", *INTEGERS, "float16", "float32", "float64"]
SCALE = {"T": 3.0, "Z": 2.0, "Y": 0.325, "X": 0.108}
UNITS = {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}


def make(axes: str, dtype: str) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 100, SHAPES[axes]).astype(dtype)


def kind_of(path) -> str:
    with tifffile.TiffFile(path) as opened:
        return opened.series[0].kind


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", SHAPES)
def test_tif_comes_back(tmp_path, axes, dtype):
    array = make(axes, dtype)
    if dtype == "bool" and "S" in axes:
        with pytest.raises(InputError, match="colours of bool"):
            write_image(tmp_path / "a.tif", array, axes)
        return
    image = read_image(write_image(tmp_path / "a.tif", array, axes, SCALE, UNITS))
    assert (image.axes, image.dtype) == (axes, array.dtype)
    np.testing.assert_array_equal(image.data, array)
    kept = [axis for axis in axes if axis in SCALE]
    assert image.scale == pytest.approx({axis: SCALE[axis] for axis in kept})
    assert image.units == {axis: UNITS[axis] for axis in kept}


@pytest.mark.parametrize("axes", ["YX", "YXS", "ZYX", "TYX", "CYX", "CZYX", "TZCYX"])
def test_ome_tif_comes_back(tmp_path, axes):
    units = UNITS | {"Z": "nanometer", "T": "minute"}
    path = write_image(tmp_path / "a.ome.tif", make(axes, "uint16"), axes, SCALE, units)
    image = read_image(path)
    assert (kind_of(path), image.axes, image.name) == ("ome", axes, "a")
    np.testing.assert_array_equal(image.data, make(axes, "uint16"))
    kept = [axis for axis in axes if axis in SCALE]
    assert image.scale == {axis: SCALE[axis] for axis in kept}
    assert image.units == {axis: units[axis] for axis in kept}


@pytest.mark.parametrize(
    ("axes", "dtype", "units", "kind"),
    [
        ("TZCYX", "uint16", UNITS, "imagej"),
        ("YXS", "uint8", UNITS, "imagej"),
        ("YXS", "uint16", UNITS, "ome"),
        ("CZYX", "uint16", UNITS, "ome"),
        ("ZYX", "uint16", UNITS | {"Z": "nanometer"}, "ome"),
        ("TYX", "uint16", UNITS | {"T": "hour"}, "ome"),
        ("YX", "int32", UNITS, "ome"),
        ("YX", "int64", UNITS, "shaped"),
    ],
)
def test_tif_is_imagej_where_nothing_is_lost(tmp_path, axes, dtype, units, kind):
    path = write_image(tmp_path / "a.tif", make(axes, dtype), axes, SCALE, units)
    assert kind_of(path) == kind
    image = read_image(path)
    assert image.units == {axis: units[axis] for axis in axes if axis in units}


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_unknown_scale_stays_unknown(tmp_path, name):
    image = read_image(write_image(tmp_path / name, make("ZYX", "uint8"), "ZYX"))
    assert (image.scale, image.units) == ({}, {})
    pixels = {"Z": 2.0, "Y": 3.0, "X": 4.0}
    image = read_image(write_image(tmp_path / name, make("ZYX", "uint8"), "ZYX", pixels))
    assert image.scale == pytest.approx(pixels)
    assert image.units == {}
    del pixels["Z"]
    image = read_image(write_image(tmp_path / name, make("ZYX", "uint8"), "ZYX", pixels, UNITS))
    assert image.scale == pytest.approx(pixels)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_channel_names(tmp_path, name):
    names = ["a", "b", "c", "d"]
    array = make("TZCYX", "uint8")
    image = read_image(write_image(tmp_path / name, array, "TZCYX", channel_names=names))
    assert image.channel_names == tuple(names)


def test_bigtiff_above_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(_tiff_writing, "_CLASSIC_TIFF_BYTES", 100)
    path = write_image(tmp_path / "a.tif", make("YX", "uint16"), "YX", SCALE, UNITS)
    with tifffile.TiffFile(path) as opened:
        assert opened.is_bigtiff
    assert read_image(path).scale == pytest.approx({"Y": 0.325, "X": 0.108})


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_and_npy(tmp_path, dtype):
    for name in ("a.png", "a.npy"):
        image = read_image(write_image(tmp_path / name, make("YX", dtype)))
        assert image.dtype == dtype
        np.testing.assert_array_equal(image.data, make("YX", dtype))


@pytest.mark.parametrize(
    ("name", "axes", "dtype", "words"),
    [
        ("a.png", "YX", "float32", "PNG can't hold float32"),
        ("a.png", "ZYX", "uint8", "PNG can't hold"),
        ("a.ome.tif", "YX", "int64", "OME-TIFF can't hold"),
        ("a.ome.tif", "YXC", "uint8", "OME-TIFF can't hold"),
        ("a.zarr", "QCYX", "uint8", "OME-Zarr can't hold"),
        ("a.tif", None, "uint8", "give axes"),
        ("a.tif", "ZYX", "complex64", "is not an image"),
        ("a.tif", "ZYX", "O", "is not an image"),
        ("a.tif", "YX", "uint8", "one letter per axis"),
    ],
)
def test_what_formats_can_not_hold(tmp_path, name, axes, dtype, words):
    shape = (3,) * len(axes or "TZYX") if words != "one letter per axis" else (3, 3, 3)
    with pytest.raises(InputError, match=words):
        write_image(tmp_path / name, np.ones(shape).astype(dtype), axes)
    assert list(tmp_path.iterdir()) == []


def test_empty_arrays_and_unknown_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match="is not an image"):
        write_image(tmp_path / "a.tif", np.zeros((0, 3)))
    for name in ("a.jpg", "a", "a.xyz"):
        with pytest.raises(FileError, match="ending"):
            write_image(tmp_path / name, make("YX", "uint8"))


def test_overwriting(tmp_path):
    for name in ("a.tif", "a.zarr"):
        path = write_image(tmp_path / name, make("YX", "uint8"))
        with pytest.raises(FileError, match="exists already"):
            write_image(path, make("YX", "uint8"), overwrite=False)
        write_image(path, make("YX", "uint8") + 1)
        np.testing.assert_array_equal(read_image(path).data[:], make("YX", "uint8") + 1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.tif", "a.zarr"]


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.png", "a.npy"])
def test_disk_full_leaves_the_old_file(tmp_path, monkeypatch, name):
    path = write_image(tmp_path / name, make("YX", "uint8"))
    old = path.read_bytes()

    def fail(target, *args, **kwargs):
        if isinstance(target, Path):
            target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tifffile.imwrite", fail)
    monkeypatch.setattr("imagecodecs.png_encode", fail)
    monkeypatch.setattr("numpy.save", fail)
    with pytest.raises(FileError, match="No space left"):
        write_image(path, make("YX", "uint8") + 1)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


# --- how channels are shown ----------------------------------------------------------------------

LOOKS = (ChannelLook("#FF00FF", limits=(2.0, 90.0)), ChannelLook("#00FF00", limits=(0.0, 55.5)))


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.zarr"])
def test_colours_and_display_ranges_come_back(tmp_path, name):
    array = make("CYX", "uint16")
    written = write_image(tmp_path / name, array, "CYX", channel_names=["a", "b"], looks=LOOKS)
    image = read_image(written)
    colours = tuple(ChannelLook(look.colour) for look in LOOKS)
    assert image.looks == (colours if name == "a.ome.tif" else LOOKS)  # OME-TIFF has no ranges
    assert image.channel_names == ("a", "b")


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_one_channel_has_a_look_too(tmp_path, name):
    written = write_image(tmp_path / name, make("YX", "uint16"), "YX", looks=LOOKS[:1])
    assert read_image(written).looks == LOOKS[:1]


def test_labels_and_other_numbers_of_channels_have_no_look(tmp_path):
    labels = write_image(
        tmp_path / "a.tif", make("YX", "uint16"), "YX", looks=LOOKS[:1], kind="classes"
    )
    two = write_image(tmp_path / "b.tif", make("CYX", "uint16"), "CYX", looks=LOOKS[:1])
    assert read_image(labels).looks == read_image(two).looks == ()


def test_a_colour_table_that_is_no_colour_is_left_out(tmp_path):
    fire = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint8)
    metadata = {"axes": "YX", "LUTs": [fire], "min": 3.0, "max": 40.0}
    tifffile.imwrite(tmp_path / "a.tif", make("YX", "uint16"), imagej=True, metadata=metadata)
    assert read_image(tmp_path / "a.tif").looks == (ChannelLook(limits=(3.0, 40.0)),)
