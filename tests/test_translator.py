import re
import traceback
from pathlib import Path

import helpers
import numpy as np
import pytest
import torch
from helpers import make_model, noise
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_pix2pix
from napari_pix2pix import load, train
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import DeviceError, InputError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.model_file import read_container, write_container
from napari_pix2pix.translator import Translator

TINY = helpers.TINY | {"dropout": 0.0}


def learn(source, target, **fields) -> Translator:
    return train(source, target, **{**TINY, "steps": 2, "validation": 0.0, **fields})


@pytest.fixture(scope="module")
def translator():
    """Gray float32 to gray uint16, with a discriminator, an average and a validation."""
    source = noise(96, 96)
    target = (source * 60000).astype(np.uint16)
    return train(source, target, **TINY, steps=4, adversarial_start=0.0)


@pytest.fixture(scope="module")
def colours():
    """RGB to two channels in front, with dropout."""
    source = np.rint(noise(48, 48, 3) * 255).astype(np.uint8)
    target = np.moveaxis(source[..., :2], -1, 0)
    return learn(source, target, channel_axis=(None, 0), dropout=0.5, dropout_placement="paper")


# --- what comes out ----------------------------------------------------------------------------


@settings(deadline=None, max_examples=12)
@given(height=st.integers(1, 41), width=st.integers(1, 41))
def test_any_height_and_width(translator, height, width):
    translated = translator(noise(height, width))
    assert translated.shape == (height, width)
    assert translated.dtype == np.uint16


@pytest.mark.parametrize("shape", [(1, 1), (1, 33), (3, 5, 17), (2, 1, 9, 1)])
def test_frames_stay_in_front(translator, shape):
    image = noise(*shape)
    translated = translator(image)
    assert translated.shape == shape
    last = tuple(length - 1 for length in shape[:-2])
    np.testing.assert_array_equal(translated[last], translator(image[last]))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "float32"])
def test_target_dtype(dtype):
    source = noise(40, 40)
    target = source > 0.5 if dtype == "bool" else (source * 200).astype(dtype)
    model = learn(source, target, target_kind="image", steps=1)
    assert model(source[:9, :7]).dtype == np.dtype(dtype)
    assert model(source[:9, :7], output="float").dtype == np.float32


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_rgb_without_alpha_to_channels_and_back(colours):
    image = np.rint(noise(2, 11, 13, 3) * 255).astype(np.uint8)
    translated = colours(image)
    assert translated.shape == (2, 2, 11, 13)  # frames, channels in front of rows
    assert translated.dtype == np.uint8
    with_alpha = np.rint(noise(12, 12, 4) * 255).astype(np.uint8)
    np.testing.assert_array_equal(colours(with_alpha), colours(with_alpha[..., :3]))
    back = learn(np.moveaxis(image[0], -1, 0)[:2], image[0], channel_axis=(0, None))
    assert back(image[0, ..., 0:2].transpose(2, 0, 1)).shape == (11, 13, 3)


def test_tuple_is_channels_of_one_image():
    a, b = noise(40, 40), noise(40, 40, seed=1)
    model = learn((a, b), (b, a))
    np.testing.assert_array_equal(model((a, b)), model(np.stack([a, b])))


