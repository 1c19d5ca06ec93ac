"""Images of noise and a condition, and several translations of one image."""

import helpers
import numpy as np
import pytest
from helpers import noise
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_pix2pix.data.patches as patches
from napari_pix2pix import evaluate, load, train
from napari_pix2pix.errors import InputError
from napari_pix2pix.io.model_file import read_container
from napari_pix2pix.training.events import Step
from napari_pix2pix.translator import Translator

TINY = helpers.TINY | {"discriminator_layers": 1, "dropout": 0.0, "steps": 3}


def gray() -> np.ndarray:
    return np.rint(noise(48, 48) * 200).astype(np.uint8)


def make(kind: str, **fields) -> Translator:
    """Train on two gray targets without a source, told apart by their condition."""
    targets = [gray(), 255 - gray() // 4]
    return train(None, targets, condition=["dark", ("light", 2)], noise=kind, **{**TINY, **fields})


@pytest.fixture(scope="module", params=["image", "pixel"])
def maker(request):
    return make(request.param)


@settings(deadline=None, max_examples=10)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_any_size(maker, height, width):
    images = maker.sample("dark", 2, (height, width))
    assert (images.shape, images.dtype) == ((2, height, width), np.uint8)
    assert np.isfinite(maker.sample("dark", 1, (height, width), output="float")).all()


def test_without_a_size_that_of_a_patch(maker):
    assert maker.sample("dark").shape == (1, 32, 32)
    assert maker.sample("dark", size=40).shape == (1, 40, 40)


def test_same_seed_and_condition_same_images(maker):
    three, two, other = (
        maker.sample("dark", n, 40, seed, output="float") for n, seed in ((3, 1), (2, 1), (3, 2))
    )
    np.testing.assert_array_equal(three[:2], two)
    light = maker.sample(("light", 2), 1, 40, 1, output="float")
    images = [*three, *other, *light]
    assert all(not np.allclose(images[i], images[j]) for i in range(len(images)) for j in range(i))


def test_noise_of_the_image_repeats_where_the_note_says_it_does(maker):
    """And that of pixels does not: why images larger than a patch need it."""
    image = maker.sample("dark", 1, 160, output="float")[0]
    stride, inside = maker.generator.stride, slice(maker.generator.halo, -maker.generator.halo)
    shift = np.abs(image[inside, inside] - np.roll(image, stride, axis=1)[inside, inside])
    assert (shift[:, stride:].max() < 1e-2) == (maker.config.noise == "image")


def test_a_file_keeps_it(maker, tmp_path):
    maker.save(tmp_path / "m.safetensors", slim=True)
    again = load(tmp_path / "m.safetensors")
    assert again.info.baselines.maps == ()
    assert again.config.noise == maker.config.noise
    assert "noise to 8-bit images, 2 images of 48 x 48 pixels" in repr(again)
    np.testing.assert_array_equal(again.sample("dark", 2, 33), maker.sample("dark", 2, 33))


def test_channels_stay_where_they_were():
    rgb = np.rint(noise(48, 48, 3) * 255).astype(np.uint8)
    assert train(None, rgb, **TINY).sample(n=2, size=(20, 24)).shape == (2, 20, 24, 3)
    stack = noise(2, 3, 48, 48)  # channels, then planes
    model = train(None, stack, channel_axis=0, **TINY)
    assert model.sample(n=2, size=(20, 24)).shape == (2, 2, 20, 24)


def test_labels_out_of_noise():
    mask = np.zeros((48, 48), bool)
    mask[10:30, 12:40] = True
    images = train(None, mask, **TINY).sample(n=2, size=40)
    assert images.dtype == bool
    assert images.shape == (2, 40, 40)


@pytest.mark.parametrize("kind", ["image", "pixel"])
def test_resumed_has_the_same_weights(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(patches, "_FEWEST_STEPS", 2)
    path = tmp_path / "run.ckpt"

    def stop(event):
        return isinstance(event, Step) and event.step == 3

    straight = make(kind, steps=6)
    make(kind, steps=6, checkpoint=path, callback=stop)
    assert read_container(path)[1]["counters"]["step"] == 3
    resumed = make(kind, steps=6, checkpoint=path, resume=True)
    assert resumed.history == straight.history
    np.testing.assert_array_equal(
        resumed.sample("dark", 2, 40, output="float"),
        straight.sample("dark", 2, 40, output="float"),
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"n": 0}, "n must be 1 or more, got 0"),
        ({"n": 1.5}, "n must be an integer, got 1.5"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"seed": None}, "seed must be an integer, got None"),
        ({"size": (8, 0)}, "width must be 1 or more, got 0"),
        ({"condition": "other"}, "condition must be one of 'dark'"),
        ({"condition": None}, "condition must be one of 'dark'"),
        ({"output": "flaot"}, "output must be 'target' or 'float', got 'flaot'"),
    ],
)
def test_refused(maker, how, words):
    with pytest.raises(InputError, match=words):
        maker.sample(**{"condition": "dark", "size": 8, **how})


def test_what_needs_a_source(maker):
    with pytest.raises(InputError, match="without a source and takes no image: use sample"):
        maker(noise(8, 8), condition="dark")
    with pytest.raises(InputError, match="without a source: its images need not be like a target"):
        evaluate(maker, None, gray(), condition="dark")


# --- with a source -----------------------------------------------------------------------------


def learn(**fields) -> Translator:
    image = noise(48, 48)
    return train(image, 1 - image, validation=0.0, **{**TINY, **fields})


@pytest.mark.parametrize(
    ("fields", "how"),
    [
        ({"noise_channels": 2}, {}),
        ({"noise_channels": 2, "noise": "pixel"}, {}),
        ({"dropout": 0.5, "dropout_placement": "paper"}, {"dropout": True}),
    ],
)
def test_several_samples_of_an_image(fields, how):
    model = learn(**fields)
    stack = noise(2, 20, 24, seed=1)
    three = model(stack, samples=3, seed=4, **how)
    assert three.shape == (3, 2, 20, 24)
    np.testing.assert_array_equal(model(stack, samples=2, seed=4, **how), three[:2])
    np.testing.assert_array_equal(model(stack, seed=4, **how), three[0])
    assert not np.allclose(three[0], three[1])
    assert not np.allclose(three[1], three[2])


def test_a_model_with_a_source_is_called():
    model = learn()
    with pytest.raises(InputError, match="trained with a source: apply it to an image"):
        model.sample()
    with pytest.raises(InputError, match="all 2 samples would be the same"):
        model(noise(8, 8), samples=2)


def test_a_pair_without_a_source_for_a_model_with_one():
    with pytest.raises(InputError, match="trained on images of 1 channel, got 0"):
        evaluate(learn(), None, noise(40, 40))


def test_condition_alone_tells_two_targets_of_one_source_apart():
    """Both are learnt: each condition's output is much nearer to its own target."""
    image = noise(64, 64)
    targets = {"same": image, "inverted": 1 - image}
    model = train(
        [image, image], list(targets.values()), condition=list(targets),
        **{**TINY, "steps": 90, "batch": 4, "width": 8, "adversarial_weight": 0.0, "ema": 0.0},
        learning_rate=5e-3, validation=0.0,
    )  # fmt: skip
    new = noise(64, 64, seed=1)
    for condition, own, other in (("same", new, 1 - new), ("inverted", 1 - new, new)):
        made = model(new, condition=condition)
        assert np.abs(made - own).mean() < 0.5 * np.abs(made - other).mean()
