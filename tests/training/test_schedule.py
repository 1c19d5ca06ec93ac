"""Budgets, learning rates and the adversarial term over a run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.training._schedule import Schedule
from napari_pix2pix.training.config import TrainConfig


def test_reference_decay_is_the_published_one():
    """100 epochs at constant rate, then 100 with ``1 - max(0, epoch - 100) / 101``."""
    schedule = Schedule(TrainConfig(preset="reference", epochs=200), steps_per_epoch=7)
    for epoch, factor in [
        (1, 1),
        (100, 1),
        (101, 1 - 1 / 101),
        (150, 1 - 50 / 101),
        (200, 1 / 101),
    ]:
        for step in (7 * (epoch - 1), 7 * epoch - 1):  # the first and the last of the epoch
            rate = schedule.rate_factor(step, schedule.progress(step, 0.0))
            assert rate == pytest.approx(factor, abs=1e-12)


def test_linear_decay_without_epochs_is_a_straight_line():
    schedule = Schedule(TrainConfig(steps=100, decay="linear", decay_start=0.5), steps_per_epoch=10)
    for progress, factor in [(0, 1), (0.5, 1), (0.75, 0.5), (1, 0)]:
        assert schedule.rate_factor(0, progress) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("start", "values"),
    [(0.0, [(0, 1), (0.5, 0.5), (1, 0)]), (0.5, [(0, 1), (0.5, 1), (0.75, 0.5), (1, 0)])],
)
def test_cosine_falls_from_its_start(start, values):
    schedule = Schedule(TrainConfig(steps=1, decay="cosine", decay_start=start), steps_per_epoch=1)
    for progress, factor in values:
        assert schedule.rate_factor(0, progress) == pytest.approx(factor)


def test_paper_keeps_its_rate():
    schedule = Schedule(TrainConfig(preset="paper", epochs=200), steps_per_epoch=2)
    assert {schedule.rate_factor(step, step / 400) for step in range(400)} == {1.0}


@pytest.mark.parametrize(
    ("budget", "total"),
    [
        ({"epochs": 3}, 30),
        ({"steps": 12}, 12),
        ({"epochs": 3, "steps": 12}, 12),
        ({"epochs": 1, "steps": 12}, 10),
        ({"max_seconds": 9.0}, None),
    ],
)
def test_total_steps(budget, total):
    assert Schedule(TrainConfig(**budget), steps_per_epoch=10).total_steps == total


def test_the_budget_that_is_used_up_first_counts():
    schedule = Schedule(TrainConfig(steps=10, max_seconds=100.0), steps_per_epoch=5)
    assert schedule.progress(5, 10.0) == 0.5
    assert schedule.progress(1, 80.0) == 0.8
    assert schedule.progress(10, 0.0) == 1.0
    assert schedule.progress(1, 300.0) == 1.0


@settings(max_examples=50, deadline=None)
@given(
    steps=st.integers(1, 500),
    per_epoch=st.integers(1, 100),
    seconds=st.floats(1, 1000),
    decay=st.sampled_from(["constant", "linear", "cosine"]),
    decay_start=st.floats(0, 1),
)
def test_rates_never_rise_nor_leave_their_range(steps, per_epoch, seconds, decay, decay_start):
    config = TrainConfig(steps=steps, max_seconds=seconds, decay=decay, decay_start=decay_start)
    schedule = Schedule(config, per_epoch)
    used = [schedule.progress(step, seconds * step / steps) for step in range(steps)]
    rates = [schedule.rate_factor(step, part) for step, part in enumerate(used)]
    assert used == sorted(used)
    assert rates == sorted(rates, reverse=True)
    assert all(0 <= rate <= 1 for rate in rates)


def test_epochs_count_from_one():
    schedule = Schedule(TrainConfig(epochs=3), steps_per_epoch=10)
    assert [schedule.epoch(step) for step in (0, 9, 10, 29)] == [1, 1, 2, 3]


def test_adversarial_term_eases_in():
    config = TrainConfig(
        steps=1, adversarial_weight=2.0, adversarial_start=0.5, adversarial_full=0.75
    )
    schedule = Schedule(config, steps_per_epoch=1)
    assert [schedule.discriminator_learns(p) for p in (0, 0.49, 0.5, 1)] == [
        False,
        False,
        True,
        True,
    ]
    for progress, weight in [(0, 0), (0.49, 0), (0.5, 0), (0.625, 1), (0.75, 2), (1, 2)]:
        assert schedule.adversarial_weight(progress) == pytest.approx(weight)


def test_adversarial_term_may_be_whole_from_the_start():
    schedule = Schedule(TrainConfig(preset="reference", epochs=1), steps_per_epoch=1)
    assert schedule.discriminator_learns(0.0)
    assert schedule.adversarial_weight(0.0) == 1.0


def test_adversarial_weight_of_zero_turns_the_discriminator_off():
    schedule = Schedule(TrainConfig(steps=1, adversarial_weight=0), steps_per_epoch=1)
    assert not schedule.discriminator_learns(1.0)
    assert schedule.adversarial_weight(1.0) == 0.0


def test_without_reconstruction_the_adversarial_term_does_not_wait():
    config = TrainConfig(
        steps=1, reconstruction_weight=0, adversarial_start=0.5, adversarial_full=1.0
    )
    schedule = Schedule(config, steps_per_epoch=1)
    assert schedule.discriminator_learns(0.0)
    assert schedule.adversarial_weight(0.0) == 1.0


def test_a_new_discriminator_warms_up_first():
    whole = TrainConfig(preset="reference", epochs=1)
    schedule = Schedule(whole, steps_per_epoch=1, warm_up=0.05)
    assert schedule.discriminator_learns(0.0)
    assert [schedule.adversarial_weight(p) for p in (0, 0.04, 0.05, 1)] == [0, 0, 1, 1]
    easing = TrainConfig(steps=1, adversarial_start=0.5, adversarial_full=0.75)
    schedule = Schedule(easing, steps_per_epoch=1, warm_up=0.05)
    assert schedule.discriminator_learns(0.5)
    weights = [schedule.adversarial_weight(p) for p in (0.5, 0.55, 0.65, 0.75)]
    assert weights == pytest.approx([0, 0, 0.5, 1])
