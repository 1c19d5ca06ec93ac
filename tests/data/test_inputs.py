from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.data.inputs import check_channels, check_finite, lay_out_source, make_pairs
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.errors import InputError

IMAGE = np.arange(64.0).reshape(8, 8)


def test_one_image_of_each():
    (pair,) = make_pairs(IMAGE, IMAGE + 1, condition="GFP", mask=IMAGE > 3, channel_axis=-1)
    assert pair.source is IMAGE
    assert (pair.target == IMAGE + 1).all()
    assert (pair.condition, pair.channel_axis, pair.name) == ("GFP", -1, "")
    assert pair.mask.sum() == 60


def test_lists_are_paired_in_their_order():
    images = [IMAGE + i for i in range(3)]
    pairs = make_pairs(images, images[::-1], condition=["a", None, "c"])
    assert [pair.source[0, 0] for pair in pairs] == [0, 1, 2]
    assert [pair.target[0, 0] for pair in pairs] == [2, 1, 0]
    assert [pair.condition for pair in pairs] == ["a", None, "c"]
    assert [pair.name for pair in pairs] == ["pair 1", "pair 2", "pair 3"]
    assert [pair.mask for pair in pairs] == [None] * 3


def test_mask_and_condition_for_all():
    pairs = make_pairs([IMAGE] * 2, [IMAGE] * 2, condition=("a", 1), mask=IMAGE > 3)
    assert {pair.condition for pair in pairs} == {("a", 1)}
    assert pairs[0].mask is pairs[1].mask


def test_tuple_is_one_image():
    (pair,) = make_pairs((IMAGE, IMAGE), IMAGE)
    assert isinstance(pair.source, tuple)


@pytest.mark.parametrize(
    ("sources", "targets", "more", "words"),
    [
        ([], [], {}, "0 sources and 0 targets"),
        ([IMAGE], [IMAGE] * 2, {}, "1 sources and 2 targets"),
        ([IMAGE] * 2, IMAGE, {}, "2 sources and 1 targets"),
        ([IMAGE] * 2, [IMAGE] * 2, {"condition": ["a"]}, "1 conditions for 2 pairs"),
        ([IMAGE] * 2, [IMAGE] * 2, {"mask": [IMAGE] * 3}, "3 masks for 2 pairs"),
    ],
)
def test_lists_that_differ_in_length(sources, targets, more, words):
    with pytest.raises(InputError, match=words):
        make_pairs(sources, targets, **more)


@pytest.mark.parametrize(
    ("shape", "layout", "channels"),
    [
        ((8, 9), Layout(), 1),
        ((4, 8, 9), Layout(), 1),
        ((8, 9, 3), Layout(-1, rgb=True), 3),
        ((5, 8, 9, 4), Layout(-1, rgb=True), 3),
        ((2, 8, 9), Layout(-3), 2),
        ((5, 2, 8, 9), Layout(-3), 2),
        ((2, 8, 9), Layout(-4), 2),
    ],
)
def test_source_is_read_as_in_training(shape, layout, channels):
    planes = lay_out_source(np.ones(shape, np.uint8), layout, channels)
    assert (planes.channels, planes.height, planes.width) == (channels, 8, 9)


def test_planes_are_taken_as_they_are():
    planes = Planes(np.ones((8, 9, 2)), channel_axis=-1)
    assert lay_out_source(planes, Layout(-3), 2) is planes


def test_neighbours_are_channels():
    planes = lay_out_source(np.ones((5, 8, 9)), Layout(), 3, z_context=1)
    assert planes.read(0, slice(0, 2), slice(0, 2)).shape == (3, 2, 2)
    with pytest.raises(InputError, match="of 1 channel, got 3"):
        lay_out_source(np.ones((8, 9, 3)), Layout(), 3, z_context=1)


@pytest.mark.parametrize("rows", [8, 300])
def test_one_finite_pixel_is_enough(rows):
    image = np.full((2, rows, 4), np.nan)
    with pytest.raises(InputError, match="no finite pixel"):
        check_finite(Planes(image))
    image[1, -1, -1] = 0
    check_finite(Planes(image))


def test_channels_other_than_trained():
    with pytest.raises(InputError, match="of 2 channels, got 1"):
        check_channels(Planes(IMAGE), 2)
    with pytest.raises(InputError, match=r"of 2 channels, got one of shape \(8, 8\)"):
        lay_out_source(IMAGE, Layout(-3), 2)
    with pytest.raises(InputError, match="RGB images of 3 channels, got one of shape"):
        lay_out_source(np.ones((8, 8, 2)), Layout(-1, rgb=True), 3)
