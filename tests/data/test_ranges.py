from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import ConfigError, InputError


def fit(*blocks, valid=None, method="percentile", layout=Layout(-3), **options):  # noqa: B008
    return ImageCodec.fit(blocks, valid, method=method, layout=layout, **options)


def test_percentiles_leave_hot_pixels_out():
    raw = np.tile(np.arange(1000, dtype=np.uint16), 10).reshape(1, 100, 100)
    raw[0, 0, :5] = 60000
    codec = fit(raw)
    assert codec.low[0] == pytest.approx(1, abs=1)
    assert codec.high[0] == pytest.approx(999, abs=1)


def test_bright_spots_on_a_constant_ground_get_their_minimum_and_maximum():
    raw = np.full((1, 100, 100), 7, np.uint16)
    raw[0, 3, 3] = 900
    assert (fit(raw).low, fit(raw).high) == ((7.0,), (900.0,))


def test_minmax_is_measured_over_all_blocks_and_each_channel():
    blocks = [np.array([[[0, 5]], [[10, 20]]]), np.array([[[9, 3]], [[15, 40]]])]
    codec = fit(*blocks, method="minmax")
    assert (codec.low, codec.high) == ((0.0, 10.0), (9.0, 40.0))


def test_meanstd_reaches_three_deviations():
    raw = np.random.default_rng(0).normal(100, 5, (1, 200, 200))
    codec = fit(raw, method="meanstd")
    assert codec.low[0] == pytest.approx(85, abs=0.5)
    assert codec.high[0] == pytest.approx(115, abs=0.5)


def test_dtype_is_the_whole_range_of_integers_and_minmax_of_floats():
    codec = fit(np.array([[[3, 4]]], np.int16), method="dtype")
    assert (codec.low, codec.high) == ((-32768.0,), (32767.0,))
    codec = fit(np.array([[[0.25, 4.0]]]), method="dtype")
    assert (codec.low, codec.high) == ((0.25,), (4.0,))


def test_only_what_is_finite_and_valid_counts():
    raw = np.array([[[1.0, 2.0, np.nan, np.inf, -50.0]]])
    valid = np.array([[[True, True, True, True, False]]])
    codec = fit(raw, valid=[valid], method="minmax")
    assert (codec.low, codec.high) == ((1.0,), (2.0,))


def test_validity_may_differ_by_channel():
    raw = np.array([[[1, 2, 9]], [[1, 2, 9]]])
    valid = np.array([[[True, True, False]], [[True, True, True]]])
    assert fit(raw, valid=[valid], method="minmax").high == (2.0, 9.0)


def test_blocks_may_differ_in_size_and_byte_order():
    codec = fit(np.ones((1, 2, 3), ">u2"), np.zeros((1, 4, 1), "<u2"), method="minmax")
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
def test_refusals(blocks, sentence):
    with pytest.raises(InputError, match=sentence):
        fit(*blocks)


def test_one_constant_image_among_others_is_no_reason():
    assert fit(np.ones((1, 4, 4)), np.eye(4)[None], method="minmax").low == (0.0,)


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="'zscore' is unknown"):
        fit(np.eye(4)[None], method="zscore")
