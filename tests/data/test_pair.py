from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.errors import InputError

ALL = slice(None)


def test_an_open_pair_knows_its_size():
    opened = open_pair(Pair(np.zeros((4, 20, 30)), np.zeros((4, 20, 30), np.uint8), name="a"))
    assert (opened.height, opened.width, opened.frames, opened.name) == (20, 30, 4, "a")


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


def test_z_context_gives_the_source_its_neighbours():
    opened = open_pair(Pair(np.zeros((4, 20, 30)), np.zeros((4, 20, 30))), z_context=2)
    assert (opened.source.channels, opened.target.channels) == (5, 1)


def test_single_frames_need_no_frame_axis():
    assert open_pair(Pair(np.zeros((1, 20, 30)), np.zeros((20, 30)))).frames == 1


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
        (Pair(np.zeros((4, 20, 30)), np.zeros((5, 20, 30))), r"frames \(4,\), the target \(5,\)"),
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
            "one plane for all",
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
