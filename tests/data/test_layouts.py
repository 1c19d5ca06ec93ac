import numpy as np
import pytest

from napari_pix2pix.data.layouts import Layout, find_layout
from napari_pix2pix.errors import InputError


@pytest.mark.parametrize(
    ("shape", "axis", "found"),
    [
        ((13, 8, 9), 0, Layout(-3)),
        ((7, 13, 8, 9), 1, Layout(-3)),
        ((8, 9, 2), 2, Layout(-1)),
        ((8, 9, 3), None, Layout(-1, rgb=True)),
        ((8, 9, 3), -1, Layout(-1)),
        ((7, 8, 9), None, Layout()),
    ],
)
def test_axes_count_from_the_end(shape, axis, found):
    assert find_layout(shape, np.dtype("uint8"), axis, None, "source") == found


@pytest.mark.parametrize("axis", ["a", 1.5, [0]])
def test_an_axis_is_an_integer(axis):
    with pytest.raises(InputError, match="channel_axis must be an integer, got"):
        find_layout((3, 8, 9), np.dtype("uint8"), axis, None, "source")


@pytest.mark.parametrize(
    ("layout", "frame_shape", "shape"),
    [
        (Layout(), (4, 3), (4, 3, 5, 6)),
        (Layout(-3), (4, 3), (4, 3, 1, 5, 6)),
        (Layout(-4), (4, 3), (4, 1, 3, 5, 6)),
        (Layout(-1), (12,), (12, 5, 6, 1)),
    ],
)
def test_frames_keep_their_axes(layout, frame_shape, shape):
    planes = np.arange(12 * 30).reshape(12, 1, 5, 6)
    image = layout.assemble(planes, frame_shape)
    assert image.shape == shape
    np.testing.assert_array_equal(image.reshape(planes.shape), planes)


def test_channels_need_an_axis_and_come_first_where_there_are_too_few():
    planes = np.zeros((1, 2, 5, 6))
    assert Layout(channel_axis=-4).assemble(planes).shape == (2, 5, 6)
    with pytest.raises(InputError, match="got 2"):
        Layout().assemble(planes)
