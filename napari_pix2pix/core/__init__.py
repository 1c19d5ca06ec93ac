"""The networks and losses of pix2pix, with torch alone.

Everything here works on float tensors (B, C, H, W), on any device, and can be used without the
rest of the package.

Examples
--------
>>> import torch
>>> from napari_pix2pix.core import PatchDiscriminator, UNet, generator_loss, stack_planes
>>> source = torch.zeros(1, 1, 64, 64)
>>> prediction = UNet(1, 1, depth=5, width=8)(source)
>>> logits = PatchDiscriminator(2, width=8)(stack_planes(source, prediction))
>>> logits.shape, generator_loss("vanilla", logits).ndim
(torch.Size([1, 1, 6, 6]), 0)
"""

from napari_pix2pix.core.augmentation import AUGMENTATION_DRAWS, augment
from napari_pix2pix.core.conditioning import condition_planes, noise_planes, stack_planes
from napari_pix2pix.core.discriminators import (
    DiscriminatorMap,
    MultiScaleDiscriminator,
    PatchDiscriminator,
    PixelDiscriminator,
    make_discriminator,
)
from napari_pix2pix.core.foreground import foreground, foreground_dice_loss
from napari_pix2pix.core.generators import ResNet, UNet, make_generator
from napari_pix2pix.core.layers import drawing_from, initialise_
from napari_pix2pix.core.losses import (
    AdversarialLoss,
    Features,
    Logits,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    gradient_penalty,
    r1_penalty,
    reconstruction_loss,
)
from napari_pix2pix.core.partial_forward import run_part
from napari_pix2pix.core.registration import align_target

__all__ = [
    "AUGMENTATION_DRAWS",
    "AdversarialLoss",
    "DiscriminatorMap",
    "Features",
    "Logits",
    "MultiScaleDiscriminator",
    "PatchDiscriminator",
    "PixelDiscriminator",
    "ResNet",
    "UNet",
    "align_target",
    "augment",
    "condition_planes",
    "discriminator_loss",
    "drawing_from",
    "feature_matching_loss",
    "foreground",
    "foreground_dice_loss",
    "generator_loss",
    "gradient_penalty",
    "initialise_",
    "make_discriminator",
    "make_generator",
    "noise_planes",
    "r1_penalty",
    "reconstruction_loss",
    "run_part",
    "stack_planes",
]
