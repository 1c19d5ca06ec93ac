"""The discriminator's part of a training step: it learns, and it judges for the generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.func import functional_call

from napari_pix2pix.core import (
    AUGMENTATION_DRAWS,
    Features,
    Logits,
    augment,
    discriminator_loss,
    feature_matching_loss,
    gradient_penalty,
    r1_penalty,
    stack_planes,
)
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.distributed import average_gradients, local_slice
from napari_pix2pix.training.state import Discriminator

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricOptimizer

Losses = dict[str, Tensor]  # by the names of `events.Step`


@dataclass(frozen=True)
class Verdict:
    """What the discriminator tells the generator of its image."""

    fake: Logits  # of the image
    real: Logits | None = None  # of the target, where the adversarial loss compares both
    matching: Tensor | None = None  # the feature matching loss, where it is asked for


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
        self.optimizer = set_up_optimizer(fabric, optimizer)
        self.weight = 0.5 if config.halve_discriminator_loss else 1.0
        self.compares = config.adversarial == "relativistic"

    def judge(
        self,
        given: Tensor | None,
        real: Tensor,
        fake: Tensor,
        valid: Tensor | None,
        *,
        rng: torch.Generator | None = None,
    ) -> Verdict:
        """Judge the fake image for the generator; the gradient goes to that image alone."""
        # The same for both images: features of one place.
        numbers = self._augmentation_numbers(fake, rng)
        if self.config.feature_matching:
            return self._match_features(given, real, fake, valid, numbers)
        self.discriminator.requires_grad_(False)
        real_logits: Logits | None = None
        if self.compares:
            real_pair = self._augment(_visible(given, real, valid), real, numbers)
            with torch.no_grad():
                real_logits = self.forward(real_pair)
        logits = self.forward(self._augment(_visible(given, fake, valid), fake, numbers))
        self.discriminator.requires_grad_(True)
        return Verdict(logits, real_logits)

    def _match_features(
        self,
        given: Tensor | None,
        real: Tensor,
        fake: Tensor,
        valid: Tensor | None,
        numbers: Tensor | None,
    ) -> Verdict:
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            real_pair = self._augment(_visible(given, real, valid), real, numbers)
            real_features = self._features(real_pair)
        fake_pair = self._augment(_visible(given, fake, valid), fake, numbers)
        fake_features = self._features(fake_pair)
        self.discriminator.requires_grad_(True)
        logits, real_logits = (
            tuple(scale[-1] for scale in features) for features in (fake_features, real_features)
        )
        matching = feature_matching_loss(fake_features, real_features)
        return Verdict(logits, real_logits if self.compares else None, matching)

    def learn(
        self,
        given: Tensor | None,
        real: Tensor,
        fake: Tensor,
        valid: Tensor | None,
        *,
        step: int = 0,  # of the run, counted from 0
        rng: torch.Generator | None = None,
    ) -> Losses:
        """Train the discriminator by one step and return its losses."""
        config = self.config
        # Compared images are augmented alike, others by draws of their own.
        numbers = self._augmentation_numbers(fake, rng)
        fake_pair = self._augment(_visible(given, fake.detach(), valid), fake, numbers)
        if not self.compares:
            numbers = self._augmentation_numbers(real, rng)
        real_pair = self._augment(_visible(given, real, valid), real, numbers)
        losses = self._losses(fake=self.forward(fake_pair), real=self.forward(real_pair))
        objective = self.weight * (losses["D_fake"] + losses["D_real"])
        if config.gradient_penalty:
            count = self.fabric.world_size * len(fake)
            axes = (1,) * (fake.ndim - 1)
            alpha = local_slice(
                self.fabric, torch.rand(count, *axes, generator=rng, device=fake.device)
            )
            # In full precision: second derivatives need it.
            penalty = gradient_penalty(self.discriminator, real_pair, fake_pair.float(), alpha)
            losses["D_penalty"] = config.gradient_penalty * penalty
            objective = objective + losses["D_penalty"]
        if config.r1 and step % config.r1_every == 0:
            # As many times as much as it is rarer (lazy regularisation, Karras et al. 2020).
            weight = config.r1 * config.r1_every
            losses["D_r1"] = weight * r1_penalty(self.discriminator, real_pair)
            objective = objective + losses["D_r1"]
        self.optimizer.zero_grad()
        self.fabric.backward(objective)
        average_gradients(self.fabric, self.discriminator)
        self.optimizer.step()
        return losses

    def learn_stale(
        self, given: Tensor | None, real: Tensor, fake: Tensor, valid: Tensor | None
    ) -> tuple[Losses, Verdict]:
        """Train by one step; return also the verdict on the fake image from before it.

        The logits' graph leads through copies of the weights. Filling the copies with the new
        weights through ``.data`` gives the generator what the Torch original gives it: the old
        activations, the new weights. Always in full precision: mixed precision computes with copies
        of its own, which the new weights would not reach.
        """
        fake = fake.float()
        current = dict(self.discriminator.named_parameters())
        copies = {name: p.detach().clone().requires_grad_() for name, p in current.items()}
        real_pair, fake_pair = _visible(given, real, valid), _visible(given, fake, valid)
        real_logits = functional_call(self.discriminator, copies, (real_pair,))
        logits = functional_call(self.discriminator, copies, (fake_pair,))
        losses = self._losses(fake=logits, real=real_logits)
        objective = self.weight * (losses["D_fake"] + losses["D_real"])
        gradients = torch.autograd.grad(objective, list(copies.values()), retain_graph=True)
        for parameter, gradient in zip(current.values(), gradients, strict=True):
            parameter.grad = gradient
        average_gradients(self.fabric, self.discriminator)
        self.optimizer.step()
        for name, parameter in current.items():
            copies[name].data.copy_(parameter.detach())
        return losses, Verdict(logits)

    def _losses(self, *, fake: Logits, real: Logits) -> Losses:
        """Return the losses on both images; of compared ones each is the same."""
        kind = self.config.adversarial
        to_fake, to_real = (real, fake) if self.compares else (None, None)
        return {
            "D_fake": discriminator_loss(kind, fake, False, to_fake),
            "D_real": discriminator_loss(kind, real, True, to_real),
        }

    def _augmentation_numbers(self, image: Tensor, rng: torch.Generator | None) -> Tensor | None:
        """Draw the random numbers of an augmentation; None if there is none."""
        if self.config.discriminator_augmentation == "none":
            return None
        count = self.fabric.world_size * len(image)
        numbers = torch.rand(count, AUGMENTATION_DRAWS, generator=rng, device=image.device)
        return local_slice(self.fabric, numbers)

    def _augment(self, planes: Tensor, image: Tensor, numbers: Tensor | None) -> Tensor:
        """Augment planes whose last are the image; without numbers nothing is done."""
        if numbers is None:
            return planes
        return augment(self.config.discriminator_augmentation, planes, numbers, image.shape[1])

    def _features(self, planes: Tensor) -> Features:
        # `self.forward`, which applies mixed precision, returns logits alone.
        with self.fabric.autocast():
            features: Features = self.discriminator.features(planes)
        return features


def set_up_optimizer(fabric: Fabric, optimizer: torch.optim.Optimizer) -> _FabricOptimizer:
    """Wrap one optimizer; Fabric's signature is for several."""
    return cast("_FabricOptimizer", fabric.setup_optimizers(optimizer))


def _visible(given: Tensor | None, image: Tensor, valid: Tensor | None) -> Tensor:
    """Return what the discriminator sees; unlabelled pixels are 0 in real and fake alike."""
    if valid is not None:
        image = image.where(valid, 0.0)
    return stack_planes(given, image)
