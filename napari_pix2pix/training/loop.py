"""The training loop: a generator of events, which scripts, docks and tests iterate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_pix2pix.core.layers import channels_last
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.data.volume_blocks import read_volume
from napari_pix2pix.data.volumes import middle_plane
from napari_pix2pix.errors import FileError
from napari_pix2pix.inference.devices import freed_memory_kept, name_device
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.training._batches import BatchFeed, TensorBatch, make_rng, seeded
from napari_pix2pix.training._previews import PreviewPlan
from napari_pix2pix.training._schedule import Clock, Schedule
from napari_pix2pix.training._step import Pix2PixStep
from napari_pix2pix.training._warps import find_warps, unwarped
from napari_pix2pix.training.dataset import TrainingData
from napari_pix2pix.training.distributed import (
    average_statistics,
    broadcast_from_rank0,
    mean_over_processes,
)
from napari_pix2pix.training.events import (
    Checkpoint,
    Control,
    Done,
    Event,
    Health,
    Prepared,
    Preview,
    PreviewWish,
    Region,
    Step,
    Validated,
)
from napari_pix2pix.training.state import TrainingState, build_networks, generator_format
from napari_pix2pix.training.validation import (
    NOT_FINITE_WEIGHTS,
    HealthWatch,
    not_finite,
)

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from napari_pix2pix.training.config import TrainConfig

# Progress at which targets are registered: what is drawn lies right by then.
_UNWARP_AT = 0.25
# Largest share of the time for checkpoints, and for validations under a budget in seconds.
_MAX_OVERHEAD = 0.1
# Largest share of the budget that is kept for the first validation.
_MAX_RESERVED = 0.25
_NO_STEP = (
    "The budget was used up before the first step, so nothing was learnt: give more max_seconds, "
    "or images that are faster to read."
)


def build_state(config: TrainConfig, data: TrainingData, device: torch.device) -> TrainingState:
    """Build the state of a new run on the device, with the weights of a pretrained model if any."""
    generator, discriminator = build_networks(config, data.planes)
    # torch's stubs leave the memory format out.
    generator.to(device, memory_format=generator_format(device, config.ndim))  # type: ignore[call-overload]
    if discriminator is not None:
        discriminator.to(device, memory_format=channels_last(config.ndim))  # type: ignore[call-overload]
    state = TrainingState(config, generator, discriminator)
    if data.start is not None:
        data.start.begin(state)
    return state


@dataclass(frozen=True)
class _Decision:
    """What the first process decides before a step, for all processes."""

    budget_used: bool
    stopped: bool
    seconds: float  # of the run so far


@dataclass(eq=False)
class TrainingLoop:
    """Trains a state, in place, as an iterable of events."""

    state: TrainingState  # new, or loaded from a checkpoint
    data: TrainingData
    fabric: Fabric
    _: KW_ONLY
    control: Control  # the first process's control and clock count
    seconds_before: float = 0.0  # of the budget, for the preparation
    # Writes a checkpoint of the state, with a picture by its model, and returns its path.
    save: Callable[[TrainingState, Predictor], str] | None = None
    # What previews show, in time and after each epoch; the first held-out block by default.
    preview: Region | PreviewWish | None = None
    preview_first: bool = False  # whether `Prepared` has a preview, of the untrained networks

    def __post_init__(self) -> None:
        self.config = self.state.config
        self.previews = PreviewPlan(self.preview, self.data)
        self.schedule = Schedule(
            self.config, self.data.steps_per_epoch, self.state.warm_up, self.data.most_steps
        )
        self.clock = Clock(self.seconds_before + self.state.seconds)
        self.step_seconds = math.inf  # of the fastest step, without reading its batch
        self.health = HealthWatch()
        self.validation_seconds = 0.0  # of the last validation
        self.validation_total = 0.0
        self.next_save = self.clock.seconds() + self.config.checkpoint_seconds

    def __iter__(self) -> Iterator[Event]:
        """Train until the budget is used or `Control.stop` is called; yield events."""
        yield Prepared(
            self.data.summary,
            self.data.notes,
            self._device_names(),
            self.data.steps_per_epoch,
            self.data.warnings,
            self._first_preview() if self.preview_first else None,
            self.config.reconstruction,
        )
        train_step = Pix2PixStep(
            self.state,
            self.fabric,
            conditions=len(self.data.conditions),
            class_weights=self.data.class_weights,
            target_content=self.data.target_content,
        )
        last_good, good_step = self.state.snapshot(), self.state.step  # if training diverges
        reason, problem = "budget", None
        device = self.fabric.device
        memory_format, rank = generator_format(device, self.config.ndim), self.fabric.global_rank
        feed = BatchFeed(self.data.sampler, device, memory_format, rank)
        if self.state.warps is not None:  # of the run that is resumed
            self.data.sampler.draw_from(unwarped(self.data, self.state.warps))
        with freed_memory_kept(device), feed:
            while not (decision := self._decide()).budget_used:
                if decision.stopped:
                    reason = "stopped"
                    break
                if self._unwarp_now(decision.seconds):
                    self._unwarp()
                    feed.draw_again()
                step = self._train(train_step, feed.batch(self.state.step), decision.seconds)
                if problem := not_finite(step.losses):
                    break
                yield step
                yield from self._after_step(step)
                if region := self.previews.due(self.clock.seconds()):
                    yield self._preview_of(region)
                epoch_ends = self.state.step % self.data.steps_per_epoch == 0
                save_now = self._save_now()
                if (epoch_ends or save_now) and not self._is_finite():
                    break
                if epoch_ends:
                    last_good, good_step = self.state.snapshot(), self.state.step
                    yield from self._validate(force=False)
                if save_now and self.save:  # which the first process alone has
                    yield self._checkpoint()
        if not self._is_finite() or problem:
            yield Health(self.state.step, problem or NOT_FINITE_WEIGHTS)
            self.state.restore(last_good)
            self.state.step = good_step
            reason = "not finite"
        if reason == "budget" and self.schedule.passes_are_done(self.state.step):
            reason = "passes"
        if self.state.step == 0 and reason == "budget":
            yield Health(0, _NO_STEP)
        yield from self._validate(force=True)  # the last weights are always scored
        self.state.seconds = self.clock.seconds()
        if self.save and reason != "not finite":
            yield self._checkpoint()
        yield Done(self.state.step, self.state.seconds, reason)

    def _decide(self) -> _Decision:
        """Decide about the next step, after a pause if there is one."""
        used = self._budget_used()
        if not used:
            self.clock.skip(self.control.wait())
        here = used, self.control.stopped, self.clock.seconds()
        *flags, seconds = broadcast_from_rank0(self.fabric, *here)
        return _Decision(bool(flags[0]), bool(flags[1]), seconds)

    def _unwarp_now(self, seconds: float) -> bool:
        if not self.config.warp_tolerance or self.state.warps is not None:
            return False
        return self.schedule.progress(self.state.step, seconds) >= _UNWARP_AT

    def _unwarp(self) -> None:
        """Register the targets to what the model draws, and draw patches of those."""
        average_statistics(self.fabric, self.state.networks().values())
        self.state.warps = find_warps(self.model(), self.data)
        self.data.sampler.draw_from(unwarped(self.data, self.state.warps))

    def _save_now(self) -> bool:
        due = self.save is not None and self.clock.seconds() >= self.next_save
        return any(broadcast_from_rank0(self.fabric, due))

    def _is_finite(self) -> bool:
        average_statistics(self.fabric, self.state.networks().values())
        return self.state.is_finite()

    def _device_names(self) -> str:
        name, count = name_device(self.fabric.device), self.fabric.world_size
        return name if count == 1 else f"{count} × {name}"

    def _budget_used(self) -> bool:
        # A budget in seconds must leave time for the last validation.
        reserved = self.validation_seconds or self._expected_validation_seconds()
        return self.schedule.progress(self.state.step, self.clock.seconds() + reserved) >= 1

    def _expected_validation_seconds(self) -> float:
        """Estimate the first validation: half the time of training on as many pixels."""
        validation, budget = self.data.validation, self.config.max_seconds
        if validation is None or budget is None or math.isinf(self.step_seconds):
            return 0.0
        pixels = sum(block.source[0].size for block in validation.blocks)
        steps = pixels / (self.config.batch * self.config.patch**2)
        return min(0.5 * self.step_seconds * steps, _MAX_RESERVED * budget)

    def _train(self, train_step: Pix2PixStep, batch: TensorBatch, seconds: float) -> Step:
        state, schedule = self.state, self.schedule
        began = self.clock.seconds()
        progress = schedule.progress(state.step, seconds)
        rate = schedule.rate_factor(state.step, progress)
        entropy, device = (self.config.seed, state.step), self.fabric.device
        with seeded(*entropy, device=device) if self.config.compile else nullcontext():
            losses = train_step(
                batch,
                adversarial=schedule.discriminator_learns(progress),
                adversarial_weight=schedule.adversarial_weight(progress),
                rate=rate,
                rng=make_rng(*entropy, device=device),
            )
        values = mean_over_processes(self.fabric, torch.stack(list(losses.values()))).tolist()
        used = self.clock.seconds()
        self.step_seconds = min(self.step_seconds, used - began)
        after = schedule.progress(state.step + 1, used)
        step = Step(
            step=state.step + 1,
            epoch=schedule.epoch(state.step),
            losses=dict(zip(losses, values, strict=True)),
            learning_rates={
                "G": self.config.learning_rate * rate,
                "D": self.config.discriminator_learning_rate * rate,
            },
            progress=after,
            seconds_left=used * (1 - after) / after,
        )
        state.step += 1
        state.average()
        return step

    def _after_step(self, step: Step) -> Iterator[Event]:
        self.state.add_losses(step.losses)
        message = self.health.after_step(step.losses)
        if message and self.config.adversarial != "wgan":  # whose losses may be near 0 or below
            yield Health(step.step, message)

    def _validate(self, *, force: bool) -> Iterator[Event]:
        """Record the epoch, and score the applied generator on the held-out blocks."""
        state, validation = self.state, self.data.validation
        if state.history and state.history[-1]["step"] == state.step:
            return
        began = self.clock.seconds()
        too_long = self.config.max_seconds and self.validation_total > _MAX_OVERHEAD * began
        if any(broadcast_from_rank0(self.fabric, bool(too_long))) and not force:
            return
        epoch = self.schedule.epoch(max(state.step - 1, 0))
        record: dict[str, Any] = {
            "step": state.step,
            "epoch": epoch,
            "losses": state.take_mean_losses(),
        }
        state.history.append(record)
        region = self.previews.region()
        if region is not None:
            yield self._preview_of(region)
        if validation is None:
            return
        scores, prediction = validation.scores(self.model())
        record["validation"] = scores
        best = state.keep_best(primary_metric(scores)[1])
        yield Validated(state.step, epoch, scores, validation.baseline, best)
        block = validation.blocks[0]
        if region is None:
            yield self._preview(block, prediction)
        progress = self.schedule.progress(state.step, began)
        for message in self.health.after_validation(
            prediction, block.target, scores, validation.baseline, progress
        ):
            yield Health(state.step, message)
        self.validation_seconds = self.clock.seconds() - began
        self.validation_total += self.validation_seconds

    def _preview(self, region: SampleBlock | Region, image: np.ndarray) -> Preview:
        top, left = self.data.origin
        frame = region.frame
        if image.ndim == 4:  # of a volume its middle plane is shown
            frame, image = frame + image.shape[1] // 2, middle_plane(image)
        return Preview(
            self.state.step,
            image,
            pair=region.pair,
            frame=self.data.frame_of_source(region.pair, frame),
            top=top + region.rows.start,
            left=left + region.columns.start,
            kind=self.data.target_codec.kind,
        )

    def _preview_of(self, region: Region) -> Preview:
        began = self.clock.seconds()
        self.previews.begin()
        event = self._preview(region, self._predict(region))
        self.previews.end(began, self.clock.seconds())
        return event

    def _first_preview(self) -> Preview | None:
        validation, region = self.data.validation, self.previews.region()
        if region is not None:
            return self._preview_of(region)
        if validation is None:
            return None
        return self._preview(validation.blocks[0], validation.predict(self.model(), 0))

    def _predict(self, region: Region) -> np.ndarray:
        """Translate a region: (C, h, w) in the target's dtype."""
        pair, conditions = self.data.opened[region.pair], self.data.conditions
        condition = conditions.index(pair.condition) if conditions else 0
        if self.config.ndim == 2:
            block = pair.source.read(region.frame, region.rows, region.columns)
            return self.model().predict_window(block, condition)
        # The planes around the one that is asked for, as many as in training.
        depth = pair.source.frame_shape[-1]
        z, count = region.frame % depth, min(self.config.patch_planes or 1, depth)
        first = min(max(z - count // 2, 0), depth - count)
        planes = range(region.frame - z + first, region.frame - z + first + count)
        block = read_volume(pair, planes, region.rows, region.columns)[0]
        return self.model().predict_window(block, condition)[:, z - first]

    def model(self) -> Predictor:
        """Return the model as it would be applied now."""
        return Predictor(
            self.state.applied,
            self.data.source_codec,
            self.data.target_codec,
            conditions=tuple(self.data.conditions),
            z_context=self.config.z_context,
            noise_channels=self.config.noise_channels,
            noise=self.config.noise,
        )

    def _checkpoint(self) -> Event:
        assert self.save is not None
        began = self.clock.seconds()
        self.state.seconds = began
        try:
            event: Event = Checkpoint(self.state.step, self.save(self.state, self.model()))
        except FileError as error:  # a full disk must not cost the model
            event = Health(self.state.step, f"The checkpoint was not written. {error}")
        now = self.clock.seconds()
        self.next_save = now + max(self.config.checkpoint_seconds, (now - began) / _MAX_OVERHEAD)
        return event
