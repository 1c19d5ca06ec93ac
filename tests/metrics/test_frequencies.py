from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from napari_pix2pix.metrics.frequencies import SMALLEST_SIDE, multiscale_similarity

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def textured(height: int = 192, width: int = 180, seed: int = 0) -> np.ndarray:
    return ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width)), 2)


def everywhere(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape, bool)


def plain(x: np.ndarray, y: np.ndarray, data_range: float) -> float:
    """The paper's formula, written out."""
    product = 1.0
    for scale, weight in enumerate(WEIGHTS):

        def smooth(image: np.ndarray) -> np.ndarray:
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


def test_it_is_the_papers_formula() -> None:
    truth = 14000 + textured()
    prediction = truth + np.random.default_rng(1).normal(0, 0.02, truth.shape)
    found = multiscale_similarity(prediction, truth, everywhere(truth), 0.5)
    assert 0.5 < found < 0.99
    assert found == pytest.approx(plain(prediction, truth, 0.5), rel=1e-6)


def test_itself_is_1_and_its_negative_0() -> None:
    truth = textured() - 0.5
    assert multiscale_similarity(truth, truth, everywhere(truth), 1.0) == pytest.approx(1)
    assert multiscale_similarity(-truth, truth, everywhere(truth), 0.01) == 0


def test_blur_lowers_it() -> None:
    truth = textured()
    blurred = [ndimage.gaussian_filter(truth, sigma) for sigma in (1, 2, 4)]
    scores = [multiscale_similarity(one, truth, everywhere(truth), 0.5) for one in blurred]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < 1


@pytest.mark.parametrize(("side", "has_one"), [(SMALLEST_SIDE, True), (SMALLEST_SIDE - 1, False)])
def test_smallest_image(side: int, has_one: bool) -> None:
    truth = textured(side, 200)
    found = multiscale_similarity(truth, truth, everywhere(truth), 1.0)
    assert math.isnan(found) != has_one


def test_what_does_not_count_changes_nothing() -> None:
    truth = textured(208, 400)
    prediction = truth + 0.01 * textured(208, 400, seed=1)
    valid = everywhere(truth)
    valid[:, 192:] = False
    expected = multiscale_similarity(
        prediction[:, :192], truth[:, :192], everywhere(truth[:, :192]), 0.5
    )
    prediction[:, 192:], truth[:, 192:] = np.nan, 1e6
    assert multiscale_similarity(prediction, truth, valid, 0.5) == pytest.approx(expected)
    assert math.isnan(multiscale_similarity(prediction, truth, valid & (truth < 0), 0.5))


def test_constant_images_are_alike_where_they_are_equal() -> None:
    flat = np.full((176, 176), 3.0)
    assert multiscale_similarity(flat, flat, everywhere(flat), 1.0) == pytest.approx(1)
    assert multiscale_similarity(flat + 1, flat, everywhere(flat), 1.0) < 1
