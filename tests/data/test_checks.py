from dataclasses import replace

import numpy as np
import pytest

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.checks import alpha_notes, check_blocks, copies_note
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.sample import sample_blocks
from napari_pix2pix.data.split import Area, Split, split, whole_areas
from napari_pix2pix.errors import InputError

rng = np.random.default_rng(0)


def image(*shape):
    return rng.random(shape or (32, 32)).astype(np.float32)


def check(*pairs, most=256):
    opened = [open_pair(pair) for pair in pairs]
    blocks, _ = sample_blocks(opened, whole_areas(opened), size=16, seed=0, most=most)
    return check_blocks(opened, blocks)


GRAY = rng.integers(1, 9, (32, 32)).astype(np.uint8)


@pytest.mark.parametrize(
    "pairs",
    [
        [Pair(image(), image()), Pair(image(), image())],
        [Pair(rng.integers(0, 9, (32, 32)) + 2**60, image())],  # which no float can tell apart
        [Pair(image(), (GRAY, GRAY)), Pair(image(), (GRAY, None))],  # a lacking channel varies
    ],
    ids=["plain", "large integers", "lacking channel"],
)
def test_good_pairs_pass_in_silence(pairs):
    assert check(*pairs) == []


def test_missing_pixels_are_counted():
    source, target = image(), image()
    source[:16] = np.nan
    target[0, :8] = np.inf
    assert check(Pair(source, target)) == [
        "50 % of the source's values are NaN; these pixels count as unlabelled.",
        "0.78 % of the target's values are infinite; these pixels count as unlabelled.",
    ]


def test_an_image_that_its_mask_leaves_nothing_of_is_named():
    bare = Pair(image(), image(), mask=np.zeros((32, 32), bool), name="b")
    (warning,) = check(Pair(image(), image(), name="a"), bare)
    assert warning.startswith("Nothing to train on was found in b: no pixel sampled lies inside")
    with pytest.raises(InputError, match="the masks leave nothing"):
        check(bare)


def test_an_image_of_nothing_but_nan_is_refused():
    bad = Pair(image(), np.full((32, 32), np.nan, np.float32), name="b")
    for pairs in ([Pair(image(), image()), bad], [bad]):
        with pytest.raises(InputError, match="target of b holds no finite pixel"):
            check(*pairs)


def test_a_few_empty_blocks_of_a_large_image_prove_nothing():
    mostly = np.full((1600, 1600), np.nan, np.float32)
    mostly[:16] = 1
    pairs = [Pair(image(1600, 1600), image(1600, 1600)), Pair(image(1600, 1600), mostly)]
    assert any("NaN" in warning for warning in check(*pairs, most=10))


@pytest.mark.parametrize(("value", "word"), [(0, "empty"), (5, "constant")])
def test_a_constant_set_is_refused_and_a_constant_image_named(value, word):
    flat = np.full((32, 32), value, np.uint8)
    with pytest.raises(InputError, match=f"The source is {word}: {value} in every pixel"):
        check(Pair(flat, image()), Pair(flat, image()))
    varied = Pair(flat + np.eye(32, dtype=np.uint8), image())
    (warning,) = check(Pair(flat, image(), name="a"), varied)
    assert warning.startswith(f"The source of a is {word} ({value} in every pixel")


def test_a_constant_channel_is_named_and_images_are_listed():
    stack = rng.integers(1, 9, (2, 32, 32)).astype(np.uint8)
    flat = stack.copy()
    flat[1] = 0
    pairs = [Pair(stack, image(), channel_axis=0)]
    pairs += [Pair(flat, image(), channel_axis=0, name=f"p{i}") for i in range(5)]
    (said,) = check(*pairs)
    assert said == (
        "Channel 1 of the source of p0, p1, p2 and 2 more is empty (0 in every pixel sampled); "
        "leave it out if that is not meant."
    )
    colours = np.stack([np.full((32, 32), value, np.uint8) for value in (7, 9)])
    warnings = check(pairs[0], Pair(colours, image(), channel_axis=0, name="c"))
    assert [one.split(" of the")[0] for one in warnings] == ["Channel 0", "Channel 1"]


def test_one_channel_of_nan_is_warned_of_and_no_refusal():
    target = np.stack([image(), np.full((32, 32), np.nan, np.float32)])
    warnings = check(Pair(image(), target, channel_axis=0))
    assert warnings == ["50 % of the target's values are NaN; these pixels count as unlabelled."]


