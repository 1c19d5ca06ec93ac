import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.intensity_changes import IntensityChanges
from napari_pix2pix.data.layouts import Layout

CODEC = ImageCodec("minmax", "uint16", (0.0, 100.0), (1000.0, 300.0), Layout(-3))


def images(seed=0):
    drawn = np.random.default_rng(seed).random((2, 64, 64)) * [[[1000]], [[20]]] + 100
    return [drawn.astype(np.uint16), drawn[:, :9].astype(np.uint16)]


def test_units_are_the_deviations_of_the_planes():
    changes = IntensityChanges.measure(CODEC, images(), jitter=0.1, noise=0.0)
    encoded = np.concatenate([CODEC.encode(image).reshape(2, -1) for image in images()], axis=1)
    np.testing.assert_allclose(changes.mean.ravel(), encoded.mean(1), atol=1e-5)
    np.testing.assert_allclose(changes.deviation.ravel(), encoded.std(1), atol=1e-5)


@given(seed=st.integers(0, 2**32), jitter=st.floats(0.01, 1))
def test_gain_and_offset_stay_within_the_jitter_and_are_the_same_in_all_planes(seed, jitter):
    changes = IntensityChanges.measure(CODEC, images(), jitter=jitter, noise=0.0)
    planes = CODEC.encode(images(1)[0])
    units = (planes - changes.mean) / changes.deviation
    changed = changes.apply(planes, np.random.default_rng(seed))
    after = (changed - changes.mean) / changes.deviation
    gain, offset = np.polyfit(units.ravel(), after.ravel(), 1)
    assert abs(gain - 1) <= jitter + 1e-3
    assert abs(offset) <= jitter + 1e-3
    np.testing.assert_allclose(after, gain * units + offset, atol=2e-3)
    assert changed.dtype == np.float32


def test_noise_has_the_deviation_that_was_asked_for():
    changes = IntensityChanges.measure(CODEC, images(), jitter=0.0, noise=0.5)
    planes = CODEC.encode(images()[0])
    noise = (changes.apply(planes, np.random.default_rng(0)) - planes) / changes.deviation
    np.testing.assert_allclose(noise.std(axis=(1, 2)), 0.5, rtol=0.05)
    assert abs(np.corrcoef(*noise.reshape(2, -1))[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("codec", "jitter"), [(CODEC, 0.0), (ClassCodec("uint8", (0, 1), Layout()), 1)]
)
def test_nothing_to_change(codec, jitter):
    assert IntensityChanges.measure(codec, images(), jitter=jitter, noise=0.0) is None
