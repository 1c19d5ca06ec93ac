import numpy as np
import pytest
from scipy import ndimage

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.warps import (
    UnwarpedImage,
    WarpedArea,
    displacements_shape,
    find_displacements,
)

ALL = slice(None)


def spots(*size: int, seed: int = 0) -> np.ndarray:
    """A smooth image in [-1, 1]."""
    noise = np.random.default_rng(seed).normal(size=size)
    smooth = ndimage.gaussian_filter(noise, 3)
    return np.clip(smooth / (3 * smooth.std()), -1, 1).astype(np.float32)


def moved(image: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return an image whose pixel (y, x) is at (y + down, x + right) of the given one."""
    rows, columns = np.indices(image.shape)
    return ndimage.map_coordinates(image, (rows + down, columns + right), order=3, mode="nearest")


def wave(*size: int, height: float) -> np.ndarray:
    rows, columns = np.indices(size)
    return height * np.sin(2 * np.pi * rows / 140) * np.cos(2 * np.pi * columns / 160)


@pytest.mark.parametrize("size", [(160, 192), (141, 131)])
def test_a_warped_image_is_read_where_it_belongs(size):
    image = spots(*size)
    down, right = wave(*size, height=4.0), wave(*size, height=-3.0)
    warped = moved(image, down, right)
    found = find_displacements(image[None], warped[None], reach=8)
    assert found is not None
    assert found.shape == displacements_shape(Box.of_size(*size))

    whole = Box.of_size(*size)
    read = UnwarpedImage(LazyImage(warped), [WarpedArea(whole, {0: found})]).read(0, ALL, ALL)[0]
    inner = slice(16, -16)
    before = np.abs(warped - image)[inner, inner].mean()
    after = np.abs(read - image)[inner, inner].mean()
    assert after < 0.25 * before


def test_no_displacement_is_longer_than_asked():
    image = spots(160, 160)
    warped = moved(image, np.full(image.shape, 5.0), np.zeros(image.shape))
    found = find_displacements(image[None], warped[None], reach=2)
    assert found is not None
    assert np.hypot(*found).max() <= 2 + 1e-4


def test_small_images_are_left_alone():
    image = spots(40, 200)
    assert find_displacements(image[None], image[None], reach=4) is None


def test_a_part_is_that_of_the_whole_and_keeps_its_dtype():
    values = np.rint(1000 * (spots(96, 120) + 1)).astype(np.uint16)
    shape = displacements_shape(Box.of_size(96, 120))
    displacements = np.random.default_rng(1).uniform(-4, 4, shape).astype(np.float32)
    image = UnwarpedImage(LazyImage(values), [WarpedArea(Box.of_size(96, 120), {0: displacements})])
    whole = image.read(0, ALL, ALL)
    part = image.read(0, slice(31, 62), slice(50, 90))
    assert whole.dtype == part.dtype == np.uint16
    np.testing.assert_allclose(part, whole[:, 31:62, 50:90], atol=1)


def test_nothing_is_read_beyond_the_area():
    values = np.zeros((96, 96), np.float32)
    values[48:] = 9  # held out
    area = Box(0, 48, 0, 96)
    down = np.full(displacements_shape(area), 8, np.float32)
    image = UnwarpedImage(LazyImage(values), [WarpedArea(area, {0: down})])
    assert image.read(0, slice(0, 48), ALL).max() == 0
    # What lies outside is read as it is.
    assert image.read(0, slice(48, 96), ALL).min() == 9


def test_other_frames_stay_and_missing_values_move():
    values = np.stack([spots(64, 64), spots(64, 64, seed=1)])
    values[0, 20, 30] = np.nan
    area = Box.of_size(64, 64)
    right = np.zeros(displacements_shape(area), np.float32)
    right[1] = 3
    image = UnwarpedImage(LazyImage(values), [WarpedArea(area, {0: right})])
    np.testing.assert_array_equal(image.read(1, ALL, ALL)[0], values[1])
    window, finite = image.read_with_finite(0, ALL, ALL)
    assert finite is not None
    assert not finite[0, 20, 27]
    assert np.isnan(window[0, 20, 27])
    assert finite.sum() == 64 * 64 - 1
