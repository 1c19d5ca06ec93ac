import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import pearsonr
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics._ms_ssim import SMALLEST_MS_SSIM_SIDE, multiscale_similarity
from napari_pix2pix.metrics.images import (
    channel_scores,
    image_scores,
    mean_scores,
)

KEYS = ["l1", "psnr", "ssim", "pearson", "nrmse"]


def noisy_pair(*shape: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 1, shape)
    return truth + rng.normal(0, 0.1, shape), truth


def test_unmasked_scores_are_the_libraries_own():
    prediction, truth = noisy_pair(20, 31)
    scores = image_scores(prediction, truth, data_range=1.0)
    expected = {
        "l1": np.abs(prediction - truth).mean(),
        "psnr": peak_signal_noise_ratio(truth, prediction, data_range=1.0),
        "ssim": structural_similarity(truth, prediction, data_range=1.0),
        "pearson": pearsonr(prediction.ravel(), truth.ravel())[0],
        "nrmse": normalized_root_mse(truth, prediction, normalization="min-max"),
    }
    assert list(scores) == KEYS
    assert scores == pytest.approx(expected, rel=1e-10)


def test_full_scores_are_the_quick_ones_and_more():
    prediction, truth = noisy_pair(2, 180, 190)
    scores = image_scores(prediction, truth, data_range=1.0, full=True)
    slow = ["ms_ssim", "micro_ssim", "spectrum", "frc_cutoff", "spectral_pearson"]
    assert list(scores) == [*KEYS, *slow]
    quick = image_scores(prediction, truth, data_range=1.0)
    assert {key: scores[key] for key in KEYS} == quick
    assert 0 < scores["ms_ssim"] < 1
    assert scores["spectrum"] > 0
    spoilt = np.full(truth.shape, np.nan)
    assert set(image_scores(spoilt, truth, data_range=1.0, full=True)) == set(scores)


def test_identical_images_score_perfectly():
    _, truth = noisy_pair(2, 12, 12)
    scores = image_scores(truth, truth, data_range=1.0)
    perfect = {"l1": 0.0, "psnr": math.inf, "ssim": 1.0, "pearson": 1.0, "nrmse": 0.0}
    assert scores == pytest.approx(perfect)


def test_image_scores_are_means_over_channels_with_their_own_ranges():
    prediction, truth = noisy_pair(3, 16, 16)
    ranges = [1.0, 2.0, 4.0]
    alone = [image_scores(prediction[i], truth[i], data_range=ranges[i]) for i in range(3)]
    assert channel_scores(prediction, truth, data_range=ranges) == alone
    means = image_scores(prediction, truth, data_range=ranges)
    assert means == pytest.approx({key: np.mean([s[key] for s in alone]) for key in KEYS})


def test_integers_do_not_wrap_around_and_booleans_are_numbers():
    truth = np.zeros((8, 8), np.uint8)
    truth[::2] = 255
    scores = image_scores(255 - truth, truth, data_range=255)
    assert scores["l1"] == 255
    assert scores["psnr"] == 0
    assert scores["pearson"] == pytest.approx(-1)
    truth = np.eye(9, dtype=bool)
    assert image_scores(truth, truth, data_range=1)["ssim"] == pytest.approx(1)


def test_masked_pixels_and_nan_truth_do_not_count_whatever_they_hold():
    prediction, truth = noisy_pair(24, 40)
    valid = np.zeros((24, 40), bool)
    valid[:, 5:30] = True
    spoilt_prediction, spoilt_truth = prediction.copy(), truth.copy()
    spoilt_prediction[:, :5] = np.nan
    spoilt_prediction[:, 30:] = 1e6
    spoilt_truth[:, :5] = -7
    spoilt_truth[:, 30:] = np.nan
    masked = image_scores(spoilt_prediction, spoilt_truth, data_range=1.0, valid=valid)
    cropped = image_scores(prediction[:, 5:30], truth[:, 5:30], data_range=1.0)
    assert masked == pytest.approx(cropped, rel=1e-9)
    two = [np.stack([image, image**2]) for image in (prediction, truth)]
    masked = image_scores(*two, data_range=1.0, valid=valid[np.newaxis])  # for both channels
    cropped = image_scores(*(image[..., 5:30] for image in two), data_range=1.0)
    assert masked == pytest.approx(cropped, rel=1e-9)


