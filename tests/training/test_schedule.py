import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.training._schedule import Schedule, steps_for_passes
from napari_pix2pix.training.config import TrainConfig


def test_reference_decay_is_the_published_one():
    """100 epochs at constant rate, then 100 with ``1 - max(0, epoch - 100) / 101``."""
    schedule = Schedule(TrainConfig(preset="reference", epochs=200), steps_per_epoch=7)
    for epoch, lost in [(1, 0), (100, 0), (101, 1), (150, 50), (200, 100)]:
        for step in (7 * (epoch - 1), 7 * epoch - 1):  # the first and the last of the epoch
            rate = schedule.rate_factor(step, schedule.progress(step, 0.0))
            assert rate == pytest.approx(1 - lost / 101, abs=1e-12)


@pytest.mark.parametrize(
    ("decay", "start", "values"),
    [
        ("linear", 0.5, [(0, 1), (0.5, 1), (0.75, 0.5), (1, 0)]),
        ("cosine", 0.0, [(0, 1), (0.5, 0.5), (1, 0)]),
        ("cosine", 0.5, [(0, 1), (0.5, 1), (0.75, 0.5), (1, 0)]),
    ],
)
def test_rates_without_epochs_fall_from_the_start_of_the_decay(decay, start, values):
    config = TrainConfig(steps=100, decay=decay, decay_start=start)
    schedule = Schedule(config, steps_per_epoch=10)
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
    learns = [schedule.discriminator_learns(p) for p in (0, 0.49, 0.5, 1)]
    assert learns == [False, False, True, True]
    for progress, weight in [(0, 0), (0.49, 0), (0.5, 0), (0.625, 1), (0.75, 2), (1, 2)]:
        assert schedule.adversarial_weight(progress) == pytest.approx(weight)


ALONE = {"reconstruction_weight": 0, "adversarial_start": 0.5, "adversarial_full": 1.0}


@pytest.mark.parametrize(
    ("fields", "progress", "weight"),
    [
        pytest.param({"preset": "reference"}, 0.0, 1.0, id="whole from the start"),
        pytest.param({"adversarial_weight": 0}, 1.0, 0.0, id="turned off"),
        pytest.param(ALONE, 0.0, 1.0, id="without reconstruction it does not wait"),
    ],
)
def test_adversarial_term_that_does_not_ease_in(fields, progress, weight):
    schedule = Schedule(TrainConfig(steps=1, **fields), steps_per_epoch=1)
    assert schedule.discriminator_learns(progress) == bool(weight)
    assert schedule.adversarial_weight(progress) == weight


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


@pytest.mark.parametrize(
    ("fields", "steps_per_pass", "most"),
    [
        pytest.param({"max_seconds": 9.0, "passes": 200}, 3.88, 776, id="seconds"),
        pytest.param({"epochs": 30, "passes": 200}, 20.5, 4100, id="epochs"),
        pytest.param({"max_seconds": 9.0, "passes": 200}, 0.5, 500, id="no fewer than 500"),
        pytest.param({"steps": 5000, "passes": 200}, 0.5, None, id="steps are exact"),
        pytest.param({"max_seconds": 9.0, "passes": 0}, 0.5, None, id="without a limit"),
        pytest.param({"max_seconds": 9.0, "preset": "reference"}, 0.5, None, id="published"),
    ],
)
def test_passes_limit_the_steps_of_other_budgets(fields, steps_per_pass, most):
    assert steps_for_passes(TrainConfig(**fields), steps_per_pass) == most


def test_the_rate_falls_to_nothing_at_the_limit_of_passes():
    schedule = Schedule(TrainConfig(max_seconds=900.0), steps_per_epoch=100, most_steps=1000)
    assert schedule.progress(500, 30.0) == 0.5
    assert schedule.progress(1000, 60.0) == 1.0
    assert schedule.rate_factor(1000, schedule.progress(1000, 60.0)) == 0.0


def test_passes_are_done_only_where_they_end_the_run():
    seconds = Schedule(TrainConfig(max_seconds=900.0), steps_per_epoch=100, most_steps=1000)
    assert [seconds.passes_are_done(step) for step in (999, 1000)] == [False, True]
    many, few = (
        Schedule(TrainConfig(epochs=epochs), steps_per_epoch=100, most_steps=1000)
        for epochs in (30, 10)
    )
    assert many.passes_are_done(1000)
    assert not few.passes_are_done(1000)
    assert not Schedule(TrainConfig(steps=1000), steps_per_epoch=100).passes_are_done(1000)
