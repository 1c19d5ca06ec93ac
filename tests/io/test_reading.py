import gc
import io

import numpy as np
import pytest
import tifffile
import zarr
from helpers import run_python

from napari_pix2pix.errors import FileError, InputError, Remedy
from napari_pix2pix.io import _tiff, reading
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image


def gray(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def test_png_through_plugins_and_guessed_axes(tmp_path):
    for array, axes, channel in ((gray(9, 12), "YX", None), (gray(9, 12, 3), "YXS", 2)):
        path = write_image(tmp_path / "a.png", array)
        image = read_image(path)
        assert (image.axes, image.channel_axis, image.name) == (axes, channel, "a")
        np.testing.assert_array_equal(image.data, array)
        assert not image.scale
        assert not image.units


def test_npy_of_three_axes_needs_axes(tmp_path):
    np.save(tmp_path / "stack.npy", gray(5, 9, 12))
    with pytest.raises(InputError, match=r"does not say what its axes.*name them") as caught:
        read_image(tmp_path / "stack.npy")
    assert caught.value.remedies == (Remedy.AXES,)
    image = read_image(tmp_path / "stack.npy", axes="cyx")
    assert (image.axes, image.channel_axis, image.shape) == ("CYX", 0, (5, 9, 12))


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ("YX", "one letter per axis"),
        ("KYX", "own letter"),
        ("YYX", "own letter"),
        ("YXZ", "must be the last"),
    ],
)
def test_axes_that_do_not_fit(tmp_path, axes, words):
    np.save(tmp_path / "stack.npy", gray(5, 9, 12))
    with pytest.raises(InputError, match=words):
        read_image(tmp_path / "stack.npy", axes=axes)


def test_axes_override_keeps_scales_of_kept_letters(tmp_path):
    scale = {"Z": 2.0, "Y": 0.5, "X": 0.5}
    units = dict.fromkeys("ZYX", "micrometer")
    path = write_image(tmp_path / "a.tif", gray(5, 9, 12), "ZYX", scale, units)
    image = read_image(path, axes="TYX")
    assert image.axes == "TYX"
    assert image.scale == pytest.approx({"Y": 0.5, "X": 0.5})
    assert image.units == {"Y": "micrometer", "X": "micrometer"}


def test_channels_and_colours_at_once_are_refused(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.ome.tif", gray(2, 9, 12, 3), photometric="rgb", metadata={"axes": "CYXS"}
    )
    with pytest.raises(InputError, match="one channel axis"):
        read_image(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("name", ["bad.tif", "bad.png", "bad.npy", "bad.czi", "empty.tif"])
def test_unreadable_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"" if name == "empty.tif" else b"no image at all" * 9)
    with pytest.raises(FileError, match=name):
        read_image(tmp_path / name)


def test_missing_file_and_plain_folder(tmp_path):
    with pytest.raises(FileError, match="no file"):
        read_image(tmp_path / "none.tif")
    with pytest.raises(FileError, match="is a folder"):
        read_image(tmp_path)


def test_no_permission(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", gray(9, 12))

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(_tiff, "read_tiff", refuse)
    with pytest.raises(FileError, match="no permission"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (np.array([[None, 1]], dtype=object), FileError, "Object arrays"),
        (np.zeros((4, 4), complex), InputError, "complex128"),
        (np.zeros((0, 4)), InputError, "no image"),
    ],
)
def test_values_that_are_no_image(tmp_path, array, error, words):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(error, match=words):
        read_image(tmp_path / "a.npy")


def test_points_are_no_image(tmp_path):
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1\n0,1,2\n")
    with pytest.raises(FileError, match="no image or labels"):
        read_image(tmp_path / "points.csv")


