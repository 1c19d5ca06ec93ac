"""The one declaration of a training run: `TrainConfig`, its presets and its checks.

The Python call, the command line and the dock are all made from `TrainConfig`: the same names,
defaults, checks and help texts. A preset is a set of defaults; a field that is given wins.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Self

from pydantic import ValidationError, field_validator, model_validator

from napari_pix2pix.errors import ConfigError
from napari_pix2pix.training._config_fields import (
    AppliedWeights,
    ConfigFields,
    Kind,
    Normalisation,
    Preset,
    derive_fields,
    unused_derive_field,
)

__all__ = [
    "DERIVE_FIELDS",
    "PRESETS",
    "AppliedWeights",
    "Kind",
    "Normalisation",
    "Preset",
    "TrainConfig",
    "derive_fields",
]

# Presets are differences from the defaults of `TrainConfig`, which are ``light``.
# What both public implementations of pix2pix share (Isola et al. 2017, section 6.2):
_PIX2PIX: dict[str, Any] = {
    "passes": 0,
    "patch": 256,
    "batch": 1,
    "content": 0.0,
    "intensity_jitter": 0.0,
    "source_noise": 0.0,
    "vertical_flips": False,
    "quarter_turns": False,
    "zoom": (286 / 256, 286 / 256),
    "depth": 8,
    "width": 64,
    "dropout": 0.5,
    "activation": "tanh",
    "discriminator_width": 64,
    "adversarial_weight": 1.0,
    "adversarial_start": 0.0,
    "adversarial_full": 0.0,
    "learning_rate": 2e-4,
    "discriminator_learning_rate": 2e-4,
    "ema": 0.0,
}
PRESETS: dict[str, dict[str, Any]] = {
    "light": {},
    "reference": {
        **_PIX2PIX,
        "dropout_placement": "reference",
        "decay": "linear",
        "decay_start": 0.5,
        "default_epochs": 200,
    },
    "paper": {
        **_PIX2PIX,
        "decay": "constant",
        "bias": False,
        "halve_discriminator_loss": False,
        "stale_discriminator": True,
        "default_epochs": 200,
    },
}
# ``light`` for a target of labels, where a field is not set. Under the squared error an output
# plane is the probability of its class, so thin borders between objects survive; the absolute
# error's median leaves them out. An adversarial term adds nothing to that.
LIGHT_FOR_LABELS: dict[str, Any] = {
    "adversarial_weight": 0.0,
    "reconstruction": "l2",
    "content": 0.5,  # objects may fill little of the images
}
# ``light`` for a sparse target, where patches that are drawn anywhere rarely hold anything. With
# other images, such draws bias what the norms measure.
LIGHT_FOR_SPARSE: dict[str, Any] = {"content": 0.5}
# ``light`` for volumes, where a field is not set: a patch of 32 x 64 x 64 holds as many pixels as
# eight of 128 x 128, and each costs about four times as much.
LIGHT_FOR_VOLUMES: dict[str, Any] = {"patch": 64, "batch": 1, "depth": 4}
# Any training without a source, where a field is not set: only noise makes images differ.
WITHOUT_SOURCE: dict[str, Any] = {
    "passes": 0,
    "reconstruction_weight": 0.0,
    "noise_channels": 16,
    "noise": "pixel",
}
# ``light`` without a source (docs/cgan.md): generator and discriminator of about the same strength
# and rate; many patches a step; no checkerboard, as no other term would average it out.
LIGHT_WITHOUT_SOURCE: dict[str, Any] = {
    "batch": 16,
    "depth": 4,
    "width": 32,
    "upsampling": "resize",
    "discriminator_width": 32,
    "learning_rate": 5e-4,
    "discriminator_learning_rate": 5e-4,
}
# Likewise of volumes: a step sees as many pixels.
LIGHT_VOLUMES_WITHOUT_SOURCE: dict[str, Any] = {**LIGHT_WITHOUT_SOURCE, "patch": 32, "batch": 8}

_USUAL_VALIDATION = ConfigFields.model_fields["validation"].default

# Fields of where and how long a run trains, which neither a checkpoint nor a model decides.
RUN_FIELDS = {
    "epochs",
    "steps",
    "max_seconds",
    "device",
    "devices",
    "num_nodes",
    "strategy",
    "precision",
    "compile",
    "checkpoint_seconds",
}

# How sources are made of targets, where ``derive`` says so.
DERIVE_FIELDS = tuple(name for name in ConfigFields.model_fields if name.startswith("derive_"))

# Fields that people are told, and that may change at any time.
CARD_FIELDS = ("authors", "licence", "intended_use", "pixel_size", "plane_distance")


class TrainConfig(ConfigFields):
    """All options of a training run; frozen, keyword-only.

    Parameters
    ----------
    **fields
        Any of the fields below. Fields that are left out take the preset's values.

    Raises
    ------
    ConfigError
        If a field does not exist, its value is out of range, or two fields do not go together. The
        sentence names the field, the value and a remedy.

    Notes
    -----
    ``light`` is made for minutes on a laptop: a U-Net of 1 million parameters, batches of patches,
    batch norm with running statistics, an averaged generator and an adversarial term that sets in
    at half of the budget. Few images end it early, see ``passes``. ``reference`` is the recipe of
    the PyTorch implementation and ``paper`` that of the Torch original [1]_.

    References
    ----------
    .. [1] Isola, Zhu, Zhou, Efros, "Image-to-image translation with conditional adversarial
       networks", CVPR 2017.

    Examples
    --------
    >>> TrainConfig(preset="reference", width=8).depth
    8
    >>> TrainConfig(epochs=-1)
    Traceback (most recent call last):
    ...
    napari_pix2pix.errors.ConfigError: epochs should be greater than or equal to 1, got -1.
    """

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigError(_first_error(error, fields)) from None
        # Only the fields that the user set, without those that the preset filled in.
        object.__setattr__(self, "__pydantic_fields_set__", set(fields))

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, fields: Any) -> Any:
        preset = str(fields.get("preset", "light"))
        defaults = PRESETS.get(preset, {})
        if preset == "light" and str(fields.get("ndim")) == "3":  # as an array has no one truth
            defaults = LIGHT_FOR_VOLUMES
        return {**defaults, **fields}

    @field_validator("hold_out", mode="before")
    @classmethod
    def _join_hold_out(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value))
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if is_number else value

    @model_validator(mode="after")
    def _check_conflicts(self) -> Self:
        if conflict := find_conflict(self):
            raise ValueError(conflict)
        return self

    @property
    def processes(self) -> int:
        """Number of processes that train together, one for each device."""
        return self.devices * self.num_nodes


def with_default_budget(config: TrainConfig, before: TrainConfig | None = None) -> TrainConfig:
    """Return a config with a budget: its own, else that of the resumed run, else the preset's."""
    if config.epochs or config.steps or config.max_seconds:
        return config
    if before is not None:
        budget = ("epochs", "steps", "max_seconds")
        return config.model_copy(update={name: getattr(before, name) for name in budget})
    return config.model_copy(update={"epochs": config.default_epochs})