def test_float_output_is_not_clipped(translator, tmp_path):
    translator.save(tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors")
    with torch.no_grad():
        last = [weights for weights in model.generator.parameters() if weights.ndim == 4][-1]
        last.mul_(10_000)
    image = noise(24, 24)
    plain, free = model(image), model(image, output="float")
    assert free.min() < 0
    assert free.max() > 65535
    np.testing.assert_array_equal(plain, np.clip(np.rint(free), 0, 65535).astype(np.uint16))


@pytest.mark.parametrize("cut", [{"tile": 16}, {"tile": 32, "batch": 3}, {"tile": 0, "batch": 1}])
def test_however_it_is_cut_the_same_answer(translator, cut):
    image = noise(75, 61, seed=3)
    whole = translator(image, tile=0, output="float")
    span = translator.target_codec.high[0] - translator.target_codec.low[0]
    difference = np.abs(translator(image, output="float", **cut) - whole).max()
    assert difference / span * 2 < 1e-5


def test_lazy_images(translator):
    import dask.array
    import zarr

    image = noise(2, 20, 20)
    expected = translator(image)
    stored = zarr.array(image, chunks=(1, 8, 8))
    np.testing.assert_array_equal(translator(stored), expected)
    np.testing.assert_array_equal(translator(dask.array.from_array(image)), expected)


def test_nan_pixels_do_not_spread(translator):
    image = noise(64, 64)
    image[0, 0] = np.nan
    with pytest.warns(UserWarning, match="NaN or infinite"):
        translated = translator(image, output="float")
    assert np.isfinite(translated).all()
    halo = translator.generator.halo
    np.testing.assert_allclose(
        translated[halo:, halo:], translator(noise(64, 64), output="float")[halo:, halo:], rtol=1e-4
    )


def test_dropout_is_seeded(colours):
    image = np.rint(noise(32, 32, 3) * 255).astype(np.uint8)
    how = {"dropout": True, "output": "float"}
    first, again, other = (colours(image, seed=seed, **how) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_image_statistics_differ_and_leave_no_trace(translator):
    image = noise(40, 40, seed=2)
    before = translator(image, output="float")
    assert not np.allclose(translator(image, norm_statistics="per-image", output="float"), before)
    np.testing.assert_array_equal(translator(image, output="float"), before)


def test_tiles_are_told(translator):
    told: list[tuple[int, int]] = []
    translator(noise(40, 40), tile=16, on_tile=lambda done, every: told.append((done, every)))
    assert told[-1] == (1600, 1600)
    assert len(told) > 1


def test_repr_says_what_it_is(translator):
    score = translator.scores.prediction["pearson"]
    said = repr(translator)
    assert (
        "32-bit floating point images to 16-bit images, 1 pair of 96 x 96 pixels, "
        "6 training patches, shift"
    ) in said
    assert "light" in said
    assert f"{score:.3f}" in said


def test_another_dtype_is_warned_of_where_the_user_called(colours):
    with pytest.warns(UserWarning, match="trained on uint8 images, got uint16") as seen:
        colours(np.zeros((9, 9, 3), np.uint16))
    assert [warning.filename for warning in seen] == [__file__]


def test_a_target_or_a_brighter_image_is_warned_of(tmp_path):
    source = noise(64, 64)
    model = learn(source, 7 - source)
    with pytest.warns(UserWarning, match="looks like the training targets") as seen:
        model(7 - source[:40])
    assert [warning.filename for warning in seen] == [__file__]
    model.save(tmp_path / "m.safetensors")
    with pytest.warns(UserWarning, match="% of it lies outside their range"):
        load(tmp_path / "m.safetensors")(2 * source)
    model(source[::2])


def test_models_that_know_no_intensities_are_as_good(translator, tmp_path):
    translator.save(tmp_path / "m.safetensors")
    tensors, header = read_container(tmp_path / "m.safetensors")
    del header["intensities"], header["sampled_blocks"]
    write_container(tmp_path / "old.safetensors", tensors, header)
    old = load(tmp_path / "old.safetensors")
    assert old.info.intensities is None
    assert old(9 * noise(20, 20)).shape == (20, 20)


# --- conditions --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stains():
    source = noise(48, 48)
    quickly = {"steps": 40, "learning_rate": 3e-3, "adversarial_weight": 0.0, "ema": 0.0}
    targets = [source, 1 - source]
    return learn([source, source], targets, condition=["GFP", ("RFP", 2)], **quickly)


def test_conditions_give_different_outputs(stains):
    assert stains.conditions == ("GFP", ("RFP", 2))
    image = noise(20, 20, seed=5)
    one, other = (stains(image, condition=name, output="float") for name in stains.conditions)
    towards = [np.corrcoef(out.ravel(), image.ravel())[0, 1] for out in (one, other)]
    assert towards[0] > 0 > towards[1]


def test_conditions_survive_a_file(stains, tmp_path):
    stains.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert again.conditions == stains.conditions
    image = noise(9, 9)
    for name in stains.conditions:
        np.testing.assert_array_equal(again(image, condition=name), stains(image, condition=name))


@pytest.mark.parametrize("condition", [None, "DAPI"])
def test_condition_has_to_be_one_that_is_there(stains, translator, condition):
    with pytest.raises(InputError, match=r"one of 'GFP', \('RFP', 2\), got"):
        stains(noise(8, 8), condition=condition)
    with pytest.raises(InputError, match="no conditions, got 'GFP'"):
        translator(noise(8, 8), condition="GFP")


# --- refused calls -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((8, 8), np.nan), "no finite pixel"),
        (np.full((2, 300, 8), np.inf), "no finite pixel"),
        ((np.full((8, 8), np.nan),), "no finite pixel"),
        (np.zeros((8, 8), object), "dtype object"),
        (np.zeros((0, 8)), "holds no pixel"),
        (np.zeros((20, 20, 3), np.uint8), "trained on images of 1 channel, got 3"),
        (np.zeros(8), "at least the axes Y and X"),
        ([[1, 2], [3, 4]], "is of type list"),
        (None, "is of type NoneType"),
    ],
)
def test_unusable_image(translator, image, words):
    with pytest.raises(InputError, match=words):
        translator(image)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((3, 9, 9), np.uint8), np.zeros((9, 9, 2))]
)
def test_channels_other_than_trained(colours, image):
    with pytest.raises(InputError, match=r"trained on RGB images of 3 channels, got"):
        colours(image)


