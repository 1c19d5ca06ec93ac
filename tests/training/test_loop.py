"""The loop: what it says, when it ends, and that it repeats itself exactly."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_pix2pix.training._schedule as schedule_module
import napari_pix2pix.training._step as step_module
import napari_pix2pix.training.loop as loop_module
from napari_pix2pix.errors import FileError
from napari_pix2pix.inference import devices
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.events import (
    Checkpoint,
    Control,
    Done,
    Event,
    Health,
    Prepared,
    Preview,
    Region,
    Step,
    Validated,
)
from napari_pix2pix.training.loop import TrainingLoop

# The discriminator in all steps, so that what is compared is all there is.
WHOLE = {"adversarial_start": 0.0, "adversarial_full": 0.0}


@pytest.fixture
def short_epochs(make_pair, tiny):
    """Return a maker of data whose epochs have three steps."""

    def make(**fields):
        return replace(prepare([make_pair()], tiny(**fields)), steps_per_epoch=3)

    return make


def of(kind: type, events: list[Event]):
    return [event for event in events if isinstance(event, kind)]


def tensors(loop: TrainingLoop) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in loop.state.tensors().items()}


def unequal(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    assert set(one) == set(other)
    return [name for name in one if not torch.equal(one[name], other[name])]


def test_events_come_in_order(make_loop, short_epochs):
    data, slow = short_epochs(), 600.0  # seconds in which no machine is too slow
    loop = make_loop(data=data, epochs=2, checkpoint_seconds=slow, **WHOLE, save=lambda *_: "here")
    events = list(loop)
    kinds = [type(event) for event in events if not isinstance(event, Health)]
    epoch = [Step, Step, Step, Validated, Preview]
    assert kinds == [Prepared, *epoch, *epoch, Checkpoint, Done]
    steps = of(Step, events)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.epoch for step in steps] == [1, 1, 1, 2, 2, 2]
    assert [step.progress for step in steps] == pytest.approx([n / 6 for n in range(1, 7)])
    assert set(steps[0].losses) == {"G_L1", "G_GAN", "D_real", "D_fake"}
    assert all(a.seconds_left >= 0 for a in steps)
    assert steps[-1].seconds_left == 0
    assert events[0].steps_per_epoch == 3
    assert events[0].device.startswith("CPU")
    assert [v.step for v in of(Validated, events)] == [3, 6]
    (done,) = of(Done, events[-1:])
    assert (done.step, done.reason) == (6, "budget")
    assert [record["step"] for record in loop.state.history] == [3, 6]


def test_history_has_the_means_of_each_epoch(make_loop, short_epochs):
    loop = make_loop(data=short_epochs(), steps=5, **WHOLE)
    steps = of(Step, list(loop))
    for record, part in zip(loop.state.history, (steps[:3], steps[3:]), strict=True):
        assert set(record["losses"]) == {"G_L1", "G_GAN", "D_real", "D_fake"}
        for name, mean in record["losses"].items():
            assert mean == pytest.approx(np.mean([step.losses[name] for step in part]))
    assert [record["epoch"] for record in loop.state.history] == [1, 2]


def test_validation_keeps_the_best(make_loop, short_epochs):
    loop = make_loop(data=short_epochs(), epochs=4)
    validated = of(Validated, list(loop))
    scores = [v.prediction["pearson"] for v in validated]
    best = -np.inf
    for one, score in zip(validated, scores, strict=True):
        assert one.best == (score > best)
        best = max(best, score)
    assert loop.state.best_score == best
    assert all(one.baseline == loop.data.validation.baseline for one in validated)


def test_preview_lies_where_it_says(make_loop):
    loop = make_loop(steps=1)
    (preview,) = of(Preview, list(loop))
    block = loop.data.validation.blocks[0]
    assert (preview.top, preview.left) == (block.rows.start, block.columns.start)
    assert preview.pair == block.pair
    assert preview.image.shape == block.target.shape


def test_first_preview_comes_before_the_first_step(make_loop):
    loop = make_loop(steps=1)
    expected = loop.data.validation.predict(loop.model(), 0)
    loop.preview_first = True
    prepared, *others = list(loop)
    assert isinstance(prepared, Prepared)
    assert prepared.preview.step == 0
    np.testing.assert_array_equal(prepared.preview.image, expected)
    assert [event.step for event in of(Preview, others)] == [1]


def test_without_validation_there_is_history_all_the_same(make_loop):
    loop = make_loop(steps=2, validation=0.0)
    events = list(loop)
    assert not of(Validated, events)
    (record,) = loop.state.history
    assert record["step"] == 2
    assert "validation" not in record


@pytest.mark.parametrize(
    ("budget", "steps"), [({"steps": 4}, 4), ({"epochs": 1}, 3), ({"epochs": 2, "steps": 5}, 5)]
)
def test_budgets_in_steps_and_epochs(budget, steps, make_loop, short_epochs):
    loop = make_loop(data=short_epochs(), **budget)
    assert len(of(Step, list(loop))) == steps == loop.state.step


def test_budget_in_seconds_holds(make_loop, counted_clock):
    loop = make_loop(max_seconds=2.0, seconds_before=0.5)
    began = counted_clock.now
    events = list(loop)
    taken = counted_clock.now - began
    (done,) = of(Done, events[-1:])
    assert taken == pytest.approx(1.5, abs=0.2)  # half a second was used before
    assert done.seconds == pytest.approx(taken + 0.5, abs=0.05)
    progress = [step.progress for step in of(Step, events)]
    assert progress == sorted(progress)
    assert 0.25 < progress[0] < 0.5


@pytest.mark.parametrize(
    ("reading", "first", "fields"),
    [(1.0, 0.001, {"max_seconds": 20.0, "patch": 16}), (0.1, 4.0, {"max_seconds": 10.0})],
    ids=["slow reads", "slow first step"],
)
def test_time_reserved_for_validation_ignores_reads_and_the_first_step(
    reading, first, fields, make_loop, make_pair, tiny, monkeypatch
):
    """What is held out is in memory, and by this clock nothing but reads and steps takes time."""
    data = prepare([make_pair(shape=(256, 256))], tiny(**fields))
    now, draw, learn = [0.0], data.sampler.batch, loop_module.Pix2PixStep.__call__

    def slow_draw(step, part):
        now[0] += reading
        return draw(step, part)

    def slow_learn(self, *arguments, **rates):
        now[0] += 0.001 if loop.state.step else first
        return learn(self, *arguments, **rates)

    monkeypatch.setattr(data.sampler, "batch", slow_draw)
    monkeypatch.setattr(loop_module.Pix2PixStep, "__call__", slow_learn)
    monkeypatch.setattr(schedule_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    loop = make_loop(data=data, **fields)
    (done,) = of(Done, list(loop)[-1:])
    assert done.seconds >= 0.9 * fields["max_seconds"]


def test_rates_follow_the_schedule(make_loop):
    loop = make_loop(
        steps=4, learning_rate=0.1, discriminator_learning_rate=0.2, decay="linear", decay_start=0
    )
    steps = of(Step, list(loop))
    assert [step.learning_rates["G"] for step in steps] == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert [step.learning_rates["D"] for step in steps] == pytest.approx([0.2, 0.15, 0.1, 0.05])
    assert loop.state.optimizer_g.param_groups[0]["lr"] == pytest.approx(0.025)


def test_adversarial_losses_appear_when_the_term_sets_in(make_loop):
    steps = of(Step, list(make_loop(steps=4, adversarial_start=0.5, adversarial_full=0.5)))
    adversarial = {"G_GAN", "D_real"}
    heard = [adversarial & set(step.losses) for step in steps]
    assert heard == [set(), set(), adversarial, adversarial]


def test_a_run_ends_after_enough_passes_and_says_so(make_loop, short_epochs):
    data = replace(short_epochs(), most_steps=4)
    (done,) = of(Done, list(make_loop(data=data, max_seconds=600.0))[-1:])
    assert (done.step, done.reason) == (4, "passes")
    (done,) = of(Done, list(make_loop(data=data, epochs=1))[-1:])
    assert (done.step, done.reason) == (3, "budget")


def test_stop_keeps_the_model_so_far(make_loop):
    control = Control()
    loop = make_loop(steps=50, control=control, save=lambda *_: "here")
    events = []
    for event in loop:
        events.append(event)
        if isinstance(event, Step) and event.step == 3:
            control.stop()
    (done,) = of(Done, events[-1:])
    assert (done.step, done.reason) == (3, "stopped")
    assert [type(event) for event in events[-4:]] == [Validated, Preview, Checkpoint, Done]


def test_stop_before_the_first_step(make_loop):
    control = Control()
    control.stop()
    events = list(make_loop(steps=5, control=control))
    assert not of(Step, events)
    assert of(Done, events)[0].reason == "stopped"


def test_pause_costs_no_budget(make_loop, counted_clock, monkeypatch):
    control = Control()
    loop = make_loop(max_seconds=1.0, control=control)

    def wait():
        pause = 7.0 if loop.state.step == 2 else 0.0
        counted_clock.now += pause
        return pause

    monkeypatch.setattr(control, "wait", wait)
    began = counted_clock.now
    (done,) = of(Done, list(loop)[-1:])
    assert done.reason == "budget"
    assert done.seconds == pytest.approx(counted_clock.now - began - 7, abs=0.05)
    assert 0.8 <= done.seconds <= 1.2


def test_same_seed_same_weights(make_loop):
    """Whatever was drawn from torch's own generator in between."""
    fields = {"steps": 4, "noise_channels": 1, "intensity_jitter": 0.1, "gradient_penalty": 1.0}
    results = []
    for noise, seed in ((0, 0), (1, 0), (0, 1)):
        torch.manual_seed(noise)
        loop = make_loop(**fields, **WHOLE, seed=seed)
        for _ in loop:
            torch.rand(noise)
        results.append(tensors(loop))
    assert unequal(results[0], results[1]) == []
    # Another seed: everything but counters differs.
    parts = {"generator", "averaged", "discriminator", "optimizer_g", "optimizer_d"}
    assert {name.split(".")[0] for name in unequal(results[0], results[2])} >= parts


