import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pix2pix.data._instance_codec import InstanceCodec
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import ImageCodec, codec_from_dict, picture
from napari_pix2pix.data.intensities import METHODS
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import ConfigError, FileError, InputError

INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
FLOATS = ["float16", "float32", "float64"]


@settings(deadline=None, max_examples=200)
@given(dtype=st.sampled_from([*INTEGERS, "bool"]), method=st.sampled_from(METHODS), data=st.data())
def test_integers_come_back_within_a_grey_level(dtype, method, data):
    limits = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    # float64 holds integers below 2**53, float32 planes tell 2**24 levels apart.
    start = data.draw(st.integers(max(limits[0], -(2**52)), min(limits[1] - 1, 2**52)))
    stop = data.draw(st.integers(start + 1, min(limits[1], start + 2**23)))
    raw = data.draw(
        hnp.arrays(np.int64, (2, 3, 4), elements=st.integers(start, stop)).filter(
            lambda values: (np.ptp(values, axis=(1, 2)) > 0).all()
        )
    ).astype(dtype)
    codec = ImageCodec.fit([raw], method=method, layout=Layout(-3))
    planes = codec.encode(raw)
    if method == "dtype" and np.dtype(dtype).itemsize > 2:
        tolerance = (limits[1] - limits[0]) * 2.0**-24
    else:
        tolerance = 1
    back = codec.decode(planes)
    assert planes.dtype == np.float32
    assert back.dtype == raw.dtype
    assert np.abs(back.astype(float) - raw.astype(float)).max() <= tolerance


@settings(deadline=None, max_examples=100)
@given(
    dtype=st.sampled_from(FLOATS),
    offset=st.sampled_from([-1000.0, 0.0, 0.5, 30000.0]),
    span=st.sampled_from([0.01, 1.0, 4000.0]),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 99),
)
def test_floats_come_back_to_their_own_precision(dtype, offset, span, method, seed):
    values = np.random.default_rng(seed).random((2, 6, 7)) * span + offset
    raw = values.astype(dtype)
    if (np.ptp(raw, axis=(1, 2)) == 0).any():
        return
    codec = ImageCodec.fit([raw], method=method, layout=Layout(-3))
    back = codec.decode(codec.encode(raw))
    assert back.dtype == raw.dtype
    step = float(np.spacing(np.abs(raw).max())) + max(codec.data_range) * 2.0**-24
    assert np.abs(back.astype(float) - raw.astype(float)).max() <= step


def test_low_and_high_become_minus_and_plus_one_and_nothing_is_clipped():
    codec = ImageCodec("minmax", "uint8", (50.0,), (150.0,), Layout())
    raw = np.array([[[0, 50, 100, 150, 200]]], np.uint8)
    np.testing.assert_allclose(codec.encode(raw).ravel(), [-2, -1, 0, 1, 2], atol=1e-6)
    planes = np.array([[[-9, -2, 0, 2, 9]]], np.float32)
    assert codec.decode(planes).ravel().tolist() == [0, 0, 100, 200, 255]
    assert codec.decode(planes, "float").ravel().tolist() == [-350, 0, 100, 200, 550]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("method", METHODS)
def test_narrow_integers_come_back_exactly(dtype, method):
    limits = np.iinfo(dtype)
    raw = np.arange(limits.min, limits.max + 1).astype(dtype).reshape(1, 16, -1)
    codec = ImageCodec.fit([raw], method=method, layout=Layout())
    np.testing.assert_array_equal(codec.decode(codec.encode(raw)), raw)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "float16"])
def test_predictions_beyond_the_dtype_stop_at_its_ends(dtype):
    limits = np.finfo(dtype) if dtype == "float16" else np.iinfo(dtype)
    high = float(limits.max) / 2
    codec = ImageCodec("minmax", dtype, (0.0,), (high,), Layout())
    low_end, high_end = codec.decode(np.array([[[-9.0, 9.0]]])).ravel()
    assert float(low_end) == float(limits.min)
    assert float(high_end) == pytest.approx(float(limits.max), rel=1e-12)
    assert high_end > 0


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("uint8", "float32"), ("float32", "float32"), ("int32", "float64"), ("float64", "float64")],
)
def test_float_output_is_wide_enough_for_its_dtype(dtype, expected):
    codec = ImageCodec("minmax", dtype, (0.0,), (9.0,), Layout())
    assert codec.decode(np.zeros((1, 2, 2), np.float32), "float").dtype == expected


