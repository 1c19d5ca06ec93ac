"""The training loop: a generator of events that a script, a dock and a test drain alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.errors import FileError
from napari_pix2pix.inference.devices import name_device
from napari_pix2pix.inference.model import Model
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.training._batches import BatchFeed, TensorBatch, seeded
from napari_pix2pix.training._health import NOT_FINITE_WEIGHTS, HealthWatch, not_finite
from napari_pix2pix.training._schedule import Schedule
from napari_pix2pix.training._step import Pix2PixStep
from napari_pix2pix.training.control import Control
from napari_pix2pix.training.dataset import TrainingData
from napari_pix2pix.training.distributed import (
    average_statistics,
    broadcast_from_rank0,
    mean_over_processes,
)
from napari_pix2pix.training.events import (
    Checkpoint,
    Done,
    Event,
    Health,
    Prepared,
    Preview,
    Region,
    Step,
    Validated,
)
from napari_pix2pix.training.networks import build_discriminator, build_generator
from napari_pix2pix.training.state import TrainingState

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from napari_pix2pix.training.config import TrainConfig

# The part of the time that checkpoints, and validations under a budget in seconds, may take.
_OVERHEAD = 0.1
# However long the first validation is expected to take, no more of the budget is kept for it.
_MOST_EXPECTED = 0.25
_NO_STEP = (
    "The budget was used up before the first step, so nothing was learnt: give more max_seconds, "
    "or images that are faster to read."
)


def build_state(config: TrainConfig, data: TrainingData, device: torch.device) -> TrainingState:
    """Build the networks and optimizers of a new run on ``device``, with its start's weights."""
    planes = data.planes
    generator = build_generator(
        config, planes_in=planes.generator_in, planes_out=planes.generator_out
    )
    discriminator = build_discriminator(config, planes_in=planes.discriminator_in)
    # torch's stubs leave the memory format out.
    generator.to(device, memory_format=generator_format(device))  # type: ignore[call-overload]
    if discriminator is not None:
        discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainingState(config, generator, discriminator)
    if data.start is not None:
        data.start.begin(state)
    return state


def generator_format(device: torch.device) -> torch.memory_format:
    """Return the memory format that a generator trains fastest in.

    Channels last is what convolutions like best; on a CPU, though, the gradients of transposed
    convolutions lose more by it than all else wins (some 15 % of a step at batch 8).
    """
    return torch.contiguous_format if device.type == "cpu" else torch.channels_last


@dataclass
class Clock:
    """Seconds of the run, pauses left out."""

    began: float

    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    def skip(self, seconds: float) -> None:
        """Leave ``seconds`` out of the count."""
        self.began += seconds


@dataclass(frozen=True)
class _Turn:
    """What is decided before a step, in all processes as in the first."""

    budget_used: bool
    stopped: bool
    seconds: float  # of the run so far