def test_scattered_pixels_have_no_ssim_but_all_else():
    prediction, truth = noisy_pair(16, 16)
    valid = np.indices((16, 16)).sum(axis=0) % 2 == 0
    scores = image_scores(prediction, truth, data_range=1.0, valid=valid)
    assert [key for key in KEYS if math.isnan(scores[key])] == ["ssim"]


@pytest.mark.parametrize(("constant", "lacking"), [("truth", ["pearson", "nrmse"]),
                                                   ("prediction", ["pearson"])])  # fmt: skip
def test_constant_images_have_no_correlation(constant, lacking):
    _, varied = noisy_pair(10, 10)
    flat = np.full((10, 10), 0.1)
    pair = (varied, flat) if constant == "truth" else (flat, varied)
    scores = image_scores(*pair, data_range=1.0)
    assert [key for key in KEYS if math.isnan(scores[key])] == lacking


def test_a_channel_without_a_correlation_is_left_out_of_the_mean():
    prediction, truth = noisy_pair(2, 10, 10)
    truth[0] = 0.5
    scores = image_scores(prediction, truth, data_range=1.0)
    assert scores["pearson"] == channel_scores(prediction, truth, data_range=1.0)[1]["pearson"]


def test_a_prediction_that_is_not_finite_has_no_scores():
    prediction, truth = noisy_pair(10, 10)
    prediction[3, 3] = np.inf
    assert all(map(math.isnan, image_scores(prediction, truth, data_range=1.0).values()))


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 16), width=st.integers(1, 16), seed=st.integers(0, 99))
def test_every_size_has_scores_without_a_warning(height, width, seed):
    prediction, truth = noisy_pair(height, width, seed=seed)
    scores = image_scores(prediction, truth, data_range=1.0)
    assert math.isnan(scores["ssim"]) == (min(height, width) < 3)
    assert math.isnan(scores["pearson"]) == (height * width == 1)
    assert math.isfinite(scores["psnr"])
    assert -1 <= np.nan_to_num(scores["ssim"]) <= 1


def test_mean_scores_weights_and_skips_nan():
    scores = [{"l1": 1.0, "ssim": 0.2}, {"l1": 4.0, "ssim": math.nan}, {"l1": 10.0, "ssim": 0.6}]
    pooled = mean_scores(scores, weights=[1, 2, 1])
    assert pooled == pytest.approx({"l1": (1 + 8 + 10) / 4, "ssim": 0.4})
    assert math.isnan(mean_scores([{"ssim": math.nan}])["ssim"])
    assert mean_scores([{"psnr": math.inf}, {"psnr": 3.0}], weights=[0, 1]) == {"psnr": 3.0}


def test_pooling_by_pixels_equals_scoring_at_once():
    prediction, truth = noisy_pair(10, 30)
    parts = [(np.s_[:, :9]), (np.s_[:, 9:])]
    sets = [image_scores(prediction[p], truth[p], data_range=1.0) for p in parts]
    whole = image_scores(prediction, truth, data_range=1.0)
    assert mean_scores(sets, weights=[90, 210])["l1"] == pytest.approx(whole["l1"])


@pytest.mark.parametrize(
    ("prediction", "truth", "keywords", "sentence"),
    [
        (np.zeros((4, 5)), np.zeros((5, 4)), {}, r"\(4, 5\).*\(5, 4\)"),
        (np.zeros((1, 4, 5)), np.zeros((4, 5)), {}, r"\(1, 4, 5\).*\(4, 5\)"),
        (np.zeros((4, 5)), np.full((4, 5), np.nan), {}, "no valid pixel"),
        (np.zeros((4, 5)), np.zeros((4, 5)), {"valid": np.zeros((4, 5))}, "no valid pixel"),
        (np.zeros((4, 5)), np.zeros((4, 5)), {"valid": np.ones((4, 4))}, r"mask.*\(4, 4\)"),
        (np.zeros((4, 0)), np.zeros((4, 0)), {}, r"\(4, 0\)"),
        (np.zeros(4), np.zeros(4), {}, r"\(4,\)"),
        (np.array([["a"]]), np.zeros((1, 1)), {}, "prediction holds"),
        (np.zeros((4, 5)), np.zeros((4, 5)), {"data_range": 0}, "data range is 0"),
        (np.zeros((4, 5)), np.zeros((4, 5)), {"data_range": math.nan}, "data range is nan"),
        (np.zeros((4, 5)), np.zeros((4, 5)), {"data_range": [1, 1]}, "data range"),
    ],
)
def test_bad_input_is_refused_in_words(prediction, truth, keywords, sentence):
    with pytest.raises(InputError, match=sentence):
        image_scores(prediction, truth, **{"data_range": 1.0, **keywords})