def test_booleans_come_back_by_threshold():
    raw = np.zeros((1, 40, 40), bool)
    raw[0, 0, 0] = True
    codec = ImageCodec.fit([raw], layout=Layout())
    assert (codec.low, codec.high) == ((0.0,), (1.0,))
    np.testing.assert_array_equal(codec.decode(codec.encode(raw)), raw)
    assert codec.decode(np.array([[[-0.2, 0.2]]])).ravel().tolist() == [False, True]


def test_unlabelled_pixels_become_the_middle():
    codec = ImageCodec("minmax", "float32", (0.0,), (1.0,), Layout())
    raw = np.array([[[np.nan, np.inf, -np.inf, 1]]], np.float32)
    assert codec.encode(raw).ravel().tolist() == [0, 0, 0, 1]
    assert np.isnan(raw[0, 0, 0])


def test_stacks_of_frames_decode_at_once():
    codec = ImageCodec("minmax", "uint8", (0.0, 10.0), (10.0, 30.0), Layout(-3))
    assert codec.decode(np.ones((5, 2, 3, 4)))[4, :, 0, 0].tolist() == [10, 30]


def test_encode_wants_the_channels_of_the_training():
    codec = ImageCodec("minmax", "uint8", (0.0,) * 3, (9.0,) * 3, Layout(-1, rgb=True))
    with pytest.raises(InputError, match="has 1 channel, the training images had 3"):
        codec.encode(np.zeros((1, 4, 4), np.uint8))


LOW, HIGH = (0.1, 1 / 3, -1e300), (np.pi, 2 / 3, 1e300)


@pytest.mark.parametrize(
    "codec",
    [
        ImageCodec("percentile", "float64", LOW, HIGH, Layout()),
        ImageCodec("percentile", "float64", LOW, HIGH, Layout(-3)),
        ImageCodec("percentile", "float64", LOW, HIGH, Layout(-1, rgb=True)),
        ClassCodec("int16", (0, 3), Layout(-3), channels=2),
        InstanceCodec("int32", 7, Layout(-3), channels=2, reach=4),
    ],
)
def test_a_codec_survives_json_exactly(codec):
    assert codec_from_dict(json.loads(json.dumps(codec.to_dict()))) == codec


@pytest.mark.parametrize(
    "codec", [ClassCodec("uint8", (0, 1), Layout()), InstanceCodec("uint8", 1, Layout())]
)
def test_labels_have_no_float_form(codec):
    with pytest.raises(ConfigError, match="output='float'"):
        codec.decode(np.zeros((codec.planes, 1, 1)), "float")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "spectra"}, "'spectra'"),
        ({"low": [1.0, 2.0]}, "values make no sense"),
        ({"low": [9.0]}, "values make no sense"),
        ({"low": [float("nan")]}, "values make no sense"),
        ({"high": "many"}, "damaged"),
        ({"dtype": "uint7"}, "damaged"),
        ({"dtype": "complex64"}, "values make no sense"),
        ({"method": "magic"}, "damaged: 'method'"),
        ({"channel_axis": "first"}, "damaged"),
    ],
)
def test_damaged_parts_are_refused(change, sentence):
    parts = ImageCodec("minmax", "uint8", (0.0,), (9.0,), Layout()).to_dict() | change
    with pytest.raises(FileError, match=sentence):
        codec_from_dict(parts)


def test_missing_parts_are_refused():
    with pytest.raises(FileError, match="damaged: 'dtype'"):
        codec_from_dict({"kind": "image", "method": "minmax"})


def fit_codec(*blocks, valid=None, method="percentile", layout=Layout(-3), **options):  # noqa: B008
    return ImageCodec.fit(blocks, valid, method=method, layout=layout, **options)


