"""One optimisation step of pix2pix.

The order is the PyTorch reference's: one forward pass of the generator; a discriminator step on
``0.5 * (L(D(x, G(x)), fake) + L(D(x, y), real))``; a generator step on
``L(D(x, G(x)), real) + 100 * |G(x) - y|`` with the updated discriminator (Isola et al. 2017, 3.3).
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
    generator_loss,
    noise_planes,
    reconstruction_loss,
    stack_planes,
)
from napari_pix2pix.training._batches import TensorBatch
from napari_pix2pix.training._discriminator_step import Critic, Losses, set_up
from napari_pix2pix.training.distributed import (
    average_gradients,
    own_draws,
    own_part,
    share_of_valid,
)
from napari_pix2pix.training.state import TrainingState

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Pix2PixStep:
    """Callable that trains the networks of a state by one step.

    Parameters
    ----------
    state : TrainingState
        The networks and optimizers; changed in place.
    fabric : lightning_fabric.Fabric
        Carries device and precision.
    conditions : int
        How many conditions the model has; 0 without any.
    class_weights : sequence of float, optional
        For each class of the target its weight in the reconstruction loss.
    """

    def __init__(
        self,
        state: TrainingState,
        fabric: Fabric,
        *,
        conditions: int,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        self.config = state.config
        self.fabric = fabric
        self.conditions = conditions
        self.class_weights = None
        if class_weights is not None:
            self.class_weights = torch.tensor(class_weights, device=fabric.device)
        if self.config.compile:
            state.generator.compile()
        self.generator = fabric.setup_module(state.generator)
        self.optimizer = set_up(fabric, state.optimizer_g)
        self.critic = None
        if state.discriminator is not None and state.optimizer_d is not None:
            self.critic = Critic(state.discriminator, state.optimizer_d, fabric, self.config)

    def __call__(
        self, batch: TensorBatch, *, adversarial: bool, adversarial_weight: float, rate: float
    ) -> Losses:
        """Train by one step.

        Parameters
        ----------
        batch : TensorBatch
            The patches.
        adversarial : bool
            Whether the discriminator learns in this step.
        adversarial_weight : float
            Weight of the adversarial term in the generator's objective; 0 costs nothing.
        rate : float
            Factor of both learning rates.

        Returns
        -------
        dict of str to torch.Tensor
            Scalars without a graph, by the names of `events.Step`.
        """
        config = self.config
        self._set_rates(rate)
        condition = self._condition_planes(batch)
        planes = stack_planes(batch.source, condition, self._noise(batch))
        with own_draws(self.fabric):  # of dropout
            fake = self.generator(planes)
        losses: Losses = {}
        logits = matching = None
        if adversarial and self.critic is not None:
            given = stack_planes(batch.source, condition) if config.conditional else None
            seen = given, batch.target, fake, batch.valid
            if config.stale_discriminator:
                losses, logits = self.critic.learn_stale(*seen)
            else:
                losses = self.critic.learn(*seen)
                if adversarial_weight and config.feature_matching:
                    logits, matching = self.critic.compare(*seen)
                elif adversarial_weight:
                    logits = self.critic.judge(given, fake, batch.valid)
        objective = []
        if config.reconstruction_weight:
            objective.append(config.reconstruction_weight * self._reconstruction(fake, batch))
            losses["G_L1" if config.reconstruction == "l1" else "G_reconstruction"] = objective[-1]
        if adversarial_weight and logits is not None:
            objective.append(adversarial_weight * generator_loss(config.adversarial, logits))
            losses["G_GAN"] = objective[-1]
        if matching is not None:
            objective.append(adversarial_weight * config.feature_matching * matching)
            losses["G_features"] = objective[-1]
        if objective:  # there is none while a discriminator without an L1 term warms up
            self._learn(objective)
        return {name: loss.detach() for name, loss in losses.items()}

    def _reconstruction(self, fake: Tensor, batch: TensorBatch) -> Tensor:
        """Say how far the output is from its target, wherever that counts."""
        kind, reach = self.config.reconstruction, self.config.shift_tolerance
        if reach:
            target, valid = align_target(kind, fake, batch.target, batch.valid, reach)
            batch = replace(batch, target=target, valid=valid)
        weight = self._pixel_weights(batch.target)
        loss = reconstruction_loss(kind, fake, batch.target, batch.valid, weight)
        return loss * share_of_valid(self.fabric, batch)

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
                error_if_nonfinite=False,  # the loop looks for that, and keeps the model
            )
        self.optimizer.step()

    def _set_rates(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * rate
        if self.critic is not None:
            self.critic.set_rate(self.config.discriminator_learning_rate * rate)

    def _condition_planes(self, batch: TensorBatch) -> Tensor | None:
        if not self.conditions:
            return None
        height, width = batch.source.shape[-2:]
        return condition_planes(batch.condition, self.conditions, height, width)

    def _pixel_weights(self, target: Tensor) -> Tensor | None:
        """Weigh each pixel of a target by its class, whose plane is the one that is positive."""
        if self.class_weights is None:
            return None
        weights = self.class_weights.view(-1, 1, 1)
        maps = target.unflatten(1, (-1, len(weights))) > 0  # a class map for each channel
        return (maps * weights).sum(2, keepdim=True).expand_as(maps).flatten(1, 2)

    def _noise(self, batch: TensorBatch) -> Tensor | None:
        if not self.config.noise_channels:
            return None
        size, _, height, width = batch.source.shape
        shape = self.fabric.world_size * size, self.config.noise_channels
        device = batch.source.device
        if self.config.noise == "pixel":
            return own_part(self.fabric, torch.randn(*shape, height, width, device=device))
        vectors = own_part(self.fabric, torch.randn(shape, device=device))
        return noise_planes(vectors, height, width)
