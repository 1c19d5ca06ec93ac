"""Options with which a model gives several answers, told without PyTorch."""

from __future__ import annotations

from typing import Literal

from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.model_info import ModelInfo

SAMPLES = 8  # as many as there are turns of an image

Variation = Literal["noise", "dropout", "turns"]


def what_varies(card: ModelInfo) -> Variation | None:
    """Return what lets the samples of one image differ; None where they have no deviation."""
    if card.target_codec.kind != "image":
        return None
    if card.config.noise_channels:
        return "noise"
    if card.config.dropout and not card.is_external:
        return "dropout"
    # Norms that measure the image would measure each turn of it apart.
    return None if card.config.norm in ("instance", "group") else "turns"


def with_samples(options: PredictOptions, card: ModelInfo) -> PredictOptions:
    """Return options with which several samples differ; those that have samples stay."""
    varies = what_varies(card)
    if options.samples > 1 or varies is None:
        return options
    changes: dict[str, int | bool] = {"samples": SAMPLES}
    changes |= {"dropout": True} if varies == "dropout" else {}
    changes |= {"turns": SAMPLES} if varies == "turns" else {}
    return options.model_copy(update=changes)


def explain_uncertainty(card: ModelInfo) -> str:
    """Say what the tick shows for a model, or why there is nothing to show."""
    texts = {
        "noise": "answers to other noise",
        "dropout": "answers with dropout on",
        "turns": "answers to the image's flips and quarter turns",
    }
    varies = what_varies(card)
    if varies is None:
        return (
            "Labels have no mean, so there is no deviation."
            if card.target_codec.kind != "image"
            else "This model has neither noise nor dropout, and its norms measure each image: all "
            "its answers are the same."
        )
    return (
        f"Show how much {SAMPLES} {texts[varies]} differ: their mean, and over it their standard "
        f"deviation. It takes {SAMPLES} times as long"
    )
