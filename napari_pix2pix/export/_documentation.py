"""The README.md of a BioImage.IO package, made from what is true of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator

from napari_pix2pix import __version__
from napari_pix2pix.errors import rounded
from napari_pix2pix.export.interface import Interface, describe_labels
from napari_pix2pix.metrics.names import describe_score
from napari_pix2pix.training.model_card import card_sentences
from napari_pix2pix.training.model_info import ModelInfo


def write_readme(info: ModelInfo, interface: Interface) -> str:
    """Return the text, in Markdown."""
    parts = (
        ["# What the model does", *_describe_training(info)],
        ["## What goes in and what comes out", *_describe_tensors(info, interface)],
        ["## Tiles and edges", *_describe_edges(interface)],
        ["## Validation", *_describe_scores(info)],
    )
    return "\n\n".join("\n\n".join(part) for part in parts) + "\n"


def _describe_training(info: ModelInfo) -> Iterator[str]:
    yield "\n".join(f"- {sentence}" for sentence in card_sentences(info))
    yield (
        "The method is pix2pix (Isola et al. 2017). The package was written by napari-pix2pix "
        f"{__version__}."
    )
    yield "Of the training images it is known:"
    yield "\n".join(f"- {_ended(note)}" for note in (info.summary, *info.notes))


def _describe_tensors(info: ModelInfo, interface: Interface) -> Iterator[str]:
    yield (
        f"Inputs, one a channel: {', '.join(interface.inputs)}. Outputs: "
        f"{', '.join(interface.outputs)}. The order of axes is batch, channel, "
        f"{', '.join(interface.axes)}."
    )
    yield from interface.notes
    if labels := describe_labels(info.target_codec):
        yield f"What comes out is planes of labels. {labels}"
    when = "before and after" if info.target_codec.kind == "image" else "before"
    yield (
        f"Intensities are scaled {when} the network as they were for training: give images as the "
        "microscope made them, without any normalisation. Pixels that are NaN or infinite have no "
        "meaning here: replace them."
    )


def _describe_edges(interface: Interface) -> Iterator[str]:
    beyond = (
        "The network sees zeros beyond its input. Programs that pad an image show it mirrored "
        "pixels there"
    )
    if interface.mirrors:
        beyond = (
            "Beyond the edges most layers of the network mirror what they are given. Programs that "
            "pad an image mirror the image alone"
        )
    yield (
        f"Heights and widths are multiples of {interface.stride} pixels. {beyond}, so the "
        "outermost pixels differ a little from those that napari-pix2pix makes."
    )
    if interface.halo:
        yield (
            f"A pixel depends on its surroundings up to {interface.halo} pixels away: tiles with "
            "this halo equal the whole image."
        )


def _describe_scores(info: ModelInfo) -> Iterator[str]:
    if info.scores is None:
        yield "Nothing was held out of the training, so there are no scores."
        return
    is_image = info.target_codec.kind == "image"
    simple = "a linear fit of the source's channels" if is_image else "a threshold of the source"
    yield (
        "Scores on images, or parts of images, that were held out of the training. The baseline is "
        f"the best simple guess: {simple}."
    )
    rows = ["| score | model | baseline |", "|---|---|---|"]
    for name, value in info.scores.prediction.items():
        baseline = info.scores.baseline.get(name)
        title = describe_score(name).title
        rows.append(f"| {title} | {_shown(value)} | {_shown(baseline)} |")
    yield "\n".join(rows)
    yield (
        "To validate it on your own images, translate some whose target you know, and compare "
        "these with the same scores."
    )


def _shown(score: float | None) -> str:
    """Return a score for a table; one that has no value, such as that of no match, is a dash."""
    return "–" if score is None or math.isnan(score) else rounded(score, 4)


def _ended(sentence: str) -> str:
    return f"{sentence.rstrip('.')}."
