"""Where an image is unlike the training: in Python, by tiles, of frames and of layers."""

import dataclasses

import helpers
import numpy as np
import pytest
from helpers import noise

from napari_pix2pix import evaluate, load, train
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions

TINY = helpers.TINY | {"validation": 0.0, "steps": 2, "adversarial_weight": 0.0, "depth": 3}


@pytest.fixture(scope="module")
def gray():
    image = noise(400, 256, drawn=float)
    return train(image, 1 - image, **TINY | {"validation": 0.2})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"generator": "resnet", "blocks": 1, "norm": "instance"},
        {"generator": "encoder_decoder", "depth": 2, "z_context": 1, "noise_channels": 1},
    ],
)
def test_tiles_equal_the_whole(fields):
    image = noise(3, 64, 64, drawn=float)
    model = train(image, 1 - image, **{**TINY, **fields})
    stack = noise(3, 101, 67, seed=1, drawn=float)
    stack[1] *= 3
    whole = model.unlikeness_map(stack, tile=0)
    assert whole.shape == stack.shape
    assert whole.dtype == np.float32
    assert whole.std() > 0
    allowed = 0.05 if "norm" in fields else 1e-4  # measured in windows, nearly the same
    assert np.abs(model.unlikeness_map(stack, tile=16) - whole).max() <= allowed * whole.max()


def test_resampled_it_is_the_map_at_the_models_pixel_size(gray):
    sized = type(gray)(gray.tensors, gray.info)
    sized.pixel_size = PixelSize(1.0, 1.0)
    image = noise(48, 33, drawn=float)
    there = sized.resampled(sized._open(image)[0], PredictOptions(resample=True, pixel_size=2.0))
    large = there.read(0, slice(0, 96), slice(0, 66))[0]
    shown = sized.unlikeness_map(image, resample=True, pixel_size=2.0)
    np.testing.assert_allclose(shown, gray.unlikeness_map(large)[1::2, 1::2], rtol=1e-4)
    with pytest.warns(UserWarning, match="Turn resample on"):
        sized.unlikeness_map(image, pixel_size=2.0)


def test_a_region_sees_what_the_whole_sees(gray):
    image = gray._open(noise(96, 80, drawn=float))[0]
    [whole] = gray.predict_cells(image, PredictOptions(tile=0))
    region = gray.predict(image, PredictOptions(tile=8), region=Box(32, 64, 16, 80))
    *_, last = region
    np.testing.assert_allclose(last.cells, whole[:, 4:8, 2:10], rtol=1e-4)


def test_conditions_have_maps_of_their_own():
    sources = [noise(64, 64, seed=k, drawn=float) for k in range(2)]
    model = train(sources, [1 - image for image in sources], condition=["a", "b"], **TINY)
    maps = [model.unlikeness_map(sources[0], condition=name) for name in "ab"]
    assert not np.allclose(*maps)
    with pytest.raises(InputError, match="condition must be one of 'a', 'b', got None"):
        model.unlikeness_map(sources[0])


def test_another_kind_of_image_is_reported_once_for_all_turns_and_samples(gray):
    known, other = noise(96, 80, seed=1, drawn=float), noise(96, 80, drawn=float).round()
    assert gray.info.unlike.cells >= 1000
    assert gray.info.unlike.held_out < 0.1
    assert gray.info.notes[-1].startswith("Unlikeness: 99 % of the training's cells lie below 1")
    assert gray.unlikeness_map(known).mean() < gray.unlikeness_map(other).mean() / 1.5
    gray(known)
    for options in ({}, {"tile": 16}, {"turns": 8}):
        with pytest.warns(UserWarning, match="% of the image is unlike the training") as caught:
            gray(other, **options)
        assert len(caught) == 1
    with pytest.warns(UserWarning, match="of frame 1 is unlike the training images"):
        gray(np.stack([known, other]))
    with pytest.warns(UserWarning, match="unlike the training images"):
        gray.spread(other, turns=8)


def test_a_file_remembers_and_an_older_one_says_so(gray, tmp_path):
    image = noise(40, 40, drawn=float)
    gray.save(tmp_path / "slim.safetensors", slim=True)
    again = load(tmp_path / "slim.safetensors")
    assert again.info.unlike == gray.info.unlike
    np.testing.assert_array_equal(again.unlikeness_map(image), gray.unlikeness_map(image))
    old = type(gray)(gray.tensors, dataclasses.replace(gray.info, unlike=None))
    np.testing.assert_array_equal(old(image), gray(image))
    with pytest.raises(InputError, match="does not know what its training images looked like"):
        old.unlikeness_map(image)


def test_the_report_judges_the_map(gray, tmp_path):
    image = noise(64, 48, seed=2, drawn=float)
    evaluate(gray, image, 1 - image).report(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Is the error where an image is unlike the training?" in page
    assert "AUROC of the worst tenth" in page


def test_layers_become_a_layer_where_they_lie(gray):
    layers = pytest.importorskip("napari.layers")
    image = layers.Image(noise(40, 48, drawn=float), name="stain", scale=(0.5, 0.5))
    shown = gray.unlikeness_map(image)
    assert shown.name == "stain [unlikeness map]"
    assert list(shown.scale) == [0.5, 0.5]
    assert shown.contrast_limits == [0, 2]
    np.testing.assert_array_equal(shown.data, gray.unlikeness_map(image.data))


def test_the_best_weights_have_no_map_of_their_own(gray, tmp_path):
    best = gray.with_weights("best")
    with pytest.raises(InputError, match="choose weights='last'"):
        best.unlikeness_map(noise(64, 64, drawn=float))
    np.testing.assert_array_equal(
        best.with_weights("last").unlikeness_map(noise(64, 64, drawn=float)),
        gray.unlikeness_map(noise(64, 64, drawn=float)),
    )
    best.save(tmp_path / "best.safetensors", slim=True)
    alone = load(tmp_path / "best.safetensors")
    assert not any(name.startswith("usual.") for name in alone.tensors)
    assert not any(note.startswith("Unlikeness:") for note in alone.info.notes)
    with pytest.raises(InputError, match="it is a checkpoint or holds its best weights alone"):
        alone.unlikeness_map(noise(64, 64, drawn=float))
    # An older slim file said that it knows what is usual.
    older = dataclasses.replace(best.info, weights=("best",))
    with pytest.raises(InputError, match="best are applied: take the file that it was saved in"):
        older.check_usual()