class TrainingLoop:
    """Trains a state on data, as an iterable of events.

    Parameters
    ----------
    state : TrainingState
        Where to begin; changed in place.
    data : TrainingData
        What to train on.
    fabric : lightning_fabric.Fabric
        Carries device, precision and processes.
    control : Control
        Pauses, resumes and stops the loop from outside. Of several processes the first's counts,
        as does its clock.
    seconds_before : float
        Seconds of the budget used before the loop begins, such as those of the preparation.
    save : callable, optional
        Writes a checkpoint of the state and returns its path.
    preview : Region, optional
        What is shown after each epoch; the first held-out block when not given.
    preview_first : bool
        Whether `Prepared` shows it too, as the networks begin.
    """

    def __init__(
        self,
        state: TrainingState,
        data: TrainingData,
        fabric: Fabric,
        *,
        control: Control,
        seconds_before: float = 0.0,
        save: Callable[[TrainingState], str] | None = None,
        preview: Region | None = None,
        preview_first: bool = False,
    ) -> None:
        self.config = state.config
        self.state = state
        self.data = data
        self.fabric = fabric
        self.control = control
        self.save = save
        self.preview = None if preview is None else preview.moved(data.origin)
        self.preview_first = preview_first
        self.schedule = Schedule(state.config, data.steps_per_epoch, state.warm_up)
        self.clock = Clock(time.perf_counter() - seconds_before - state.seconds)
        self.step_seconds = math.inf  # that the fastest step took, without reading its batch
        self.health = HealthWatch()
        self.validation_seconds = 0.0  # that the last validation took
        self.validation_total = 0.0
        self.next_save = self.clock.seconds() + self.config.checkpoint_seconds

    def __iter__(self) -> Iterator[Event]:
        """Train until the budget is used or `Control.stop` is called; yield what happens."""
        yield Prepared(
            self.data.summary,
            self.data.notes,
            self._name_devices(),
            self.data.steps_per_epoch,
            self.data.warnings,
            self._first_preview() if self.preview_first else None,
        )
        train_step = Pix2PixStep(
            self.state,
            self.fabric,
            conditions=len(self.data.conditions),
            class_weights=self.data.class_weights,
        )
        last_good, good_step = self.state.snapshot(), self.state.step
        reason, sentence = "budget", None
        device = self.fabric.device
        layout, part = generator_format(device), self.fabric.global_rank
        with BatchFeed(self.data.sampler, device, layout, part) as feed:
            while not (turn := self._next_turn()).budget_used:
                if turn.stopped:
                    reason = "stopped"
                    break
                step = self._train(train_step, feed.batch(self.state.step), turn.seconds)
                if sentence := not_finite(step.losses):
                    break
                yield step
                yield from self._after_step(step)
                epoch_ends = self.state.step % self.data.steps_per_epoch == 0
                save_now = self._save_now()
                if (epoch_ends or save_now) and not self._is_finite():
                    break
                if epoch_ends:
                    last_good, good_step = self.state.snapshot(), self.state.step
                    yield from self._validate(force=False)
                if save_now and self.save:
                    yield self._checkpoint()
        if not self._is_finite() or sentence:
            yield Health(self.state.step, sentence or NOT_FINITE_WEIGHTS)
            self.state.restore(last_good)
            self.state.step = good_step
            reason = "not finite"
        if self.state.step == 0 and reason == "budget":
            yield Health(0, _NO_STEP)
        yield from self._validate(force=True)
        self.state.seconds = self.clock.seconds()
        if self.save and reason != "not finite":
            yield self._checkpoint()
        yield Done(self.state.step, self.state.seconds, reason)

    def _next_turn(self) -> _Turn:
        """Decide about the next step, after a pause if there is one."""
        used = self._budget_used()
        if not used:
            self.clock.skip(self.control.wait())
        known = used, self.control.stopped, self.clock.seconds()
        *flags, seconds = broadcast_from_rank0(self.fabric, *known)
        return _Turn(bool(flags[0]), bool(flags[1]), seconds)

    def _save_now(self) -> bool:
        due = self.save is not None and self.clock.seconds() >= self.next_save
        return any(broadcast_from_rank0(self.fabric, due))

    def _is_finite(self) -> bool:
        average_statistics(self.fabric, self.state.networks().values())
        return self.state.is_finite()

    def _name_devices(self) -> str:
        name, count = name_device(self.fabric.device), self.fabric.world_size
        return name if count == 1 else f"{count} × {name}"

    def _budget_used(self) -> bool:
        # Under a budget in seconds the last validation must still fit in.
        ahead = self.validation_seconds or self._expected_validation_seconds()
        return self.schedule.progress(self.state.step, self.clock.seconds() + ahead) >= 1

    def _expected_validation_seconds(self) -> float:
        """Estimate the first validation: half of what training on as many pixels takes."""
        validation, budget = self.data.validation, self.config.max_seconds
        if validation is None or budget is None or math.isinf(self.step_seconds):
            return 0.0
        pixels = sum(block.source[0].size for block in validation.blocks)
        steps = pixels / (self.config.batch * self.config.patch**2)
        return min(0.5 * self.step_seconds * steps, _MOST_EXPECTED * budget)

    def _train(self, train_step: Pix2PixStep, batch: TensorBatch, seconds: float) -> Step:
        state, schedule = self.state, self.schedule
        began = self.clock.seconds()
        progress = schedule.progress(state.step, seconds)
        rate = schedule.rate_factor(state.step, progress)
        with seeded(self.config.seed, state.step, device=self.fabric.device):
            losses = train_step(
                batch,
                adversarial=schedule.discriminator_learns(progress),
                adversarial_weight=schedule.adversarial_weight(progress),
                rate=rate,
            )
        values = mean_over_processes(self.fabric, torch.stack(list(losses.values()))).tolist()
        self.step_seconds = min(self.step_seconds, self.clock.seconds() - began)
        step = Step(
            step=state.step + 1,
            epoch=schedule.epoch(state.step),
            losses=dict(zip(losses, values, strict=True)),
            learning_rates={
                "G": self.config.learning_rate * rate,
                "D": self.config.discriminator_learning_rate * rate,
            },
            progress=schedule.progress(state.step + 1, self.clock.seconds()),
            seconds_left=self._seconds_left(),
        )
        state.step += 1
        state.average()
        return step

    def _seconds_left(self) -> float:
        used = self.clock.seconds()
        progress = self.schedule.progress(self.state.step + 1, used)
        return used * (1 - progress) / progress

    def _after_step(self, step: Step) -> Iterator[Event]:
        self.state.add_losses(step.losses)
        sentence = self.health.after_step(step.step, step.losses)
        if sentence and self.config.adversarial != "wgan":  # whose losses have no zero to reach
            yield Health(step.step, sentence)

    def _validate(self, *, force: bool) -> Iterator[Event]:
        """Record the epoch; score the applied generator on what is held out."""
        state, validation = self.state, self.data.validation
        if state.history and state.history[-1]["step"] == state.step:
            return
        began = self.clock.seconds()
        too_dear = self.config.max_seconds and self.validation_total > _OVERHEAD * began
        if any(broadcast_from_rank0(self.fabric, bool(too_dear))) and not force:
            return
        epoch = self.schedule.epoch(max(state.step - 1, 0))
        record: dict[str, Any] = {
            "step": state.step,
            "epoch": epoch,
            "losses": state.take_mean_losses(),
        }
        state.history.append(record)
        if self.preview is not None:
            yield self._preview(self.preview, self._predict(self.preview))
        if validation is None:
            return
        scores, preview = validation.scores(self.model())
        record["validation"] = scores
        best = state.keep_best(primary_metric(scores)[1])
        yield Validated(state.step, epoch, scores, validation.baseline, best)
        block = validation.blocks[0]
        if self.preview is None:
            yield self._preview(block, preview)
        progress = self.schedule.progress(state.step, began)
        for sentence in self.health.after_validation(
            preview, block.target, scores, validation.baseline, progress
        ):
            yield Health(state.step, sentence)
        self.validation_seconds = self.clock.seconds() - began
        self.validation_total += self.validation_seconds

    def _preview(self, where: SampleBlock | Region, image: np.ndarray) -> Preview:
        top, left = self.data.origin
        return Preview(
            self.state.step,
            image,
            pair=where.pair,
            frame=where.frame,
            top=top + where.rows.start,
            left=left + where.columns.start,
            kind=self.data.target_codec.kind,
        )

    def _first_preview(self) -> Preview | None:
        validation = self.data.validation
        if self.preview is not None:
            return self._preview(self.preview, self._predict(self.preview))
        if validation is None:
            return None
        return self._preview(validation.blocks[0], validation.predict(self.model(), 0))

    def _predict(self, region: Region) -> np.ndarray:
        """Translate a region: (C, h, w) in the target's dtype."""
        pair, conditions = self.data.opened[region.pair], self.data.conditions
        block = pair.source.read(region.frame, region.rows, region.columns)
        planes = self.model().translate(
            lambda rows, columns: block[:, rows, columns],
            *block.shape[-2:],
            condition=conditions.index(pair.condition) if conditions else 0,
        )
        return self.data.target_codec.decode(planes)

    def model(self) -> Model:
        """Return the generator as it would be applied now."""
        return Model(
            self.state.applied,
            self.data.source_codec,
            self.data.target_codec,
            conditions=len(self.data.conditions),
            noise_channels=self.config.noise_channels,
            noise=self.config.noise,
        )

    def _checkpoint(self) -> Event:
        assert self.save is not None
        began = self.clock.seconds()
        self.state.seconds = began
        event: Event
        try:
            event = Checkpoint(self.state.step, self.save(self.state))
        except FileError as error:  # a full disk must not cost the model
            event = Health(self.state.step, f"There is no new checkpoint. {error}")
        now = self.clock.seconds()
        self.next_save = now + max(self.config.checkpoint_seconds, (now - began) / _OVERHEAD)
        return event
