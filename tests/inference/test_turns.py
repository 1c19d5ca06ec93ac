import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_pix2pix.core import UNet
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference._turns import TURNS
from napari_pix2pix.inference.checks import check_options
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor
from tests.helpers import as_if_trained, noise

CODEC = ImageCodec("minmax", "float32", (0.0,), (1.0,), Layout(None, False))
FLOAT = PredictOptions(device="cpu", output="float", tile=0)


def model(**fields) -> Predictor:
    planes = 1 + fields.get("noise_channels", 0)
    network = as_if_trained(
        UNet(planes, 1, depth=3, width=4, dropout=0.5, dropout_placement="paper")
    )
    return Predictor(network, CODEC, CODEC, **fields)


def predict(predictor, image, sample=0, **options) -> np.ndarray:
    options = FLOAT.model_copy(update=options).of_sample(sample)
    return predictor.predict_frame(LazyImage(image), 0, options)[0]


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    corner=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    turn=st.sampled_from(TURNS),
)
def test_a_turn_is_undone_and_takes_a_box_along(size, corner, turn):
    image = torch.arange(size[0] * size[1]).reshape(size)
    top, left = min(corner[0], size[0] - 1), min(corner[1], size[1] - 1)
    box = Box(top, size[0], left, size[1])
    turned, there = turn.turn(image), turn.turn_box(box, size)
    assert torch.equal(turn.turn_back(turned), image)
    part = turn.turn_back(turned[there.rows, there.columns])
    assert torch.equal(part, image[box.rows, box.columns])


def test_the_eight_turns_differ():
    image = torch.arange(6).reshape(2, 3)
    assert len({tuple(turn.turn(image).flatten().tolist()) for turn in TURNS}) == 8


def test_eight_turns_are_the_mean_of_the_turned_images():
    predictor, image = model(), noise(48, 32)  # whole strides: all turns are padded alike
    turned = [
        turn.turn_back(
            torch.from_numpy(predict(predictor, turn.turn(torch.from_numpy(image)).numpy()))
        )
        for turn in TURNS
    ]
    expected = torch.stack(turned).mean(0).numpy()
    np.testing.assert_allclose(predict(predictor, image, turns=8), expected, atol=1e-5)
    assert np.ptp([np.asarray(each) for each in turned], axis=0).max() > 0.01


@pytest.mark.parametrize(
    ("fields", "options"),
    [({}, {}), ({}, {"dropout": True, "seed": 3}), ({"noise_channels": 2, "noise": "pixel"}, {})],
    ids=["plain", "dropout", "noise"],
)
@pytest.mark.parametrize("size", [(61, 45), (48, 80)])
def test_tiles_equal_the_whole_in_eight_turns(fields, options, size):
    predictor, image = model(**fields), noise(*size)
    whole = predict(predictor, image, turns=8, **options)
    tiles = predict(predictor, image, turns=8, tile=16, **options)
    np.testing.assert_allclose(tiles, whole, atol=1e-5)


def test_several_samples_are_the_turns_one_by_one():
    predictor, image = model(), noise(40, 32)
    draws = [predict(predictor, image, sample=k, turns=8, samples=8) for k in range(8)]
    np.testing.assert_allclose(np.mean(draws, 0), predict(predictor, image, turns=8), atol=1e-5)
    assert np.std(draws, axis=0).max() > 0.001
    assert PredictOptions(turns=8).passes == PredictOptions(turns=8, samples=8).passes == 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 2}, "all 2 .* turn dropout on or take 8 turns and 8 samples or"),
        ({"samples": 9, "turns": 8}, "some of the 9 samples would be the same"),
        ({"turns": 8, "norm_statistics": "per-image"}, "take turns=1, or running"),
    ],
)
def test_what_turns_cannot_give_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        check_options(PredictOptions(device="cpu", **options), model())


@pytest.mark.parametrize("turns", [0, 4, "eight"])
def test_turns_are_one_or_eight(turns):
    with pytest.raises(InputError, match="turns must be 1 or 8, got"):
        PredictOptions(turns=turns)
