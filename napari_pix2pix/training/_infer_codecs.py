"""What the values of a training set mean: its codecs, and the config that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.checks import list_names
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import Codec, ImageCodec, InstanceCodec
from napari_pix2pix.data.infer_codec import all_values, infer_codec, large_parts, looks_like
from napari_pix2pix.data.intensities import saturation_note
from napari_pix2pix.data.kinds import Kind, Side, is_blurred_mask, other_kinds
from napari_pix2pix.data.outliers import leave_out_hot, some_values
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.data.split import Area
from napari_pix2pix.data.volume_blocks import sample_volumes
from napari_pix2pix.errors import InputError, rounded
from napari_pix2pix.training._target_content import (
    TargetContent,
    describe_content,
    find_content,
    foreground_warning,
)
from napari_pix2pix.training.config import LIGHT_FOR_LABELS, LIGHT_FOR_SPARSE, TrainConfig
from napari_pix2pix.training.fine_tuning import Pretrained

# Values so many widths of the target's range beyond it are visibly clipped by tanh; a linear output
# reaches them, but late if they are far away. Fewer than this share of all are not worth a word.
_CLIPPED, _LATE, _FEW = 0.1, 1.0, 1e-4
_MANY = 2**20  # values that tell percentiles well enough
_SIDES: tuple[Side, Side] = ("source", "target")
# Parts of volumes in which objects are measured, and their sides.
_OBJECT_BLOCKS, _OBJECT_SIDE = 8, 128


@dataclass(frozen=True)
class InferredCodecs:
    """What the values of sources and targets mean."""

    source_codec: Codec  # fitted on the training part, or the pretrained model's
    target_codec: Codec
    config: TrainConfig  # with the kinds, and defaults that depend on them
    class_weights: tuple[float, ...] | None  # of the target's classes, if asked for
    target_content: TargetContent | None  # of a target's channels, where content weighs more
    notes: tuple[str, ...]  # on kinds, or on the pretrained model
    warnings: tuple[str, ...]  # on values that are saturated or look like something else
    target_looks_like: Kind | None  # labels that the target is not taken for; None if it is none


def infer_codecs(
    opened: Sequence[OpenPair],
    areas: Sequence[Area],
    blocks: Sequence[SampleBlock],
    config: TrainConfig,
    start: Pretrained | None,
) -> InferredCodecs:
    """Infer the codecs from blocks of the training areas, or keep the pretrained model's."""
    warnings: list[str] = []
    if start is None:
        described = [_fit_codec(side, opened, areas, blocks, config) for side in _SIDES]
        (source, _), (target, _) = described
        if isinstance(source, ImageCodec) and source.channels:
            source = replace(source, limited=True)
        notes = tuple(note for codec, note in described if codec.kind != "image")
        # What is taken for an image has a note only if it looks like something else.
        warnings += [note for codec, note in described if codec.kind == "image"]
        warnings += [
            _mixed_kinds(side, opened, blocks, config, codec)
            for side, (codec, _) in zip(_SIDES, described, strict=True)
        ]
    else:
        held = {side: partial(all_values, opened, areas, side) for side in _SIDES}
        start.check_values(blocks, config, held)
        source, target = start.codecs
        notes = (start.note(config),)
    if start is None and config.ndim == 3:
        source, target = (
            _in_volumes(codec, side, opened, areas, config)
            for codec, side in zip((source, target), _SIDES, strict=True)
        )
    content = find_content(target, blocks, config)
    warnings += [
        _mixed_masks(side, opened, blocks, codec)
        for side, codec in zip(_SIDES, (source, target), strict=True)
    ]
    warnings += [_saturation("source", source, blocks), _saturation("target", target, blocks)]
    warnings.append(foreground_warning(content or (), config))
    return InferredCodecs(
        source,
        target,
        _resolve(config, source, target, content),
        _class_weights(target, blocks) if config.class_weights else None,
        content,
        notes if content is None else (*notes, *describe_content(content, target, config)),
        tuple(warning for warning in warnings if warning),
        _other_kind(target, blocks, config) if start is None else None,
    )


