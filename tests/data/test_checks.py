from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.data.checks import alpha_notes, check_blocks
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.sample import sample_blocks
from napari_pix2pix.data.split import whole_areas
from napari_pix2pix.errors import InputError

rng = np.random.default_rng(0)


def image(*shape):
    return rng.random(shape or (32, 32)).astype(np.float32)


def check(*pairs, most=256):
    opened = [open_pair(pair) for pair in pairs]
    blocks, _ = sample_blocks(opened, whole_areas(opened), size=16, seed=0, most=most)
    return check_blocks(opened, blocks)


def test_good_pairs_pass_in_silence():
    assert check(Pair(image(), image()), Pair(image(), image())) == []


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


def test_an_image_of_nothing_but_nan_is_refused():
    bad = Pair(image(), np.full((32, 32), np.nan, np.float32), name="b")
    with pytest.raises(InputError, match="target of b holds no finite pixel"):
        check(Pair(image(), image()), bad)
    with pytest.raises(InputError, match="target of b holds no finite pixel"):
        check(bad)


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
    warnings = check(
        Pair(flat, image(), name="a"), Pair(flat + np.eye(32, dtype=np.uint8), image())
    )
    assert len(warnings) == 1
    assert warnings[0].startswith(f"The source of a is {word} ({value} in every pixel")


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


def test_a_channel_that_is_lacking_is_not_constant():
    gray = rng.integers(1, 9, (32, 32)).astype(np.uint8)
    assert check(Pair(image(), (gray, gray)), Pair(image(), (gray, None))) == []


def test_one_channel_of_nan_is_warned_of_and_no_refusal():
    target = np.stack([image(), np.full((32, 32), np.nan, np.float32)])
    warnings = check(Pair(image(), target, channel_axis=0))
    assert warnings == ["50 % of the target's values are NaN; these pixels count as unlabelled."]


def test_identical_images_are_said():
    same = image()
    same[0, 0] = np.nan
    assert any("identical" in warning for warning in check(Pair(same, same.copy())))
    assert check(Pair(image(), image()), Pair(same[1:], same[1:])) == []


def test_a_mask_that_leaves_nothing_is_refused():
    nothing = np.zeros((32, 32), bool)
    with pytest.raises(InputError, match="the masks leave nothing"):
        check(Pair(image(), image(), mask=nothing))


def test_alpha_is_said_once():
    rgba = rng.integers(0, 255, (32, 32, 4), dtype=np.uint8)
    pair = Pair(rgba, image())
    assert check(pair, pair, pair) == []  # nothing is wrong with it
    assert alpha_notes([open_pair(pair)] * 3) == [
        "The alpha channel of the source of the pair is left out, as in 2 more."
    ]
    assert alpha_notes([open_pair(Pair(image(), image()))]) == []


def test_integers_that_no_float_can_tell_apart_are_not_constant():
    large = rng.integers(0, 9, (32, 32)) + 2**60
    assert check(Pair(large, image())) == []
