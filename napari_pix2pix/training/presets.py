"""The presets, as differences from the defaults of `TrainConfig`, which are ``light``."""

from __future__ import annotations

from typing import Any

# What both public implementations share (Isola et al. 2017), as differences from ``light``.
_PIX2PIX: dict[str, Any] = {
    "patch": 256,
    "batch": 1,
    "content": 0.0,
    "intensity_jitter": 0.0,
    "vertical_flips": False,
    "quarter_turns": False,
    "zoom": (286 / 256, 286 / 256),
    "depth": 8,
    "width": 64,
    "activation": "tanh",
    "discriminator_width": 64,
    "adversarial_weight": 1.0,
    "adversarial_start": 0.0,
    "adversarial_full": 0.0,
    "learning_rate": 2e-4,
    "discriminator_learning_rate": 2e-4,
    "ema": 0.0,
}
# What ``light`` does otherwise where the target is labels, unless it was set. The squared error
# makes of a plane the probability of what it says, so that thin borders between objects survive,
# which the absolute error's median leaves out; noise and an adversarial term add nothing to it.
LIGHT_FOR_LABELS: dict[str, Any] = {
    "adversarial_weight": 0.0,
    "reconstruction": "l2",
    "dropout": 0.0,
}
# What any training without a source does, unless it was set: noise is all that tells images apart.
WITHOUT_SOURCE: dict[str, Any] = {
    "reconstruction_weight": 0.0,
    "noise_channels": 16,
    "noise": "pixel",
}
# What ``light`` does otherwise there (docs/cgan.md): a generator and a discriminator of about the
# same strength and rate, many patches a step, drawn uniformly, since samples are to have no more in
# them than images have, and no checkerboard that nothing would average out.
LIGHT_WITHOUT_SOURCE: dict[str, Any] = {
    "batch": 16,
    "content": 0.0,
    "depth": 4,
    "dropout": 0.0,
    "upsampling": "resize",
    "discriminator_width": 32,
    "learning_rate": 5e-4,
    "discriminator_learning_rate": 5e-4,
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
