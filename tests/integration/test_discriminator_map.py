"""Where a prediction looks false: in Python, by tiles, of frames and of layers."""

import helpers
import numpy as np
import pytest
from helpers import noise

from napari_pix2pix import load, train
from napari_pix2pix.errors import InputError

TINY = helpers.TINY | {"dropout": 0.0, "validation": 0.0, "steps": 3}
TINY |= {"discriminator_layers": 2, "adversarial_start": 0.0}


@pytest.fixture(scope="module")
def gray():
    image = noise(64, 64, drawn=float)
    return train(image, 1 - image, **TINY)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"adversarial": "lsgan", "spectral_norm": True, "conditional": False},
        {"discriminator_layers": 0},
        {"discriminator_layers": 1, "discriminator_scales": 2},
    ],
)
def test_tiles_equal_the_whole(fields):
    image = noise(64, 64, drawn=float)
    model = train(image, 1 - image, **{**TINY, **fields})
    source, prediction = noise(149, 103, seed=1, drawn=float), noise(149, 103, seed=2, drawn=float)
    whole = model.discriminator_map(source, prediction, tile=0)
    assert whole.shape == source.shape
    assert whole.dtype == np.float32
    assert whole.std() > 0
    assert np.abs(model.discriminator_map(source, prediction, tile=16) - whole).max() <= 1e-5
    other = model.discriminator_map(noise(149, 103, drawn=float), prediction)
    assert (other != whole).any() == fields.get("conditional", True)


def test_it_tells_the_truth_from_what_is_made():
    """A discriminator that learns fast beside a generator that hardly does."""
    image = noise(96, 96, drawn=float)
    rates = {"learning_rate": 1e-6, "discriminator_learning_rate": 1e-2, "steps": 40, "ema": 0.0}
    model = train(image, 1 - image, **{**TINY, **rates})
    mixed = 1 - image
    mixed[:, 48:] = model(image)[:, 48:]
    discriminator_map = model.discriminator_map(image, mixed)
    assert discriminator_map[:, :32].mean() > 0.5
    assert discriminator_map[:, 64:].mean() < -0.5


def test_frames_and_conditions_and_channels():
    sources = [noise(40, 40, 3, seed=k, drawn=float) for k in range(2)]
    targets = [1 - image[..., 0] for image in sources]
    model = train(sources, targets, condition=["a", "b"], **TINY)
    stack = noise(2, 30, 33, 3, seed=5, drawn=float)
    prediction = model(stack, condition="a")
    verdicts = {name: model.discriminator_map(stack, prediction, condition=name) for name in "ab"}
    assert verdicts["a"].shape == (2, 30, 33)
    assert not np.allclose(verdicts["a"], verdicts["b"])
    one = model.discriminator_map(stack[1], prediction[1], condition="a")
    np.testing.assert_allclose(verdicts["a"][1], one, atol=1e-6)
    with pytest.raises(InputError, match="condition must be one of 'a', 'b', got None"):
        model.discriminator_map(stack, prediction)


@pytest.mark.parametrize("kind", ["classes", "instances"])
def test_labels(kind):
    labels = np.zeros((64, 64), np.uint16)
    labels[4:30, 4:30], labels[34:60, 20:60] = 1, 2
    source = labels / 2 + 0.1 * noise(64, 64, drawn=float)
    model = train(source, labels, target_kind=kind, adversarial_weight=1.0, **TINY)
    whole = model.discriminator_map(source, labels, tile=0)
    assert np.abs(model.discriminator_map(source, labels, tile=16) - whole).max() <= 1e-5


def test_without_a_source():
    fields = {**TINY, "noise_channels": 2}
    model = train(None, noise(64, 64, drawn=float), **fields)
    assert model.discriminator_map(None, model.sample(size=40)[0]).shape == (40, 40)


def test_a_discriminator_that_measures_its_input_is_given_the_whole():
    image = noise(64, 64, drawn=float)
    model = train(image, 1 - image, discriminator_norm="instance", **TINY)
    whole = model.discriminator_map(image, image)
    np.testing.assert_array_equal(model.discriminator_map(image, image, tile=16), whole)


def test_a_model_from_a_file_says_the_same(gray, tmp_path):
    image = noise(40, 40, drawn=float)
    gray.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors").discriminator_map(image, image)
    np.testing.assert_array_equal(again, gray.discriminator_map(image, image))


def test_refused(gray, tmp_path):
    image = noise(40, 40, drawn=float)
    with pytest.raises(InputError, match=r"frames, height and width \(40, 40\), the prediction"):
        gray.discriminator_map(image, image[:30])
    with pytest.raises(InputError, match="makes 1 channel, the prediction has 3"):
        gray.discriminator_map(image, noise(40, 40, 3, drawn=float))
    with pytest.raises(InputError, match="trained with a source: give that"):
        gray.discriminator_map(None, image)
    gray.save(tmp_path / "slim.safetensors", slim=True)
    with pytest.raises(InputError, match="has no discriminator: it was saved slim"):
        load(tmp_path / "slim.safetensors").discriminator_map(image, image)
    plain = train(image, 1 - image, **{**TINY, "adversarial_weight": 0.0})
    with pytest.raises(InputError, match="trained without an adversarial term"):
        plain.discriminator_map(image, image)
    late = train(image, 1 - image, callback=lambda _: True,
                 **{**TINY, "adversarial_start": 0.9, "steps": 50})  # fmt: skip
    with pytest.raises(InputError, match="learnt nothing: the training ended before"):
        late.discriminator_map(image, image)


def test_layers_become_a_layer_where_they_lie(gray):
    layers = pytest.importorskip("napari.layers")
    place = {"scale": (0.5, 0.5), "translate": (3, 4)}
    image = layers.Image(noise(40, 48, drawn=float), name="stain", **place)
    made = layers.Image(noise(40, 48, seed=1, drawn=float), name="made", **place)
    discriminator_map = gray.discriminator_map(image, made)
    assert discriminator_map.name == "made [discriminator map]"
    assert discriminator_map.data.shape == (40, 48)
    assert list(discriminator_map.scale) == [0.5, 0.5]
    low, high = discriminator_map.contrast_limits
    assert low == -high < 0
    expected = gray.discriminator_map(image.data, made.data)
    np.testing.assert_array_equal(discriminator_map.data, expected)