def _other_kind(codec: Codec, blocks: Sequence[SampleBlock], config: TrainConfig) -> Kind | None:
    """Return the labels that a target taken for an image looks like; None if it is none."""
    if codec.kind != "image" or config.target_kind != "auto":
        return None
    return looks_like([block.target for block in blocks], codec.layout)


def _fit_codec(
    side: Side,
    opened: Sequence[OpenPair],
    areas: Sequence[Area],
    blocks: Sequence[SampleBlock],
    config: TrainConfig,
) -> tuple[Codec, str]:
    """Return the codec of source or target, and a note on it."""
    is_target = side == "target"
    return infer_codec(
        [getattr(block, side) for block in blocks],
        _valid(side, blocks),
        kind=getattr(config, f"{side}_kind"),
        method=getattr(config, f"{side}_normalisation"),
        layout=getattr(opened[0], side).layout,
        what=side,
        held=partial(all_values, opened, areas, side),
        parts=partial(large_parts, opened, areas, side),
        classes=config.classes if is_target else None,
        smallest=config.smallest if is_target else None,
    )


def _in_volumes(
    codec: Codec,
    side: Side,
    opened: Sequence[OpenPair],
    areas: Sequence[Area],
    config: TrainConfig,
) -> Codec:
    """Return the codec of instances for volumes, where objects reach over several planes."""
    if not isinstance(codec, InstanceCodec):
        return codec
    blocks = sample_object_blocks(opened, areas, config)
    return InstanceCodec.fit(
        [getattr(block, side) for block in blocks],
        [block.valid for block in blocks] if side == "target" else None,
        layout=codec.layout,
        what=side,
        smallest=config.smallest if side == "target" else None,
        ndim=3,
        z_step=float(2 ** (config.plane_levels or 0)),
    )


def sample_object_blocks(
    opened: Sequence[OpenPair], areas: Sequence[Area], config: TrainConfig
) -> list[SampleBlock]:
    """Read blocks of volumes in which most objects are whole."""
    return sample_volumes(
        opened,
        areas,
        size=_OBJECT_SIDE,
        planes=_OBJECT_SIDE,
        seed=config.seed,
        most=_OBJECT_BLOCKS,
    )


def _mixed_kinds(
    side: str,
    opened: Sequence[OpenPair],
    blocks: Sequence[SampleBlock],
    config: TrainConfig,
    codec: Codec,
) -> str:
    """Name the images that look like another kind than the inferred one; empty if none do."""
    if getattr(config, f"{side}_kind") != "auto" or codec.channels != 1:
        return ""
    windows: dict[str, list[NDArray[Any]]] = {}
    for block in blocks:
        windows.setdefault(opened[block.pair].name, []).append(getattr(block, side))
    others = other_kinds(windows, codec.kind)
    if not others:
        return ""
    looks = " and ".join(
        f"of {list_names(names)} looks like {kind}" for kind, names in others.items()
    )
    return (
        f"The {side} {looks}, and all are taken for {codec.kind}: leave out what does not belong "
        f"to the set, or set {side}_kind."
    )


def _mixed_masks(
    side: Side, opened: Sequence[OpenPair], blocks: Sequence[SampleBlock], codec: Codec
) -> str:
    """Say that some masks have 1 and others 255 for one class; else ""."""
    if not isinstance(codec, ClassCodec) or codec.values not in ((0, 1, 255), (0, 1, 65535)):
        return ""
    found: dict[int, set[int]] = {}
    for block in blocks:
        values = np.unique(getattr(block, side)).tolist()
        found.setdefault(block.pair, set()).update(value for value in values if value)
    if any(len(values) > 1 for values in found.values()):
        return ""
    names = {value: opened[pair].name for pair, values in found.items() for value in values}
    ones, others = names.get(1, "some"), names.get(codec.values[-1], "others")
    return (
        f"The {side} holds masks of 0 and 1 ({ones}), and of 0 and {codec.values[-1]} ({others}), "
        "which are taken for two classes: give all masks the same value if they are one."
    )