def test_plane_for_a_model_of_channels():
    model = learn(noise(2, 40, 40), noise(40, 40), channel_axis=(0, None), steps=1)
    with pytest.raises(InputError, match=r"images of 2 channels, got one of shape \(8, 8\)"):
        model(noise(8, 8))
    with pytest.raises(InputError, match="images of 2 channels, got 3"):
        model(noise(3, 8, 8))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        # All of them are in inference/test_options.py and test_checks.py.
        ({"samples": 2}, "all 2 samples would be the same"),
        ({"dropout": True}, "no dropout layers"),
        ({"output": "flaot"}, "'target' or 'float', got 'flaot'"),
        ({"seed": "a"}, "seed must be an integer, got 'a'"),
        ({"tile": 3.5}, "tile must be an integer, got 3.5"),
        ({"batch": 0}, "batch must be 1 or more, got 0"),
    ],
)
def test_unusable_argument(translator, how, words):
    with pytest.raises(InputError, match=re.escape(words)):
        translator(noise(8, 8), **how)


def test_dropout_of_a_network_too_shallow_to_have_any():
    model = learn(
        noise(40, 40), noise(40, 40, seed=1), steps=1, dropout=0.5, dropout_placement="reference"
    )
    with pytest.raises(InputError, match="no dropout layers"):
        model(noise(8, 8), dropout=True)


@pytest.mark.parametrize("device", ["cuda:77", "tpu", "mps:9"])
def test_missing_device(translator, device):
    with pytest.raises(DeviceError, match=rf"no device '{device}' here: choose auto or one of"):
        translator(noise(8, 8), device=device)


# --- part by part --------------------------------------------------------------------------------


def test_parts_are_the_whole_those_in_view_first(translator):
    image = noise(96, 96)
    options, view = PredictOptions(tile=32, batch=1), Box(64, 96, 64, 96)
    parts = list(translator.predict(LazyImage(image), options, first=view))
    assert parts[0].box == view
    assert [part.done for part in parts] == [1024 * n for n in range(1, 10)]
    whole = translator(image)
    for part in parts:
        np.testing.assert_array_equal(part.pixels[0], whole[part.box.rows, part.box.columns])


def test_region_is_that_of_the_whole(translator):
    image = noise(96, 96)
    (part,) = translator.predict(LazyImage(image), PredictOptions(), region=Box(30, 50, 0, 20))
    assert part.box == Box(28, 52, 0, 20)
    np.testing.assert_array_equal(part.pixels[0], translator(image)[28:52, :20])


