import numpy as np
import pytest
from helpers import integer_noise, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.resampling import ResampledImage, Resampling

sides = st.integers(1, 40)


def resampled(image: np.ndarray, after: tuple[int, int], *, nearest=False) -> ResampledImage:
    opened = LazyImage(image)
    return ResampledImage(opened, Resampling(image.shape[-2:], after, nearest))


def whole(image: LazyImage) -> np.ndarray:
    return image.read(0, slice(0, image.height), slice(0, image.width))


@settings(deadline=None, max_examples=60)
@given(before=st.tuples(sides, sides), after=st.tuples(sides, sides), data=st.data())
def test_any_window_is_that_part_of_the_whole(before, after, data):
    nearest = data.draw(st.booleans())
    pixels = noise(*before)
    pixels[pixels < data.draw(st.sampled_from([0.0, 0.2]))] = np.nan
    image = resampled(pixels, after, nearest=nearest)
    rows, columns = (
        slice(*sorted(data.draw(st.tuples(st.integers(0, n - 1), st.just(n))))) for n in after
    )
    window = image.read(0, rows, columns)
    np.testing.assert_array_equal(window, whole(image)[:, rows, columns])
    needs = image.resampling.needs(Box(rows.start, rows.stop, columns.start, columns.stop))
    assert 0 <= needs.top < needs.bottom <= before[0]
    assert 0 <= needs.left < needs.right <= before[1]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float64"])
def test_constant_and_full_range_stay(dtype):
    top = 1.5 if dtype == "float64" else np.iinfo(dtype).max
    image = np.full((13, 17), top, dtype)
    made = whole(resampled(image, (29, 6)))
    assert made.dtype == image.dtype
    np.testing.assert_allclose(made, top, rtol=1e-12)


def test_smaller_means_averages_and_no_aliasing():
    stripes = np.tile(np.float32([0, 1]), (24, 12))
    np.testing.assert_allclose(whole(resampled(stripes, (12, 12)))[0, :, 1:-1], 0.5, atol=1e-6)


@pytest.mark.parametrize("after", [(24, 20), (12, 10), (48, 30), (17, 20)])
def test_pixels_that_are_not_finite_are_left_out(after):
    image = np.full((24, 20), 3.0, np.float32)
    image[5, 7], image[14:20, 8:14] = np.inf, np.nan
    made = whole(resampled(image, after))[0]
    if after == image.shape:
        np.testing.assert_array_equal(made, image)
        return
    np.testing.assert_allclose(made[np.isfinite(made)], 3, rtol=1e-6)
    shares = np.divide(after, image.shape)
    unknown = np.argwhere(np.isnan(made)) / shares
    assert len(unknown)
    assert (unknown.min(0) >= (14, 8)).all()
    assert (unknown.max(0) <= (20, 14)).all()


def test_a_ramp_comes_back():
    ramp = np.add.outer(np.arange(40.0), 2 * np.arange(30.0))
    there = whole(resampled(ramp, (80, 60)))[0]
    back = whole(resampled(there, (40, 30)))[0]
    np.testing.assert_allclose(back[2:-2, 2:-2], ramp[2:-2, 2:-2], atol=1e-9)


def test_labels_are_not_mixed():
    labels = integer_noise(20, 20, dtype=np.uint16)
    made = whole(resampled(labels, (31, 47), nearest=True))
    assert set(made.flat) <= set(labels.flat)
    np.testing.assert_array_equal(
        whole(resampled(np.kron(labels, np.ones((3, 2), np.uint16)), (20, 20), nearest=True))[0],
        labels,
    )
