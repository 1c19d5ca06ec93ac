"""One optimisation step of pix2pix.

The order is that of the PyTorch implementation: one forward pass of the generator G; a step of the
discriminator D on ``0.5 * (L(D(x, G(x)), fake) + L(D(x, y), real))``; a step of the generator on
``L(D(x, G(x)), real) + 100 * |G(x) - y|`` with the updated discriminator (Isola et al. 2017,
sections 3.1 to 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.func import functional_call

from napari_pix2pix.core import (
    AUGMENTATION_DRAWS,
    Features,
    Logits,
    align_target,
    augment,
    condition_planes,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    gradient_penalty,
    noise_planes,
    r1_penalty,
    reconstruction_loss,
    stack_planes,
)
from napari_pix2pix.training._batches import TensorBatch
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.distributed import (
    average_gradients,
    local_slice,
    rank_specific_draws,
    share_of_valid,
)
from napari_pix2pix.training.state import Discriminator, TrainingState

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricOptimizer

Losses = dict[str, Tensor]  # by the names of `events.Step`


class Pix2PixStep:
    """Callable that trains the networks of a state, in place, by one step."""

    def __init__(
        self,
        state: TrainingState,
        fabric: Fabric,
        *,
        conditions: int,  # how many; 0 for none
        class_weights: Sequence[float] | None = None,  # one a class of the target
        # Of each channel of a sparse target, its ground and the weight of what differs from it.
        content_weights: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        self.config = state.config
        self.fabric = fabric
        self.conditions = conditions
        self.class_weights = None
        if class_weights is not None:
            self.class_weights = torch.tensor(class_weights, device=fabric.device)
        self.content_weights = None
        if content_weights is not None:
            columns = torch.tensor(content_weights, device=fabric.device).T
            self.content_weights = columns.reshape(2, -1, 1, 1)
        if self.config.compile:
            state.generator.compile()
        self.generator = fabric.setup_module(state.generator)
        self.optimizer = _set_up(fabric, state.optimizer_g)
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
    ) -> Losses:
        """Train by one step and return the losses, scalars without a graph."""
        config = self.config
        self._set_rates(rate)
        condition = self._condition_planes(batch)
        planes = stack_planes(batch.source, condition, self._noise(batch))  # (B, C, H, W)
        with rank_specific_draws(self.fabric):  # dropout
            fake = self.generator(planes)  # (B, Q, H, W)

        losses: Losses = {}
        logits = matching = None
        if adversarial and self.discriminator_step is not None:
            given = stack_planes(batch.source, condition) if config.conditional else None
            pair = given, batch.target, fake, batch.valid
            if config.stale_discriminator:
                losses, logits = self.discriminator_step.learn_stale(*pair)
            else:
                losses = self.discriminator_step.learn(*pair)
                if adversarial_weight and config.feature_matching:
                    logits, matching = self.discriminator_step.match_features(*pair)
                elif adversarial_weight:
                    logits = self.discriminator_step.judge(given, fake, batch.valid)

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
        if objective:  # none while a discriminator warms up without a reconstruction term
            self._learn(objective)
        return {name: loss.detach() for name, loss in losses.items()}

    def _reconstruction(self, fake: Tensor, batch: TensorBatch) -> Tensor:
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
        height, width = batch.source.shape[-2:]
        return condition_planes(batch.condition, self.conditions, height, width)

    def _pixel_weights(self, target: Tensor) -> Tensor | None:
        """Return each pixel's weight, (B, Q, H, W); its class's plane is the positive one."""
        if self.content_weights is not None:
            ground, weights = self.content_weights
            return 1 + weights * (target.clamp(-1, 1) - ground).abs() / 2
        if self.class_weights is None:
            return None
        weights = self.class_weights.view(-1, 1, 1)
        one_hot = target.unflatten(1, (-1, len(weights))) > 0  # (B, channels, classes, H, W)
        return (one_hot * weights).sum(2, keepdim=True).expand_as(one_hot).flatten(1, 2)

    def _noise(self, batch: TensorBatch) -> Tensor | None:
        if not self.config.noise_channels:
            return None
        size, _, height, width = batch.source.shape
        # Every process draws for all images and takes its part.
        shape = self.fabric.world_size * size, self.config.noise_channels
        device = batch.source.device
        if self.config.noise == "pixel":
            return local_slice(self.fabric, torch.randn(*shape, height, width, device=device))
        vectors = local_slice(self.fabric, torch.randn(shape, device=device))
        return noise_planes(vectors, height, width)


class DiscriminatorStep:
    """The discriminator's part of a step: it learns, and it judges for the generator."""

    def __init__(
        self,
        discriminator: Discriminator,
        optimizer: torch.optim.Optimizer,
        fabric: Fabric,
        config: TrainConfig,
    ) -> None:
        self.config = config
        self.fabric = fabric
        self.discriminator = discriminator
        if config.compile:
            discriminator.compile()
        self.forward = fabric.setup_module(discriminator)
        self.optimizer = _set_up(fabric, optimizer)
        self.weight = 0.5 if config.halve_discriminator_loss else 1.0

    def judge(self, given: Tensor | None, image: Tensor, valid: Tensor | None) -> Logits:
        """Return the logits of an image; their gradient goes to the image alone."""
        self.discriminator.requires_grad_(False)
        logits: Logits = self.forward(self._augment(_visible(given, image, valid), image))
        self.discriminator.requires_grad_(True)
        return logits

    def match_features(
        self, given: Tensor | None, real: Tensor, fake: Tensor, valid: Tensor | None
    ) -> tuple[Logits, Tensor]:
        """Return the logits of the fake image, as `judge` does, and the feature matching loss."""
        numbers = self._augmentation_numbers(fake)  # the same for both: features of one place
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            real_pair = self._augment(_visible(given, real, valid), real, numbers)
            real_features = self._features(real_pair)
        fake_pair = self._augment(_visible(given, fake, valid), fake, numbers)
        fake_features = self._features(fake_pair)
        self.discriminator.requires_grad_(True)
        logits = tuple(scale[-1] for scale in fake_features)
        return logits, feature_matching_loss(fake_features, real_features)

    def learn(
        self, given: Tensor | None, real: Tensor, fake: Tensor, valid: Tensor | None
    ) -> Losses:
        """Train the discriminator by one step and return its losses."""
        config = self.config
        fake_pair = self._augment(_visible(given, fake.detach(), valid), fake)
        real_pair = self._augment(_visible(given, real, valid), real)
        losses = {
            "D_fake": discriminator_loss(config.adversarial, self.forward(fake_pair), real=False),
            "D_real": discriminator_loss(config.adversarial, self.forward(real_pair), real=True),
        }
        objective = self.weight * (losses["D_fake"] + losses["D_real"])
        if config.gradient_penalty:
            count = self.fabric.world_size * len(fake)
            alpha = local_slice(self.fabric, torch.rand(count, 1, 1, 1, device=fake.device))
            # In full precision: second derivatives need it.
            penalty = gradient_penalty(self.discriminator, real_pair, fake_pair.float(), alpha)
            losses["D_penalty"] = config.gradient_penalty * penalty
            objective = objective + losses["D_penalty"]
        if config.r1:
            losses["D_r1"] = config.r1 * r1_penalty(self.discriminator, real_pair)
            objective = objective + losses["D_r1"]
        self.optimizer.zero_grad()
        self.fabric.backward(objective)
        average_gradients(self.fabric, self.discriminator)
        self.optimizer.step()
        return losses

    def learn_stale(
        self, given: Tensor | None, real: Tensor, fake: Tensor, valid: Tensor | None
    ) -> tuple[Losses, Logits]:
        """Train by one step; return also the logits of the fake image from before it.

        The logits' graph leads through copies of the weights. Filling the copies with the new
        weights through ``.data`` gives the generator what the Torch original gives it: the old
        activations, the new weights. Always in full precision: mixed precision computes with copies
        of its own, which the new weights would not reach.
        """
        fake = fake.float()
        kind = self.config.adversarial
        current = dict(self.discriminator.named_parameters())
        copies = {name: p.detach().clone().requires_grad_() for name, p in current.items()}
        real_pair, fake_pair = _visible(given, real, valid), _visible(given, fake, valid)
        real_logits = functional_call(self.discriminator, copies, (real_pair,))
        logits = functional_call(self.discriminator, copies, (fake_pair,))
        losses = {
            "D_fake": discriminator_loss(kind, logits, real=False),
            "D_real": discriminator_loss(kind, real_logits, real=True),
        }
        objective = self.weight * (losses["D_fake"] + losses["D_real"])
        gradients = torch.autograd.grad(objective, list(copies.values()), retain_graph=True)
        for parameter, gradient in zip(current.values(), gradients, strict=True):
            parameter.grad = gradient
        average_gradients(self.fabric, self.discriminator)
        self.optimizer.step()
        for name, parameter in current.items():
            copies[name].data.copy_(parameter.detach())
        return losses, logits

    def _augmentation_numbers(self, image: Tensor) -> Tensor | None:
        """Draw the random numbers of an augmentation; None if there is none."""
        if self.config.discriminator_augmentation == "none":
            return None
        count = self.fabric.world_size * len(image)
        numbers = torch.rand(count, AUGMENTATION_DRAWS, device=image.device)
        return local_slice(self.fabric, numbers)

    def _augment(self, planes: Tensor, image: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Augment planes whose last are the image; draws the numbers if they are not given."""
        if numbers is None:
            numbers = self._augmentation_numbers(image)
        if numbers is None:
            return planes
        return augment(self.config.discriminator_augmentation, planes, numbers, image.shape[1])

    def _features(self, planes: Tensor) -> Features:
        # `self.forward`, which applies mixed precision, returns logits alone.
        with self.fabric.autocast():
            features: Features = self.discriminator.features(planes)
        return features


def _set_up(fabric: Fabric, optimizer: torch.optim.Optimizer) -> _FabricOptimizer:
    """Wrap one optimizer; Fabric's signature is for several."""
    return cast("_FabricOptimizer", fabric.setup_optimizers(optimizer))


def _visible(given: Tensor | None, image: Tensor, valid: Tensor | None) -> Tensor:
    """Return what the discriminator sees; unlabelled pixels are 0 in real and fake alike."""
    if valid is not None:
        image = image.where(valid, 0.0)
    return stack_planes(given, image)
