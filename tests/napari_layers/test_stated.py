import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_pix2pix.data.channel_look import ChannelLook
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.napari_layers import lazy_image_of_layers, snapshot
from napari_pix2pix.napari_layers._stated import look_keywords


def opened(layer, *others):
    return lazy_image_of_layers([snapshot(one) for one in (layer, *others)])


@pytest.mark.parametrize(
    ("place", "size"),
    [
        ({}, None),
        ({"scale": (1, 0.5, 0.5)}, PixelSize(0.5, 0.5, unit="")),
        ({"scale": (3, 1, 1), "units": ("um", "um", "um")}, PixelSize(1, 1, 3)),
        ({"scale": (3, 2, 2), "units": ("um", "nm", "nm")}, PixelSize(2, 2, 3e3, "nanometer")),
        ({"scale": (3, 2, 2), "units": ("s", "um", "um")}, PixelSize(2, 2)),
        (
            {"scale": (3, 2, 2), "units": ("um", "um", "um"), "axis_labels": ("t", "y", "x")},
            PixelSize(2, 2),
        ),
        ({"scale": (3, 2, 2), "units": ("um", "um", "nm")}, None),
    ],
)
def test_pixel_size_is_what_scale_and_units_say(place, size):
    assert opened(Image(np.zeros((4, 6, 7)), **place)).pixel_size == size


def test_an_axis_of_channels_is_no_depth():
    place = {"scale": (9, 2, 2), "units": ("um", "um", "um"), "axis_labels": ("c", "y", "x")}
    image = opened(Image(np.zeros((3, 6, 7)), colormap="green", contrast_limits=(0, 2), **place))
    assert image.pixel_size == PixelSize(2, 2)
    assert image.looks == (ChannelLook("#00FF00", "green", (0.0, 2.0)),) * 3


def test_layers_state_how_they_are_shown():
    custom = Image(np.zeros((6, 7)), colormap="#102030", contrast_limits=(1, 9))
    image = opened(custom, Image(np.zeros((6, 7)), colormap="viridis", contrast_limits=(0, 2)))
    assert image.looks[0] == ChannelLook("#102030", "", (1.0, 9.0))
    assert image.looks[1].colormap == "viridis"
    assert opened(custom, Labels(np.zeros((6, 7), int))).looks == ()
    assert opened(Image(np.zeros((6, 7, 3)), rgb=True)).looks == ()


@pytest.mark.parametrize("colormap", ["green", "viridis", "#102030"])
def test_a_new_layer_is_shown_the_same(colormap):
    layer = Image(np.zeros((6, 7)), colormap=colormap, contrast_limits=(1, 9))
    again = Image(np.zeros((6, 7)), **look_keywords(opened(layer).looks))
    np.testing.assert_array_equal(again.colormap.colors, layer.colormap.colors)
    assert tuple(again.contrast_limits) == (1, 9)


def test_a_colormap_of_another_napari_is_shown_by_its_colour():
    look = ChannelLook("#00FF00", "not here", (0.0, 1.0))
    assert Image(np.zeros((6, 7)), **look_keywords((look,))).colormap.name == "green"
