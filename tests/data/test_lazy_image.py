import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import ImageWithContext, LazyImage, as_lazy_image
from napari_pix2pix.errors import InputError

ALL = slice(None)


def numbers(*shape, dtype=np.uint16):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@settings(deadline=None, max_examples=80)
@given(
    frame_shape=st.lists(st.integers(1, 3), max_size=3),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    channels=st.integers(1, 4),
    data=st.data(),
)
def test_what_is_read_and_assembled_is_the_image(frame_shape, size, channels, data):
    plain = (*frame_shape, *size)
    axis = data.draw(st.none() | st.integers(-len(plain) - 1, len(plain)))
    shape = list(plain)
    if axis is not None:
        shape.insert(axis % (len(plain) + 1), channels)
    image = numbers(*shape, dtype=np.int32)

    planes = LazyImage(image, channel_axis=axis)
    stack = np.stack([planes.read(frame, ALL, ALL) for frame in range(planes.frames)])

    assert stack.shape == (planes.frames, planes.channels, planes.height, planes.width)
    np.testing.assert_array_equal(planes.layout.assemble(stack, planes.frame_shape), image)


@pytest.mark.parametrize(
    ("shape", "axis", "expected"),
    [
        ((5, 6), None, ((), 1, 5, 6)),
        ((7, 5, 6), None, ((7,), 1, 5, 6)),
        ((2, 7, 5, 6), 1, ((2,), 7, 5, 6)),
        ((2, 5, 7, 6), -2, ((2,), 7, 5, 6)),
        ((5, 6, 2), -1, ((), 2, 5, 6)),
        ((1, 1), None, ((), 1, 1, 1)),
    ],
)
def test_axes(shape, axis, expected):
    planes = LazyImage(np.zeros(shape, np.uint8), channel_axis=axis)
    assert (planes.frame_shape, planes.channels, planes.height, planes.width) == expected
    assert planes.shape == shape


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_rgb_is_recognised(dtype):
    image = numbers(4, 8, 9, 3, dtype=dtype)
    planes = LazyImage(image)
    assert planes.layout == Layout(channel_axis=-1, rgb=True)
    np.testing.assert_array_equal(
        planes.read(2, slice(1, 4), slice(5, 9)), image[2, 1:4, 5:9].transpose(2, 0, 1)
    )


def test_alpha_is_left_out_and_said_but_not_where_an_axis_holds_channels():
    image = numbers(8, 9, 4, dtype=np.uint8)
    planes = LazyImage(image, what="target")
    assert planes.channels == 3
    assert planes.note == "The alpha channel of the target is left out."
    np.testing.assert_array_equal(planes.read(0, ALL, ALL), image[..., :3].transpose(2, 0, 1))
    planes = LazyImage(image, channel_axis=-1)
    assert (planes.channels, planes.layout) == (4, Layout(channel_axis=-1))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((8, 9, 3), np.int64), ((8, 3, 3), np.uint8), ((8, 9, 2), np.uint8)]
)
def test_what_is_not_rgb_is_a_stack(shape, dtype):
    assert LazyImage(np.zeros(shape, dtype)).frames == 8


def test_read_takes_windows_strides_and_foreign_byte_order():
    image = numbers(20, 30).astype(">u2")[::-2, ::-1]
    window = LazyImage(image).read(0, slice(2, 5), slice(25, 99))
    assert window.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(window[0], image[2:5, 25:])


def test_a_tuple_holds_channels_of_one_image():
    gray, colour = numbers(2, 8, 9, dtype=np.uint8), numbers(2, 8, 9, 3, dtype=np.uint16)
    planes = LazyImage((gray, colour))
    assert (planes.channels, planes.frames, planes.dtype) == (4, 2, np.uint16)
    assert planes.layout == Layout(channel_axis=-3)
    assert planes.shape == (2, 4, 8, 9)
    window = planes.read(1, ALL, slice(0, 2))
    np.testing.assert_array_equal(window[0], gray[1, :, :2])
    np.testing.assert_array_equal(window[3], colour[1, :, :2, 2])
    joined = LazyImage((np.zeros((2, 8, 9)), np.ones((8, 9))), channel_axis=0)
    assert joined.channels == 3


def counting(values, chunks, counts):
    def touch(block):
        counts.append(block.shape)
        return block

    # With its meta given, dask does not call the function on an empty array to find its dtype.
    return da.from_array(values, chunks=chunks).map_blocks(
        touch, dtype=values.dtype, meta=np.empty((0,) * values.ndim, values.dtype)
    )


