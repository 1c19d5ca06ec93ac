from __future__ import annotations

import numpy as np
from napari.layers import Image

from napari_pix2pix.napari_layers import transform_of


def test_matrix_is_the_layers(layer):
    place = transform_of(layer)
    assert place.ndim == layer.ndim
    for point in np.vstack([np.zeros(layer.ndim), np.eye(layer.ndim), np.full(layer.ndim, 3.5)]):
        world = place.matrix @ [*point, 1]
        np.testing.assert_allclose(world[:-1], layer.data_to_world(point), atol=1e-9)


def test_a_layer_given_the_keywords_lies_there(layer):
    place = transform_of(layer)
    other = Image(np.zeros((4,) * place.ndim), rgb=False, **place.keywords())
    assert transform_of(other).units == place.units
    np.testing.assert_allclose(transform_of(other).matrix, place.matrix, atol=1e-12)


def test_an_axis_left_out_and_one_added_leave_the_others(layer):
    place = transform_of(layer)
    grown = place.with_axis_in_front("channel")
    assert grown.axis_labels == ("channel", *place.axis_labels)
    assert grown.without(0) == place
    assert grown.without(-grown.ndim) == place == grown.last(place.ndim)


def test_an_axis_in_the_middle_is_left_out():
    layer = Image(
        np.zeros((2, 3, 4, 5)),
        scale=(2, 3, 4, 5),
        translate=(6, 7, 8, 9),
        units=("s", "pixel", "um", "um"),
        axis_labels=("t", "c", "y", "x"),
    )
    place = transform_of(layer).without(-3)
    assert (place.scale, place.translate) == ((2, 4, 5), (6, 8, 9))
    assert place.axis_labels == ("t", "y", "x")
    assert place.units == ("second", "micrometer", "micrometer")
    np.testing.assert_array_equal(place.matrix @ [1, 1, 1, 1], [8, 12, 14, 1])
