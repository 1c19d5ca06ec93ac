"""From a configuration to the two networks of ``core``."""

from __future__ import annotations

import torch

from napari_pix2pix.core import (
    MultiScaleDiscriminator,
    PatchDiscriminator,
    PixelDiscriminator,
    ResNet,
    UNet,
    initialise_,
    make_discriminator,
    make_generator,
)
from napari_pix2pix.training.config import TrainConfig

Discriminator = PatchDiscriminator | PixelDiscriminator | MultiScaleDiscriminator


def build_generator(config: TrainConfig, *, planes_in: int, planes_out: int) -> UNet | ResNet:
    """Build the generator that ``config`` describes, initialised from its seed.

    Parameters
    ----------
    config : TrainConfig
        The architecture and the seed.
    planes_in : int
        Planes that it takes: source, one per condition, noise.
    planes_out : int
        Planes of the target.
    """
    generator = make_generator(
        config.generator,
        planes_in,
        planes_out,
        depth=config.depth,
        blocks=config.blocks,
        width=config.width,
        norm=config.norm,
        dropout=config.dropout,
        dropout_placement=config.dropout_placement,
        upsampling=config.upsampling,
        activation=config.activation,
        bias=config.bias,
    )
    initialise_(generator, rng=torch.Generator().manual_seed(config.seed))
    return generator


def build_discriminator(config: TrainConfig, *, planes_in: int) -> Discriminator | None:
    """Build the discriminator that ``config`` describes; None when the adversarial term is off."""
    if config.adversarial_weight == 0:
        return None
    discriminator = make_discriminator(
        planes_in,
        layers=config.discriminator_layers,
        width=config.discriminator_width,
        norm=config.discriminator_norm or config.norm,
        scales=config.discriminator_scales,
        spectral_norm=config.spectral_norm,
        bias=config.bias,
    )
    # Another stream than the generator's, so that its depth does not change these weights.
    initialise_(discriminator, rng=torch.Generator().manual_seed(config.seed + 1))
    return discriminator
