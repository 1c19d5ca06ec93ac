import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.data.pair import (
    Pair,
    correct_shift,
    make_pairs,
    open_pair,
    stop_if_asked,
    stop_when,
)
from napari_pix2pix.errors import InputError, StoppedError, UnexpectedError

ALL = slice(None)


@pytest.mark.parametrize("names", [float("nan"), 3, {"a": 1}, [1], np.zeros(2)])
def test_names_of_channels_are_names(names):
    stack = np.zeros((4, 20, 30))
    with pytest.raises(InputError, match="channel_names must be a list of names, got"):
        open_pair(Pair(stack, stack, channel_names=names))


def test_an_open_pair_knows_its_size():
    stack = np.zeros((4, 20, 30))
    opened = open_pair(Pair(stack, stack.astype(np.uint8), name="a"))
    assert (opened.height, opened.width, opened.frames, opened.name) == (20, 30, 4, "a")
    assert open_pair(Pair(stack[:1], stack[0])).frames == 1  # which needs no axis of frames
    with_neighbours = open_pair(Pair(stack, stack), z_context=2)
    assert (with_neighbours.source.channels, with_neighbours.target.channels) == (5, 1)


@pytest.mark.parametrize(
    ("source", "target", "axis", "channels"),
    [
        ((13, 20, 30), (20, 30), 0, (13, 1)),
        ((20, 30), (3, 20, 30), 0, (1, 3)),
        ((13, 20, 30), (3, 20, 30), 0, (13, 3)),
        ((20, 30, 3), (2, 20, 30), 0, (3, 2)),
        ((5, 13, 20, 30), (5, 20, 30), 1, (13, 1)),
        ((5, 20, 30), (5, 20, 30), None, (1, 1)),
        ((5, 20, 30), (20, 30, 5), (0, -1), (5, 5)),
        ((20, 30), (3, 20, 30), (None, 0), (1, 3)),
    ],
)
def test_the_channel_axis_is_used_where_it_fits(source, target, axis, channels):
    opened = open_pair(Pair(np.zeros(source), np.zeros(target), channel_axis=axis))
    assert (opened.source.channels, opened.target.channels) == channels


def test_integers_without_a_mask_are_valid_everywhere():
    image = np.ones((5, 6), np.uint8)
    assert open_pair(Pair(image, image)).read(0, ALL, ALL)[2] is None


def test_valid_is_inside_the_mask_and_finite_in_both():
    source = np.ones((3, 5, 6), np.float32)
    target = np.ones((2, 5, 6), np.float32)
    mask = np.ones((5, 6), np.uint8)
    source[1, 0, 0] = np.nan
    target[1, 0, 1] = np.inf
    mask[0, 2] = 0
    opened = open_pair(Pair(source, target, mask=mask, channel_axis=0))

    valid = opened.read(0, ALL, ALL)[2]

    expected = np.ones((2, 5, 6), bool)
    expected[:, 0, 0] = expected[1, 0, 1] = expected[:, 0, 2] = False
    np.testing.assert_array_equal(valid, expected)


def test_a_plain_mask_holds_for_all_frames_and_a_stack_for_its_own():
    image = np.ones((3, 5, 6), np.uint8)
    plane = np.eye(5, 6, dtype=bool)
    for frame in range(3):
        valid = open_pair(Pair(image, image, mask=plane)).read(frame, ALL, ALL)[2]
        np.testing.assert_array_equal(valid[0], plane)
    stack = np.stack([plane, ~plane, plane])
    valid = open_pair(Pair(image, image, mask=stack)).read(1, ALL, ALL)[2]
    np.testing.assert_array_equal(valid[0], ~plane)


