"""Stacks as volumes: reading, coding, and what is seen of their planes."""

import numpy as np
import pytest
from helpers import noise

from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import ImageCodec, InstanceCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import GrayAsRGB, LazyImage, as_lazy_image
from napari_pix2pix.data.volumes import (
    VolumeImage,
    decode,
    encode,
    flat_codec,
    flat_image,
    middle_plane,
)
from napari_pix2pix.errors import InputError

ROWS, COLUMNS = slice(3, 9), slice(2, 12)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((2, 5, 20, 30), None),
        ((2, 5, 3, 20, 30), 2),
        ((3, 2, 5, 20, 30), 0),
        ((2, 5, 20, 30, 3), 4),
    ],
)
def test_all_planes_of_a_volume_are_read_at_once_as_one_by_one(shape, axis):
    array = noise(*shape)
    flat = LazyImage(array, channel_axis=axis, rgb=False)
    volume = VolumeImage(flat)
    assert (volume.frames, volume.frame_shape, volume.depth) == (2, (2,), 5)
    whole = volume.read(1, ROWS, COLUMNS)
    assert whole.shape == (flat.channels, 5, 6, 10)
    alone = np.stack([flat.read(5 + z, ROWS, COLUMNS) for z in range(5)], axis=1)
    np.testing.assert_array_equal(whole, alone)
    assert volume.frames_seen(1) == [(1, z) for z in range(5)]
    assert flat_image(volume) is flat
    assert flat_image(flat) is flat


def test_views_and_tuples_of_channels_are_read_plane_by_plane():
    array = noise(4, 20, 30)
    gray = VolumeImage(GrayAsRGB(as_lazy_image(array))).read(0, ROWS, COLUMNS)
    np.testing.assert_array_equal(gray, np.stack([array[:, ROWS, COLUMNS]] * 3))
    both = VolumeImage(as_lazy_image((array, 1 - array))).read(0, ROWS, COLUMNS)
    np.testing.assert_array_equal(both[1], 1 - array[:, ROWS, COLUMNS])


def test_volume_on_another_array_reads_that():
    array = noise(4, 20, 30)
    other = VolumeImage(as_lazy_image(array)).on([1 - array])
    np.testing.assert_array_equal(other.read(0, ROWS, COLUMNS)[0], 1 - array[:, ROWS, COLUMNS])


def test_one_plane_is_no_volume():
    with pytest.raises(InputError, match="is one plane of 20 x 30 pixels, and volumes are asked"):
        VolumeImage(as_lazy_image(noise(20, 30)))


def test_pixels_are_coded_in_volumes_as_in_planes():
    values = noise(2, 3, 4, 5)
    image = ImageCodec.fit([values[:, 0]], layout=Layout(0), method="minmax")
    classes = ClassCodec("uint8", (0, 1, 7), Layout(), channels=1)
    labels = np.random.default_rng(0).choice(np.array([0, 1, 7], np.uint8), (1, 3, 4, 5))
    for codec, raw in ((image, values), (classes, labels)):
        planes = encode(codec, raw)
        alone = [codec.encode(raw[:, z]) for z in range(3)]
        np.testing.assert_array_equal(planes, np.stack(alone, axis=1))
        np.testing.assert_allclose(decode(codec, planes), raw, atol=1e-6)


def test_planes_of_objects_can_be_seen_one_by_one():
    codec = InstanceCodec("uint8", 1, Layout(), ndim=3, z_step=2.0)
    labels = np.zeros((1, 4, 12, 12), np.uint8)
    labels[0, 1:3, 2:7, 2:7] = 1
    planes, flat = encode(codec, labels), flat_codec(codec)
    assert (codec.planes, flat.planes, planes.shape) == (5, 4, (5, 4, 12, 12))
    shown = middle_plane(planes)[: flat.planes]
    np.testing.assert_array_equal(flat.decode(shown)[0] > 0, labels[0, 2] > 0)
    # The last plane says that a voxel and its neighbour in the next plane are of one object.
    np.testing.assert_array_equal(planes[4, 1] > 0, labels[0, 1] > 0)
    assert not (planes[4, 2] > 0).any()


def test_middle_plane_of_an_image_is_the_image():
    image = noise(2, 4, 5)
    assert middle_plane(image) is image
