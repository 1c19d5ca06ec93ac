import numpy as np
import pytest

from napari_pix2pix.data.layouts import ChannelArray, Layout, find_layout
from napari_pix2pix.errors import InputError, StoppedError, UnreadableError


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


class Stated:
    """An array that states a shape and dtype, and gives what it likes."""

    def __init__(self, give, shape=(20, 30), dtype=np.uint8):
        self.shape, self.dtype, self._give = shape, dtype, give

    def __getitem__(self, index):
        return self._give(index)


def raising(error):
    def give(index):
        raise error

    return give


@pytest.mark.parametrize("error", [OSError("the disk is gone"), ZeroDivisionError(), KeyError(3)])
def test_array_that_raises_is_unreadable_and_says_why(error):
    array = ChannelArray(Stated(raising(error)), None, None, "source")
    with pytest.raises(UnreadableError, match=rf"source can't be read \({type(error).__name__}"):
        array.read((), slice(0, 5), slice(0, 5))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("out of memory"), StoppedError()])
def test_want_of_memory_and_a_stop_stay_what_they_are(error):
    array = ChannelArray(Stated(raising(error)), None, None, "source")
    with pytest.raises(type(error)):
        array.read((), slice(0, 5), slice(0, 5))


@pytest.mark.parametrize(
    "give",
    [
        lambda index: np.zeros((3, 5), np.uint8),
        lambda index: np.zeros((5, 5), complex),
        lambda index: None,
        lambda index: "x",
    ],
)
def test_array_that_gives_something_else_than_it_states_is_refused(give):
    array = ChannelArray(Stated(give), None, None, "source")
    with pytest.raises(UnreadableError, match=r"where uint8 of shape \(5, 5\) was stated"):
        array.read((), slice(0, 5), slice(0, 5))


@pytest.mark.parametrize(
    ("shape", "dtype", "refusal"),
    [
        ((np.nan, 30), np.uint8, "does not state its shape and dtype"),
        ((20.5, 30), np.uint8, "does not state its shape and dtype"),
        (None, np.uint8, "does not state its shape and dtype"),
        ((20, 30), "banana", "does not state its shape and dtype"),
        ((-3, 30), np.uint8, "holds no pixel"),
        ((2**62, 2**62), np.uint8, "more than any image has"),
    ],
)
def test_odd_shapes_and_dtypes_are_refused_before_anything_is_read(shape, dtype, refusal):
    with pytest.raises(InputError, match=refusal):
        ChannelArray(Stated(raising(AssertionError), shape, dtype), None, None, "source")
