import os
import re

import dask.array
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr
from helpers import gray_noise, integer_noise
from hypothesis import given
from hypothesis import strategies as st

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import open_pair
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import FileError, InputError, Pix2PixError
from napari_pix2pix.io.datasets import (
    FileSets,
    list_table,
    read_aligned,
    read_pairs,
    read_table,
    write_table,
)
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.pair_files import PairFiles, ReadOptions, find_pairs
from napari_pix2pix.io.reading import lazy_image_of_file, read_image
from napari_pix2pix.io.writing import write_image, write_translation


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


@pytest.mark.parametrize(
    "make", [lambda a: zarr.array(a, chunks=(1, 1, 8, 9)), dask.array.from_array]
)
def test_zarr_and_dask_stay_lazy(make):
    data = ramp(2, 5, 8, 9)
    planes = lazy_image_of_file(ImageFile(data=make(data), axes="CZYX"))
    window = planes.read(3, slice(1, 4), slice(2, 9))
    np.testing.assert_array_equal(window, data[:, 3, 1:4, 2:9])


def test_planes_know_the_size_of_a_pixel():
    sizes = {"scale": {"Y": 0.5, "X": 0.5}, "units": {"Y": "micrometer", "X": "micrometer"}}
    known = lazy_image_of_file(ImageFile(data=ramp(2, 8, 9), axes="CYX", **sizes))
    assert known.pixel_size == PixelSize(0.5, 0.5)
    assert lazy_image_of_file(ImageFile(data=ramp(8, 9), axes="YX")).pixel_size is None


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
    how = {"photometric": "rgb" if "S" in axes else "minisblack", "metadata": {"axes": axes}}
    tifffile.imwrite(path, ramp(*shape).astype(dtype), ome=True, **how)
    (pair,), _ = read_pairs(path, path)
    opened = open_pair(pair)
    for planes in (opened.source, opened.target):
        assert (planes.frames, planes.channels) == (frames, channels)
        assert planes.layout.rgb == ("S" in axes)


