"""`train`: what it takes, what it refuses in words, and how it is ended."""

import os
import signal

import dask.array as da
import helpers
import numpy as np
import pytest
import zarr
from scipy.ndimage import gaussian_filter

from napari_pix2pix._load import load
from napari_pix2pix._train import train
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import ConfigError, DeviceError, FileError, InputError
from napari_pix2pix.training.events import Done, Event, Health, Prepared, Step
from napari_pix2pix.translator import Translator

TINY = helpers.TINY | {"depth": 3, "discriminator_layers": 1, "steps": 2}


def smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Smooth noise in [0, 1], blurred along the last two axes."""
    noise = np.random.default_rng(seed).normal(size=shape)
    noise = gaussian_filter(noise, [0] * (len(shape) - 2) + [2, 2])
    low, high = noise.min(), noise.max()
    return (noise - low) / (high - low)


def tiny_train(source, target, **fields) -> Translator:
    return train(source, target, **{**TINY, **fields})


def gray(dtype: str, shape: tuple[int, ...] = (72, 64), seed: int = 0) -> np.ndarray:
    image = smooth(shape, seed)
    if dtype == "bool":
        return image > 0.5
    if dtype.startswith("float"):
        return image.astype(dtype)
    return np.rint(image * 200 + np.random.default_rng(1).integers(0, 9, shape)).astype(dtype)


@pytest.mark.parametrize("target_dtype", ["bool", "uint8", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("source_dtype", ["bool", "uint16", "float32"])
def test_dtypes(source_dtype, target_dtype):
    source, target = gray(source_dtype), gray(target_dtype, seed=1)
    translator = tiny_train(source, target, source_kind="image", target_kind="image")
    result = translator(source)
    assert result.shape == source.shape
    assert result.dtype == target.dtype
    assert np.isfinite(result).all()


def test_a_device_of_choice_trains_and_applies(device):
    translator = tiny_train(gray("uint8"), gray("uint16", seed=1), device=str(device))
    result = translator(gray("uint8"), device=str(device))
    assert (result.shape, result.dtype) == ((72, 64), np.uint16)


def test_rgb_to_gray_and_back():
    rgb = (np.moveaxis(smooth((3, 72, 64)), 0, -1) * 255).astype(np.uint8)
    plane = gray("uint16", seed=1)
    forth = tiny_train(rgb, plane)(rgb)
    assert (forth.shape, forth.dtype) == ((72, 64), np.uint16)
    back = tiny_train(plane, rgb)(plane)
    assert (back.shape, back.dtype) == ((72, 64, 3), np.uint8)


def test_channel_axis_is_used_where_there_are_channels():
    source = smooth((3, 72, 64)).astype(np.float32)
    result = tiny_train(source, source[0], channel_axis=0)(source)
    assert result.shape == (72, 64)
    assert tiny_train(source, source[::-1], channel_axis=0)(source).shape == (3, 72, 64)


@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_lazy_arrays_train_to_the_same_weights(kind, tmp_path):
    source, target = gray("uint16"), gray("float32", seed=1)

    def lazy(array, name):
        if kind == "dask":
            return da.from_array(array, chunks=(20, 30))
        made = zarr.create_array(
            store=tmp_path / name, shape=array.shape, chunks=(20, 30), dtype=array.dtype
        )
        made[...] = array
        return made

    eager = tiny_train(source, target)
    other = tiny_train(lazy(source, "source"), lazy(target, "target"))
    assert np.array_equal(eager(source), other(source))


def test_stacks_and_lists():
    stack = smooth((3, 72, 64)).astype(np.float32)
    assert tiny_train(stack, 1 - stack)(stack).shape == stack.shape
    images = [gray("float32", (72, 64)), gray("float32", (48, 96), seed=1)]
    translator = tiny_train(images, [1 - image for image in images])
    assert "2 pairs" in translator.info.summary
    assert translator(images[1]).shape == (48, 96)


def test_conditions_choose_what_is_translated_to():
    image = gray("float32")
    translator = tiny_train([image, image], [image, 1 - image], condition=["same", "negative"])
    assert translator.conditions == ("same", "negative")
    one, other = (translator(image, condition=name) for name in translator.conditions)
    assert not np.array_equal(one, other)


def test_a_mask_leaves_the_rest_out():
    """What lies outside the mask changes nothing, whatever it is."""
    source, target = gray("float32"), gray("float32", seed=1)
    mask = np.zeros((72, 64), bool)
    mask[:, 8:50] = True
    spoilt = np.where(mask, target, 1e6)
    one, other = (tiny_train(source, t, mask=mask, validation=0)(source) for t in (target, spoilt))
    assert np.array_equal(one, other)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_pixels_that_are_not_finite_count_as_unlabelled(value, word):
    source, target = gray("float32"), gray("float32", seed=1)
    target[10:20, 10:20] = value
    translator, notes = train_and_listen(source, target)
    assert any(word in note for note in notes)
    assert np.isfinite(translator(source)).all()


def train_and_listen(source, target, **fields):
    """Return a translator and what was said of its pairs."""
    seen: list[Event] = []
    translator = tiny_train(source, target, callback=seen.append, **fields)
    return translator, next(event.notes for event in seen if isinstance(event, Prepared))


def test_what_looks_wrong_is_warned_of_where_no_callback_hears_it():
    target = 1 - OK
    target[10:20, 10:20] = np.nan
    with pytest.warns(UserWarning, match="% of the target's values are NaN"):
        translator = tiny_train(OK, target)
    assert any("values are NaN" in note for note in translator.info.notes)
    with pytest.warns(UserWarning, match="values that look like labels"):
        tiny_train(OK, (OK > 0.5).astype(np.float32))


def test_images_smaller_than_a_patch_are_trained_on():
    source = gray("float32", (20, 27))
    translator, notes = train_and_listen(source, 1 - source)
    assert translator(source).shape == (20, 27)
    assert translator.scores is None
    assert any("No validation" in note for note in notes)


def test_validation_may_be_turned_off_or_given():
    source = gray("float32")
    off = tiny_train(source, 1 - source, validation=0)
    assert off.scores is None
    other = gray("float32", seed=2)
    given = tiny_train(source, 1 - source, validation=[Pair(other, 1 - other)])
    assert set(given.info.scores_by_side) == {"prediction", "baseline"}
    assert given.scores.baseline["pearson"] == pytest.approx(1, abs=1e-6)
    # All of the image was trained on, as without validation.
    assert np.array_equal(given(source), off(source))


@pytest.mark.parametrize("how", ["callback", "interrupt"])
def test_what_is_stopped_keeps_the_model(how, interruptible):
    image, seen = gray("float32"), []

    def callback(event):
        seen.append(event)
        is_due = isinstance(event, Step) and event.step == 3
        if is_due and how == "interrupt":
            signal.raise_signal(signal.SIGINT)
        return is_due and how == "callback"

    translator = tiny_train(image, 1 - image, steps=1000, callback=callback)
    assert seen[-1].reason == "stopped"
    assert 3 <= translator.history[-1].step < (4 if how == "callback" else 11)
    assert translator(image).shape == image.shape
    assert signal.getsignal(signal.SIGINT) is interruptible


def test_an_error_in_the_callback_arrives():
    def callback(event):
        raise KeyError("mine")

    image = gray("float32")
    with pytest.raises(KeyError, match="mine"):
        tiny_train(image, 1 - image, callback=callback)


def test_seconds_end_the_call_and_count_from_its_beginning(counted_clock):
    image, seen = gray("float32"), []
    began = counted_clock.now
    tiny_train(image, 1 - image, steps=None, max_seconds=1, callback=seen.append)
    assert isinstance(seen[-1], Done)
    assert seen[-1].reason == "budget"
    assert 0.8 < seen[-1].seconds <= counted_clock.now - began


def test_same_seed_same_model_other_seed_another():
    image = gray("float32")
    one, same, other = (tiny_train(image, 1 - image, seed=seed)(image) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


OK = gray("float32")
NAN, INF = np.full((72, 64), np.nan), np.full((72, 64), np.inf)


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        (OK, OK[:60], "72 x 64 pixels, the target 60 x 64"),
        (OK, np.zeros((72, 64)), "The target is empty: 0 in every pixel"),
        (np.full((72, 64), 3.0), OK, "The source is constant: 3 in every pixel"),
        (NAN, OK, "The source .*holds no finite pixel"),
        (OK, NAN, "The target .*holds no finite pixel"),
        (OK, INF, "The target .*holds no finite pixel"),
        (OK.astype(object), OK, "dtype object"),
        (OK, OK.astype(complex), "dtype complex128"),
        (np.zeros((0, 64)), np.zeros((0, 64)), "has no pixels|no pixel|shape"),
        (OK[0], OK[0], "axes|axis|shape"),
        (OK, None, "There is no target"),
        ([OK, None], [OK, OK], "There is a source in pair 1 and none in pair 2"),
        ([], [], "at least one"),
        ([OK], [OK, OK], "There are 1 source and 2 targets"),
        (np.ones((1, 1)), np.ones((1, 1)), "The source is constant: 1 in every pixel"),
        ("image.tif", OK, "source"),
        (np.stack([OK, OK]), OK, r"has 2 frames, the target 1"),
    ],
)
def test_bad_images_are_refused_in_a_sentence(source, target, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        tiny_train(source, target)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "kind", "sentence"),
    [
        ({"epochs": -1}, ConfigError, "epochs should be greater than or equal to 1, got -1."),
        ({"preset": "heavy"}, ConfigError, "preset should be 'light', 'reference' or 'paper'"),
        ({"stepz": 3}, ConfigError, "There is no field stepz: did you mean steps?"),
        ({"validation": 1.5}, ConfigError, "validation should be less than 1"),
        ({"validation": "0.2"}, InputError, "a fraction from 0 to below 1 or a list of Pair"),
        ({"validation": []}, InputError, "a fraction from 0 to below 1 or a list of Pair"),
        ({"validation": [1]}, InputError, "a fraction from 0 to below 1 or a list of Pair"),
        ({"device": "tpu"}, DeviceError, "There is no device 'tpu' here"),
        ({"condition": ["a", "b"]}, InputError, "There are 2 conditions for 1 pair:"),
        ({"mask": np.zeros((72, 64), bool)}, InputError, "masks leave nothing"),
        ({"mask": np.ones((7, 64), bool)}, InputError, "The mask of .* is 7 x 64 pixels"),
        ({"mask": np.ones((72, 64))}, InputError, "mask .* dtype float64"),
        ({"checkpoint": "/nowhere/at/all.ckpt"}, FileError, "There is no folder /nowhere/at"),
        ({"checkpoint": "/"}, FileError, "is a folder: give the name of a file"),
        ({"resume": True}, InputError, "resume=True needs checkpoint"),
        ({"resume": "missing.ckpt"}, FileError, "There is no file missing.ckpt"),
    ],
)
def test_bad_choices_are_refused_in_a_sentence(fields, kind, sentence):
    with pytest.raises(kind, match=sentence) as caught:
        tiny_train(OK, 1 - OK, **fields)
    assert str(caught.value).endswith((".", "?"))


def test_no_permission_for_checkpoints_is_said_before_any_work(tmp_path, monkeypatch):
    # The system's own refusal can't be had as root, as containers run.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FileError, match="no permission to write the checkpoint"):
        tiny_train(OK, 1 - OK, checkpoint=tmp_path / "model.ckpt")


def test_one_odd_image_among_several_is_named():
    flat = np.zeros((72, 64), np.float32)
    _, notes = train_and_listen([OK, flat], [OK, OK], validation=0)
    assert any("The source of pair 2 is empty" in note for note in notes)


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": "reference", "dropout": 0.0},
        {"preset": "paper"},
        {"generator": "resnet", "blocks": 1},
        {"generator": "encoder_decoder"},
        {"norm": "instance"},
        {"norm": "group"},
        {"norm": "none", "noise_channels": 1},
        {"discriminator_scales": 2, "adversarial": "hinge"},
        {"adversarial": "wgan", "gradient_penalty": 10.0, "conditional": False},
        {"spectral_norm": True, "r1": 1.0, "upsampling": "resize"},
        {"discriminator_augmentation": "colour+translation+cutout", "feature_matching": 40.0},
        {"shift_tolerance": 2, "discriminator_layers": 0},
        {"keep": "best", "ema": 0.0},
        {"reconstruction_weight": 0.0},
        {"zoom": (0.9, 1.2), "intensity_jitter": 0.1},
        {"z_context": 1},
    ],
    ids=str,
)
def test_every_choice_trains_and_comes_back_from_a_file(fields, tmp_path):
    whole = {"adversarial_start": 0.0, "adversarial_full": 0.0}
    image = np.stack([OK, OK.T[::-1].T]) if "z_context" in fields else OK
    translator = tiny_train(image, 1 - image, **{**whole, **fields})
    translator.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    result = translator(image)
    assert np.isfinite(result).all()
    assert np.array_equal(loaded(image), result)
    for name, value in fields.items():
        assert getattr(loaded.config, name) == value


def test_what_goes_wrong_while_training_is_said_where_nobody_listens():
    source = gray("float32")
    blind = {"learning_rate": 1e12, "gradient_clip": None, "steps": 6}
    with pytest.warns(UserWarning, match=r"not finite|The loss .* is (nan|inf)|no longer finite"):
        tiny_train(source, 1 - source, **blind)
    heard: list[str] = []

    def listen(event):
        if isinstance(event, Health):
            heard.append(event.message)

    tiny_train(source, 1 - source, **blind, callback=listen)  # a warning would be an error
    assert heard
