"""Images that show source and target side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr
from helpers import integer_noise
from hypothesis import given
from hypothesis import strategies as st

from napari_pix2pix.data.pair import open_pair
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.datasets import read_aligned, read_table

EVERYWHERE = slice(0, None), slice(0, None)


@pytest.fixture
def facades(tmp_path: Path) -> Path:
    """Two colour images to train on, one to validate on, one to test on."""
    for number, name in enumerate(("train/1.png", "train/2.png", "val/3.png", "test/4.png")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        iio.imwrite(path, integer_noise(6, 16, 3, seed=number + 1))
    return tmp_path


def halves(pair: Any) -> tuple[np.ndarray, np.ndarray]:
    source, target, _ = open_pair(pair).read(0, *EVERYWHERE)
    return np.moveaxis(source, 0, -1), np.moveaxis(target, 0, -1)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_halves_are_source_and_target(facades: Path, direction: Any) -> None:
    sets = read_aligned(facades, direction)
    assert [pair.name for pair in sets.train] == ["1.png", "2.png"]
    assert [pair.name for pair in sets.validation] == ["3.png"]
    for seed, pair in enumerate(sets.train + sets.validation, start=1):
        whole = integer_noise(6, 16, 3, seed=seed)
        left_right = whole[:, :8], whole[:, 8:]
        expected = left_right if direction == "AtoB" else left_right[::-1]
        for got, wanted in zip(halves(pair), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_what_is_tested_on(facades: Path) -> None:
    sets = read_aligned(facades, test=True)
    assert ([pair.name for pair in sets.validation], sets.train) == (["4.png"], [])
    (facades / "test" / "4.png").unlink()
    (facades / "test").rmdir()
    assert [pair.name for pair in read_aligned(facades, test=True).validation] == ["3.png"]


@pytest.mark.parametrize("test", [False, True])
def test_a_folder_of_images_alone(facades: Path, *, test: bool) -> None:
    sets = read_aligned(facades / "train", test=test)
    assert ([pair.name for pair in sets.train], sets.validation) == (["1.png", "2.png"], [])


def test_frames_and_channels_are_kept(tmp_path: Path) -> None:
    image = np.arange(5 * 2 * 4 * 12, dtype=np.uint16).reshape(5, 2, 4, 12)
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, metadata={"axes": "TCYX"})
    (pair,) = read_aligned(tmp_path).train
    opened = open_pair(pair)
    assert (opened.frames, opened.source.channels, opened.width) == (5, 2, 6)
    np.testing.assert_array_equal(opened.read(3, *EVERYWHERE)[1], image[3, :, :, 6:])


def test_large_files_stay_on_the_disk(tmp_path: Path) -> None:
    image = integer_noise(8, 16)
    zarr.save_array(tmp_path / "a.zarr", image)
    (pair,) = read_aligned(tmp_path, axes="YX").train
    assert not isinstance(pair.source.members[0].array, np.ndarray)
    np.testing.assert_array_equal(halves(pair)[0][..., 0], image[:, :8])


def test_unusable_folders(facades: Path) -> None:
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
    sets = read_table(
        table(
            place,
            "Source,target,condition,mask,set\n"
            "a1.tif,b1.tif,DAPI,m1.tif,\n"
            ",,,,\n"
            "\n"
            f'a2.tif,{place}/b1.tif,"GFP, fixed",,Validation\n',
        )
    )
    (first,), (second,) = sets.train, sets.validation
    assert (first.condition, second.condition) == ("DAPI", "GFP, fixed")
    assert (first.name, second.name) == (
        "a1.tif (pairs.csv, line 2)",
        "a2.tif (pairs.csv, line 5)",
    )
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
        ("source,target,mask\na*.tif,a*.tif,m*.tif\n", "line 2: No source has a mask"),
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