def _valid(side: Side, blocks: Sequence[SampleBlock]) -> list[NDArray[np.bool_]]:
    """Return the valid pixels, (1 or C, h, w); a source's are those with any valid target."""
    if side == "target":
        return [block.valid for block in blocks]
    return [np.asarray(block.valid.any(axis=0, keepdims=True)) for block in blocks]


def _resolve(
    config: TrainConfig, source: Codec, target: Codec, content: TargetContent | None
) -> TrainConfig:
    """Return the config with the kinds, and with what light does for such a target."""
    resolved: dict[str, Any] = {"source_kind": source.kind, "target_kind": target.kind}
    if config.preset == "light" and source.channels:
        defaults: dict[str, Any] = {}
        if target.kind != "image":
            defaults = LIGHT_FOR_LABELS
        elif content is not None and any(channel.gain for channel in content):
            defaults = LIGHT_FOR_SPARSE
        unset = defaults.keys() - config.model_fields_set
        if config.feature_matching:  # needs a discriminator
            unset -= {"adversarial_weight"}
        resolved |= {name: defaults[name] for name in unset}
    return config.model_copy(update=resolved)


def _class_weights(codec: Codec, blocks: Sequence[SampleBlock]) -> tuple[float, ...]:
    if not isinstance(codec, ClassCodec):
        raise InputError(
            f"class_weights needs a target of classes, and the target is taken for {codec.kind}: "
            "leave class_weights out, or set target_kind='classes' if it holds classes."
        )
    return codec.class_weights([block.target for block in blocks], [b.valid for b in blocks])


def clipping_note(
    codec: Codec,
    blocks: Sequence[SampleBlock],
    activation: Literal["tanh", "linear"],
    *,
    tuned: bool,  # whether the range is that of another model
) -> str:
    """Say how much of a target lies beyond the codec's range, where that shows; else ""."""
    if not isinstance(codec, ImageCodec):
        return ""
    images = [block.target for block in blocks]
    valid = leave_out_hot(images, [block.valid for block in blocks])
    far, worst = _CLIPPED if activation == "tanh" else _LATE, (_FEW, "")
    for channel, (low, high) in enumerate(zip(codec.low, codec.high, strict=True)):
        values = some_values(images, valid, channel, _MANY)
        where = "target" if codec.channels == 1 else f"target's channel {channel}"
        for side, end, sign, extreme in (
            ("above", high, 1, values.max(initial=high)),
            ("below", low, -1, values.min(initial=low)),
        ):
            if sign * (extreme - end) <= far * (high - low):
                continue
            beyond = sign * (values - end)
            share = float((beyond > far * (high - low)).mean())
            said = rounded(100 * float((beyond > 0).mean()))
            text = (
                f"{said} % of the {where} lies {side} the stored range ({low:.6g} to {high:.6g}), "
                f"as far as {extreme:.6g}"
            )
            worst = max(worst, (share, text))
    if not worst[1]:
        return ""
    if activation == "tanh":
        remedy = "a linear activation, or the normalisation minmax, reaches it."
        said = f"{worst[1]}, and will be clipped, as the output's tanh ends there"
    else:
        remedy = "the normalisation minmax gives it a range."
        said = f"{worst[1]}: it takes long to learn"
    return f"{said}; {'a new model can have another range.' if tuned else remedy}"


def _saturation(side: Side, codec: Codec, blocks: Sequence[SampleBlock]) -> str:
    if codec.kind != "image":
        return ""
    images = [getattr(block, side) for block in blocks]
    if is_blurred_mask(images):
        return ""  # which is said of it anyway
    return saturation_note(images, side, _valid(side, blocks))
