import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pix2pix.data.class_codec import ClassCodec, leave_out_unknown
from napari_pix2pix.data.codecs import ImageCodec, codec_from_dict
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import FileError, InputError

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


@settings(deadline=None, max_examples=100)
@given(dtype=st.sampled_from(DTYPES), channels=st.integers(1, 3), data=st.data())
def test_every_map_comes_back_exactly(dtype, channels, data):
    largest = 1 if dtype == "bool" else min(np.iinfo(dtype).max, 2**62)
    values = data.draw(st.lists(st.integers(0, largest), min_size=2, max_size=8, unique=True))
    raw = data.draw(hnp.arrays(np.int64, (channels, 3, 4), elements=st.sampled_from(values)))
    raw = raw.astype(dtype)
    if raw.min() == raw.max():
        return
    codec = ClassCodec.fit([raw], layout=Layout())
    planes = codec.encode(raw)
    back = codec.decode(planes)
    assert planes.dtype == np.float32
    assert planes.shape == (codec.planes, 3, 4)
    assert set(np.unique(planes)) == {-1, 1}
    assert back.dtype == raw.dtype
    np.testing.assert_array_equal(back, raw)


def test_stated_classes_need_not_be_met():
    raw = np.array([[[0, 1, 255]]], np.uint8)
    assert ClassCodec.fit([raw[..., :2]], layout=Layout(), classes=4).values == (0, 1, 2, 3)
    assert ClassCodec.fit([raw], layout=Layout(), classes=3).values == (0, 1, 255)
    # What is masked is no class.
    inside = [raw != 255]
    assert ClassCodec.fit([raw], inside, layout=Layout(), classes=3).values == (0, 1, 2)


def test_classes_that_are_known_from_elsewhere_count():
    raw = np.array([[[0, 1]]], np.uint8)
    codec = ClassCodec.fit([raw], layout=Layout(), values=[1, 200])
    assert codec.values == (0, 1, 200)
    with pytest.raises(InputError, match=r"3 classes .* and 2 are stated"):
        ClassCodec.fit([raw], layout=Layout(), values=[200], classes=2)


def test_the_largest_plane_wins_in_each_frame():
    codec = ClassCodec("uint8", (0, 4, 9), Layout())
    planes = np.full((2, 3, 1, 2), -0.9)
    planes[0, 2, 0, 0] = planes[1, 1, 0, 1] = -0.8
    assert codec.decode(planes).tolist() == [[[[9, 0]]], [[[0, 4]]]]


def test_numbers_become_the_nearest_class():
    codec = ClassCodec("uint8", (0, 4, 9), Layout())
    assert codec.as_target(np.array([-3.0, 1.9, 2.1, 6.4, 6.6, 99.0])).tolist() == [
        0, 0, 4, 4, 9, 9,
    ]  # fmt: skip


def test_booleans_stay_booleans():
    raw = np.eye(3, dtype=bool)[np.newaxis]
    codec = ClassCodec.fit([raw], layout=Layout())
    assert codec.values == (0, 1)
    assert codec.decode(codec.encode(raw)).dtype == bool


def test_masked_values_are_no_classes():
    raw = np.array([[[1, 1, 255]]], np.uint8)
    mask = np.array([[[True, True, False]]])
    with pytest.raises(InputError, match="one value only"):
        ClassCodec.fit([raw], [mask], layout=Layout())
    raw[0, 0, 0] = 0
    codec = ClassCodec.fit([raw], [mask], layout=Layout())
    assert codec.values == (0, 1)
    assert codec.encode(raw)[:, 0].T.tolist() == [[1, -1], [-1, 1], [0, 0]]
    assert codec.is_class(raw).tolist() == [[[True, True, False]]]


def test_rare_classes_weigh_more():
    raw = np.zeros((1, 10, 10), np.uint8)
    raw[0, 0, :4] = 1
    codec = ClassCodec.fit([raw], layout=Layout(), classes=3)
    weights = codec.class_weights([raw])
    assert 0.96 * weights[0] + 0.04 * weights[1] == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx((96 / 4) ** 0.5)
    assert weights[2] / weights[1] == pytest.approx(2)
    mask = np.zeros(raw.shape, bool)
    mask[0, 0, :8] = True
    even = codec.class_weights([raw], [mask])
    assert even[0] == pytest.approx(even[1])


@pytest.mark.parametrize(
    ("raw", "classes", "message"),
    [
        (np.full((1, 2, 2), 3), None, "one value only"),
        (np.array([[[-1, 0]]]), None, "negative label -1"),
        (np.array([[[0.0, 1.0]]]), None, "float64 values"),
        (np.arange(65).reshape(1, 5, 13), None, "65 values, but 64 classes"),
        (np.array([[[0, 1, 5, 6]]]), 2, "4 classes .labels 0, 1, 5, 6., and 2 are stated"),
        (np.array([[[0, 5]]]), 3, "int64 labels 0, 5, and 3 classes .* 0 to 2: renumber"),
        (np.array([[[False, True]]]), 3, "bool labels 0, 1, and 3 classes"),
    ],
)
def test_unusable_labels_are_refused_in_words(raw, classes, message):
    with pytest.raises(InputError, match=message):
        ClassCodec.fit([raw], layout=Layout(), classes=classes, what="target")


def test_blocks_and_images_must_agree():
    with pytest.raises(InputError, match="no block"):
        ClassCodec.fit([], layout=Layout())
    one = np.array([[[0, 1]]], np.uint8)
    with pytest.raises(InputError, match="uint16 here, uint8 there"):
        ClassCodec.fit([one, one.astype(np.uint16)], layout=Layout())
    with pytest.raises(InputError, match="channel counts"):
        ClassCodec.fit([one, np.concatenate([one, one])], layout=Layout())
    with pytest.raises(InputError, match="2 channels"):
        ClassCodec("uint8", (0, 1), Layout()).encode(np.zeros((2, 3, 6), np.uint8))


@pytest.mark.parametrize(
    "damage",
    [
        {"dtype": "float32"},
        {"values": [3, 0]},
        {"values": [0, 300]},
        {"values": [-1, 0]},
        {"values": [0]},
        {"values": [0, 0.5]},
        {"channels": 0},
        {"channel_axis": "x"},
        {"dtype": "no"},
    ],
)
def test_damaged_parts_are_refused(damage):
    with pytest.raises(FileError, match="damaged"):
        codec_from_dict(ClassCodec("uint8", (0, 1), Layout()).to_dict() | damage)


@settings(deadline=None, max_examples=50)
@given(labels=hnp.arrays(np.uint8, (2, 1, 5, 6), elements=st.integers(0, 4)))
def test_the_mean_weight_over_pixels_is_one_and_rarer_classes_weigh_more(labels):
    if len(np.unique(labels)) < 2:
        return
    codec = ClassCodec.fit(labels, layout=Layout())
    weights = np.array(codec.class_weights(labels))
    assert weights[np.searchsorted(codec.values, labels)].mean() == pytest.approx(1)
    counts = np.array([(labels == value).sum() for value in codec.values])
    assert (np.diff(weights[np.argsort(-counts, kind="stable")]) >= -1e-12).all()


IMAGE = ImageCodec("minmax", "uint8", (0.0,), (9.0,), Layout())


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
