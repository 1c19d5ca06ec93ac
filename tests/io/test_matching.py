from __future__ import annotations

from pathlib import Path

import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.io.matching import match_by_name, match_in_order


def test_one_equal_name_does_not_hide_a_rule():
    sources = [Path(f"a{number}.tif") for number in range(6)]
    targets = [Path("t/a0.tif"), *(Path(f"t/a{number}_m.tif") for number in range(1, 6))]
    pairs, notes = match_by_name(sources, targets)
    assert pairs == list(zip(sources, targets, strict=True))
    assert "matched by what the names have in common" in notes[0]


def test_match_by_name():
    sources = [Path("s/a.ome.tif"), Path("s/b.tif"), Path("s/only.tif")]
    targets = [Path("t/b.png"), Path("t/a.tif"), Path("t/x.tif"), Path("t/y.tif")]
    pairs, unmatched = match_by_name(sources, targets)
    assert pairs == [(sources[0], targets[1]), (sources[1], targets[0])]
    assert unmatched == [
        "1 source has no target of the same name and is left out: only.tif.",
        "2 targets have no source of the same name and are left out: x.tif, y.tif.",
    ]
    one, other = Path("a.tif"), Path("b.tif")  # one of each is a pair
    assert match_by_name([one], [other]) == ([(one, other)], [])


def test_names_that_do_not_agree_or_come_twice():
    sources = [Path(f"s{i}.tif") for i in range(5)]
    with pytest.raises(InputError, match=r"s0\.tif, s1\.tif, s2\.tif, \.\.\., targets t\.tif"):
        match_by_name(sources, [Path("t.tif")])
    with pytest.raises(InputError, match=r"Two source files .*: a\.tif, a\.png"):
        match_by_name([Path("a.tif"), Path("a.png")], [Path("t/a.tif")])


def test_files_in_order_are_paired_whatever_their_names():
    sources = [Path("s/1.tif"), Path("s/2.tif")]
    targets = [Path("t/cell.tif"), Path("t/dapi.tif")]
    assert match_in_order(sources, targets) == list(zip(sources, targets, strict=True))
    with pytest.raises(InputError, match=r"2 sources and 1 target, .* match them by name"):
        match_in_order(sources, targets[:1])


def test_a_side_that_names_the_other_one_too_is_left_without_it():
    both = [Path("a_in.tif"), Path("a_out.tif"), Path("b_in.tif"), Path("b_out.tif")]
    assert match_in_order(both, both[1::2]) == [(both[0], both[1]), (both[2], both[3])]
