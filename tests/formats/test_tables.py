from __future__ import annotations

import re

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.formats.tables import read_table


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
        ("source,target\na1.tif,b1.tif\n,b1.tif\n", "line 3, has no source, and other lines have"),
        ("source,target\na1.tif,b1.tif,c\n", "line 2, has 3 cells for 2 columns"),
        ("source,target,set\na1.tif,b1.tif,test\n", "line 2, has the set 'test'"),
        (
            "source,target,condition\na1.tif,b1.tif,A\na2.tif,b1.tif,\n",
            "line 3, has no condition, and other lines have one",
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
    with pytest.raises(FileError, match="no text in UTF-8"):
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
