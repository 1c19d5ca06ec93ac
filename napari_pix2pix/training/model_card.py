"""What a model is, as a person would write it: for docks, the shell and files beside a model."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import Codec, ImageCodec
from napari_pix2pix.errors import plural
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.training.history import validated_epochs
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.training.summary import describe_images

_BY_OTHERS = "Trained by another program."
_MOST_NAMES = 6  # of channels; more make a long sentence


def model_card(info: ModelInfo, title: str = "") -> str:
    """Describe a model in Markdown: what it translates, what it was trained on, how good it is.

    Parameters
    ----------
    info : ModelInfo
        All that is true of the model.
    title : str
        Heading of the card, such as the model's name; by default what goes in and comes out.

    Returns
    -------
    str
        A heading and one line for each fact; what is not known is left out.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_pix2pix import train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32, licence="CC0-1.0")
    >>> print(model_card(model.info, "Inverter"))  # doctest: +ELLIPSIS
    # Inverter
    <BLANKLINE>
    - Translates 32-bit floating point images into 32-bit floating point images.
    - Trained on 1 image on ..., with the preset light in 2 steps.
    - Held-out Pearson ...; the linear baseline has 1.000.
    - Licence: CC0-1.0.
    """
    heading = title or f"{_given(info)} to {_made(info)}"
    return "\n".join([f"# {heading}", "", *(f"- {fact}" for fact in card_sentences(info))])


def card_sentences(info: ModelInfo) -> list[str]:
    """Describe a model in short sentences, the most important first."""
    first = "Translates" if info.channels else "Makes"
    joins = f"{_given(info)} into {_made(info)}" if info.channels else f"{_made(info)} from noise"
    context = info.config.z_context
    sees = f"Sees {plural(context, 'plane')} on each side of each plane: it takes stacks."
    sentences = [f"{first} {joins}.", *([sees] if context else [])]
    sentences += [*_of_conditions(info), *_of_training(info)]
    if isinstance(info.source_codec, ImageCodec) and info.source_codec.assumed:
        sentences.append("Intensities: the whole range of the image's dtype.")
    config = info.config
    told = {
        "By": config.authors,
        "Licence:": config.licence,
        "Intended use:": config.intended_use,
        "From": info.origin,
    }
    sentences += [f"{what} {text.rstrip('.')}." for what, text in told.items() if text]
    return sentences


def card_line(info: ModelInfo) -> str:
    """Describe a model in one line: what it translates, and how good it is."""
    return " ".join([card_sentences(info)[0], _of_scores(info) if info.versions else _BY_OTHERS])


def _of_conditions(info: ModelInfo) -> list[str]:
    """Name the conditions, and what each makes."""
    if not info.conditions:
        return []
    shown = [_condition_text(info, condition) for condition in info.conditions]
    return [f"Conditions: {', '.join(shown)}."]


def _condition_text(info: ModelInfo, condition: Hashable) -> str:
    names = [name for name in info.output_names(condition) if name != str(condition)]
    return f"{condition} ({_listed(names)})" if names else str(condition)


def _of_training(info: ModelInfo) -> list[str]:
    """Say what it was trained on, and how good it is."""
    made_for = info.made_for
    sentences = []
    if made_for.pixel_size is not None:
        sentences.append(f"Trained at {made_for.pixel_size}.")
    if not info.versions:
        return [*sentences, _BY_OTHERS]
    images = f" on {plural(made_for.images, 'image')}" if made_for.images else ""
    day = f" on {made_for.date}" if made_for.date else ""
    how = f"with the preset {info.config.preset} in {plural(info.steps, 'step')}"
    sentences.append(f"Trained{images}{day}, {how}.")
    if info.started_from is not None:
        sentences.append(f"Training began from a model of {info.started_from.summary}.")
    return [*sentences, _of_scores(info)]


def _of_scores(info: ModelInfo) -> str:
    if info.scores is None:
        return "No scores: nothing was held out."
    name, score = primary_metric(info.scores.prediction)
    _, baseline = primary_metric(info.scores.baseline)
    rival = "linear" if info.target_codec.kind == "image" else "threshold"
    found = f"Held-out {name} {score:.3f}; the {rival} baseline has {baseline:.3f}."
    steps = [record.step for record in validated_epochs(info.history)]
    if info.applied == "last" and steps and steps[-1] != info.steps:  # a checkpoint's
        found += f" This was measured after {steps[-1]} of these steps."
    return found


def _given(info: ModelInfo) -> str:
    if not info.channels:
        return "noise"
    return _describe_side(info.source_codec, info.channels, info.trained_channels[0].names)


def _made(info: ModelInfo) -> str:
    codec = info.target_codec
    return _describe_side(codec, codec.channels, info.trained_channels[1].names)


def _describe_side(codec: Codec, channels: int, names: Sequence[str]) -> str:
    """Describe images of a kind, such as "phase (16-bit images)" or "labels of 3 classes"."""
    if isinstance(codec, ClassCodec):
        images = f"labels of {plural(len(codec.values), 'class')}"
    elif codec.kind == "instances":
        images = "labels of single objects"
    else:
        assumed = isinstance(codec, ImageCodec) and codec.assumed
        images = describe_images(channels, codec.layout, None if assumed else codec.dtype)
    return f"{_listed(names)} ({images})" if names else images


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