def test_labels_come_with_the_last_tile():
    source = noise(64, 64)
    model = learn(source, (source > 0.5).astype(np.uint8), target_kind="classes")
    parts = list(model.predict(LazyImage(source), PredictOptions(tile=32, batch=1)))
    assert [part.pixels is None for part in parts] == [True, True, True, False]
    assert [part.done for part in parts] == [1024, 2048, 3072, 4096]
    np.testing.assert_array_equal(parts[-1].pixels[0], model(source))


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_digest_is_that_of_the_applied_weights(translator, tmp_path):
    translator.save(tmp_path / "m", slim=True)
    assert load(tmp_path / "m").digest == translator.digest
    assert learn(noise(48, 48), noise(48, 48)).digest != translator.digest


@pytest.mark.parametrize("how", [{"norm": "instance"}, {"norm": "group"}])
def test_region_of_a_network_that_measures_equals_the_whole(how):
    image = np.random.default_rng(5).random((150, 180)).astype(np.float32)
    translator = train(image, 1 - image, steps=1, validation=0, **TINY | how)
    planes = LazyImage(image, channel_axis=None, rgb=False, what="image")
    options = PredictOptions(output="float")
    whole = translator.predict_frame(planes, 0, options)
    part = translator.predict_region(planes, 0, Box(8, 40, 8, 40), options)
    np.testing.assert_allclose(part, whole[:, 8:40, 8:40], atol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_half_precision_is_near_in_tiles_too(norm):
    image = noise(64, 80)
    model = learn(image, 1 - image, norm=norm, dropout=0.5, dropout_placement="paper")
    for how in ({"tile": 0}, {"tile": 32}, {"tile": 32, "dropout": True}):
        full, half = (
            model(image, output="float", device="cpu", precision=precision, **how)
            for precision in ("32-true", "bf16-mixed")
        )
        assert 0 < np.sqrt(np.square(half - full).mean()) < 0.01


def test_few_calls_lie_between_the_translator_and_its_network():
    """Whoever reads or debugs a prediction meets few functions on the way."""
    translator = learn(noise(48, 48), noise(48, 48, seed=1))
    package = Path(napari_pix2pix.__file__).parent
    calls: list[list[str]] = []

    def remember(*_):
        stack = [(Path(one.filename), one.name) for one in traceback.extract_stack()]
        own = [(path, name) for path, name in stack if package in path.parents]
        calls.append([f"{path.stem}.{name}" for path, name in own if path.parent.name != "core"])

    for layer in translator.generator.modules():
        layer.register_forward_pre_hook(remember)
    translator(noise(64, 64), tile=32, batch=1)
    assert calls
    assert {one[0] for one in calls} == {"_apply.__call__"}
    assert max(map(len, calls)) <= 6


def test_what_can_not_be_called_is_refused_before_work(colours):
    image = np.zeros((16, 16, 3), np.uint8)
    for call in (colours, colours.spread):
        with pytest.raises(InputError, match="on_tile must be a function, got 5"):
            call(image, on_tile=5)


def test_a_thread_that_can_not_begin_is_memory_that_ran_out(translator, monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor.submit", refuse)
    with pytest.raises(DeviceError, match="Memory ran out while the image was translated"):
        translator(noise(96, 96), tile=32)
    with pytest.raises(DeviceError, match="Memory ran out while the image was translated"):
        translator.spread(noise(96, 96), 2, turns=8, tile=32)


def test_weights_that_do_not_fit_their_description_are_refused():
    image = noise(40, 40)
    model = make_model(image, 1 - image)
    tensors = model.tensors
    name = next(one for one in tensors if one.startswith(model.info.applied_weights(tensors)))
    in_numpy = {one: value.numpy() for one, value in tensors.items()}
    without_one = {one: value for one, value in tensors.items() if one != name}
    for weights in ({}, 5, in_numpy, without_one):
        with pytest.raises(InputError, match="do not fit together"):
            Translator(weights, model.info)
    with pytest.raises(InputError, match="do not fit together"):
        Translator(tensors, None)
