"""The discriminator's half of an optimisation step."""

from __future__ import annotations

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
from napari_pix2pix.training.distributed import average_gradients, own_part
from napari_pix2pix.training.networks import Discriminator

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricOptimizer

Losses = dict[str, Tensor]


class Critic:
    """A discriminator with its optimizer.

    Parameters
    ----------
    discriminator : PatchDiscriminator, PixelDiscriminator or MultiScaleDiscriminator
        Changed in place.
    optimizer : torch.optim.Optimizer
        Of its parameters.
    fabric : lightning_fabric.Fabric
        Carries device and precision.
    config : TrainConfig
        The objective.
    """

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
        self.optimizer = set_up(fabric, optimizer)
        self.weight = 0.5 if config.halve_discriminator_loss else 1.0

    def set_rate(self, rate: float) -> None:
        """Set the learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def judge(self, given: Tensor | None, image: Tensor, valid: Tensor | None) -> Logits:
        """Return the logits of ``image`` with a graph that leads to the image alone."""
        self.discriminator.requires_grad_(False)
        logits: Logits = self.forward(self._augmented(_seen(given, image, valid), image))
        self.discriminator.requires_grad_(True)
        return logits

    def compare(
        self, given: Tensor | None, real: Tensor, fake: Tensor, valid: Tensor | None
    ) -> tuple[Logits, Tensor]:
        """Return the logits of ``fake``, as `judge`, and how far its features are from real ones.

        Both are augmented alike, so that features are of the same place.
        """
        numbers = self._draw(fake)
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            wanted = self._features(self._augmented(_seen(given, real, valid), real, numbers))
        found = self._features(self._augmented(_seen(given, fake, valid), fake, numbers))
        self.discriminator.requires_grad_(True)
        return tuple(of_scale[-1] for of_scale in found), feature_matching_loss(found, wanted)

    def learn(
        self, given: Tensor | None, real: Tensor, fake: Tensor, valid: Tensor | None
    ) -> Losses:
        """Train the discriminator by one step and return its losses."""
        config = self.config
        fake_pair = self._augmented(_seen(given, fake.detach(), valid), fake)
        real_pair = self._augmented(_seen(given, real, valid), real)
        losses = {
            "D_fake": discriminator_loss(config.adversarial, self.forward(fake_pair), real=False),
            "D_real": discriminator_loss(config.adversarial, self.forward(real_pair), real=True),
        }
        objective = self.weight * (losses["D_fake"] + losses["D_real"])
        if config.gradient_penalty:
            drawn = torch.rand(self.fabric.world_size * len(fake), 1, 1, 1, device=fake.device)
            alpha = own_part(self.fabric, drawn)
            # In full precision: the gradient of a gradient has no room for less.
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
        """Train by one step; return also the logits of ``fake`` from before it.

        Their graph leads through copies of the weights. Filling the copies with the new weights
        through ``.data`` gives the generator what the Torch original gives it: the old
        activations, the new weights. Always in full precision: mixed precision computes with
        copies of its own, which the new weights would not reach.
        """
        fake = fake.float()
        kind = self.config.adversarial
        current = dict(self.discriminator.named_parameters())
        copies = {name: p.detach().clone().requires_grad_() for name, p in current.items()}
        real_logits = functional_call(self.discriminator, copies, (_seen(given, real, valid),))
        logits = functional_call(self.discriminator, copies, (_seen(given, fake, valid),))
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

    def _draw(self, image: Tensor) -> Tensor | None:
        """Draw the numbers of an augmentation; None where there is none."""
        if self.config.discriminator_augmentation == "none":
            return None
        count = self.fabric.world_size * len(image)
        drawn = torch.rand(count, AUGMENTATION_DRAWS, device=image.device)
        return own_part(self.fabric, drawn)

    def _augmented(self, seen: Tensor, image: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Augment what is seen of ``image``, by numbers that are drawn where none are given."""
        if numbers is None:
            numbers = self._draw(image)
        if numbers is None:
            return seen
        return augment(self.config.discriminator_augmentation, seen, numbers, image.shape[1])

    def _features(self, seen: Tensor) -> Features:
        # Not through `forward`, which has no way for them; so mixed precision is asked for here.
        with self.fabric.autocast():
            features: Features = self.discriminator.features(seen)
        return features


def set_up(fabric: Fabric, optimizer: torch.optim.Optimizer) -> _FabricOptimizer:
    """Wrap one optimizer; Fabric's own signature speaks of several."""
    return cast("_FabricOptimizer", fabric.setup_optimizers(optimizer))


def _seen(given: Tensor | None, image: Tensor, valid: Tensor | None) -> Tensor:
    """Return what the discriminator sees; unlabelled pixels are blank in real and fake alike."""
    if valid is not None:
        image = image.where(valid, 0.0)
    return stack_planes(given, image)