def _first_error(error: ValidationError, fields: Mapping[str, Any]) -> str:
    """Describe the first error in one sentence: the field, the value, a remedy."""
    names = TrainConfig.model_fields
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"] if str(part) in names)
    if first["type"] == "extra_forbidden":
        unknown = str(first["loc"][0])
        near = difflib.get_close_matches(unknown, names, n=1)
        hint = f"did you mean {near[0]}?" if near else "see help(TrainConfig) for the fields."
        return f"There is no field {unknown}: {hint}"
    if first["type"] == "value_error" and not name:
        return f"{first['msg'].removeprefix('Value error, ')}."
    if first["type"] in ("missing", "too_long"):
        return f"{name} should be a pair of numbers, got {fields[name]!r}."
    wanted = first["msg"].removeprefix("Input ").removeprefix("should ")
    return f"{name} should {wanted}, got {first['input']!r}."


def find_conflict(config: ConfigFields) -> str | None:
    """Describe fields, each valid in itself, that do not go together; None if all do."""
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
    for name in ("class_weights", "shift_tolerance", "foreground_weight", "foreground_dice"):
        if getattr(config, name) and not config.reconstruction_weight:
            return (
                f"{name} applies to the reconstruction term, which reconstruction_weight=0 turns "
                "off: leave one of them out"
            )
    if config.feature_matching and not config.adversarial_weight:
        return (
            "feature_matching compares activations of the discriminator, and there is none with "
            "adversarial_weight=0: leave one of them out"
        )
    if config.r1_every > 1 and not config.r1:
        return (
            f"r1_every={config.r1_every} says how often the R1 penalty is applied, and r1=0 turns "
            "it off: set r1, or r1_every=1"
        )
    for name, kind in (("classes", "classes"), ("smallest", "instances")):
        if getattr(config, name) is not None and config.target_kind not in ("auto", kind):
            return (
                f"{name} is for a target of {kind}, and target_kind is "
                f"{config.target_kind!r}: leave one of them out"
            )
    if (unused := unused_derive_field(config)) is not None:
        asked = "no derive" if config.derive is None else f"derive={config.derive!r}"
        noise = f" of {config.derive_model} noise" if config.derive == "noise" else ""
        return (
            f"{unused}={getattr(config, unused)!r} is for sources of another kind, and there is "
            f"{asked}{noise}: leave it out, or choose its kind"
        )
    if config.hold_out and config.validation not in (0, _USUAL_VALIDATION):
        return (
            f"hold_out names what is held out, and validation={config.validation:g} asks for a "
            "fraction: leave one of them out"
        )
    if config.zoom[0] > config.zoom[1]:
        return f"zoom should go from low to high, got {config.zoom}"
    return _stale_conflict(config) or _volume_conflict(config) or _patch_conflict(config)