def test_training_leaves_torchs_random_state_alone(make_loop):
    loop = make_loop(steps=2, noise_channels=1)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    list(loop)
    assert torch.equal(torch.rand(3), expected)


def test_a_cpu_keeps_freed_memory_while_it_trains_and_not_after(make_loop, device, monkeypatch):
    kept: list[int] = []
    monkeypatch.setattr(devices, "_keep_freed", kept.append)
    for event in make_loop(steps=1):
        if isinstance(event, Step):
            assert len(kept) == (device.type == "cpu")
    if device.type == "cpu":
        during, after = kept
        assert during > after


def test_an_error_while_reading_arrives(make_loop):
    loop = make_loop(steps=5)

    def broken(step, part):
        raise OSError("the disk is gone")

    loop.data.sampler.batch = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="the disk is gone"):
        list(loop)


def spoil_loss(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Make the reconstruction loss NaN from step ``at`` on."""
    real, calls = step_module.reconstruction_loss, iter(range(1, 10_000))

    def spoilt(*arguments):
        loss = real(*arguments)
        return loss * float("nan") if next(calls) >= at else loss

    monkeypatch.setattr(step_module, "reconstruction_loss", spoilt)


@pytest.mark.parametrize("gradient_clip", [None, 1.0])
def test_a_loss_that_is_not_finite_ends_the_run(
    gradient_clip, make_loop, short_epochs, monkeypatch
):
    fields = {"gradient_clip": gradient_clip, "decay": "constant"}
    fields |= {"adversarial_start": 1.0, "adversarial_full": 1.0}
    good = make_loop(data=short_epochs(), epochs=1, **fields)
    list(good)
    spoil_loss(monkeypatch, at=5)
    saved: list[int] = []

    def save(state, _picture):
        assert state.is_finite()
        saved.append(state.step)
        return "here"

    loop = make_loop(data=short_epochs(), epochs=3, save=save, checkpoint_seconds=1e-9, **fields)
    events = list(loop)
    assert [step.step for step in of(Step, events)] == [1, 2, 3, 4]
    assert any("The loss G_L1 is nan" in health.message for health in of(Health, events))
    (done,) = of(Done, events[-1:])
    assert done.reason == "not finite"
    assert done.step == loop.state.step == 3  # where the weights that are kept come from
    assert saved
    assert max(saved) <= 4  # nothing was written over the last good checkpoint
    assert not isinstance(events[-2], Checkpoint)
    # The last good weights: those of the end of the first epoch.
    assert unequal(good.state.snapshot(), loop.state.snapshot()) == []


@pytest.mark.parametrize("steps", [4, 3], ids=["mid-epoch", "at the end of an epoch"])
def test_weights_that_are_not_finite_end_the_run_too(steps, make_loop, short_epochs, monkeypatch):
    """A finite loss can have a gradient that is not; such weights are never kept."""
    loop = make_loop(data=short_epochs(), steps=steps, save=lambda *_: "here")
    first = loop.state.snapshot()
    average = loop.state.average

    def spoil():
        average()
        if loop.state.step == steps:
            next(loop.state.generator.parameters()).data.fill_(float("inf"))

    monkeypatch.setattr(loop.state, "average", spoil)
    events = list(loop)
    assert any("no longer finite" in health.message for health in of(Health, events))
    assert of(Done, events)[0].reason == "not finite"
    assert not of(Checkpoint, events)
    assert loop.state.is_finite()
    assert bool(unequal(first, loop.state.snapshot())) == (steps == 4)


@pytest.mark.parametrize(
    ("writing", "wanted", "least", "between", "near"),
    [
        (0.0, 0.4, 4, 0.45, 0.06),
        (0.05, 1e-9, 3, 0.65, 0.1),  # slow ones take a tenth of the time at most
    ],
    ids=["quick", "slow"],
)
def test_checkpoints_keep_their_distance(
    writing, wanted, least, between, near, make_loop, counted_clock
):
    saved: list[float] = []

    def save(*_):
        saved.append(counted_clock.now)
        counted_clock.now += writing
        return "here"

    list(make_loop(max_seconds=1.8, checkpoint_seconds=wanted, save=save))
    distances = [later - earlier for earlier, later in pairwise(saved)]
    assert len(saved) >= least
    assert distances[:-1] == pytest.approx([between] * (len(distances) - 1), abs=near)


def test_a_checkpoint_that_cannot_be_written_does_not_cost_the_model(make_loop):
    def save(*_):
        raise FileError("Can't write x: No space left on device; nothing was changed.")

    events = list(make_loop(steps=3, save=save, checkpoint_seconds=1e-9))
    assert [step.step for step in of(Step, events)] == [1, 2, 3]
    assert any("No space left" in health.message for health in of(Health, events))
    assert not of(Checkpoint, events)
    assert of(Done, events)[0].reason == "budget"


def test_the_tiny_network_learns(make_loop):
    """Sixty steps of a tiny U-Net halve the loss: the whole really is wired up."""
    steps = of(Step, list(make_loop(steps=60, learning_rate=5e-3, adversarial_weight=0)))
    first, last = (np.mean([s.losses["G_L1"] for s in part]) for part in (steps[:5], steps[-5:]))
    assert last < 0.6 * first


def test_preview_of_a_region_is_what_the_model_makes_of_it(make_loop, make_pair):
    region = Region(pair=0, frame=0, rows=slice(16, 64), columns=slice(8, 40))
    loop = make_loop(steps=2, validation=0.0, preview=region)
    (event,) = [event for event in loop if isinstance(event, Preview)]
    source = make_pair().source[16:64, 8:40]
    planes = loop.model().predict_window(source[np.newaxis], decoded=False)
    np.testing.assert_array_equal(event.image, loop.data.target_codec.decode(planes))
    assert (event.pair, event.frame, event.top, event.left) == (0, 0, 16, 8)
    assert event.kind == "image"
