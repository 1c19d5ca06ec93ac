"""A training that begins from a model: what it keeps of it, and which pairs fit it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

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
from napari_pix2pix.metrics.baselines import Baselines
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.state import TrainingState, Weights, part_of

# Part of the budget for which a new discriminator learns before the generator listens to it.
_WARM_UP = 0.05
# Fields that belong to a run and not to its model.
_RUN = {
    "epochs",
    "steps",
    "max_seconds",
    "seed",
    "device",
    "devices",
    "num_nodes",
    "strategy",
    "precision",
    "compile",
    "checkpoint_seconds",
    "validation",
    "correct_shift",
    "source_kind",
    "target_kind",
}
# Fields without which the model's weights and codecs would mean something else.
_MODEL = {
    "preset",
    "classes",
    "smallest",
    "z_context",
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
    """The model that a training begins from.

    Attributes
    ----------
    tensors : mapping of str to torch.Tensor
        Of a model file.
    config : TrainConfig
        How the model was trained.
    source_codec, target_codec : Codec
        Kept as they are: intensity belongs to the model.
    conditions : tuple of hashable
        Kept, too.
    baseline : TrivialMaps
        For the conditions that the new pairs lack.
    origin : mapping
        What the new model's file says of it: ``summary``, ``steps``, ``discriminator`` (whether
        it had one) and ``weights`` (their hash).
    """

    tensors: Mapping[str, Tensor]
    config: TrainConfig
    source_codec: Codec
    target_codec: Codec
    conditions: tuple[Hashable, ...]
    baseline: Baselines
    origin: Mapping[str, Any]

    @property
    def codecs(self) -> tuple[Codec, Codec]:
        """Of source and target."""
        return self.source_codec, self.target_codec

    def remembered_as(self, origin: Mapping[str, Any]) -> Self:
        """Return this model, a checkpoint, as one that itself began from another."""
        return replace(self, origin=origin)

    def for_pairs(self, opened: Sequence[OpenPair]) -> Self:
        """Return the model for the dtypes of the pairs, where its file did not say of which."""
        dtypes = opened[0].source.dtype, opened[0].target.dtype
        source, target = codecs_for_dtypes(*self.codecs, *dtypes)
        return replace(self, source_codec=source, target_codec=target)

    def fill(self, config: TrainConfig) -> TrainConfig:
        """Return a config that takes from the model what was not given.

        Raises
        ------
        ConfigError
            If a field was given that contradicts the model, or does not go with its others.
        """
        fixed = _MODEL | (_DISCRIMINATOR if self.origin["discriminator"] else set())
        if self.config.generator == "resnet":
            fixed |= {"dropout"}  # whose blocks are counted with it
        given = config.model_fields_set
        for name in sorted(given & fixed):
            old, new = getattr(self.config, name), getattr(config, name)
            if old != new:
                raise ConfigError(
                    f"The model that the training starts from has {name}={old!r}, got {new!r}: "
                    f"leave {name} out, or train a new model."
                )
        chosen = (given - fixed) | _RUN
        fields = self.config.model_dump() | {name: getattr(config, name) for name in chosen}
        return TrainConfig(**fields)

    def check_pairs(
        self, opened: Sequence[OpenPair], conditions: Sequence[Hashable]
    ) -> tuple[Hashable, ...]:
        """Refuse pairs of other channels, dtypes or conditions; return the model's conditions.

        Raises
        ------
        InputError
            If the pairs don't fit the model; the sentence says how.
        """
        for what, codec in zip(("source", "target"), self.for_pairs(opened).codecs, strict=True):
            planes = getattr(opened[0], what)
            if (planes.channels, planes.dtype.name) != (codec.channels, codec.dtype):
                raise InputError(
                    f"The {what} of {opened[0].name} has {plural(planes.channels, 'channel')} of "
                    f"{planes.dtype}, the model to start from was trained on {codec.channels} of "
                    f"{codec.dtype}: give such images, or train a new model."
                )
        if not conditions and self.conditions:
            raise InputError(
                f"The model to start from has the conditions {_listed(self.conditions)}: give "
                "each pair one of them."
            )
        if unknown := [name for name in conditions if name not in self.conditions]:
            known = f"has {_listed(self.conditions)} alone" if self.conditions else "has none"
            raise InputError(
                f"The pairs have the condition {unknown[0]!r}, and the model to start from {known}:"
                " leave it out, or train a new model."
            )
        return self.conditions

    def check_source(self, sourced: bool) -> None:
        """Refuse pairs with a source for a model without one, and the other way round.

        Raises
        ------
        InputError
            If one of the two has a source.
        """
        if sourced != bool(self.source_codec.channels):
            these, that = ("have", "without one") if sourced else ("lack", "with one")
            raise InputError(
                f"The pairs {these} a source, and the model to start from was trained {that}: "
                "give such pairs, or train a new model."
            )

    def check_values(
        self,
        blocks: Sequence[SampleBlock],
        config: TrainConfig,
        held: Mapping[Side, Callable[[], NDArray[np.int64] | None]],
    ) -> None:
        """Refuse values of another kind, and classes that the model does not know.

        Parameters
        ----------
        blocks : sequence of Block
            Sampled where is trained.
        config : TrainConfig
        held : mapping of str to callable
            For source and target what returns all classes, or None where they are not known.

        Raises
        ------
        InputError
            If there are any; the sentence says which.
        """
        sides: tuple[tuple[Side, Codec], ...] = (
            ("source", self.source_codec),
            ("target", self.target_codec),
        )
        for what, codec in sides:
            windows = [getattr(block, what) for block in blocks]
            given = getattr(config, f"{what}_kind")
            kind = infer_set_kind(windows, codec.layout) if given == "auto" else given
            if kind != codec.kind:
                raise InputError(
                    f"The {what} is taken for {kind}, and the model to start from was trained on "
                    f"{codec.kind}: give such images, or say {what}_kind={codec.kind!r} if they "
                    "are."
                )
            if isinstance(codec, ClassCodec):
                values = held[what]()
                if values is None:
                    valid = [np.asarray(one.valid.any(axis=0, keepdims=True)) for one in blocks]
                    values = distinct_values(labelled(windows, valid))
                unknown = set(values.tolist()) - set(codec.values)
                if unknown:
                    raise InputError(
                        f"The {what} holds the class {min(unknown)}, and the model to start from "
                        f"knows {_listed(codec.values)} alone: merge classes, or train a new "
                        "model."
                    )

    def begin(self, state: TrainingState) -> None:
        """Put the model's weights into a fresh state; its optimizers begin anew."""
        if self.config.keep == "best":
            applied = current = self._first_of("best", "averaged", "generator")
        else:
            applied = self._first_of("averaged", "generator")
            current = self._first_of("generator", "averaged")
        state.generator.load_state_dict(applied if state.averaged is None else current)
        if state.averaged is not None:
            state.averaged.load_state_dict(applied)
        state.steps_before = self.origin["steps"]
        if state.discriminator is None:
            return
        if weights := part_of(self.tensors, "discriminator"):
            state.discriminator.load_state_dict(weights)
        if not self.origin["discriminator"]:
            state.warm_up = _WARM_UP

    def note(self, config: TrainConfig) -> str:
        """Say what the training begins from."""
        steps = self.origin["steps"]
        trained = f"{steps} steps" if steps else "trained elsewhere"
        sentence = (
            f"Starts from a model of {self.origin['summary']}, {trained}, and keeps its "
            "intensities and networks."
        )
        if config.adversarial_weight and not self.origin["discriminator"]:
            sentence += (
                " It has no discriminator: a new one learns for "
                f"{100 * _WARM_UP:.0f} % of the budget before it counts."
            )
        return sentence

    def _first_of(self, *names: str) -> Weights:
        return next(weights for name in names if (weights := part_of(self.tensors, name)))


def origin_of(tensors: Mapping[str, Tensor], *, summary: str, steps: int) -> dict[str, Any]:
    """Return what a model's file keeps of the model that its training began from."""
    digest = hashlib.sha256()
    prefixes = ("averaged.", "generator.", "best.")
    names = [name for prefix in prefixes for name in sorted(tensors) if name.startswith(prefix)]
    for name in names:
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return {
        "summary": summary,
        "steps": steps,
        "discriminator": any(name.startswith("discriminator.") for name in tensors),
        "weights": digest.hexdigest(),
    }


def _listed(names: Sequence[Hashable]) -> str:
    return ", ".join(map(repr, names))
