"""What is wrong with a configuration, as one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

if TYPE_CHECKING:
    from napari_pix2pix.training.config import TrainConfig


def in_words(error: ValidationError, fields: Mapping[str, Any], known: Collection[str]) -> str:
    """Say the first thing that is wrong: which field, what was got, what would do.

    Parameters
    ----------
    error : pydantic.ValidationError
        What was found.
    fields : mapping of str to Any
        What was given.
    known : collection of str
        The fields that there are.
    """
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"] if str(part) in known)
    if first["type"] == "extra_forbidden":
        unknown = str(first["loc"][0])
        near = difflib.get_close_matches(unknown, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see help(TrainConfig) for those there are."
        return f"There is no field {unknown}: {hint}"
    if first["type"] == "value_error" and not name:
        return f"{first['msg'].removeprefix('Value error, ')}."
    if first["type"] in ("missing", "too_long"):
        return f"{name} should be a pair of numbers, got {fields[name]!r}."
    wanted = first["msg"].removeprefix("Input ").removeprefix("should ")
    return f"{name} should {wanted}, got {first['input']!r}."


def find_conflict(config: TrainConfig) -> str | None:
    """Say which fields, each right in itself, do not go together; None when all do."""
    if config.adversarial_weight == 0 and config.reconstruction_weight == 0:
        return (
            "adversarial_weight and reconstruction_weight are both 0: nothing would be learnt, "
            "set one of them"
        )
    if config.devices > 1 and ":" in config.device:
        return (
            f"device={config.device!r} names a single device and devices={config.devices} asks for "
            "more: give the kind alone, such as cuda"
        )
    bounded = config.gradient_penalty or config.spectral_norm
    if config.adversarial == "wgan" and config.adversarial_weight and not bounded:
        return (
            "adversarial='wgan' needs a discriminator of bounded slope: set "
            "gradient_penalty=10 with discriminator_norm='none', or spectral_norm=True"
        )
    if config.adversarial_full < config.adversarial_start:
        return (
            f"adversarial_full ({config.adversarial_full}) lies before adversarial_start "
            f"({config.adversarial_start}): give it the same value or a later one"
        )
    if config.class_weights and not config.reconstruction_weight:
        return (
            "class_weights weigh the reconstruction term, which reconstruction_weight=0 turns off: "
            "leave one of them out"
        )
    if config.shift_tolerance and not config.reconstruction_weight:
        return (
            "shift_tolerance is of the reconstruction term, which reconstruction_weight=0 turns "
            "off: leave one of them out"
        )
    if config.feature_matching and not config.adversarial_weight:
        return (
            "feature_matching compares what the discriminator makes of images, and there is none "
            "with adversarial_weight=0: leave one of them out"
        )
    for name, kind in (("classes", "classes"), ("smallest", "instances")):
        if getattr(config, name) is not None and config.target_kind not in ("auto", kind):
            return (
                f"{name} is about a target of {kind}, and target_kind is "
                f"{config.target_kind!r}: leave one of them out"
            )
    if config.zoom[0] > config.zoom[1]:
        return f"zoom should go from low to high, got {config.zoom}"
    return _stale_conflict(config) or _patch_conflict(config)


def _stale_conflict(config: TrainConfig) -> str | None:
    """Say what the Torch original's order of updates does not go with."""
    if not config.stale_discriminator:
        return None
    if config.gradient_penalty or config.r1:
        return (
            "stale_discriminator keeps to the Torch original, which has no penalty on the "
            "discriminator: set gradient_penalty=0 and r1=0, or stale_discriminator=False"
        )
    if config.feature_matching or config.discriminator_augmentation != "none":
        return (
            "stale_discriminator keeps to the Torch original, which neither matches features nor "
            "augments what the discriminator sees: set feature_matching=0 and "
            "discriminator_augmentation='none', or stale_discriminator=False"
        )
    return None


def _patch_conflict(config: TrainConfig) -> str | None:
    """Say why the networks can't take patches of this size."""
    multiple = 4 if config.generator == "resnet" else 2**config.depth
    if config.patch % multiple:
        deep = "of a ResNet" if config.generator == "resnet" else f"at depth={config.depth}"
        return (
            f"patch should be a multiple of {multiple} {deep}, got {config.patch}: change one of "
            "them"
        )
    # Two convolutions 4 wide follow the halvings; the PixelGAN has neither.
    least = 3 * 2**config.discriminator_layers if config.discriminator_layers else 1
    least *= 2 ** (config.discriminator_scales - 1)
    if config.adversarial_weight and config.patch < least:
        return (
            f"patch should be at least {least} for discriminator_layers="
            f"{config.discriminator_layers} and discriminator_scales={config.discriminator_scales},"
            f" got {config.patch}: take larger patches or a smaller discriminator"
        )
    return None