@pytest.mark.parametrize(("scores", "weights"), [([], None), ([{"l1": 1.0}], [1, 2])])
def test_pooling_needs_scores_and_their_weights(scores, weights):
    with pytest.raises(InputError, match=r"one weight|at least one"):
        mean_scores(scores, weights)


WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def textured(height: int = 192, width: int = 180, seed: int = 0) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width)), 2)


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, bool)


def ms_ssim(prediction, truth, data_range, valid=None) -> float:
    valid = everywhere(truth) if valid is None else valid
    return multiscale_similarity(prediction, truth, valid, data_range)


def plain(x: np.ndarray, y: np.ndarray, data_range: float) -> float:
    """The paper's formula, written out."""
    product = 1.0
    for scale, weight in enumerate(WEIGHTS):

        def smooth(image):
            return ndimage.gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5]

        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        mx, my = smooth(x), smooth(y)
        vx, vy, both = smooth(x * x) - mx**2, smooth(y * y) - my**2, smooth(x * y) - mx * my
        value = (2 * both + c2) / (vx + vy + c2)
        if scale == 4:
            value *= (2 * mx * my + c1) / (mx**2 + my**2 + c1)
        product *= max(0.0, value.mean()) ** weight
        x, y = (
            image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2]
            .reshape(len(image) // 2, 2, image.shape[1] // 2, 2)
            .mean((1, 3))
            for image in (x, y)
        )
    return product


def test_ms_ssim_is_the_papers_formula():
    truth = 14000 + textured()
    prediction = truth + np.random.default_rng(1).normal(0, 0.02, truth.shape)
    found = ms_ssim(prediction, truth, 0.5)
    assert 0.5 < found < 0.99
    assert found == pytest.approx(plain(prediction, truth, 0.5), rel=1e-6)


def test_ms_ssim_of_itself_is_1_and_of_its_negative_0():
    truth = textured() - 0.5
    assert ms_ssim(truth, truth, 1.0) == pytest.approx(1)
    assert ms_ssim(-truth, truth, 0.01) == 0


def test_blur_lowers_ms_ssim():
    truth = textured()
    blurred = [ndimage.gaussian_filter(truth, sigma) for sigma in (1, 2, 4)]
    scores = [ms_ssim(one, truth, 0.5) for one in blurred]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < 1


@pytest.mark.parametrize(
    ("side", "has_one"), [(SMALLEST_MS_SSIM_SIDE, True), (SMALLEST_MS_SSIM_SIDE - 1, False)]
)
def test_smallest_image_with_an_ms_ssim(side, has_one):
    truth = textured(side, 200)
    found = ms_ssim(truth, truth, 1.0)
    assert math.isnan(found) != has_one


def test_invalid_pixels_do_not_change_ms_ssim():
    truth = textured(208, 400)
    prediction = truth + 0.01 * textured(208, 400, seed=1)
    valid = everywhere(truth)
    valid[:, 192:] = False
    expected = ms_ssim(prediction[:, :192], truth[:, :192], 0.5)
    prediction[:, 192:], truth[:, 192:] = np.nan, 1e6
    assert ms_ssim(prediction, truth, 0.5, valid) == pytest.approx(expected)
    assert math.isnan(ms_ssim(prediction, truth, 0.5, valid & (truth < 0)))


def test_constant_images_are_alike_where_they_are_equal():
    flat = np.full((176, 176), 3.0)
    assert ms_ssim(flat, flat, 1.0) == pytest.approx(1)
    assert ms_ssim(flat + 1, flat, 1.0) < 1