def test_axes_describe_the_source_and_help_the_target_where_it_is_silent(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", ramp(5, 8, 9), photometric="minisblack")
    write(tmp_path / "stack.tif", (5, 8, 9), "ZYX")
    (pair,), _ = read_pairs(
        tmp_path / "stack.tif", tmp_path / "plain.tif", options=ReadOptions(source_axes="CYX")
    )
    assert open_pair(pair).target.channels == 5
    # Where the target does say what it is, that wins: its planes are frames, which do not fit.
    (pair,), _ = read_pairs(
        tmp_path / "plain.tif", tmp_path / "stack.tif", options=ReadOptions(source_axes="CYX")
    )
    with pytest.raises(InputError, match="channel_axis where an axis"):
        open_pair(pair)


def test_silent_target_with_other_axes_is_refused(tmp_path):
    write(tmp_path / "a.tif", (8, 9), "YX")
    tifffile.imwrite(tmp_path / "b.tif", ramp(5, 8, 9), photometric="minisblack")
    with pytest.raises(InputError, match=r"b\.tif does not say what its axes"):
        read_pairs(tmp_path / "a.tif", tmp_path / "b.tif")
    with pytest.raises(InputError, match=r"b\.tif has 3 axes"):
        read_pairs(tmp_path / "a.tif", tmp_path / "b.tif", options=ReadOptions(source_axes="YX"))


def test_names_that_spreadsheets_would_compute_are_text(tmp_path):
    for name in ("=1+1.tif", "@target.tif"):
        write_image(tmp_path / name, np.zeros((8, 8), np.uint8))
    pair = PairFiles(tmp_path / "=1+1.tif", tmp_path / "@target.tif", condition="-x")
    write_table(tmp_path / "pairs.csv", [pair])
    assert "'=1+1.tif,'@target.tif,'-x" in (tmp_path / "pairs.csv").read_text()
    assert read_table(tmp_path / "pairs.csv").train[0].condition == "-x"


def test_folders_are_matched_by_name(tmp_path):
    for side, names in (("source", "a1 a2 a10"), ("target", "a10 a1 b")):
        (tmp_path / side).mkdir()
        for name in names.split():
            write(tmp_path / side / f"{name}.tif", (8, 9), "YX")
    pairs, notes = read_pairs(tmp_path / "source", tmp_path / "target")
    assert [pair.name for pair in pairs] == ["a1.tif", "a10.tif"]
    assert [note.split(":")[1].strip() for note in notes] == ["a2.tif.", "b.tif."]


def test_folders_are_matched_in_order_with_their_masks(tmp_path):
    for folder, name in (("source", "s"), ("target", "t"), ("mask", "m")):
        (tmp_path / folder).mkdir()
        for number in range(2):
            write(tmp_path / folder / f"{name}{number + ord(name)}.tif", (8, 9), "YX")
    sides = [tmp_path / "source", tmp_path / "target"]
    files, notes = find_pairs(*sides, mask=tmp_path / "mask", matching="order")
    named = [(one.source.name, one.target.name, one.mask.name) for one in files]
    assert named == [("s115.tif", "t116.tif", "m109.tif"), ("s116.tif", "t117.tif", "m110.tif")]
    assert notes == []


def test_a_table_is_listed_without_opening_its_files(tmp_path):
    names = ("a.tif", "b.tif", "c.tif")
    for name in names:
        (tmp_path / name).write_bytes(b"no image")
    table = tmp_path / "pairs.csv"
    table.write_text("source,target,set\na.tif,b.tif,\na.tif,c.tif,validation\n")
    sets = list_table(table)
    assert [one.target.name for one in sets.train] == ["b.tif"]
    assert [one.target.name for one in sets.validation] == ["c.tif"]
    with pytest.raises(Pix2PixError, match=r"^pairs\.csv, line 2: "):
        sets.open()


def test_further_images_of_a_file_and_a_missing_one_are_told(tmp_path):
    with tifffile.TiffWriter(tmp_path / "two.tif") as writer:
        writer.write(ramp(8, 9))
        writer.write(ramp(12, 9))
    _, notes = read_pairs(tmp_path / "two.tif", tmp_path / "two.tif")
    assert notes
    assert all("holds 2 images" in note for note in notes)
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


# --- source and target side by side in one image, and tables --------------------------------------


EVERYWHERE = slice(0, None), slice(0, None)


@pytest.fixture
def facades(tmp_path):
    """Two colour images to train on, one to validate on, one to test on."""
    for number, name in enumerate(("train/1.png", "train/2.png", "val/3.png", "test/4.png")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        iio.imwrite(path, integer_noise(6, 16, 3, seed=number + 1))
    return tmp_path


def halves(pair) -> tuple[np.ndarray, np.ndarray]:
    source, target, _ = open_pair(pair).read(0, *EVERYWHERE)
    return np.moveaxis(source, 0, -1), np.moveaxis(target, 0, -1)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_halves_are_source_and_target(facades, direction):
    sets = read_aligned(facades, direction)
    assert [pair.name for pair in sets.train] == ["1.png", "2.png"]
    assert [pair.name for pair in sets.validation] == ["3.png"]
    for seed, pair in enumerate(sets.train + sets.validation, start=1):
        whole = integer_noise(6, 16, 3, seed=seed)
        left_right = whole[:, :8], whole[:, 8:]
        expected = left_right if direction == "AtoB" else left_right[::-1]
        for got, wanted in zip(halves(pair), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_what_is_tested_on(facades):
    sets = read_aligned(facades, test=True)
    assert ([pair.name for pair in sets.validation], sets.train) == (["4.png"], [])
    (facades / "test" / "4.png").unlink()
    (facades / "test").rmdir()
    assert [pair.name for pair in read_aligned(facades, test=True).validation] == ["3.png"]


@pytest.mark.parametrize("test", [False, True])
def test_a_folder_of_images_alone(facades, *, test):
    sets = read_aligned(facades / "train", test=test)
    assert ([pair.name for pair in sets.train], sets.validation) == (["1.png", "2.png"], [])


def test_frames_and_channels_are_kept(tmp_path):
    image = np.arange(5 * 2 * 4 * 12, dtype=np.uint16).reshape(5, 2, 4, 12)
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, metadata={"axes": "TCYX"})
    (pair,) = read_aligned(tmp_path).train
    opened = open_pair(pair)
    assert (opened.frames, opened.source.channels, opened.width) == (5, 2, 6)
    np.testing.assert_array_equal(opened.read(3, *EVERYWHERE)[1], image[3, :, :, 6:])


def test_large_files_stay_on_the_disk(tmp_path):
    image = integer_noise(8, 16)
    zarr.save_array(tmp_path / "a.zarr", image)
    (pair,) = read_aligned(tmp_path, options=ReadOptions(source_axes="YX")).train
    assert not isinstance(pair.source.members[0].array, np.ndarray)
    np.testing.assert_array_equal(halves(pair)[0][..., 0], image[:, :8])


def test_unusable_folders(facades):
    with pytest.raises(InputError, match="direction must be 'AtoB' or 'BtoA', got 'AtoA'"):
        read_aligned(facades, "AtoA")  # type: ignore[arg-type]
    iio.imwrite(facades / "val" / "odd.png", integer_noise(6, 15))
    with pytest.raises(InputError, match=r"odd\.png is 15 pixels wide.*even width"):
        read_aligned(facades)
    with pytest.raises(FileError, match="no file or folder"):
        read_aligned(facades / "none")
    (facades / "train" / "none").mkdir()
    with pytest.raises(FileError, match="holds no images"):
        read_aligned(facades / "train" / "none")


@pytest.fixture
def place(tmp_path):
    for name in ("a1", "a2", "b1", "m1"):
        array = np.random.default_rng(len(name)).integers(0, 9, (8, 9)).astype(np.uint8)
        tifffile.imwrite(tmp_path / f"{name}.tif", array)
    return tmp_path


def table(place, text, encoding="utf-8"):
    (place / "pairs.csv").write_bytes(text.encode(encoding))
    return place / "pairs.csv"


def test_pairs_of_a_table(place):
    text = (
        "Source,target,condition,mask,set\na1.tif,b1.tif,DAPI,m1.tif,\n,,,,\n\n"
        f'a2.tif,{place}/b1.tif,"GFP, fixed",,Validation\n'
    )
    sets = read_table(table(place, text))
    (first,), (second,) = sets.train, sets.validation
    assert (first.condition, second.condition) == ("DAPI", "GFP, fixed")
    assert (first.name, second.name) == ("a1.tif (pairs.csv, line 2)", "a2.tif (pairs.csv, line 5)")
    window = slice(0, 8), slice(0, 9)
    np.testing.assert_array_equal(first.mask.read(0, *window)[0], tifffile.imread(place / "m1.tif"))
    assert second.mask is None
    assert sets.notes == []


def test_a_line_may_name_a_pattern_and_notes_are_kept(place):
    sets = read_table(table(place, "source,target\na*.tif,[ab]1.tif\n"))
    assert [pair.name for pair in sets.train] == ["a1.tif (pairs.csv, line 2)"]
    assert [pair.condition for pair in sets.train] == [None]
    assert [note.split(" and")[0] for note in sets.notes] == [
        "1 source has no target of the same name",
        "1 target has no source of the same name",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "target,condition,mask\na1.tif,A,m1.tif\n[ab]2.tif,B,\n",
        "source,target,condition,mask\n,a1.tif,A,m1.tif\n,[ab]2.tif,B,\n",
    ],
    ids=["no column", "empty cells"],
)
def test_pairs_without_a_source(place, text):
    first, second = read_table(table(place, text)).train
    assert first.source is second.source is None
    assert (first.name, first.condition) == ("a1.tif (pairs.csv, line 2)", "A")
    assert (second.name, second.condition) == ("a2.tif (pairs.csv, line 3)", "B")
    window = slice(0, 8), slice(0, 9)
    for read, name in ((first.target, "a1"), (second.target, "a2"), (first.mask, "m1")):
        expected = tifffile.imread(place / f"{name}.tif")
        np.testing.assert_array_equal(read.read(0, *window)[0], expected)
    assert second.mask is None


@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_what_spreadsheets_write(place, separator, encoding, end):
    lines = ["source,target,condition", "a1.tif,b1.tif,Zytokeratin µ"]
    text = end.join(line.replace(",", separator) for line in lines)
    (pair,) = read_table(table(place, text, encoding)).train
    assert pair.condition == "Zytokeratin µ"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"pairs\.csv lists no pairs: write source,target"),
        ("source,target\n", "lists no pairs"),
        ("source,target\n,,\n", "lists no pairs"),
        ("\nsource,target\n", "line 1, has no column 'target'"),
        ("source,condition\na1.tif,A\n", "line 1, has no column 'target'"),
        ("source,target,stain\na1.tif,b1.tif,A\n", "line 1, has an unknown column 'stain'"),
        ("source,target,target\na1.tif,b1.tif,A\n", "line 1, has twice the column 'target'"),
        ("source,target\na1.tif,b1.tif\na2.tif,\n", "line 3, names no target"),
        ("source,target\na1.tif,b1.tif\na2.tif\n", "line 3, names no target"),
        ("source,target\na1.tif,b1.tif\n,b1.tif\n", "line 3, has no source, but other lines have"),
        ("source,target\na1.tif,b1.tif,c\n", "line 2, has 3 cells for 2 columns"),
        ("source,target,set\na1.tif,b1.tif,test\n", "line 2, has the set 'test'"),
        (
            "source,target,condition\na1.tif,b1.tif,A\na2.tif,b1.tif,\n",
            "line 3, has no condition, but other lines have one",
        ),
        ("source,target\na1.tif,b1.tif\nnone.tif,b1.tif\n", r"line 3: There is no .*none\.tif"),
        ("source,target,mask\na1.tif,b1.tif,no.tif\n", r"line 2: There is no .*no\.tif"),
        ("source,target,mask\na*.tif,a*.tif,m*.tif\n", "line 2: 1 of 2 sources has no mask"),
    ],
)
def test_unusable_table(place, text, words):
    with pytest.raises((FileError, InputError), match=words):
        read_table(table(place, text))


