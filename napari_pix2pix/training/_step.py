"""One optimisation step of pix2pix.

The order is that of the PyTorch implementation: one forward pass of the generator G; a step of the
discriminator D on ``0.5 * (L(D(x, G(x)), fake) + L(D(x, y), real))``; a step of the generator on
``L(D(x, G(x)), real) + 100 * |G(x) - y|`` with the updated discriminator (Isola et al. 2017,
sections 3.1 to 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_pix2pix.core import (
    align_target,
    condition_planes,
    drawing_from,
    foreground,
    foreground_dice_loss,
    generator_loss,
    noise_planes,
    reconstruction_loss,
    stack_planes,
)
from napari_pix2pix.core.foreground import per_channel
from napari_pix2pix.training._batches import TensorBatch
from napari_pix2pix.training._discriminator_step import (
    DiscriminatorStep,
    Losses,
    Verdict,
    set_up_optimizer,
)
from napari_pix2pix.training._target_content import TargetContent
from napari_pix2pix.training.distributed import (
    average_gradients,
    local_slice,
    rank_specific_rng,
    share_of_valid,
)
from napari_pix2pix.training.state import TrainingState

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Pix2PixStep:
    """Callable that trains the networks of a state, in place, by one step."""

    def __init__(
        self,
        state: TrainingState,
        fabric: Fabric,
        *,
        conditions: int,  # how many; 0 for none
        class_weights: Sequence[float] | None = None,  # one a class of the target
        target_content: TargetContent | None = None,  # where it weighs more than the ground
    ) -> None:
        self.state = state
        self.config = state.config
        self.fabric = fabric
        self.conditions = conditions
        self.class_weights = None
        if class_weights is not None:
            self.class_weights = torch.tensor(class_weights, device=fabric.device)
        self.content = None
        if target_content is not None:
            rows = [(one.ground, one.threshold, one.gain) for one in target_content]
            # Ground, threshold and gain, each (Q, 1, 1).
            self.content = torch.tensor(rows, device=fabric.device).T.reshape(3, -1, 1, 1)
        if self.config.compile:
            state.generator.compile()
        self.generator = fabric.setup_module(state.generator)
        self.optimizer = set_up_optimizer(fabric, state.optimizer_g)
        self.discriminator_step = None
        if state.discriminator is not None and state.optimizer_d is not None:
            self.discriminator_step = DiscriminatorStep(
                state.discriminator, state.optimizer_d, fabric, self.config
            )

    def __call__(
        self,
        batch: TensorBatch,
        *,
        adversarial: bool,  # whether the discriminator learns
        adversarial_weight: float,  # how much the generator listens to it; 0 costs nothing
        rate: float,  # factor of both learning rates
        rng: torch.Generator | None = None,  # of all draws; by default PyTorch's own
    ) -> Losses:
        """Train by one step and return the losses, scalars without a graph."""
        config = self.config
        self._set_rates(rate)
        condition = self._condition_planes(batch)
        planes = stack_planes(batch.source, condition, self._noise(batch, rng))  # (B, C, H, W)
        with drawing_from(self.state.generator, rank_specific_rng(self.fabric, rng)):  # dropout
            fake = self.generator(planes)  # (B, Q, H, W)

        losses: Losses = {}
        verdict: Verdict | None = None
        if adversarial and self.discriminator_step is not None:
            given = stack_planes(batch.source, condition) if config.conditional else None
            pair = given, batch.target, fake, batch.valid
            if config.stale_discriminator:
                losses, verdict = self.discriminator_step.learn_stale(*pair)
            else:
                losses = self.discriminator_step.learn(*pair, step=self.state.step, rng=rng)
                if adversarial_weight:
                    verdict = self.discriminator_step.judge(*pair, rng=rng)

        terms: Losses = {}
        if config.reconstruction_weight:
            terms |= self._reconstruction(fake, batch)
        if adversarial_weight and verdict is not None:
            terms |= self._adversarial(verdict, adversarial_weight)
        if terms:  # none while a discriminator warms up without a reconstruction term
            self._learn(list(terms.values()))
        return {name: loss.detach() for name, loss in (losses | terms).items()}

    def _reconstruction(self, fake: Tensor, batch: TensorBatch) -> Losses:
        """Return the terms that compare the output with its target, with their weights."""
        config, weight = self.config, self.config.reconstruction_weight
        kind, reach = config.reconstruction, config.shift_tolerance
        if reach:
            # Along Z by as many planes as are as deep as so many pixels.
            planes = reach >> (config.plane_levels or 0) if config.ndim == 3 else 0
            target, valid = align_target(kind, fake, batch.target, batch.valid, reach, planes)
            batch = replace(batch, target=target, valid=valid)
        pixels = self._pixel_weights(batch.target)
        loss = reconstruction_loss(kind, fake, batch.target, batch.valid, pixels)
        name = "G_L1" if kind == "l1" else "G_reconstruction"
        terms = {name: weight * (loss * share_of_valid(self.fabric, batch))}
        if config.foreground_dice and self.content is not None:
            ground, threshold, _ = self.content
            dice = foreground_dice_loss(fake, batch.target, ground, threshold, batch.valid)
            terms["G_dice"] = weight * config.foreground_dice * dice
        return terms

    def _adversarial(self, verdict: Verdict, weight: float) -> Losses:
        """Return the terms that the discriminator gives the generator, with their weights."""
        loss = generator_loss(self.config.adversarial, verdict.fake, verdict.real)
        terms = {"G_GAN": weight * loss}
        if verdict.matching is not None:
            terms["G_features"] = weight * self.config.feature_matching * verdict.matching
        return terms

    def _learn(self, objective: Sequence[Tensor]) -> None:
        """Train the generator on the sum of its terms."""
        config = self.config
        self.optimizer.zero_grad()
        self.fabric.backward(torch.stack(list(objective)).sum())
        average_gradients(self.fabric, self.generator)
        if config.gradient_clip:
            self.fabric.clip_gradients(
                self.generator,
                self.optimizer,
                max_norm=config.gradient_clip,
                error_if_nonfinite=False,  # the loop checks that, and keeps the model
            )
        self.optimizer.step()

    def _set_rates(self, rate: float) -> None:
        rates = [(self.optimizer, self.config.learning_rate)]
        if self.discriminator_step is not None:
            rates.append(
                (self.discriminator_step.optimizer, self.config.discriminator_learning_rate)
            )
        for optimizer, full_rate in rates:
            for group in optimizer.param_groups:
                group["lr"] = full_rate * rate

    def _condition_planes(self, batch: TensorBatch) -> Tensor | None:
        if not self.conditions:
            return None
        return condition_planes(batch.condition, self.conditions, *batch.source.shape[2:])

    def _pixel_weights(self, target: Tensor) -> Tensor | None:
        """Return each pixel's weight, (B, Q, H, W); its class's plane is the positive one."""
        if self.content is not None:
            ground, threshold, gain = (per_channel(values, target) for values in self.content)
            if self.config.foreground_weight:
                return 1 + self.config.foreground_weight * foreground(target, ground, threshold)
            return 1 + gain * (target.clamp(-1, 1) - ground).abs() / 2
        if self.class_weights is None:
            return None
        weights = self.class_weights.view(-1, *[1] * (target.ndim - 2))
        one_hot = target.unflatten(1, (-1, len(weights))) > 0  # (B, channels, classes, H, W)
        return (one_hot * weights).sum(2, keepdim=True).expand_as(one_hot).flatten(1, 2)

    def _noise(self, batch: TensorBatch, rng: torch.Generator | None) -> Tensor | None:
        if not self.config.noise_channels:
            return None
        count, _, *size = batch.source.shape
        # Every process draws for all images and takes its part.
        shape = self.fabric.world_size * count, self.config.noise_channels
        per_pixel = self.config.noise == "pixel"
        sides = size if per_pixel else ()
        draws = torch.randn(*shape, *sides, generator=rng, device=batch.source.device)
        own = local_slice(self.fabric, draws)
        return own if per_pixel else noise_planes(own, *size)