@pytest.mark.parametrize(
    ("layer", "axes", "scale", "units"),
    [
        ((gray(4, 9, 12), {"channel_axis": 0, "scale": (2, 3)}), None, None, None),
        (
            (
                gray(4, 9, 12),
                {"channel_axis": 0, "axis_labels": ("y", "x"), "scale": (2, 3), "units": "um"},
                "image",
            ),
            "CYX",
            {"Y": 2.0, "X": 3.0},
            {"Y": "micrometer", "X": "micrometer"},
        ),
        (
            ([gray(9, 12), gray(4, 6)], {"scale": (2, 3), "units": ("pixel", "nm")}, "labels"),
            "YX",
            {"Y": 2.0, "X": 3.0},
            {"X": "nanometer"},
        ),
    ],
)
def test_layers_of_reader_plugins(tmp_path, monkeypatch, layer, axes, scale, units):
    from npe2 import io_utils

    monkeypatch.setattr(io_utils, "read", lambda paths, stack: [(gray(3, 2), {}, "points"), layer])
    (tmp_path / "a.czi").touch()
    if axes is None:
        with pytest.raises(InputError, match=r"does not say what its axes.*name them"):
            read_image(tmp_path / "a.czi")
        return
    image = read_image(tmp_path / "a.czi")
    assert (image.axes, image.scale, image.units) == (axes, scale, units)
    assert image.labels == (len(layer) > 2 and layer[2] == "labels")
    assert not image.notes


def test_zarr_is_lazy_with_geometry(tmp_path):
    array = gray(1, 2, 1, 300, 310, dtype="uint16")
    scale, units = {"Z": 2.0, "Y": 0.5, "X": 0.25}, dict.fromkeys("ZYX", "micrometer")
    path = write_image(tmp_path / "a.zarr", array, "TCZYX", scale, units, channel_names=["p", "q"])
    image = read_image(path)
    assert (image.axes, image.shape, image.channel_names) == ("CYX", (2, 300, 310), ("p", "q"))
    assert not isinstance(image.data, np.ndarray)
    assert image.scale == {"Y": 0.5, "X": 0.25}
    assert image.units == {"Y": "micrometer", "X": "micrometer"}
    np.testing.assert_array_equal(np.asarray(image.data[:, 3:50, 7:9]), array[0, :, 0, 3:50, 7:9])
    assert len(zarr.open_group(path, mode="r").attrs["ome"]["multiscales"][0]["datasets"]) == 2


def test_ome_zarr_of_version_4(tmp_path):
    group = zarr.open_group(tmp_path / "old", mode="w", zarr_format=2)
    group.create_array("0", data=gray(3, 9, 12))
    axes = [{"name": name, "unit": "nanometer"} for name in "zyx"]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [4, 2, 1]}]}
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [level]}]
    image = read_image(tmp_path / "old")
    assert (image.axes, image.scale) == ("ZYX", {"Z": 4.0, "Y": 2.0, "X": 1.0})
    np.testing.assert_array_equal(image.data[1], gray(3, 9, 12)[1])


def test_plain_zarr_array_and_group(tmp_path):
    zarr.save_array(tmp_path / "plain.zarr", gray(9, 12))
    assert read_image(tmp_path / "plain.zarr").axes == "YX"
    zarr.open_group(tmp_path / "group.zarr", mode="w")
    with pytest.raises(FileError, match="without an OME-Zarr image"):
        read_image(tmp_path / "group.zarr")


def test_reading_needs_neither_napari_viewer_nor_qt(tmp_path):
    path = write_image(tmp_path / "a.png", gray(9, 12))
    code = (
        "import sys; from napari_pix2pix.io import reading; heavy = {'napari','npe2','torch'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        f"reading.read_image({str(path)!r});"
        "assert not {'qtpy', 'PyQt6', 'PySide6', 'torch'} & set(sys.modules)"
    )
    run_python(code)


def test_script_is_refused_and_not_run(tmp_path):
    script, made = tmp_path / "image.py", tmp_path / "made"
    script.write_text(f"open({str(made)!r}, 'w').close()")
    with pytest.raises(FileError, match="is a Python script, not an image"):
        read_image(script)
    assert not made.exists()


def test_public_names():
    assert reading.__all__ == ["ImageFile", "lazy_image_of_file", "read_image", "read_record"]


def test_a_plugin_that_fails_leaves_no_file_open(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), np.uint8))
    damaged = b"IIXX" + (tmp_path / "a.tif").read_bytes()[4:]
    (tmp_path / "a.tif").write_bytes(damaged)
    with pytest.raises(FileError, match="can't be read as an image"):
        read_image(tmp_path / "a.tif")
    files = [file for file in gc.get_objects() if issubclass(type(file), io.FileIO)]
    assert not [file for file in files if not file.closed and str(file.name).endswith("a.tif")]
