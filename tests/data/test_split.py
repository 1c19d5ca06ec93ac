import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.patches import PatchSampler
from napari_pix2pix.data.split import Area, split, whole_areas
from napari_pix2pix.errors import ConfigError

ONE = ImageCodec("minmax", "float32", (-1.0,), (1.0,), Layout())


def pairs_of(*shapes):
    images = [np.broadcast_to(np.uint8(0), shape) for shape in shapes]
    return [open_pair(Pair(image, image)) for image in images]


def distance(first: Box, second: Box) -> int:
    """Return the free pixels between two boxes along the axis that separates them most."""
    down = max(second.top - first.bottom, first.top - second.bottom)
    across = max(second.left - first.right, first.left - second.right)
    return max(down, across)


sizes = st.tuples(st.integers(1, 400), st.integers(1, 400)) | st.tuples(
    st.integers(1, 5), st.integers(1, 400), st.integers(1, 400)
)


@settings(deadline=None, max_examples=200)
@given(
    shapes=st.lists(sizes, min_size=1, max_size=6),
    fraction=st.floats(0, 0.95),
    patch=st.sampled_from([16, 64, 128, 256]),
    seed=st.integers(0, 9),
    gap=st.integers(16, 40),
)
def test_areas_never_meet_and_lie_inside(shapes, fraction, patch, seed, gap):
    pairs = pairs_of(*shapes)
    parts = split(pairs, fraction=fraction, patch=patch, seed=seed, gap=gap)
    assert parts.train
    assert parts.note
    for area in (*parts.train, *parts.validation):
        pair = pairs[area.pair]
        assert 0 <= area.box.top < area.box.bottom <= pair.height
        assert 0 <= area.box.left < area.box.right <= pair.width
    for area in parts.train:
        for held_out in parts.validation:
            assert area.pair != held_out.pair or distance(area.box, held_out.box) >= gap
    if len(shapes) >= 4 and fraction > 0:
        assert {area.pair for area in parts.train}.isdisjoint(a.pair for a in parts.validation)
        assert parts.validation


def test_whole_images_are_held_out_of_larger_sets():
    parts = split(pairs_of(*[(64, 64)] * 60), fraction=0.2, patch=64, seed=3)
    assert len(parts.validation) == 12
    assert len(parts.train) == 48
    assert parts.note == "12 of 60 images are held out (20 %)."


def test_frames_of_a_stack_are_not_separate_images():
    parts = split(pairs_of((30, 256, 200)), fraction=0.25, patch=64, seed=0)
    assert len(parts.train) == len(parts.validation) == 1
    assert parts.validation[0].box.height == 64
    assert parts.validation[0].box.width == 200


def test_the_strip_lies_at_one_end_of_the_longer_axis():
    notes = {split(pairs_of((100, 704)), fraction=0.2, patch=64, seed=s).note for s in range(9)}
    assert notes == {
        "The right 141 columns of 704 are held out, with a gap of 16 px.",
        "The left 141 columns of 704 are held out, with a gap of 16 px.",
    }


def test_each_image_of_a_small_set_is_split_where_it_is_large_enough():
    parts = split(pairs_of((200, 100), (20, 20)), fraction=0.2, patch=64, seed=1)
    assert [area.pair for area in parts.validation] == [0]
    assert parts.train[1] == Area(1, Box(0, 20, 0, 20))
    assert parts.note.startswith("Of 1 of 2 images the ")


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (60, 60), (90, 128)])
def test_too_small_means_no_validation_said_in_words(shape):
    parts = split(pairs_of(shape), fraction=0.2, patch=256, seed=0)
    assert parts.validation == ()
    assert parts.train == whole_areas(pairs_of(shape))
    assert parts.note.startswith("No validation: the images are too small")


def test_a_fraction_of_zero_holds_out_nothing():
    parts = split(pairs_of(*[(64, 64)] * 5), fraction=0, patch=64, seed=0)
    assert (len(parts.train), parts.validation) == (5, ())


