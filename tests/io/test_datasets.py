from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import open_pair
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.datasets import read_pairs
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.reading import lazy_image_of_file, read_image
from napari_pix2pix.io.writing import write_translation


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)


def write(path, shape, axes):
    tifffile.imwrite(path, ramp(*shape), imagej=True, metadata={"axes": axes})
    return path


class Recorder:
    """An array that is read only by slicing, and notes how much of it."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.read = 0

    def __getitem__(self, index):
        part = self._array[index]
        self.read += part.size
        return part


def test_zarr_and_dask_stay_lazy():
    import dask.array
    import zarr

    data = ramp(2, 5, 8, 9)
    for lazy in (zarr.array(data, chunks=(1, 1, 8, 9)), dask.array.from_array(data)):
        planes = lazy_image_of_file(ImageFile(data=lazy, axes="CZYX"))
        window = planes.read(3, slice(1, 4), slice(2, 9))
        np.testing.assert_array_equal(window, data[:, 3, 1:4, 2:9])


def test_only_the_window_is_read():
    recorder = Recorder(np.zeros((2, 500, 64, 64), np.uint8))
    planes = lazy_image_of_file(ImageFile(data=recorder, axes="CZYX"))
    assert recorder.read == 0
    assert planes.read(7, slice(0, 4), slice(0, 4)).shape == (2, 4, 4)
    assert recorder.read == 2 * 4 * 4


@pytest.mark.parametrize(
    ("axes", "shape", "frames", "channels"),
    [
        ("YX", (30, 9), (), 1),
        ("ZYX", (20, 30, 3), (20,), 1),  # a narrow stack, no colours
        ("YXS", (3, 3, 3), (), 3),
        ("YXS", (8, 9, 4), (), 3),
        ("CZYX", (2, 5, 8, 9), (5,), 2),
        ("TYXC", (4, 8, 9, 2), (4,), 2),
    ],
)
def test_planes_by_the_axes_of_the_file(axes, shape, frames, channels):
    planes = lazy_image_of_file(ImageFile(data=ramp(*shape), axes=axes))
    assert (planes.frame_shape, planes.channels) == (frames, channels)


@pytest.mark.parametrize(
    ("source", "target", "channels", "frames"),
    [
        (((2, 8, 9), "CYX"), ((8, 9), "YX"), (2, 1), 1),
        (((8, 9), "YX"), ((2, 8, 9), "CYX"), (1, 2), 1),
        (((2, 8, 9), "CYX"), ((3, 8, 9), "CYX"), (2, 3), 1),
        (((5, 2, 8, 9), "ZCYX"), ((5, 8, 9), "ZYX"), (2, 1), 5),
        (((5, 8, 9), "ZYX"), ((5, 2, 8, 9), "ZCYX"), (1, 2), 5),
    ],
)
def test_pair_of_files(tmp_path, source, target, channels, frames):
    a = write(tmp_path / "a.tif", *source)
    b = write(tmp_path / "b.tif", *target)
    (pair,), notes = read_pairs(a, b)
    assert (pair.name, notes) == ("a.tif", [])
    opened = open_pair(pair)
    assert (opened.source.channels, opened.target.channels) == channels
    assert opened.frames == frames


@pytest.mark.parametrize(
    ("axes", "dtype", "shape", "frames", "channels"),
    [
        ("ZYX", np.uint8, (20, 48, 4), 20, 1),  # bare, this would pass for RGBA
        ("YXS", np.int16, (40, 48, 3), 1, 3),  # and this for 40 frames
    ],
)
def test_pair_of_files_is_read_by_their_axes(tmp_path, axes, dtype, shape, frames, channels):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        ramp(*shape).astype(dtype),
        ome=True,
        photometric="rgb" if "S" in axes else "minisblack",
        metadata={"axes": axes},
    )
    (pair,), _ = read_pairs(path, path)
    opened = open_pair(pair)
    for planes in (opened.source, opened.target):
        assert (planes.frames, planes.channels) == (frames, channels)
        assert planes.layout.rgb == ("S" in axes)


def test_axes_describe_the_source_and_help_the_target_where_it_is_silent(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", ramp(5, 8, 9), photometric="minisblack")
    write(tmp_path / "stack.tif", (5, 8, 9), "ZYX")
    (pair,), _ = read_pairs(tmp_path / "stack.tif", tmp_path / "plain.tif", axes="CYX")
    assert open_pair(pair).target.channels == 5
    # Where the target does say what it is, that wins: its planes are frames, which do not fit.
    (pair,), _ = read_pairs(tmp_path / "plain.tif", tmp_path / "stack.tif", axes="CYX")
    with pytest.raises(InputError, match="channel_axis where an axis"):
        open_pair(pair)


def test_silent_target_with_other_axes_is_refused(tmp_path):
    write(tmp_path / "a.tif", (8, 9), "YX")
    tifffile.imwrite(tmp_path / "b.tif", ramp(5, 8, 9), photometric="minisblack")
    with pytest.raises(InputError, match=r"b\.tif does not say what its axes"):
        read_pairs(tmp_path / "a.tif", tmp_path / "b.tif")
    with pytest.raises(InputError, match=r"b\.tif has 3 axes"):
        read_pairs(tmp_path / "a.tif", tmp_path / "b.tif", axes="YX")


def test_folders_are_matched_by_name(tmp_path):
    for side, names in (("source", "a1 a2 a10"), ("target", "a10 a1 b")):
        (tmp_path / side).mkdir()
        for name in names.split():
            write(tmp_path / side / f"{name}.tif", (8, 9), "YX")
    pairs, notes = read_pairs(tmp_path / "source", tmp_path / "target")
    assert [pair.name for pair in pairs] == ["a1.tif", "a10.tif"]
    assert [note.split(":")[1].strip() for note in notes] == ["a2.tif.", "b.tif."]


def test_further_images_of_a_file_are_told(tmp_path):
    with tifffile.TiffWriter(tmp_path / "two.tif") as writer:
        writer.write(ramp(8, 9))
        writer.write(ramp(12, 9))
    _, notes = read_pairs(tmp_path / "two.tif", tmp_path / "two.tif")
    assert notes
    assert all("holds 2 images" in note for note in notes)


def test_missing_file(tmp_path):
    with pytest.raises(FileError, match="no file or folder"):
        read_pairs(tmp_path / "a.tif", tmp_path / "b.tif")


@pytest.mark.parametrize(
    ("source_axes", "layout", "shape", "written"),
    [
        ("YX", Layout(), (8, 9), "YX"),
        ("YXS", Layout(), (8, 9), "YX"),
        ("CYX", Layout(), (8, 9), "YX"),
        ("CZYX", Layout(), (5, 8, 9), "ZYX"),
        ("YX", Layout(-1, rgb=True), (8, 9, 3), "YXS"),
        ("ZYX", Layout(-1, rgb=True), (5, 8, 9, 3), "ZYXS"),
        ("YX", Layout(-3), (2, 8, 9), "CYX"),
        ("ZYX", Layout(-3), (5, 2, 8, 9), "ZCYX"),
        ("YX", Layout(-4), (2, 8, 9), "CYX"),
        ("ZYX", Layout(-4), (2, 5, 8, 9), "CZYX"),
        ("YX", Layout(-1), (8, 9, 2), "YXC"),
    ],
)
def test_output_keeps_axes_and_scale(tmp_path, source_axes, layout, shape, written):
    source = ImageFile(
        data=np.zeros((2,) * len(source_axes)),
        axes=source_axes,
        scale={"Z": 2.0, "Y": 0.5, "X": 0.25},
        units=dict.fromkeys("ZYX", "micrometer"),
    )
    dtype = np.uint8 if layout.rgb else np.uint16
    array = ramp(*shape).astype(dtype)
    path = write_translation(tmp_path / "out.tif", array, source=source, layout=layout)
    again = read_image(path)
    assert again.axes == written
    np.testing.assert_array_equal(again.data, array)
    sizes = {axis: again.scale[axis] for axis in written if axis in "ZYX"}
    assert sizes == pytest.approx({axis: source.scale[axis] for axis in sizes})
    assert {again.units[axis] for axis in sizes} == {"micrometer"}


def test_zarr_has_its_order_of_axes(tmp_path):
    source = ImageFile(data=ramp(5, 8, 9), axes="ZYX", scale={"Z": 2.0, "Y": 0.5, "X": 0.5})
    array = ramp(5, 2, 8, 9)
    path = write_translation(tmp_path / "out.zarr", array, source=source, layout=Layout(-3))
    again = read_image(path)
    assert (again.axes, again.scale["Z"]) == ("CZYX", 2.0)
    np.testing.assert_array_equal(np.asarray(again.data), array.swapaxes(0, 1))


def test_old_file_is_replaced_only_where_asked(tmp_path):
    source = ImageFile(data=ramp(8, 9), axes="YX")
    path = tmp_path / "out.tif"
    path.write_text("mine")
    with pytest.raises(FileError, match="exists already"):
        write_translation(path, ramp(8, 9), source=source, layout=Layout())
    assert path.read_text() == "mine"
    write_translation(path, ramp(8, 9), source=source, layout=Layout(), overwrite=True)
    assert read_image(path).shape == (8, 9)
