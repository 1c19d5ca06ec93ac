from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_pix2pix.data.leaks import leak_note
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.split import Area, Split, split, whole_areas


def pair(seed, shape=(48, 40), **fields):
    image = np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
    return Pair(image, 255 - image, **{"name": f"p{seed}", **fields})


def note_of(pairs, held_out):
    opened = [open_pair(one) for one in pairs]
    areas = whole_areas(opened)
    parts = Split(
        tuple(area for area in areas if area.pair not in held_out),
        tuple(area for area in areas if area.pair in held_out),
        "",
    )
    return leak_note(opened, parts, seed=0)


def test_a_copy_that_is_held_out_is_named():
    pairs = [pair(0), pair(1), pair(2), replace(pair(1), name="copy")]
    assert note_of(pairs, {3}) == (
        "1 of 1 held-out sources are also trained on (copy = p1), so the scores are too good: "
        "leave copies out."
    )
    many = [*pairs, *(replace(one, name=f"{one.name}b") for one in pairs[:3])]
    assert "4 of 4" in note_of(many, {3, 4, 5, 6})
    assert "and 1 more)" in note_of(many, {3, 4, 5, 6})


def test_other_images_and_copies_on_one_side_are_no_leak():
    assert note_of([pair(0), pair(1), pair(2)], {2}) == ""
    assert note_of([pair(0), pair(0), pair(2)], {2}) == ""
    assert note_of([pair(0), pair(1), pair(1)], {1, 2}) == ""
    assert note_of([pair(0), pair(0)], set()) == ""


def test_what_differs_somewhere_is_no_copy():
    changed = pair(0)
    changed.source[5, 7] ^= 1
    assert note_of([pair(0), changed], {1}) == ""
    assert note_of([pair(0, condition="a"), pair(0, condition="b")], {1}) == ""


def test_constant_images_prove_nothing():
    dark = np.zeros((48, 40), np.uint8)
    assert note_of([Pair(dark, pair(0).target), Pair(dark, pair(1).target)], {1}) == ""


def test_slow_images_are_not_all_compared():
    pairs = [pair(0), pair(0)]
    opened = [open_pair(one) for one in pairs]
    parts = Split(whole_areas(opened)[:1], whole_areas(opened)[1:], "")
    assert leak_note(opened, parts, seed=0, seconds=60) != ""
    assert leak_note(opened, parts, seed=0, seconds=-1) == ""


def test_a_strip_of_an_image_is_no_copy_of_it_but_of_its_copy():
    opened = [open_pair(pair(0, (200, 64)))]
    parts = split(opened, fraction=0.2, patch=32, seed=0)
    assert parts.validation
    assert leak_note(opened, parts, seed=0) == ""
    other = [*opened, open_pair(pair(1, (200, 64)))]
    parts = split(other, fraction=0.2, patch=32, seed=0)
    assert len(parts.validation) == 2
    assert leak_note(other, parts, seed=0) == ""
    both = [*opened, open_pair(pair(0, (200, 64), name="again"))]
    parts = split(both, fraction=0.2, patch=32, seed=0)
    assert "2 of 2 held-out sources" in leak_note(both, parts, seed=0)


def test_large_images_are_compared_by_their_middle():
    seen = []

    class Huge:
        shape, dtype = (100_000, 90_000), np.dtype(np.uint8)

        def __getitem__(self, index):
            rows, columns = index
            seen.append((rows.stop - rows.start, columns.stop - columns.start))
            return np.add.outer(np.arange(512), np.arange(512)).astype(np.uint8)

    opened = [open_pair(Pair(Huge(), Huge(), name=name)) for name in "ab"]
    parts = Split((Area(0, 0, 9, 0, 9),), (Area(1, 0, 9, 0, 9),), "")
    assert "b = a" in leak_note(opened, parts, seed=0)
    assert seen == [(512, 512)] * 2