def test_a_channel_that_a_target_lacks_is_never_valid():
    gray = np.ones((5, 6), np.uint8)
    mask = np.ones((5, 6), bool)
    mask[0] = False
    opened = open_pair(Pair(gray, (None, gray, None), mask=mask))
    _, target, valid = opened.read(0, slice(0, 2), slice(1, 4))
    assert (opened.target.channels, opened.target.absent, target.dtype) == (3, (0, 2), np.uint8)
    assert target.tolist() == [[[0] * 3] * 2, [[1] * 3] * 2, [[0] * 3] * 2]
    assert valid.tolist() == [[[False] * 3] * 2, [[False] * 3, [True] * 3], [[False] * 3] * 2]
    stack = np.ones((2, 4, 5, 6), np.float32)
    opened = open_pair(Pair(gray[np.newaxis].repeat(4, 0), (stack, None), channel_axis=(None, 0)))
    assert opened.target.absent == (2,)
    assert opened.read(3, ALL, ALL)[2].any(axis=(1, 2)).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        (Pair(np.zeros((20, 30)), np.zeros((20, 31))), "20 x 30 pixels, the target 20 x 31"),
        (Pair(np.zeros((4, 20, 30)), np.zeros((5, 20, 30))), "4 frames, the target 5"),
        (Pair(np.zeros((4, 20, 30)), np.zeros((20, 30))), "channel_axis where an axis holds"),
        (Pair(np.zeros((13, 20, 30)), np.zeros((21, 30)), channel_axis=0), "channel_axis=0"),
        (Pair(np.zeros((20, 30)), None), "no target"),
        (Pair(np.zeros((4, 4)), (None, None)), "nothing but None; give at least one array"),
        (Pair((np.zeros((4, 4)), None), np.zeros((4, 4))), "only a target may lack channels"),
        (Pair(np.zeros((2, 4, 4)), np.zeros((4, 4)), channel_axis=(None, None)), "same frames"),
        (Pair(None, None), "no target"),
        (Pair(None, np.zeros((20, 30)), mask=np.ones((4, 5), bool)), "4 x 5 pixels"),
        (Pair(np.zeros((20, 30), object), np.zeros((20, 30)), name="x"), "source of x has dtype"),
        (Pair(np.zeros((4, 4)), np.zeros((4, 4)), mask=np.zeros((4, 5), bool)), "4 x 5 pixels"),
        (Pair(np.zeros((4, 4)), np.zeros((4, 4)), mask=np.zeros((4, 4))), "booleans or integers"),
        (
            Pair(np.zeros((2, 4, 4)), np.zeros((2, 4, 4)), mask=np.zeros((3, 4, 4), bool)),
            "one frame for all",
        ),
    ],
)
def test_refusals(pair, sentence):
    with pytest.raises(InputError, match=sentence):
        open_pair(pair)


def test_repr_tells_shapes_and_not_values():
    pair = Pair(np.zeros((20, 30)), (np.zeros((20, 30), np.uint8),) * 2, condition="DAPI")
    assert repr(pair) == (
        "Pair(source=<float64 (20, 30)>, target=(<uint8 (20, 30)>, <uint8 (20, 30)>), "
        "condition='DAPI', name='')"
    )


@pytest.mark.parametrize(
    ("axis", "channels", "frames"), [(None, 1, 3), (0, 3, 1), ((1, 0), 3, 1), ((0, None), 1, 3)]
)
def test_without_a_source_the_target_is_read_alone(axis, channels, frames):
    target = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30)
    opened = open_pair(Pair(None, target, channel_axis=axis), z_context=1)
    assert (opened.target.channels, opened.frames) == (channels, frames)
    assert (opened.source.channels, opened.source.frames) == (0, frames)
    source, read, valid = opened.read(frames - 1, slice(4, 9), slice(20, 40))
    assert source.shape == (0, 5, 10)
    assert read.shape == (channels, 5, 10)
    assert valid is None


IMAGE = np.random.default_rng(0).integers(0, 5000, (280, 280)).astype(np.uint16)


@settings(deadline=None, max_examples=25)
@given(
    dy=st.integers(-6, 6), dx=st.integers(-6, 6), layout=st.sampled_from(["plain", "rgb", "axis"])
)
def test_correcting_takes_the_shift_out(dy, dx, layout):
    field = np.random.default_rng(1).random((2, 3, 40, 36)).astype(np.float32)
    axis = {"plain": 0, "rgb": -1, "axis": 1}[layout]
    field = np.moveaxis(field, 1, axis)
    spatial = [i for i in range(4) if i != axis % 4][-2:]

    def part(top, left):
        index = [slice(None)] * 4
        index[spatial[0]], index[spatial[1]] = slice(top, top + 28), slice(left, left + 24)
        return field[tuple(index)]

    pair = Pair(part(6, 6), part(6 - dy, 6 - dx), channel_axis=axis, condition="a", name="n")
    mask = Pair(
        pair.source, pair.target, channel_axis=axis, mask=np.arange(28 * 24).reshape(28, 24)
    )
    corrected = correct_shift(mask, (dy + 0.3, dx - 0.3))
    opened = open_pair(corrected)
    size = (28 - abs(dy), 24 - abs(dx))
    assert (opened.height, opened.width, opened.frames) == (*size, 2)
    assert opened.source.channels == 3
    assert sorted(opened.source.shape) == sorted((2, 3, *size))
    source, target, valid = opened.read(1, slice(2, 20), slice(None))
    np.testing.assert_array_equal(source, target)
    top, left = max(dy, 0), max(dx, 0)
    wanted = mask.mask[top:, left:][2 : min(20, size[0]), : size[1]] != 0
    np.testing.assert_array_equal(valid[0], wanted)
    kept = correct_shift(pair, (0, 0))
    assert (kept.condition, kept.name) == ("a", "n")


def test_a_corrected_pair_is_read_lazily_and_twice_corrected():
    lazy = da.from_array(IMAGE, chunks=40)
    stored = zarr.array(IMAGE, chunks=(40, 40))
    corrected = correct_shift(correct_shift(Pair(stored, lazy), (3, 2)), (-3, -2))
    opened = open_pair(corrected, z_context=0)
    source, target, _ = opened.read(0, slice(None), slice(None))
    np.testing.assert_array_equal(source, target)
    np.testing.assert_array_equal(source[0], IMAGE[3:-3, 2:-2][: opened.height, : opened.width])