HOT_PIXELS = np.tile(np.arange(1000, dtype=np.uint16), 10).reshape(1, 100, 100)
HOT_PIXELS[0, 0, :50:10] = 60000
BRIGHT_SPOT = np.full((1, 100, 100), 7, np.uint16)
BRIGHT_SPOT[0, 3, 3] = 900
NORMAL = np.random.default_rng(0).normal(100, 5, (1, 200, 200))
CHANNELS = np.array([[[0, 5]], [[10, 20]]]), np.array([[[9, 3]], [[15, 40]]])
SHORTS, FRACTIONS = np.array([[[3, 4]]], np.int16), np.array([[[0.25, 4.0]]])


@pytest.mark.parametrize(
    ("method", "blocks", "low", "high", "near"),
    [
        pytest.param("percentile", [HOT_PIXELS], 1, 999, 1, id="hot pixels are left out"),
        pytest.param("percentile", [BRIGHT_SPOT], 7, 900, 0, id="a spot on a constant ground"),
        pytest.param("minmax", CHANNELS, (0, 10), (9, 40), 0, id="of all blocks, by channel"),
        pytest.param("minmax", [np.ones((1, 4, 4)), np.eye(4)[None]], 0, 1, 0, id="one constant"),
        pytest.param("meanstd", [NORMAL], 85, 115, 0.5, id="three deviations"),
        pytest.param("dtype", [SHORTS], -32768, 32767, 0, id="the whole range of integers"),
        pytest.param("dtype", [FRACTIONS], 0.25, 4, 0, id="the minimum and maximum of floats"),
    ],
)
def test_ranges_are_those_of_the_method(method, blocks, low, high, near):
    codec = fit_codec(*blocks, method=method)
    np.testing.assert_allclose(codec.low, low, rtol=0, atol=near)
    np.testing.assert_allclose(codec.high, high, rtol=0, atol=near)


def test_only_what_is_finite_and_valid_counts_in_each_channel():
    raw = np.array([[[1.0, 2.0, np.nan, np.inf, -50.0]]])
    valid = np.array([[[True, True, True, True, False]]])
    codec = fit_codec(raw, valid=[valid], method="minmax")
    assert (codec.low, codec.high) == ((1.0,), (2.0,))
    raw = np.array([[[1, 2, 9]], [[1, 2, 9]]])
    valid = np.array([[[True, True, False]], [[True, True, True]]])
    assert fit_codec(raw, valid=[valid], method="minmax").high == (2.0, 9.0)


def test_blocks_may_differ_in_size_and_byte_order():
    codec = fit_codec(np.ones((1, 2, 3), ">u2"), np.zeros((1, 4, 1), "<u2"), method="minmax")
    assert (codec.dtype, codec.high) == ("uint16", (1.0,))


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        ([], "no block"),
        ([np.stack([np.eye(4), np.ones((4, 4))])], "Channel 1 of the image is constant"),
        ([np.full((1, 4, 4), np.nan)], "no finite pixel"),
        ([np.eye(4)[None], np.eye(4, dtype=np.uint8)[None]], "float64 here, uint8 there"),
        ([np.eye(4)[None], np.stack([np.eye(4)] * 2)], "different channel counts"),
    ],
)
def test_ranges_are_refused(blocks, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_codec(*blocks)


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="'zscore' is unknown"):
        fit_codec(np.eye(4)[None], method="zscore")


RAMP = np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 3, 4)


def test_one_channel_is_gray_from_black_to_white():
    codec = ImageCodec.fit([RAMP], layout=Layout(), method="minmax")
    shown = picture(codec.encode(RAMP), codec)
    assert shown.shape == (3, 4, 3)
    assert shown.dtype == np.uint8
    assert shown.min() == 0
    assert shown.max() == 255
    np.testing.assert_array_equal(shown[..., 0], shown[..., 2])


def test_colours_stay_colours():
    image = np.concatenate([RAMP, 1 - RAMP, RAMP**2])
    codec = ImageCodec.fit([image], layout=Layout(channel_axis=-1, rgb=True), method="minmax")
    shown = picture(codec.encode(image), codec)
    np.testing.assert_allclose(shown / 255, image.transpose(1, 2, 0), atol=0.01)


def test_labels_have_colours_and_background_is_black():
    labels = np.array([[[0, 1, 2], [0, 2, 2]]], np.uint8)
    codec = ClassCodec.fit([labels], layout=Layout())
    shown = picture(codec.encode(labels), codec)
    assert not shown[labels[0] == 0].any()
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 3
