"""What a training on volumes takes from its pairs: how far apart planes lie, and how many."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.training.config import TrainConfig, find_conflict
from napari_pix2pix.training.made_for import size_of_pairs


def fit_to_volumes(config: TrainConfig, opened: Sequence[OpenPair]) -> TrainConfig:
    """Fill in the fields of volumes that were left out; refuse pairs that are no volumes."""
    if config.ndim == 2:
        return config
    for pair in opened:
        _check_volume(pair)
    levels = _plane_levels(config, opened)
    multiple = _plane_multiple(config, levels)
    planes = config.patch_planes
    if planes is None:
        deepest = max(pair.target.frame_shape[-1] for pair in opened)
        wanted = min(config.patch / 2**levels, deepest)
        planes = max(math.ceil(wanted / multiple) * multiple, _least_planes(config, levels))
    config = config.model_copy(update={"plane_levels": levels, "patch_planes": planes})
    if conflict := find_conflict(config):
        raise ConfigError(f"{conflict}.")
    return config


def describe_volumes(config: TrainConfig) -> list[str]:
    """Say how volumes are seen; nothing of images."""
    if config.ndim == 2:
        return []
    levels, planes, side = config.plane_levels or 0, config.patch_planes, config.patch
    alone = ""
    if levels:
        steps = "step acts" if levels == 1 else f"{levels} steps act"
        alone = f" The first downsampling {steps} within planes, which lie farther apart."
    return [f"Volumes are seen in patches of {planes} planes of {side} x {side} pixels.{alone}"]


def _check_volume(pair: OpenPair) -> None:
    shapes = pair.source.frame_shape, pair.target.frame_shape
    if not all(shape and shape[-1] > 1 for shape in shapes):
        raise InputError(
            f"{pair.name[:1].upper()}{pair.name[1:]} has one plane, and volumes are asked for "
            "(ndim=3): give stacks (Z, Y, X), or leave ndim out."
        )
    if shapes[0] != shapes[1]:
        raise InputError(
            f"The source of {pair.name} has frames of shape {shapes[0]}, the target of {shapes[1]}:"
            " give volumes the same axes, Z the last before Y."
        )
    mask = pair.mask
    if mask is not None and mask.frames not in (1, pair.frames):
        raise InputError(f"The mask of {pair.name} has {mask.frames} planes; give one for each.")


def _plane_levels(config: TrainConfig, opened: Sequence[OpenPair]) -> int:
    """Return how often the distance of planes can be halved until it is that of pixels."""
    halvings = _halvings(config)
    if config.plane_levels is not None:
        return min(config.plane_levels, halvings)
    size = size_of_pairs(opened, config.pixel_size, config.plane_distance)
    if size is None or size.z is None:
        return 0
    # One level at least sees across planes: else the network would be one of images.
    return min(max(round(math.log2(size.z / math.sqrt(size.y * size.x))), 0), halvings - 1)


def _halvings(config: TrainConfig) -> int:
    return 2 if config.generator == "resnet" else config.depth


def _plane_multiple(config: TrainConfig, levels: int) -> int:
    return int(2 ** max(0, _halvings(config) - levels))


def _least_planes(config: TrainConfig, levels: int) -> int:
    """Return the fewest planes that both networks take."""
    multiple = _plane_multiple(config, levels)
    generator = 2 * multiple if config.generator == "resnet" else multiple
    discriminator = int(2 ** max(0, config.discriminator_layers - levels))
    return max(generator, discriminator if config.adversarial_weight else 1)
