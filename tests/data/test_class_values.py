from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pix2pix.data import class_values
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.class_values import (
    held_values,
    large_parts,
    leave_out_of_blocks,
    leave_out_unknown,
)
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.sample import Block
from napari_pix2pix.data.split import Area, whole_areas

DTYPES = ["bool", "uint8", "int16", "uint16", "int32", "int64"]
IMAGE = ImageCodec("minmax", "uint8", (0.0,), (9.0,), Layout())


def opened(target, **fields):
    return [open_pair(Pair(np.zeros(target.shape, np.uint8), target, **fields))]


@settings(deadline=None, max_examples=60)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    strip=st.integers(1, 40),
    data=st.data(),
)
def test_every_value_inside_area_and_mask_is_found_however_it_is_read(dtype, shape, strip, data):
    largest = 1 if dtype == "bool" else np.iinfo(dtype).max
    elements = st.sampled_from([0, 1, largest])
    labels = data.draw(hnp.arrays(np.int64, shape, elements=elements)).astype(dtype)
    mask = data.draw(hnp.arrays(bool, shape))
    area = Area(0, shape[1] // 2, shape[1], shape[2] // 3, shape[2])
    inside = (slice(None), slice(area.top, None), slice(area.left, None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_values, "_STRIP", strip)
        every = held_values(opened(labels), [area], "target")
        masked = held_values(opened(labels, mask=mask), [area], "target")
    np.testing.assert_array_equal(every, np.unique(labels[inside]))
    np.testing.assert_array_equal(masked, np.unique(labels[inside][mask[inside]]))


def test_what_is_not_in_memory_is_not_read(tmp_path):
    labels = np.eye(8, dtype=np.uint8)
    mapped = np.memmap(tmp_path / "labels", np.uint8, "w+", shape=(8, 8))
    for target in (da.from_array(labels), mapped, np.asarray(mapped)[2:]):
        pairs = opened(target)
        assert held_values(pairs, whole_areas(pairs), "target") is None
    pairs = opened(labels, mask=da.from_array(labels))
    assert held_values(pairs, whole_areas(pairs), "target") is None
    pairs = opened(labels[1:])
    assert held_values(pairs, whole_areas(pairs), "target").tolist() == [0, 1]


def test_parts_are_large_few_and_inside_the_areas():
    labels = np.arange(40 * 3 * 5000).reshape(40, 3, 5000)
    pairs = opened(labels)
    parts = large_parts(pairs, [Area(0, 1, 3, 0, 5000)], "target")
    assert len(parts) == 14
    np.testing.assert_array_equal(parts[1], labels[3:4, 1:, 1476:3524])
    lazy = opened(da.from_array(labels))
    assert large_parts(lazy, whole_areas(lazy), "target") == []


@settings(deadline=None, max_examples=60)
@given(
    raw=hnp.arrays(np.uint8, (1, 3, 4), elements=st.integers(0, 3)),
    valid=st.none() | hnp.arrays(bool, st.sampled_from([(1, 3, 4), (2, 3, 4)])),
)
def test_pixels_count_that_counted_and_are_of_a_class(raw, valid):
    codec = ClassCodec("uint8", (0, 2), Layout())
    before = np.ones((1, 3, 4), bool) if valid is None else valid
    left, unknown = leave_out_unknown(raw, codec, valid, "source")
    after = np.ones((1, 3, 4), bool) if left is None else left
    np.testing.assert_array_equal(after, before & np.isin(raw, (0, 2)))
    counted = raw[before.any(axis=0, keepdims=True)]
    assert unknown == sorted(set(counted.tolist()) - {0, 2})
    assert leave_out_unknown(raw, IMAGE, valid, "source") == (valid, [])


def test_blocks_lose_unknown_pixels_and_it_is_said_once_a_side():
    labels = np.array([[[0, 1, 7, 9]]], np.uint8)
    codec = ClassCodec("uint8", (0, 1, 9), Layout())
    whole = slice(0, 1), slice(0, 4)
    block = Block(0, 0, *whole, labels, labels, np.ones((1, 1, 4), bool))
    blocks, said = leave_out_of_blocks([block, block], IMAGE, codec)
    assert all(one.valid.tolist() == [[[True, True, False, True]]] for one in blocks)
    assert len(said) == 1
    assert said[0].startswith("The target holds label 7 where it is held out")
    assert leave_out_of_blocks([block], IMAGE, IMAGE)[1] == []