def test_identical_images_are_said():
    same = image()
    same[0, 0] = np.nan
    assert any("identical" in warning for warning in check(Pair(same, same.copy())))
    assert check(Pair(image(), image()), Pair(same[1:], same[1:])) == []


def test_alpha_is_said_once():
    rgba = rng.integers(0, 255, (32, 32, 4), dtype=np.uint8)
    pair = Pair(rgba, image())
    assert check(pair, pair, pair) == []  # nothing is wrong with it
    assert alpha_notes([open_pair(pair)] * 3) == [
        "The alpha channel of the source of the pair is left out, as in 2 more."
    ]
    assert alpha_notes([open_pair(Pair(image(), image()))]) == []


def numbered_pair(seed, shape=(48, 40), **fields):
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
    return copies_note(opened, parts, seed=0)


def test_a_copy_that_is_held_out_is_named():
    pairs = [*map(numbered_pair, range(3)), replace(numbered_pair(1), name="copy")]
    assert note_of(pairs, {3}) == (
        "1 of 1 held-out source is also trained on (copy = p1), so the scores are too good: "
        "leave copies out."
    )
    many = [*pairs, *(replace(one, name=f"{one.name}b") for one in pairs[:3])]
    assert "4 of 4" in note_of(many, {3, 4, 5, 6})
    assert "and 1 more)" in note_of(many, {3, 4, 5, 6})


def test_other_images_and_copies_on_one_side_are_no_leak():
    assert note_of([numbered_pair(0), numbered_pair(1), numbered_pair(2)], {2}) == ""
    assert note_of([numbered_pair(0), numbered_pair(0), numbered_pair(2)], {2}) == ""
    assert note_of([numbered_pair(0), numbered_pair(1), numbered_pair(1)], {1, 2}) == ""
    assert note_of([numbered_pair(0), numbered_pair(0)], set()) == ""


def test_what_differs_somewhere_is_no_copy():
    changed = numbered_pair(0)
    changed.source[5, 7] ^= 1
    assert note_of([numbered_pair(0), changed], {1}) == ""
    assert note_of([numbered_pair(0, condition="a"), numbered_pair(0, condition="b")], {1}) == ""


def test_constant_images_prove_nothing():
    dark = np.zeros((48, 40), np.uint8)
    pairs = [replace(numbered_pair(seed), source=dark) for seed in (0, 1)]
    assert note_of(pairs, {1}) == ""


def test_slow_images_are_not_all_compared():
    pairs = [numbered_pair(0), numbered_pair(0)]
    opened = [open_pair(one) for one in pairs]
    parts = Split(whole_areas(opened)[:1], whole_areas(opened)[1:], "")
    assert copies_note(opened, parts, seed=0, seconds=60) != ""
    assert copies_note(opened, parts, seed=0, seconds=-1) == ""


def test_a_strip_of_an_image_is_no_copy_of_it_but_of_its_copy():
    opened = [open_pair(numbered_pair(0, (200, 64)))]
    parts = split(opened, fraction=0.2, patch=32, seed=0)
    assert parts.validation
    assert copies_note(opened, parts, seed=0) == ""
    other = [*opened, open_pair(numbered_pair(1, (200, 64)))]
    parts = split(other, fraction=0.2, patch=32, seed=0)
    assert len(parts.validation) == 2
    assert copies_note(other, parts, seed=0) == ""
    both = [*opened, open_pair(numbered_pair(0, (200, 64), name="again"))]
    parts = split(both, fraction=0.2, patch=32, seed=0)
    assert "2 of 2 held-out sources" in copies_note(both, parts, seed=0)


def test_large_images_are_compared_by_their_middle():
    seen = []

    class Huge:
        shape, dtype = (100_000, 90_000), np.dtype(np.uint8)

        def __getitem__(self, index):
            rows, columns = index
            seen.append((rows.stop - rows.start, columns.stop - columns.start))
            return np.add.outer(np.arange(512), np.arange(512)).astype(np.uint8)

    opened = [open_pair(Pair(Huge(), Huge(), name=name)) for name in "ab"]
    parts = Split((Area(0, Box(0, 9, 0, 9)),), (Area(1, Box(0, 9, 0, 9)),), "")
    assert "b = a" in copies_note(opened, parts, seed=0)
    assert seen == [(512, 512)] * 2
