"""What the values of a training set mean: its codecs, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.pairs.class_codec import ClassCodec
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.interpret import interpret
from napari_pix2pix.pairs.pair import OpenPair
from napari_pix2pix.pairs.sample import Block
from napari_pix2pix.pairs.saturation import saturation_notes
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.presets import LIGHT_FOR_LABELS
from napari_pix2pix.training.start import Start


@dataclass(frozen=True)
class Understanding:
    """What the values of sources and targets mean.

    Attributes
    ----------
    source_codec, target_codec : Codec
        Fitted on blocks of the training part, or those of the model to start from.
    config : TrainConfig
        With what was left open for the pairs to tell.
    class_weights : tuple of float or None
        Of the target's classes, where the config asks for them.
    words : tuple of str
        What there is to say of kinds, or of the model to start from.
    warnings : list of str
        Sentences on values that are cut off, or that look like something else.
    """

    source_codec: Codec
    target_codec: Codec
    config: TrainConfig
    class_weights: tuple[float, ...] | None
    words: tuple[str, ...]
    warnings: list[str]


def understand(
    first: OpenPair, blocks: Sequence[Block], config: TrainConfig, start: Start | None
) -> Understanding:
    """Find out what values mean.

    Parameters
    ----------
    first : OpenPair
        Whose layout all pairs have.
    blocks : sequence of Block
        Of the training part.
    config : TrainConfig
    start : Start or None
        The model whose codecs are kept.

    Raises
    ------
    InputError
        When labels can't be trained on, classes are to be weighed where there are none, or values
        do not fit the model to start from.
    """
    if start is None:
        source, source_words = _fit_codec("source", first, blocks, config)
        target, target_words = _fit_codec("target", first, blocks, config)
        said = ((source, source_words), (target, target_words))
        words = tuple(sentence for codec, sentence in said if codec.kind != "image")
        doubts = [sentence for codec, sentence in said if codec.kind == "image" and sentence]
    else:
        start.check_values(blocks, config)
        source, target = start.codecs
        words, doubts = (start.note(config),), []
    return Understanding(
        source,
        target,
        _resolve(config, source, target),
        _class_weights(target, blocks) if config.class_weights else None,
        words,
        doubts + _saturation("source", source, blocks) + _saturation("target", target, blocks),
    )


def _fit_codec(
    what: str, first: OpenPair, blocks: Sequence[Block], config: TrainConfig
) -> tuple[Codec, str]:
    """Return the codec of source or target, and what there is to say of it."""
    return interpret(
        [getattr(block, what) for block in blocks],
        _valid(what, blocks),
        kind=getattr(config, f"{what}_kind"),
        method=getattr(config, f"{what}_normalisation"),
        layout=getattr(first, what).layout,
        what=what,
        **({"classes": config.classes, "smallest": config.smallest} if what == "target" else {}),
    )


def _valid(what: str, blocks: Sequence[Block]) -> list[NDArray[np.bool_]]:
    """Return which pixels count: of the source those where any channel of the target does."""
    if what == "target":
        return [block.valid for block in blocks]
    return [np.asarray(block.valid.any(axis=0, keepdims=True)) for block in blocks]


def _resolve(config: TrainConfig, source: Codec, target: Codec) -> TrainConfig:
    """Return the config with what was left open for the pairs to tell."""
    found: dict[str, Any] = {"source_kind": source.kind, "target_kind": target.kind}
    if target.kind != "image" and source.channels and config.preset == "light":
        left_open = LIGHT_FOR_LABELS.keys() - config.model_fields_set
        if config.feature_matching:  # who asks for it wants the discriminator
            left_open -= {"adversarial_weight"}
        found |= {name: LIGHT_FOR_LABELS[name] for name in left_open}
    return config.model_copy(update=found)


def _class_weights(codec: Codec, blocks: Sequence[Block]) -> tuple[float, ...]:
    if not isinstance(codec, ClassCodec):
        raise InputError(
            f"class_weights weighs classes, and the target is taken for {codec.kind}: leave "
            "class_weights out, or say target_kind='classes' if it holds classes."
        )
    return codec.class_weights([block.target for block in blocks], [b.valid for b in blocks])


def _saturation(what: str, codec: Codec, blocks: Sequence[Block]) -> list[str]:
    if codec.kind != "image":
        return []
    images = [getattr(block, what) for block in blocks]
    return saturation_notes(images, what, _valid(what, blocks))
