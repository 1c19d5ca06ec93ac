"""What the values of a training set mean: its codecs, and what follows from them.

What was understood of a training set, in one line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.alignment import Alignment
from napari_pix2pix.data.checks import named, saturation_note
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.class_values import Side, held_values, large_parts
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.interpret import infer_codec
from napari_pix2pix.data.kinds import other_kinds
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.data.split import Area
from napari_pix2pix.errors import InputError
from napari_pix2pix.training.config import LIGHT_FOR_LABELS, TrainConfig
from napari_pix2pix.training.fine_tuning import Pretrained

_SIDES: tuple[Side, Side] = ("source", "target")


@dataclass(frozen=True)
class InferredCodecs:
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


def infer_codecs(
    opened: Sequence[OpenPair],
    areas: Sequence[Area],
    blocks: Sequence[SampleBlock],
    config: TrainConfig,
    start: Pretrained | None,
) -> InferredCodecs:
    """Find out what values mean.

    Parameters
    ----------
    opened : sequence of OpenPair
        All of one layout.
    areas : sequence of Area
        Where is trained.
    blocks : sequence of Block
        Sampled there.
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
        read = {side: _fit_codec(side, opened, areas, blocks, config) for side in _SIDES}
        said = read.values()
        source, target = (codec for codec, _ in said)
        words = tuple(sentence for codec, sentence in said if codec.kind != "image")
        doubts = [sentence for codec, sentence in said if codec.kind == "image" and sentence]
        doubts += [_mixed(side, opened, blocks, config, read[side][0]) for side in _SIDES]
    else:
        held = {side: partial(held_values, opened, areas, side) for side in _SIDES}
        start.check_values(blocks, config, held)
        source, target = start.codecs
        words, doubts = (start.note(config),), []
    return InferredCodecs(
        source,
        target,
        _resolve(config, source, target),
        _class_weights(target, blocks) if config.class_weights else None,
        words,
        [*doubts, _saturation("source", source, blocks), _saturation("target", target, blocks)],
    )


def _fit_codec(
    what: Side,
    opened: Sequence[OpenPair],
    areas: Sequence[Area],
    blocks: Sequence[SampleBlock],
    config: TrainConfig,
) -> tuple[Codec, str]:
    """Return the codec of source or target, and what there is to say of it."""
    return infer_codec(
        [getattr(block, what) for block in blocks],
        _valid(what, blocks),
        kind=getattr(config, f"{what}_kind"),
        method=getattr(config, f"{what}_normalisation"),
        layout=getattr(opened[0], what).layout,
        what=what,
        held=partial(held_values, opened, areas, what),
        parts=partial(large_parts, opened, areas, what),
        **({"classes": config.classes, "smallest": config.smallest} if what == "target" else {}),
    )


def _mixed(
    what: Side,
    opened: Sequence[OpenPair],
    blocks: Sequence[SampleBlock],
    config: TrainConfig,
    codec: Codec,
) -> str:
    """Say which images are of another kind than the set was taken for, where none was said."""
    if getattr(config, f"{what}_kind") != "auto" or codec.channels != 1:
        return ""
    windows: dict[str, list[NDArray[Any]]] = {}
    for block in blocks:
        windows.setdefault(opened[block.pair].name, []).append(getattr(block, what))
    others = other_kinds(windows, codec.kind)
    if not others:
        return ""
    looks = " and ".join(f"of {named(names)} looks like {kind}" for kind, names in others.items())
    return (
        f"The {what} {looks}, and all are taken for {codec.kind}: leave out what does not belong "
        f"to the set, or say {what}_kind."
    )


def _valid(what: str, blocks: Sequence[SampleBlock]) -> list[NDArray[np.bool_]]:
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


def _class_weights(codec: Codec, blocks: Sequence[SampleBlock]) -> tuple[float, ...]:
    if not isinstance(codec, ClassCodec):
        raise InputError(
            f"class_weights weighs classes, and the target is taken for {codec.kind}: leave "
            "class_weights out, or say target_kind='classes' if it holds classes."
        )
    return codec.class_weights([block.target for block in blocks], [b.valid for b in blocks])


def _saturation(what: Side, codec: Codec, blocks: Sequence[SampleBlock]) -> str:
    if codec.kind != "image":
        return ""
    images = [getattr(block, what) for block in blocks]
    return saturation_note(images, what, _valid(what, blocks))


def summarise(
    pairs: Sequence[OpenPair],
    source: Codec,
    target: Codec,
    *,
    patches: int,
    alignment: Alignment,
) -> str:
    """Name dtypes, sizes and kinds, what there is to train on, and where the target lies.

    Parameters
    ----------
    pairs : sequence of OpenPair
        The training set, what is held out of it included.
    source, target : Codec
        How they were understood.
    patches : int
        How many patches fit into what is trained on.
    alignment : Alignment

    Returns
    -------
    str
        Such as ``uint16 1024x1024, 3 frames -> 3 classes; 37 patches; alignment 0.3 px``.
    """
    first = pairs[0]
    parts = [_side(first.source, source), f"{first.height}x{first.width}"]
    if len({(pair.height, pair.width) for pair in pairs}) > 1:
        parts.append("and other sizes")
    given = " ".join(parts)
    if len(pairs) > 1:
        given += f", {len(pairs)} pairs"
    frames = sum(pair.frames for pair in pairs)
    if frames > len(pairs):
        given += f", {frames} frames"
    made = _labels(target) or f"{_side(first.target, target)} image"
    said = [f"{given} -> {made}", f"{patches} patch{'' if patches == 1 else 'es'}"]
    if first.source.channels:
        where = f"{math.hypot(*alignment.offset):.1f} px" if alignment.known else "unknown"
        said.append(f"alignment {where}")
    return "; ".join(said)


def _labels(codec: Codec) -> str:
    """Say what labels are; how many instances there are is known of the sample alone."""
    if isinstance(codec, ClassCodec):
        return f"{len(codec.values)} classes"
    return "instances" if codec.kind == "instances" else ""


def _side(planes: LazyImage, codec: Codec) -> str:
    """Say an image's dtype and channels, or what its labels are."""
    if not planes.channels:
        return "no source"
    words = [str(planes.dtype)]
    if labels := _labels(codec):
        words.append(labels)
    elif planes.layout.rgb:
        words.append("RGB")
    elif planes.channels > 1:
        words.append(f"{planes.channels} channels")
    return " ".join(words)
