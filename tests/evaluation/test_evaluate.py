import pickle

import numpy as np
import pytest
from helpers import make_model, noise

from napari_pix2pix import evaluate
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.evaluation.evaluate import evaluate_pairs
from napari_pix2pix.metrics.images import image_scores

SCORES = {"l1", "psnr", "ssim", "pearson", "nrmse", "ms_ssim", "micro_ssim", "spectrum"} | {
    "frc_cutoff",
    "spectral_pearson",
}


@pytest.fixture(scope="module")
def translator():
    source = noise(48, 48)
    return make_model(source, 1 - source, steps=2)


def test_keys_and_values(translator):
    source, target = noise(30, 20, seed=1), 1 - noise(30, 20, seed=1)
    scores = evaluate(translator, source, target)
    assert set(scores) == {"prediction", "baseline", "images"}
    assert set(scores["prediction"]) == set(scores["baseline"]) == SCORES
    span = translator.target_codec.data_range
    expected = image_scores(translator(source), target, data_range=span, full=True)
    assert scores["prediction"] == pytest.approx(expected, nan_ok=True)
    assert scores["images"] == [
        {"name": "pair 1", "prediction": scores["prediction"], "baseline": scores["baseline"]}
    ]


def test_an_evaluation_travels_between_processes(translator):
    source = noise(40, 40, seed=1)
    scores = evaluate(translator, source, 1 - source)
    there = pickle.loads(pickle.dumps(scores))
    assert there["prediction"] == pytest.approx(scores["prediction"], nan_ok=True)
    [image] = there.image_scores
    assert np.array_equal(image.case.translate(0, None)[0], translator(source))


@pytest.mark.parametrize("name", ["segmenter", "features"])
def test_what_is_to_be_called_must_be_a_function(translator, name):
    with pytest.raises(InputError, match=f"{name} must be a function, got 2.5"):
        evaluate(translator, noise(30, 20), noise(30, 20), **{name: 2.5})


def test_only_a_translator_is_scored():
    with pytest.raises(InputError, match="translator must be what train or load returns, got 'm'"):
        evaluate("m", noise(30, 20), noise(30, 20))


def test_baseline_is_that_of_the_training(translator):
    source = noise(30, 20, seed=1)
    assert evaluate(translator, source, 1 - source)["baseline"]["l1"] == pytest.approx(0, abs=1e-5)
    # The map is not fitted anew: where the relation is another one, it fails.
    assert evaluate(translator, source, source)["baseline"]["pearson"] == pytest.approx(-1)


def test_images_weigh_by_their_labelled_pixels(translator):
    sources = [noise(40, 40, seed=1), noise(10, 20, seed=2)]
    targets = [1 - sources[0], sources[1] * 3]
    targets[0][:, 20:] = np.nan
    scores = evaluate(translator, sources, targets)
    first, second = (image["prediction"]["l1"] for image in scores["images"])
    assert scores["prediction"]["l1"] == pytest.approx((800 * first + 200 * second) / 1000)
    assert [image["name"] for image in scores["images"]] == ["pair 1", "pair 2"]


def test_mask_leaves_pixels_out(translator):
    source = noise(30, 30, seed=1)
    target = 1 - source
    target[:10] = 5
    mask = np.ones((30, 30), bool)
    mask[:10] = False
    assert evaluate(translator, source, target, mask=mask)["baseline"]["l1"] < 1e-4
    assert evaluate(translator, source, target)["baseline"]["l1"] > 1


def test_each_frame_is_an_image(translator):
    source = noise(3, 20, 20, seed=1)
    pair = Pair(source, 1 - source, name="film.tif")
    images = evaluate_pairs(translator, [pair])["images"]
    assert [image["name"] for image in images] == [f"film.tif, frame {i}" for i in range(3)]
    alone = dict(evaluate(translator, source[2], 1 - source[2])["prediction"])
    assert alone.pop("micro_ssim") >= images[2]["prediction"].pop("micro_ssim")  # fitted to the set
    assert images[2]["prediction"] == pytest.approx(alone, nan_ok=True)


def test_unlabelled_frame_is_left_out(translator):
    source = noise(2, 20, 20, seed=1)
    target = 1 - source
    target[0] = np.nan
    images = evaluate(translator, source, target)["images"]
    assert [image["name"] for image in images] == ["pair 1, frame 1"]


@pytest.mark.parametrize(
    ("source", "target", "axis", "words"),
    [
        (noise(2, 20, 20), noise(20, 20), (0, None), "trained on images of 1 channel, got 2"),
        (noise(20, 20), noise(2, 20, 20), (None, 0), "2 channels, and the model makes 1 channel"),
        (noise(20, 20), noise(20, 21), None, "20 x 20 pixels, the target 20 x 21"),
        ([noise(8, 8)] * 2, noise(8, 8), None, "2 sources and 1 target"),
        (noise(8, 8), np.full((8, 8), np.nan), None, "No pixel is left to score"),
    ],
)
def test_images_that_do_not_fit(translator, source, target, axis, words):
    with pytest.raises(InputError, match=words):
        evaluate(translator, source, target, channel_axis=axis)


