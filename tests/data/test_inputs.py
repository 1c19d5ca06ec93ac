import numpy as np
import pytest

from napari_pix2pix.data.inputs import check_channels, check_finite, names_note, open_source_image
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError

IMAGE = np.arange(64.0).reshape(8, 8)


@pytest.mark.parametrize(
    ("shape", "layout", "channels"),
    [
        ((8, 9), Layout(), 1),
        ((4, 8, 9), Layout(), 1),
        ((8, 9, 3), Layout(-1, rgb=True), 3),
        ((5, 8, 9, 4), Layout(-1, rgb=True), 3),
        ((2, 8, 9), Layout(-3), 2),
        ((5, 2, 8, 9), Layout(-3), 2),
        ((2, 8, 9), Layout(-4), 2),
    ],
)
def test_source_is_read_as_in_training(shape, layout, channels):
    planes = open_source_image(np.ones(shape, np.uint8), layout, channels)
    assert (planes.channels, planes.height, planes.width) == (channels, 8, 9)


def test_planes_are_taken_as_they_are():
    planes = LazyImage(np.ones((8, 9, 2)), channel_axis=-1)
    assert open_source_image(planes, Layout(-3), 2) is planes


def test_neighbours_are_channels():
    planes = open_source_image(np.ones((5, 8, 9)), Layout(), 3, z_context=1)
    assert planes.read(0, slice(0, 2), slice(0, 2)).shape == (3, 2, 2)
    with pytest.raises(InputError, match="of 1 channel, got 3"):
        open_source_image(np.ones((5, 8, 9, 3)), Layout(-1), 3, z_context=1)
    with pytest.raises(InputError, match="the image has one plane: give the whole stack"):
        open_source_image(np.ones((8, 9)), Layout(), 3, z_context=1)


@pytest.mark.parametrize("rows", [8, 300])
def test_one_finite_pixel_is_enough(rows):
    image = np.full((2, rows, 4), np.nan)
    with pytest.raises(InputError, match="no finite pixel"):
        check_finite(LazyImage(image))
    image[1, -1, -1] = 0
    check_finite(LazyImage(image))


def test_channels_other_than_trained():
    with pytest.raises(InputError, match="of 2 channels, got 1"):
        check_channels(LazyImage(IMAGE), 2)
    with pytest.raises(InputError, match=r"of 2 channels, got one of shape \(8, 8\)"):
        open_source_image(IMAGE, Layout(-3), 2)
    with pytest.raises(InputError, match="RGB images of 3 channels, got one of shape"):
        open_source_image(np.ones((8, 8, 2)), Layout(-1, rgb=True), 3)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("b", "A"), "another order"),
        (("A", "c"), "check that they show the same"),
        (("a", "B"), ""),
        (("x",), ""),
        ((), ""),
    ],
)
def test_other_names_and_another_order_are_said(names, said):
    note = names_note(names, ("A", "B") if len(names) != 1 else ("A",))
    assert said in note
    assert bool(note) == bool(said)