def test_dask_reads_only_the_chunks_of_the_window():
    counts = []
    image = numbers(5, 64, 64)
    planes = LazyImage(counting(image, (1, 16, 16), counts))
    assert counts == []
    window = planes.read(3, slice(16, 40), slice(0, 16))
    np.testing.assert_array_equal(window, image[3:4, 16:40, :16])
    assert len(counts) == 2


def test_context_reads_each_neighbour_once():
    counts = []
    planes = LazyImage(counting(numbers(5, 16, 16), (1, 16, 16), counts))
    ImageWithContext(planes, 2).read(0, ALL, ALL)
    assert len(counts) == 3


def test_zarr_is_read_like_numpy():
    image = numbers(3, 20, 24, 2)
    stored = zarr.array(image, chunks=(1, 8, 8, 2))
    planes = LazyImage(stored, channel_axis=-1)
    np.testing.assert_array_equal(
        planes.read(1, slice(4, 20), slice(3, 9)), image[1, 4:20, 3:9].transpose(2, 0, 1)
    )


def test_context_repeats_the_ends_and_stays_in_its_stack():
    image = np.broadcast_to(np.arange(8, dtype=np.uint8).reshape(2, 4, 1, 1), (2, 4, 5, 6))
    planes = ImageWithContext(LazyImage(image), 1)
    assert (planes.channels, planes.frames, planes.layout) == (3, 8, Layout())
    seen = [planes.read(frame, ALL, ALL)[:, 0, 0].tolist() for frame in range(8)]
    assert seen[:4] == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert seen[4] == [4, 4, 5]


def test_context_of_a_single_plane_repeats_it_and_is_not_below_zero():
    planes = ImageWithContext(LazyImage(numbers(5, 6)), 2)
    assert planes.read(0, ALL, ALL).shape == (5, 5, 6)
    with pytest.raises(InputError, match="0 or more; got -1"):
        ImageWithContext(LazyImage(numbers(5, 6)), -1)


@pytest.mark.parametrize(
    ("array", "axis", "sentence"),
    [
        (np.zeros((5, 6), object), None, "dtype object"),
        (np.array([["a", "b"]]), None, "give booleans, integers or floats"),
        (np.zeros((5, 6), complex), None, "complex128"),
        (np.zeros((0, 6)), None, "holds no pixel"),
        (np.zeros(6), None, "at least the axes Y and X"),
        (np.zeros((5, 6)), 0, "leave at least Y and X"),
        (np.zeros((5, 6, 7)), 3, "channel_axis=3"),
        (np.ma.masked_less(np.zeros((5, 6)), 1), None, "masked array"),
        ([np.zeros((5, 6))], None, "is of type list"),
        ((), None, "empty tuple"),
        ((np.zeros((5, 6)), np.zeros((5, 7))), None, "5 x 6 and 5 x 7"),
        ((np.zeros((2, 5, 6)), np.zeros((3, 5, 6))), None, "2 x 5 x 6 and 3 x 5 x 6"),
    ],
)
def test_refusals(array, axis, sentence):
    with pytest.raises(InputError, match=sentence):
        LazyImage(array, channel_axis=axis)


def test_rgb_can_be_asked_for_and_is_then_checked():
    assert LazyImage(np.zeros((2, 2, 3), np.uint8), rgb=True).channels == 3
    assert LazyImage(np.zeros((8, 9, 3), np.uint8), rgb=False).frames == 8
    with pytest.raises(InputError, match="last axis of length 3"):
        LazyImage(np.zeros((8, 9), np.uint8), rgb=True)


@pytest.mark.parametrize(
    ("shape", "like", "channels"),
    [
        ((1, 1, 4), Layout(-1, rgb=True), 3),
        ((13, 8, 9), Layout(-4), 13),
        ((8, 9), Layout(), 1),
        ((7, 13, 8, 9), Layout(-3), 13),
    ],
)
def test_images_are_read_like_those_of_a_layout(shape, like, channels):
    assert as_lazy_image(np.zeros(shape, np.uint8), like=like).channels == channels


def test_a_tuple_is_read_like_a_tuple_and_planes_stay_what_they_are():
    images = (np.zeros((3, 8, 9)), np.zeros((3, 8, 9)))
    planes = as_lazy_image(images, like=LazyImage(images).layout)
    assert (planes.frames, planes.channels) == (3, 2)
    assert as_lazy_image(planes) is planes