def test_the_seed_decides():
    pairs = pairs_of(*[(64, 64)] * 20)
    chosen = [split(pairs, fraction=0.2, patch=64, seed=s).validation for s in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fraction": 1.0}, "got 1.0"),
        ({"fraction": -0.1}, "got -0.1"),
        ({"fraction": 0.2, "gap": 8}, "got 8"),
    ],
)
def test_refusals(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        split(pairs_of((64, 64)), patch=32, seed=0, **options)


@pytest.mark.parametrize("seed", range(6))
def test_no_condition_is_held_out_whole(seed):
    image = np.zeros((64, 64), np.uint8)
    pairs = [open_pair(Pair(image, image, condition=name)) for name in "aaab"]
    parts = split(pairs, fraction=0.5, patch=32, seed=seed)
    assert {pairs[area.pair].condition for area in parts.train} == {"a", "b"}
    assert {pairs[area.pair].condition for area in parts.validation} == {"a"}


def test_conditions_of_one_image_each_are_split_inside():
    image = np.zeros((128, 128), np.uint8)
    pairs = [open_pair(Pair(image, image, condition=name)) for name in "abcd"]
    parts = split(pairs, fraction=0.2, patch=32, seed=0)
    assert len(parts.train) == len(parts.validation) == 4


@settings(deadline=None, max_examples=40)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 150), st.integers(1, 150)), min_size=1, max_size=5),
    conditions=st.lists(st.sampled_from("ab"), min_size=5, max_size=5),
    z_context=st.integers(0, 1),
    patch=st.sampled_from([16, 32, 64]),
    zoom=st.sampled_from([(1.0, 1.0), (0.5, 2.0)]),
    seed=st.integers(0, 9),
)
def test_no_patch_shows_what_is_held_out(shapes, conditions, z_context, patch, zoom, seed):
    """Held-out pixels are marked: whatever patches are drawn, padded or zoomed, none shows one."""
    frames = 2 if z_context else 1
    plain = [np.zeros((frames, *shape), np.float32) for shape in shapes]
    named = list(zip(plain, conditions, strict=False))
    parts = split(
        [open_pair(Pair(one, one, condition=name)) for one, name in named],
        fraction=0.3,
        patch=patch,
        seed=seed,
    )
    for area in parts.validation:
        plain[area.pair][:, area.box.top : area.box.bottom, area.box.left : area.box.right] = 1
    pairs = [open_pair(Pair(one, one, condition=name), z_context) for one, name in named]
    assert {conditions[area.pair] for area in parts.train} == set(conditions[: len(shapes)])
    codec = ImageCodec("minmax", "float32", (-1.0,) * 3, (1.0,) * 3, Layout())
    codecs = codec if z_context else ONE, ONE
    options = {"patch": patch, "batch": 8, "seed": seed, "zoom": zoom, "conditions": "ab"}
    drawn = PatchSampler(pairs, parts.train, *codecs, **options).batch(0)
    assert not drawn.source.any()
    assert not drawn.target.any()
    for area in parts.validation:
        held_out = slice(area.box.top, area.box.bottom), slice(area.box.left, area.box.right)
        assert pairs[area.pair].read(0, *held_out)[1].all()


def grouped(groups, conditions=None):
    image = np.zeros((64, 64), np.uint8)
    named = conditions or [None] * len(groups)
    return [
        open_pair(Pair(image, image, group=group, condition=condition))
        for group, condition in zip(groups, named, strict=True)
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("groups", ["aabb", "aaabbbccc", "abcabcabcdd"])
def test_whole_groups_are_held_out(groups, seed):
    pairs = grouped(groups)
    parts = split(pairs, fraction=0.2, patch=32, seed=seed)
    trained = {pairs[area.pair].group for area in parts.train}
    held_out = {pairs[area.pair].group for area in parts.validation}
    assert trained | held_out == {*groups}
    assert not trained & held_out
    assert len(held_out) == 1
    assert f" %): 1 whole group of {len({*groups})}, such as wells." in parts.note


def test_images_without_a_group_stand_for_themselves():
    parts = split(grouped(["a", "a", None, None, None]), fraction=0.5, patch=32, seed=1)
    held_out = {area.pair for area in parts.validation}
    assert {0, 1} <= held_out or not {0, 1} & held_out


@pytest.mark.parametrize("groups", ["aaaaa", "aaabbb"])
def test_where_no_group_can_be_spared_the_note_says_that_its_images_are_trained_on(groups):
    # A group that holds all images of a condition can't be held out.
    parts = split(grouped(groups, [*groups]), fraction=0.2, patch=32, seed=0)
    assert len(parts.validation) == 1
    assert "others of their group, such as a well, are trained on" in parts.note
