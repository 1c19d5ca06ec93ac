"""What is said about a training, when, and how often."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.training._health import HealthWatch, not_finite

WINNING = {"D_real": 1e-3, "D_fake": 1e-3, "G_L1": 5.0}
EVEN = {"D_real": 0.7, "D_fake": 0.7, "G_L1": 5.0}
VARIED = np.arange(4.0).reshape(1, 2, 2)


def test_a_discriminator_that_wins_is_said_once() -> None:
    watch = HealthWatch()
    assert watch.after_step(1, EVEN) is None
    said = [watch.after_step(step, WINNING) for step in range(2, 600)]
    sentences = [(step, one) for step, one in enumerate(said) if one]
    assert len(sentences) == 1
    assert "discriminator wins" in sentences[0][1]
    assert sentences[0][0] > 50  # one good step is no verdict


def test_it_is_said_again_after_it_was_over() -> None:
    watch = HealthWatch()
    assert watch.after_step(1, WINNING)
    assert not any(watch.after_step(step, EVEN) for step in range(2, 50))
    assert sum(bool(watch.after_step(step, WINNING)) for step in range(50, 700)) == 1


def test_one_loss_that_is_not_small_is_no_win() -> None:
    watch = HealthWatch()
    losses = {"D_real": 1e-3, "D_fake": 0.5}
    assert not any(watch.after_step(step, losses) for step in range(300))


def test_without_a_discriminator_there_is_nothing_to_say() -> None:
    watch = HealthWatch()
    assert not any(watch.after_step(step, {"G_L1": 1e-4}) for step in range(300))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_a_constant_output_is_said(dtype: type) -> None:
    watch, trivial = HealthWatch(), {"pearson": 0.5}
    constant, varied = np.ones((1, 2, 2), dtype), VARIED.astype(dtype)
    assert watch.after_validation(varied, varied, {"pearson": 0.9}, trivial, 1.0) == []
    (sentence,) = watch.after_validation(constant, varied, {"pearson": 0.9}, trivial, 1.0)
    assert "The output is constant" in sentence


@pytest.mark.parametrize("truth", [np.zeros((1, 2, 2)), np.full((1, 2, 2), np.nan)])
def test_a_truth_without_content_asks_for_a_constant_output(truth: np.ndarray) -> None:
    constant = np.zeros((1, 2, 2))
    assert HealthWatch().after_validation(constant, truth, {"pearson": 0.9}, {}, 0.4) == []


def test_missing_pixels_do_not_hide_the_content_of_a_truth() -> None:
    truth = np.array([[[0.0, 1.0], [np.nan, 1.0]]])
    assert HealthWatch().after_validation(np.zeros((1, 2, 2)), truth, {"pearson": 0.0}, {}, 0.4)


@pytest.mark.parametrize(("progress", "score", "said"), [(0.4, 0.1, 0), (0.5, 0.1, 1), (1, 0.6, 0)])
def test_below_the_trivial_map_counts_from_half_time(
    progress: float, score: float, said: int
) -> None:
    watch = HealthWatch()
    validation = (VARIED, VARIED, {"pearson": score}, {"pearson": 0.5}, progress)
    sentences = watch.after_validation(*validation)
    assert len(sentences) == said
    assert all("best trivial map" in sentence for sentence in sentences)
    again = watch.after_validation(*validation)
    assert again == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_loss_that_is_not_finite_is_named(value: float) -> None:
    sentence = not_finite({"G_L1": 1.0, "D_real": value})
    assert sentence is not None
    assert f"D_real is {value}" in sentence


def test_finite_losses_are_fine() -> None:
    assert not_finite({"G_L1": 1e30, "D_real": 0.0}) is None
