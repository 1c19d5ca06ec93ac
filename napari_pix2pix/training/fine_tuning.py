"""Fine-tuning: what a training keeps of the model that it starts from, and which pairs fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codec_base import distinct_values, labelled
from napari_pix2pix.data.codecs import Codec, codecs_for_dtypes
from napari_pix2pix.data.infer_codec import infer_set_kind
from napari_pix2pix.data.kinds import Side
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.errors import ConfigError, InputError, plural
from napari_pix2pix.training.config import DERIVE_FIELDS, RUN_FIELDS, TrainConfig
from napari_pix2pix.training.model_info import ModelInfo, StartedFrom
from napari_pix2pix.training.state import TrainingState, part_of

# Part of the budget for which a new discriminator learns before the generator listens to it.
_WARM_UP = 0.05
# Fields of the run, which the model does not decide.
_RUN = RUN_FIELDS | {"seed", "validation", "hold_out", "correct_shift", "derive", "keep"}
_RUN |= set(DERIVE_FIELDS)
_RUN |= {"source_kind", "target_kind"}
# Fields that the model's weights and codecs depend on.
_MODEL = {
    "preset",
    "classes",
    "smallest",
    "z_context",
    "ndim",
    "plane_levels",
    "source_normalisation",
    "target_normalisation",
    "generator",
    "depth",
    "blocks",
    "width",
    "norm",
    "upsampling",
    "activation",
    "bias",
    "noise_channels",
}
_DISCRIMINATOR = {
    "discriminator_layers",
    "discriminator_width",
    "discriminator_norm",
    "discriminator_scales",
    "conditional",
    "spectral_norm",
}


@dataclass(frozen=True)
class Pretrained:
    """The model that a training starts from: its weights, what is true of it, and its record."""

    tensors: Mapping[str, Tensor]  # of a model file
    info: ModelInfo
    origin: StartedFrom  # what the new model's file will say of it

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], info: ModelInfo) -> Self:
        """Describe a model as a start."""
        origin = StartedFrom(
            info.summary, info.steps, info.has_discriminator, _hash_of_generators(tensors)
        )
        return cls(tensors, info, origin)

    @property
    def codecs(self) -> tuple[Codec, Codec]:
        """Of source and target."""
        return self.info.source_codec, self.info.target_codec

    def for_pairs(self, opened: Sequence[OpenPair]) -> Self:
        """Return the model for the dtypes of the pairs, where its file does not name any."""
        dtypes = opened[0].source.dtype, opened[0].target.dtype
        source, target = codecs_for_dtypes(*self.codecs, *dtypes)
        return replace(self, info=replace(self.info, source_codec=source, target_codec=target))

    def fill(self, config: TrainConfig) -> TrainConfig:
        """Return a config whose fields that were not given are the model's; refuse others."""
        old = self.info.config
        fixed = _MODEL | (_DISCRIMINATOR if self.origin.has_discriminator else set())
        if old.generator == "resnet":
            fixed |= {"dropout"}  # a layer of its own, which moves the names of the weights
        given = config.model_fields_set
        for name in sorted(given & fixed):
            if getattr(old, name) != getattr(config, name):
                raise ConfigError(
                    f"The model that the training starts from has {name}={getattr(old, name)!r}, "
                    f"got {getattr(config, name)!r}: leave {name} out, or train a new model."
                )
        chosen = (given - fixed) | _RUN
        fields = old.model_dump() | {name: getattr(config, name) for name in chosen}
        return TrainConfig(**fields)

    def check_pairs(
        self, opened: Sequence[OpenPair], conditions: Sequence[Hashable]
    ) -> tuple[Hashable, ...]:
        """Refuse pairs of other channels, dtypes or conditions; return the model's conditions."""
        for what, codec in zip(("source", "target"), self.for_pairs(opened).codecs, strict=True):
            image = getattr(opened[0], what)
            if (image.channels, image.dtype.name) != (codec.channels, codec.dtype):
                raise InputError(
                    f"The {what} of {opened[0].name} has {plural(image.channels, 'channel')} of "
                    f"{image.dtype}, the model to start from was trained on {codec.channels} of "
                    f"{codec.dtype}: give such images, or train a new model."
                )
        names = self.info.conditions
        if not conditions and names:
            raise InputError(
                f"The model to start from has the conditions {_listed(names)}: give each pair one "
                "of them."
            )
        if unknown := [name for name in conditions if name not in names]:
            known = f"has only {_listed(names)}" if names else "has none"
            raise InputError(
                f"The pairs have the condition {unknown[0]!r}, and the model to start from {known}:"
                " leave it out, or train a new model."
            )
        return names

    def check_source(self, has_source: bool) -> None:
        """Refuse pairs with a source for a model without one, and the other way round."""
        if has_source != bool(self.info.source_codec.channels):
            these, that = ("have", "without one") if has_source else ("lack", "with one")
            raise InputError(
                f"The pairs {these} a source, and the model to start from was trained {that}: "
                "give such pairs, or train a new model."
            )

    def check_values(
        self,
        blocks: Sequence[SampleBlock],
        config: TrainConfig,
        # All classes of a side; None where they are not known and the blocks must do.
        find_classes: Mapping[Side, Callable[[], NDArray[np.int64] | None]],
    ) -> None:
        """Refuse values of another kind, and classes that the model does not know."""
        sides: tuple[tuple[Side, Codec], ...] = (
            ("source", self.info.source_codec),
            ("target", self.info.target_codec),
        )
        for what, codec in sides:
            windows = [getattr(block, what) for block in blocks]
            given = getattr(config, f"{what}_kind")
            kind = infer_set_kind(windows, codec.layout) if given == "auto" else given
            if kind != codec.kind:
                raise InputError(
                    f"The kind of the {what} is {kind!r}, and the model to start from was trained "
                    f"on {codec.kind!r}: give such images, or say {what}_kind={codec.kind!r} if "
                    "they are."
                )
            if isinstance(codec, ClassCodec):
                classes = find_classes[what]()
                if classes is None:
                    valid = [np.asarray(b.valid.any(axis=0, keepdims=True)) for b in blocks]
                    classes = distinct_values(labelled(windows, valid))
                if unknown := set(classes.tolist()) - set(codec.values):
                    raise InputError(
                        f"The {what} holds the class {min(unknown)}, and the model to start from "
                        f"knows only {_listed(codec.values)}: merge classes, or train a new model."
                    )

    def begin(self, state: TrainingState) -> None:
        """Put the model's weights into a fresh state, whose optimizers start from nothing."""
        applied = part_of(self.tensors, self.info.applied_weights(self.tensors))
        current = part_of(self.tensors, "generator")
        # "best" asks for the applied weights, whatever the generator became after them.
        if self.info.config.keep == "best" or not current:
            current = applied
        state.generator.load_state_dict(applied if state.averaged is None else current)
        if state.averaged is not None:
            state.averaged.load_state_dict(applied)
        state.steps_before = self.origin.steps
        if state.discriminator is None:
            return
        if weights := part_of(self.tensors, "discriminator"):
            state.discriminator.load_state_dict(weights)
        if not self.origin.has_discriminator:
            state.warm_up = _WARM_UP

    def note(self, config: TrainConfig) -> str:
        """Say what the training starts from."""
        steps = self.origin.steps
        trained = f"for {plural(steps, 'step')}" if steps else "elsewhere"
        sentence = (
            f"Starts from a model that was trained {trained} ({self.origin.summary}), and keeps "
            "its intensities and networks."
        )
        if config.adversarial_weight and not self.origin.has_discriminator:
            sentence += (
                " It has no discriminator: a new one learns for "
                f"{100 * _WARM_UP:.0f} % of the budget before it counts."
            )
        return sentence


def _hash_of_generators(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all generators in a model file."""
    digest = hashlib.sha256()
    prefixes = ("averaged.", "generator.", "best.")
    names = [name for prefix in prefixes for name in sorted(tensors) if name.startswith(prefix)]
    for name in names:
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _listed(names: Sequence[Hashable]) -> str:
    return ", ".join(map(repr, names))
