from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import measure

from napari_pix2pix.data._instance_codec import InstanceCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import ConfigError, FileError, InputError


def squares(dtype="uint16") -> np.ndarray:
    labels = np.zeros((1, 40, 40), dtype)
    for number, corner in enumerate(((2, 2), (2, 10), (20, 20), (20, 29)), start=1):
        labels[0, corner[0] : corner[0] + 8, corner[1] : corner[1] + 8] = 10 * number
    return labels


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint64"])
def test_objects_come_back_in_their_dtype(dtype):
    raw = squares(dtype)
    codec = InstanceCodec.fit([raw], layout=Layout())
    back = codec.decode(codec.encode(raw))
    assert back.dtype == raw.dtype
    np.testing.assert_array_equal(back, (raw + 9) // 10)


@settings(deadline=None, max_examples=40)
@given(
    dtype=st.sampled_from(
        ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
    ),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    side=st.integers(3, 9),
    seed=st.integers(0, 99),
)
def test_any_map_of_touching_objects_comes_back_in_its_dtype(dtype, shape, side, seed):
    order = np.random.default_rng(seed).permutation(np.prod(shape) + 1)[: np.prod(shape)]
    raw = np.kron(order.reshape(shape), np.ones((side, side), int))[np.newaxis].astype(dtype)
    codec = InstanceCodec(dtype, 1, Layout())
    back = codec.decode(codec.encode(raw))
    assert back.dtype == raw.dtype
    # The same pixels belong together, whatever their numbers.
    pairs = np.unique(np.stack([raw.ravel(), back.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    np.testing.assert_array_equal(back == 0, raw == 0)


@settings(deadline=None, max_examples=80)
@given(
    dtype=st.sampled_from(["uint8", "uint16", "int32", "uint32", "int64", "uint64"]),
    values=hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)),
                      elements=st.integers(0, 3)),
    reach=st.integers(1, 12),
)  # fmt: skip
def test_any_map_of_connected_objects_comes_back(dtype, values, reach):
    """Objects of any shape, with holes, one pixel wide, wrapped round each other."""
    raw = measure.label(values, background=0, connectivity=1)[np.newaxis].astype(dtype)
    codec = InstanceCodec(dtype, 1, Layout(), reach=reach)
    back = codec.decode(codec.encode(raw))
    assert back.dtype == raw.dtype
    pairs = np.unique(np.stack([raw.ravel(), back.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    np.testing.assert_array_equal(back == 0, raw == 0)


def test_the_dtype_grows_with_the_number_of_objects():
    raw = np.zeros((1, 40, 40), np.uint16)
    raw[0, ::2, ::2] = np.arange(1, 401).reshape(20, 20)
    codec = InstanceCodec("uint8", 1, Layout())
    back = codec.decode(codec.encode(raw))
    assert back.dtype == np.uint16
    assert back.max() == 400
    few = InstanceCodec("bool", 1, Layout())
    assert few.decode(few.encode(raw[:, :4, :4])).dtype == np.uint8


def test_channels_and_frames_are_taken_apart_one_by_one():
    raw = np.concatenate([squares(), squares()[:, ::-1]])
    codec = InstanceCodec.fit([raw], layout=Layout())
    planes = codec.encode(raw)
    assert codec.planes == len(planes) == 8
    frames = codec.decode(np.stack([planes, planes]))
    assert frames.shape == (2, 2, 40, 40)
    np.testing.assert_array_equal(frames[1] > 0, raw > 0)
    assert frames.max() == 4


def test_smallest_is_a_quarter_of_a_small_object_that_no_edge_cuts():
    raw = squares()
    raw[0, 0, 39] = 99
    assert InstanceCodec.fit([raw], layout=Layout()).smallest == 16
    assert InstanceCodec.fit([raw], layout=Layout(), smallest=3).smallest == 3
    cut = np.array([[[1, 1, 0, 2]]])
    assert InstanceCodec.fit([cut], layout=Layout()).smallest == 1


def test_masked_objects_do_not_count():
    raw = squares()
    with pytest.raises(InputError, match="one value only"):
        InstanceCodec.fit([raw], [np.zeros(raw.shape, bool)], layout=Layout())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (np.full((1, 2, 2), 3), "one value only"),
        (np.array([[[-1, 0]]]), "negative label -1"),
        (np.array([[[0.0, 1.0]]]), "float64 values"),
    ],
)
def test_unusable_labels_are_refused_in_words(raw, message):
    with pytest.raises(InputError, match=message):
        InstanceCodec.fit([raw], layout=Layout(), what="target")


def test_encoding_checks_labels():
    codec = InstanceCodec("uint16", 1, Layout())
    with pytest.raises(InputError, match="2 channels"):
        codec.encode(np.zeros((2, 3, 3), np.uint16))
    with pytest.raises(InputError, match="negative"):
        codec.encode(np.full((1, 3, 3), -2))


def test_labels_have_no_float_form():
    with pytest.raises(ConfigError, match="output='float'"):
        InstanceCodec("uint8", 1, Layout()).decode(np.zeros((4, 1, 1)), "float")


def test_a_codec_survives_json():
    codec = InstanceCodec("int32", 7, Layout(-3), channels=2, reach=4)
    assert InstanceCodec.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec


@pytest.mark.parametrize(
    "damage", [{"dtype": "float32"}, {"smallest": 0}, {"reach": 0.5}, {"channels": None}]
)
def test_damaged_parts_are_refused(damage):
    with pytest.raises(FileError, match="damaged"):
        InstanceCodec.from_dict(InstanceCodec("uint8", 1, Layout()).to_dict() | damage)