def test_table_that_is_none(place):
    with pytest.raises(FileError, match=r"There is no file .*none\.csv"):
        read_table(place / "none.csv")
    with pytest.raises(FileError, match="can't be read"):
        read_table(place)
    with pytest.raises(FileError, match="is not text in UTF-8"):
        read_table(table(place, "source,target\nä.tif,b1.tif\n", "latin-1"))
    with pytest.raises(FileError, match=r"line 2, can't be read as CSV"):
        read_table(table(place, 'source,target\n"a1"x,b1.tif\n'))


@given(st.text(max_size=60))
def test_any_text_is_a_sentence(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("table") / "pairs.csv"
    path.write_text(text, encoding="utf-8", errors="replace", newline="")
    with pytest.raises((FileError, InputError)) as refused:
        read_table(path)
    assert re.search(r"pairs\.csv.*: ", str(refused.value))


def test_files_that_change_while_they_are_read_are_said(tmp_path):
    names = [tmp_path / f"{side}.tif" for side in ("source", "target")]
    for path in names:
        write_image(path, gray_noise(20, 20))
    files = FileSets([PairFiles(*names)], [], [])
    sets = files.open()
    assert sets.changes() == []
    os.utime(names[1], ns=(1, 1))
    (sentence,) = sets.changes()
    assert sentence.startswith(f"{names[1]} changed while the pairs were read")
    for path in names:
        path.unlink()
    (sentence,) = sets.changes()
    assert "source.tif and 1 more changed" in sentence


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_table_that_is_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pairs.csv")
    with pytest.raises(FileError, match="is a pipe, not a file: name a table of pairs"):
        read_table(tmp_path / "pairs.csv")


def test_table_that_is_larger_than_any_is_not_read(tmp_path):
    with (tmp_path / "pairs.csv").open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(FileError, match=r"lists pairs in 8590 MB of text.*cut it into several"):
        read_table(tmp_path / "pairs.csv")


def test_name_of_a_table_that_no_system_takes_is_refused():
    with pytest.raises(FileError, match="can't be read"):
        read_table("a\0b.csv")
