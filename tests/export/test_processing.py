"""The steps of a package do what the codecs do."""

import numpy as np
import pytest

from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.export._processing import decoding_steps, encoding_steps, package_dtype

pytest.importorskip("bioimageio.core", reason="needs the extra bioimageio")


def run(steps, values):
    """Do what the format says of each step, on (C, H, W)."""
    for step in steps:
        given = step.kwargs
        if step.id == "ensure_dtype":
            values = values.astype(given.dtype)
        elif step.id == "clip":
            values = np.clip(values, given.min, given.max)
        else:
            columns = (np.reshape(part, (-1, 1, 1)) for part in (given.gain, given.offset))
            gain, offset = (c.item() if c.size == 1 else c for c in columns)
            values = values * gain + offset
    return values


def codec_of(dtype, low=(-7.0, 2.5), high=(90.0, 120.0), **marks):
    return ImageCodec("percentile", dtype, low, high, Layout(-3), **marks)


DTYPES = ["uint8", "uint16", "int8", "int16", "int32", "uint32", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_decoding_is_the_codec_s(dtype):
    ends = ((0.0,), (1.0,)) if dtype == "bool" else ((-7.0, 2.5), (90.0, 120.0))
    codec = codec_of(dtype, *ends)
    planes = np.random.default_rng(0).uniform(-1.5, 1.5, (len(ends[0]), 64, 64)).astype(np.float32)
    planes *= 4  # far beyond what the dtype of 8 bits holds
    found, wanted = run(decoding_steps(codec), planes), codec.decode(planes)
    assert found.dtype == package_dtype(codec)
    tolerance = 0 if codec.dtype[0] in "uib" else 1e-2
    np.testing.assert_allclose(found.astype(float), wanted.astype(float), atol=tolerance, rtol=1e-3)


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_encoding_is_the_codec_s_and_leaves_conditions_alone(dtype, limited):
    codec = codec_of(dtype, limited=limited)
    raw = np.random.default_rng(0).uniform(0, 127, (2, 32, 32)).astype(dtype)
    raw[:, 0] = 127
    raw[:, 1] = 0
    condition = np.ones((1, 32, 32), dtype)
    given = np.concatenate([raw, condition]).astype(package_dtype(codec))
    found = run(encoding_steps(codec, conditions=1), given)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:2], codec.encode(raw), atol=2e-6)
    np.testing.assert_array_equal(found[2], 1)


def test_far_out_is_clipped_as_it_is_here_and_a_step_that_does_nothing_is_left_out():
    codec = codec_of("float32", (-1.0,), (1.0,), limited=True)
    steps = encoding_steps(codec, conditions=0)
    assert [step.id for step in steps] == ["ensure_dtype", "clip", "ensure_dtype"]
    assert run(steps, np.array([[[100.0, -5.0]]])).tolist() == [[[3.0, -3.0]]]
