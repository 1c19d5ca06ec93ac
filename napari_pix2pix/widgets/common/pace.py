"""How long a training will take, from how long such steps took before on this machine."""

from __future__ import annotations

import hashlib

from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.widgets.common.settings import memory

# What a step's duration depends on, beside the pairs.
_FIELDS = (
    "device",
    "precision",
    "compile",
    "patch",
    "batch",
    "generator",
    "depth",
    "blocks",
    "width",
    "adversarial_weight",
    "discriminator_layers",
    "discriminator_width",
    "discriminator_scales",
    "feature_matching",
)


def remember_pace(config: TrainConfig, seconds: float) -> None:
    """Remember the seconds that a step took, validation included."""
    memory().setValue(_key(config), seconds)


def expected_seconds(config: TrainConfig, steps: int) -> float | None:
    """Return the seconds that some steps will take; None where no such step was done before."""
    value = memory().value(_key(config))
    return None if value is None else float(value) * steps


def in_time_units(seconds: float) -> str:
    """Say a duration.

    Examples
    --------
    >>> in_time_units(0.42), in_time_units(42.3), in_time_units(400), in_time_units(8000)
    ('0.4 s', '42 s', '7 min', '2 h 13 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _key(config: TrainConfig) -> str:
    told = repr([getattr(config, name) for name in _FIELDS])
    return f"pace/{hashlib.sha256(told.encode()).hexdigest()[:16]}"