def test_a_segmenter_is_compared_with_true_labels(translator):
    source = noise(2, 48, 48, seed=1)
    labels = (source > 0.5).astype(np.uint8)

    def segmenter(image):
        assert image.shape == (48, 48)
        return image < 0.5  # of the target, which is the negative

    scores = evaluate(translator, source, 1 - source, segmenter=segmenter, labels=labels)
    assert scores["baseline"]["segmented_dice"] == pytest.approx(1, abs=1e-3)
    assert scores["prediction"]["segmented_dice"] < 1
    assert scores["truth"]["segmented_dice"] == 1
    own = evaluate(translator, source, 1 - source, segmenter=segmenter)
    assert "truth" not in own
    assert own["prediction"]["segmented_dice"] == pytest.approx(
        scores["prediction"]["segmented_dice"], abs=1e-3
    )


@pytest.mark.parametrize(
    ("labels", "segmenter", "words"),
    [
        (np.zeros((48, 48), int), None, "there is no segmenter"),
        (np.zeros((48, 47), int), np.isnan, r"48 x 47 pixels.*target has 48 x 48"),
        (np.full((48, 48), 0.5), np.isnan, "whole numbers"),
        ([np.zeros((48, 48), int)] * 2, np.isnan, "targets is 1 and the number of label images 2"),
    ],
)
def test_labels_that_do_not_fit(translator, labels, segmenter, words):
    with pytest.raises(InputError, match=words):
        evaluate(translator, noise(48, 48), noise(48, 48), labels=labels, segmenter=segmenter)


def test_features_give_a_frechet_distance(translator):
    source = noise(4, 30, 20, seed=1)

    def features(images):
        return [[np.mean(image)] for image in images]

    scores = evaluate(translator, source, 1 - source, features=features)
    assert scores["baseline"]["frechet"] == pytest.approx(0, abs=1e-6)
    assert scores["prediction"]["frechet"] > 1e-5


def test_report_names_the_model(translator, tmp_path):
    source = noise(40, 40, seed=1)
    evaluate(translator, source, 1 - source).report(tmp_path / "r.html", samples=0)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for words in (translator.digest, translator.info.summary, "2 steps in", "seed 0"):
        assert words in page
    assert "spread of samples" not in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"noise_channels": 1}, "20 samples of 1 image,"),
        ({"dropout": 0.5}, "20 samples of 1 image,"),
        ({"dropout": 0.0}, "8 samples of 1 image,"),  # its turns
        ({"norm": "instance"}, "it gives one answer"),
    ],
)
def test_report_draws_samples_where_they_differ(fields, words, tmp_path):
    source = noise(40, 40, seed=1)
    model = make_model(source, 1 - source, **{"dropout": 0.0, **fields})
    evaluate(model, source, 1 - source).report(tmp_path / "r.html", samples=20)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert words in page
    assert ("Does the spread of samples show" in page) == words.startswith(("20", "8"))


def test_a_target_that_lacks_a_channel_is_reported(tmp_path):
    source = noise(48, 48)
    model = make_model(source, (1 - source, source**2), noise_channels=1)
    scores = evaluate(model, source, (None, source**2))
    assert scores["prediction"]["l1"] > 0
    scores.report(tmp_path / "r.html", samples=2)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 4  # the image, its two curves, its uncertainty


def test_condition_is_passed_on():
    source = noise(48, 48)
    model = make_model([source, source], [source, 1 - source], condition=["a", "b"])
    scored = evaluate(model, source, source, condition="b")["prediction"]
    expected = image_scores(
        model(source, condition="b"), source, data_range=model.target_codec.data_range, full=True
    )
    assert scored == pytest.approx(expected, nan_ok=True)
    with pytest.raises(InputError, match="one of 'a', 'b', got None"):
        evaluate(model, source, source)


@pytest.mark.parametrize(
    ("fields", "plane", "words"),
    [
        ({"z_context": 1}, 0, r"sees 1 plane on each side .* the source of a has one plane: give"),
        ({"z_context": 1}, np.s_[:, np.newaxis], "the source of a has one plane: give"),
        ({"ndim": 3, "patch": 16}, 0, "one plane of 48 x 48 pixels, and volumes are asked for"),
    ],
)
def test_one_plane_is_refused_where_a_model_sees_more(fields, plane, words):
    stack = noise(6, 48, 48)
    model = make_model(stack, 1 - stack, **fields)
    with pytest.raises(InputError, match=words):
        evaluate_pairs(model, [Pair(stack[plane], 1 - stack[plane], name="a")])
    assert "pearson" in evaluate(model, stack, 1 - stack)["prediction"]
