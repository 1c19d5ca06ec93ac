"""Mean, deviation and quantiles of several draws, by one call."""

import helpers
import numpy as np
import pytest
from helpers import noise

from napari_pix2pix import train
from napari_pix2pix.errors import InputError

TINY = helpers.TINY | {"validation": 0.0, "steps": 2}


@pytest.fixture(scope="module")
def noisy():
    image = (200 * noise(64, 64, drawn=float)).astype(np.uint8)
    fields = {"noise_channels": 2, "noise": "pixel", "dropout": 0.5, "dropout_placement": "paper"}
    return train(image, 200 - image, **fields, **TINY)


@pytest.mark.parametrize("dropout", [False, True])
def test_it_is_that_of_the_samples(noisy, dropout):
    stack = (200 * noise(2, 45, 70, drawn=float)).astype(np.uint8)
    drawn = noisy(stack, samples=5, seed=3, dropout=dropout, output="float")
    how = {"seed": 3, "dropout": dropout, "quantiles": [0, 0.25, 0.5]}
    for tile in (0, 16):
        mean, std, quantiles = noisy.spread(stack, 5, tile=tile, **how)
        assert {one.dtype for one in (mean, std, quantiles)} == {np.dtype(np.float32)}
        np.testing.assert_allclose(mean, drawn.mean(0), rtol=1e-4)
        np.testing.assert_allclose(std, drawn.std(0, ddof=1), atol=1e-3)
        np.testing.assert_allclose(quantiles, np.quantile(drawn, [0, 0.25, 0.5], 0), rtol=1e-4)
    assert std.min() > 0
    assert noisy.spread(stack, 2, dropout=dropout).quantiles.shape == (0, *stack.shape)


def test_channels_lie_where_the_targets_had_them():
    source = noise(64, 64, 3, drawn=float)
    target = np.moveaxis(1 - source[..., :2], -1, 0)
    model = train(source, target, channel_axis=(None, 0), noise_channels=1, **TINY)
    mean, std, quantiles = model.spread(noise(30, 40, 3, drawn=float), 2, quantiles=[0.5])
    assert mean.shape == std.shape == model(noise(30, 40, 3, drawn=float)).shape
    assert quantiles.shape == (1, *mean.shape)


def test_layers_become_layers(noisy):
    layers = pytest.importorskip("napari.layers")
    image = layers.Image(
        (200 * noise(40, 48, drawn=float)).astype(np.uint8), name="s", scale=(2, 2)
    )
    mean, std, quantiles = noisy.spread(image, 3, quantiles=[0.9])
    names = [one.name for one in (mean, std, *quantiles)]
    assert names == [f"s [pix2pix, {w} of 3]" for w in ("mean", "deviation", "quantile 0.9")]
    assert all(list(one.scale) == [2, 2] for one in (mean, std, *quantiles))
    assert std.colormap.name == "amber-red"
    np.testing.assert_array_equal(mean.data, noisy.spread(image.data, 3).mean)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"n": 0}, "n must be 2 or more, got 0"),
        ({"n": 1}, "n must be 2 or more, got 1"),
        ({"n": 2.5}, "n must be an integer"),
        ({"quantiles": [0.5, 1.5]}, r"quantiles must be numbers from 0 to 1, got \[0.5, 1.5\]"),
        ({"quantiles": 0.5}, "quantiles must be numbers from 0 to 1, got 0.5"),
    ],
)
def test_refused(noisy, how, words):
    with pytest.raises(InputError, match=words):
        noisy.spread((200 * noise(40, 40, drawn=float)).astype(np.uint8), **how)


def test_models_whose_draws_are_alike_or_have_no_mean():
    image = noise(64, 64, drawn=float)
    plain = train(image, 1 - image, dropout=0.0, **TINY)
    with pytest.raises(
        InputError,
        match="all 3 samples would be the same: take 8 turns and 8 samples or take one sample",
    ):
        plain.spread(image, 3)
    drops = train(image, 1 - image, dropout=0.5, dropout_placement="paper", **TINY)
    with pytest.raises(InputError, match="would be the same: turn dropout on"):
        drops.spread(image, 3)
    labels = train(image, image > 0.5, noise_channels=1, **TINY)
    with pytest.raises(InputError, match="makes labels, which have no mean"):
        labels.spread(image, 3)
    made = train(None, image, **TINY)
    with pytest.raises(InputError, match="trained without a source and takes no image"):
        made.spread(image, 3)
