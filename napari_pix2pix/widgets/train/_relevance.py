"""Which fields of `TrainConfig` change nothing, with the other fields and pairs as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_DISCRIMINATOR = {
    "adversarial",
    "adversarial_start",
    "adversarial_full",
    "conditional",
    "discriminator_layers",
    "discriminator_width",
    "discriminator_norm",
    "discriminator_scales",
    "discriminator_augmentation",
    "discriminator_learning_rate",
    "feature_matching",
    "gradient_penalty",
    "halve_discriminator_loss",
    "r1",
    "r1_every",
    "spectral_norm",
    "stale_discriminator",
}
_RECONSTRUCTION = {
    "class_weights",
    "foreground_dice",
    "foreground_weight",
    "reconstruction",
    "shift_tolerance",
}
_OF_IMAGES = {"foreground_dice", "foreground_weight", "target_normalisation", "warp_tolerance"}


@dataclass(frozen=True)
class PairFacts:
    """What matters of the pairs that are chosen; kinds are "auto" while nothing is known."""

    source_kind: str = "auto"
    target_kind: str = "auto"
    has_stacks: bool = True  # whether an image has several frames
    has_several: bool = True  # whether there are several pairs


def irrelevant_fields(values: Mapping[str, Any], facts: PairFacts) -> set[str]:
    """Return the fields that change nothing, by the values of all fields that a form shows."""
    hidden: set[str] = set()
    if not values["adversarial_weight"]:
        hidden |= _DISCRIMINATOR
    if not values["reconstruction_weight"]:
        hidden |= _RECONSTRUCTION
    unless = {
        "blocks": values["generator"] == "resnet",
        "depth": values["generator"] != "resnet",
        "dropout_placement": values["generator"] != "resnet" and bool(values["dropout"]),
        "noise": bool(values["noise_channels"]),
        "r1_every": bool(values["r1"]),
        "decay_start": values["decay"] != "constant",
        "vertical_flips": bool(values["flips"]),
        "validation": not values["hold_out"],
        "hold_out": facts.has_stacks or facts.has_several,
        "ndim": facts.has_stacks,
        "warp_tolerance": values["ndim"] == 2,
        "plane_distance": facts.has_stacks,
        "z_context": facts.has_stacks and values["ndim"] == 2,
        "plane_levels": values["ndim"] == 3,
        "patch_planes": values["ndim"] == 3,
        "plane_flips": values["ndim"] == 3 and bool(values["flips"]),
    }
    hidden |= {name for name, is_relevant in unless.items() if not is_relevant}
    return hidden | _of_other_kinds(facts)


def _of_other_kinds(facts: PairFacts) -> set[str]:
    """Return the fields that are for sources or targets of another kind."""
    hidden: set[str] = set()
    if facts.target_kind not in ("auto", "classes"):
        hidden |= {"classes", "class_weights"}
    if facts.target_kind not in ("auto", "instances"):
        hidden |= {"smallest"}
    if facts.target_kind not in ("auto", "image"):
        hidden |= _OF_IMAGES
    if facts.source_kind not in ("auto", "image"):
        hidden |= {"source_normalisation", "intensity_jitter", "source_noise"}
    return hidden