def _volume_conflict(config: ConfigFields) -> str | None:
    """Describe fields of volumes that do not go with the dimension, or with each other."""
    if config.ndim == 2:
        for name in ("plane_levels", "patch_planes", "plane_flips"):
            if getattr(config, name) not in (None, False):
                return f"{name} is for volumes: set ndim=3, or leave it out"
        return None
    if config.z_context:
        return (
            "z_context gives planes their neighbours, and a network of volumes (ndim=3) sees them "
            "anyway: leave one of them out"
        )
    if config.warp_tolerance:
        return "warp_tolerance registers images, and no volumes yet: leave it out, or set ndim=2"
    if config.plane_levels is None or config.patch_planes is None:
        return None  # it is asked again when they are known
    halvings = 2 if config.generator == "resnet" else config.depth
    multiple = 2 ** max(0, halvings - config.plane_levels)
    least = 2 ** max(0, config.discriminator_layers - config.plane_levels)
    if config.generator == "resnet" and config.patch_planes < 2 * multiple:
        return (
            f"patch_planes should be at least {2 * multiple} for a ResNet with plane_levels="
            f"{config.plane_levels}, got {config.patch_planes}: change one of them"
        )
    if config.patch_planes % multiple:
        return (
            f"patch_planes should be a multiple of {multiple} at plane_levels="
            f"{config.plane_levels}, got {config.patch_planes}: change one of them"
        )
    if config.adversarial_weight and config.patch_planes < least:
        return (
            f"patch_planes should be at least {least} for discriminator_layers="
            f"{config.discriminator_layers} and plane_levels={config.plane_levels}, got "
            f"{config.patch_planes}: take deeper patches or a smaller discriminator"
        )
    return None


def _stale_conflict(config: ConfigFields) -> str | None:
    """Describe fields that do not go with the Torch original's order of updates."""
    if not config.stale_discriminator:
        return None
    if config.gradient_penalty or config.r1:
        return (
            "stale_discriminator follows the Torch original, which has no penalty on the "
            "discriminator: set gradient_penalty=0 and r1=0, or stale_discriminator=False"
        )
    if config.adversarial == "relativistic":
        return (
            "stale_discriminator follows the Torch original, which judges each image alone: set "
            "another adversarial loss than relativistic, or stale_discriminator=False"
        )
    if config.feature_matching or config.discriminator_augmentation != "none":
        return (
            "stale_discriminator follows the Torch original, which neither matches features nor "
            "augments the discriminator's input: set feature_matching=0 and "
            "discriminator_augmentation='none', or stale_discriminator=False"
        )
    return None


def _patch_conflict(config: ConfigFields) -> str | None:
    """Describe why the networks can't take patches of this size."""
    multiple = 4 if config.generator == "resnet" else 2**config.depth
    if config.patch % multiple:
        network = "for a ResNet" if config.generator == "resnet" else f"at depth={config.depth}"
        return (
            f"patch should be a multiple of {multiple} {network}, got {config.patch}: change one "
            "of them"
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
