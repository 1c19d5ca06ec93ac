import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_pix2pix.napari_layers import snapshot
from napari_pix2pix.napari_layers.matching import (
    resampled_data,
    resampled_layer,
    shows_same_field,
)


def image(*shape: int, **place) -> Image:
    return Image(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), **place)


@pytest.mark.parametrize(
    ("layer", "like", "same"),
    [
        (image(40, 60), image(20, 30), True),
        (image(40, 60), image(40, 60), False),  # nothing to do
        (image(40, 60), image(20, 60), False),
        (image(40, 60, scale=(0.5, 0.5)), image(20, 30, scale=(1.0, 1.0)), True),
        (image(40, 60, scale=(0.5, 0.5)), image(20, 30, scale=(0.5, 0.5)), False),
        (image(3, 40, 60), image(4, 20, 30), False),
    ],
)
def test_same_field_is_told_by_scales_or_proportions(layer, like, same):
    assert shows_same_field(snapshot(layer), snapshot(like)) is same


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (image(40, 60), (20, 30)),
        (image(3, 40, 60), (3, 20, 30)),
        (Image(np.zeros((40, 60, 3), np.uint8), rgb=True), (20, 30, 3)),
        (Labels(np.kron(np.arange(6).reshape(2, 3), np.ones((20, 20), int))), (20, 30)),
    ],
    ids=["gray", "stack", "rgb", "labels"],
)
def test_target_lies_on_the_pixels_of_the_source(layer, shape):
    like = image(20, 30, scale=(2, 2), translate=(5, 6))
    target = snapshot(layer)
    data = resampled_data(target, snapshot(like))
    assert (data.shape, data.dtype) == (shape, layer.data.dtype)
    assert set(np.unique(data)) <= set(np.unique(layer.data)) or target.look
    if data.ndim == 2:
        made = resampled_layer(data, target, snapshot(like))
        assert type(made) is type(layer)
        np.testing.assert_array_equal(made.scale, like.scale)
        np.testing.assert_array_equal(made.translate, like.translate)


def test_mean_of_four_pixels_is_kept():
    data = resampled_data(snapshot(image(40, 60)), snapshot(image(20, 30)))
    whole = np.arange(2400, dtype=np.float32).reshape(40, 60)
    np.testing.assert_allclose(data[5:15, 5:25], _halved(whole)[5:15, 5:25], rtol=1e-4)


def _halved(array: np.ndarray) -> np.ndarray:
    return array.reshape(20, 2, 30, 2).mean((1, 3))