@pytest.mark.parametrize("offset", [(280, 0), (0, -300), (np.nan, 0)])
def test_impossible_corrections_are_refused(offset):
    with pytest.raises(InputError, match=r"leaves nothing of the pair|can't be corrected"):
        correct_shift(Pair(IMAGE, IMAGE), offset)


def test_reading_ends_when_it_is_asked_to_and_only_within():
    pair = open_pair(Pair(np.zeros((8, 9)), np.ones((8, 9))))
    window = 0, slice(0, 4), slice(0, 4)
    asked: list[bool] = []
    with stop_when(lambda: bool(asked)):
        assert pair.read(*window)[0].shape == (1, 4, 4)
        asked.append(True)
        with pytest.raises(StoppedError, match="no model yet"):
            pair.read(*window)
        with pytest.raises(StoppedError):
            stop_if_asked()
    stop_if_asked()
    assert pair.read(*window)[1].max() == 1


SMALL = np.arange(64.0).reshape(8, 8)


def test_one_image_of_each():
    (pair,) = make_pairs(SMALL, SMALL + 1, condition="GFP", mask=SMALL > 3, channel_axis=-1)
    assert pair.source is SMALL
    assert (pair.target == SMALL + 1).all()
    assert (pair.condition, pair.channel_axis, pair.name) == ("GFP", -1, "")
    assert pair.mask.sum() == 60
    (pair,) = make_pairs((SMALL, SMALL), SMALL)
    assert isinstance(pair.source, tuple)


def test_lists_are_paired_in_their_order():
    images = [SMALL + i for i in range(3)]
    pairs = make_pairs(images, images[::-1], condition=["a", None, "c"], group=["A/1", 1, None])
    assert [pair.source[0, 0] for pair in pairs] == [0, 1, 2]
    assert [pair.target[0, 0] for pair in pairs] == [2, 1, 0]
    assert [pair.condition for pair in pairs] == ["a", None, "c"]
    assert [pair.group for pair in pairs] == ["A/1", 1, None]
    assert [pair.name for pair in pairs] == ["pair 1", "pair 2", "pair 3"]
    assert [pair.mask for pair in pairs] == [None] * 3


def test_mask_and_condition_for_all():
    pairs = make_pairs([SMALL] * 2, [SMALL] * 2, condition=("a", 1), mask=SMALL > 3)
    assert {pair.condition for pair in pairs} == {("a", 1)}
    assert pairs[0].mask is pairs[1].mask


@pytest.mark.parametrize(
    ("sources", "targets", "more", "words"),
    [
        ([], [], {}, "0 sources and 0 targets"),
        ([SMALL], [SMALL] * 2, {}, "1 source and 2 targets"),
        ([SMALL] * 2, SMALL, {}, "2 sources and 1 target"),
        ([SMALL] * 2, [SMALL] * 2, {"condition": ["a"]}, "1 condition for 2 pairs"),
        ([SMALL] * 2, [SMALL] * 2, {"mask": [SMALL] * 3}, "3 masks for 2 pairs"),
    ],
)
def test_lists_that_differ_in_length(sources, targets, more, words):
    with pytest.raises(InputError, match=words):
        make_pairs(sources, targets, **more)


@pytest.mark.parametrize("planes", [2, -3])
def test_planes_are_cut_to_those_that_both_share(planes):
    stack = np.random.default_rng(0).random((2, 9, 30, 32))
    if planes > 0:
        source, target = stack[:, planes:], stack[:, :-planes]
    else:
        source, target = stack[:, : 9 + planes], stack[:, -planes:]
    corrected = correct_shift(Pair(source, target, mask=np.ones((30, 32), bool)), (0, 0), planes)
    opened = open_pair(corrected)
    assert opened.source.frame_shape == (2, source.shape[1] - abs(planes))
    assert opened.source.shape == (*opened.source.frame_shape, 30, 32)
    for frame in range(opened.frames):
        given, wanted, valid = opened.read(frame, slice(None), slice(None))
        np.testing.assert_array_equal(given, wanted)
        assert valid.all()


def test_more_planes_than_there_are_can_not_be_cut():
    stack = np.zeros((4, 30, 32))
    with pytest.raises(InputError, match="leaves nothing of the pair"):
        correct_shift(Pair(stack, stack), (0, 0), -4)


def test_array_that_fails_when_it_is_described_is_an_error_of_ours():
    class Odd:
        dtype = np.dtype("uint8")

        @property
        def shape(self):
            return {}["a"]

    with pytest.raises(UnexpectedError, match="KeyError: 'a'"):
        repr(Pair(Odd(), Odd()))
