"""Training without a source: noise and condition in, image out (Mirza and Osindero 2014)."""

from __future__ import annotations

from collections.abc import Sequence

from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.training.config import (
    LIGHT_WITHOUT_SOURCE,
    WITHOUT_SOURCE,
    TrainConfig,
    find_conflict,
)

_NO_VALIDATION = (
    "No validation: without a source there is no pixel that an image has to show; look at samples."
)
_REPEATS = (
    "With noise='image' an image repeats itself away from its edges, every {stride} pixels; with "
    "noise='pixel' it does not."
)


def has_source(pairs: Sequence[OpenPair]) -> bool:
    """Tell whether pairs have a source, all or none of them.

    Raises
    ------
    InputError
        When some have one and some have none.
    """
    having = [pair for pair in pairs if pair.source.channels]
    if having and len(having) < len(pairs):
        missing = next(pair for pair in pairs if not pair.source.channels)
        raise InputError(
            f"There is a source in {having[0].name} and none in {missing.name}: give one in all "
            "pairs or in none."
        )
    return bool(having)


def without_source(config: TrainConfig, *, held_out: bool) -> TrainConfig:
    """Return the config of a training without a source.

    Parameters
    ----------
    config : TrainConfig
        What was not set in it is changed: no reconstruction, the adversarial term from the
        beginning, noise, and for ``light`` networks and rates, see `LIGHT_WITHOUT_SOURCE`. There
        is no validation.
    held_out : bool
        Whether pairs to validate on were given.

    Raises
    ------
    InputError, ConfigError
        When something is asked for that needs a source, or nothing would be learnt.
    """
    about_source = {
        "z_context": (0,),
        "source_kind": ("auto", "image"),
        "correct_shift": (False,),
        "feature_matching": (0,),
    }
    for name, plain in about_source.items():
        if (value := getattr(config, name)) not in plain:
            raise ConfigError(
                f"{name}={value!r} is about the source, and there is none: leave it out."
            )
    if held_out:
        raise InputError(
            "Pairs to validate on need a source, and there is none: leave validation out, and "
            "look at samples."
        )
    start = config.adversarial_start if "adversarial_start" in config.model_fields_set else 0.0
    defaults = {**WITHOUT_SOURCE, "adversarial_start": start, "adversarial_full": start}
    if config.preset == "light":
        defaults |= LIGHT_WITHOUT_SOURCE
    unset = {key: defaults[key] for key in defaults if key not in config.model_fields_set}
    config = config.model_copy(update={"validation": 0.0, **unset})
    if conflict := find_conflict(config) or _noise_conflict(config):
        raise ConfigError(f"Without a source: {conflict}.")
    return config


def sourceless_note(config: TrainConfig) -> str:
    """Say what to expect of a training without a source."""
    if config.noise == "pixel":
        return _NO_VALIDATION
    stride = 4 if config.generator == "resnet" else 2**config.depth
    return f"{_NO_VALIDATION} {_REPEATS.format(stride=stride)}"


def _noise_conflict(config: TrainConfig) -> str | None:
    """Say why the noise would not make one image differ from another."""
    if not config.noise_channels:
        return "noise_channels is 0, so all images would be the same: give 1 or more"
    one_at_a_time = config.norm == "batch" and config.batch == 1
    if config.noise == "image" and (config.norm == "instance" or one_at_a_time):
        how = "batch=1 with norm='batch'" if one_at_a_time else "norm='instance'"
        return (
            f"{how} takes out what is the same all over an image, and so the noise: set "
            "noise='pixel', or norm='batch' with a larger batch"
        )
    return None
