"""All that is true of a model, in one typed object that is read from a file without PyTorch."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)

from napari_pix2pix.data.channel_look import Looks
from napari_pix2pix.data.codecs import Codec, codec_from_dict, codecs_for_dtypes
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.channels import TrainedChannels
from napari_pix2pix.io.header_values import checked_values
from napari_pix2pix.io.model_header import read_header, read_tensor_names
from napari_pix2pix.metrics.baselines import Baselines
from napari_pix2pix.metrics.names import has_primary_metric, primary_metric
from napari_pix2pix.training._unlike_shares import UnlikeShares
from napari_pix2pix.training.config import AppliedWeights, TrainConfig
from napari_pix2pix.training.history import (
    Candidate,
    EpochRecord,
    HeldOutScores,
    find_candidates,
    held_weights,
    validated_epochs,
)
from napari_pix2pix.training.made_for import MadeFor

EngineKind = Literal["torch", "onnx"]

_LARGEST_THUMBNAIL = 512  # pixels a side; a header that says more is damaged


@dataclass(frozen=True)
class NetworkPlanes:
    """How many planes the networks of a model take and give."""

    generator_in: int
    generator_out: int
    discriminator_in: int


def count_planes(
    config: TrainConfig, source: Codec, target: Codec, conditions: int
) -> NetworkPlanes:
    """Count the planes of a model with this many conditions."""
    given = source.planes + conditions  # never noise, which the discriminator does not see
    return NetworkPlanes(
        generator_in=given + config.noise_channels,
        generator_out=target.planes,
        discriminator_in=target.planes + (given if config.conditional else 0),
    )


@dataclass(frozen=True)
class StartedFrom:
    """What a fine-tuned model knows of the model that its training started from."""

    summary: str
    steps: int
    has_discriminator: bool
    weights: str  # SHA-256 of all its generator weights


def encode_picture(picture: NDArray[np.uint8] | None) -> dict[str, Any] | None:
    """Compress a picture, (h, w, 3) uint8, for JSON."""
    if picture is None:
        return None
    pixels = base64.b64encode(zlib.compress(picture.tobytes(), 9)).decode("ascii")
    return {"height": picture.shape[0], "width": picture.shape[1], "rgb": pixels}


def decode_picture(parts: Mapping[str, Any] | None) -> NDArray[np.uint8] | None:
    """Unpack what `encode_picture` made; a `FileError` where it is damaged."""
    if parts is None:
        return None
    try:
        height, width = int(parts["height"]), int(parts["width"])
        if not 0 < min(height, width) <= max(height, width) <= _LARGEST_THUMBNAIL:
            raise ValueError(f"{height} x {width} pixels")
        size = 3 * height * width
        # No more is unpacked than fits, so that a malicious header can't fill the memory.
        pixels = zlib.decompressobj().decompress(base64.b64decode(parts["rgb"]), size)
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise FileError(f"The picture in the file is damaged: {error}.") from error


def _lists_to_tuples(value: Any) -> Any:
    # JSON has no tuples, and a list can't be the name of a condition.
    return tuple(map(_lists_to_tuples, value)) if isinstance(value, list) else value


def _to_dict(value: Any) -> Any:
    return value.to_dict()


# How the parts of a model that have their own form in JSON get into a header and back.
_Codec: TypeAlias = Annotated[Codec, PlainValidator(codec_from_dict), PlainSerializer(_to_dict)]
_Baselines: TypeAlias = Annotated[
    Baselines, PlainValidator(Baselines.from_dict), PlainSerializer(_to_dict)
]
_Intensities: TypeAlias = Annotated[
    Intensities, PlainValidator(Intensities.from_dict), PlainSerializer(_to_dict)
]
_Thumbnail: TypeAlias = Annotated[
    NDArray[np.uint8] | None, PlainValidator(decode_picture), PlainSerializer(encode_picture)
]
_Count: TypeAlias = Annotated[int, Field(ge=0, le=10**12)]
_Seconds: TypeAlias = Annotated[float, Field(ge=0, le=1e12)]
_Conditions: TypeAlias = Annotated[tuple[Hashable, ...], BeforeValidator(_lists_to_tuples)]


# Compared by identity: arrays have no equality that is one truth.
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ModelInfo:
    """All that is true of a model but its weights; what its file says of it."""

    config: TrainConfig  # how it was trained
    source_codec: _Codec  # how intensities and labels become planes and back
    target_codec: _Codec
    conditions: _Conditions  # their names; empty without any
    baselines: _Baselines  # one a condition; none without a source or from another program
    has_discriminator: bool  # whether its weights are in the file (or in memory)
    # None without validation; of last weights that were not validated, the last validation's.
    scores: HeldOutScores | None
    history: tuple[EpochRecord, ...]
    summary: str  # what it was trained on, in one line
    notes: tuple[str, ...]  # what was found in the pairs: kinds, split, alignment, warnings
    steps: _Count  # 0 where another program trained it
    seconds: _Seconds  # training time; 0 where it is not known
    versions: Mapping[str, str]  # of the libraries that it was trained with
    intensities: tuple[_Intensities, _Intensities] | None = None  # of training, to compare with
    thumbnail: _Thumbnail = None  # (h, w, 3) uint8: held-out source, prediction and truth
    started_from: StartedFrom | None = None
    fingerprint: str | None = None  # of pairs and split; a run is only resumed on the same
    sampled_blocks: tuple[int, int] | None = None  # for statistics and validation
    # Names of the target's channels as the pairs state them, one tuple a condition (or one in all);
    # a tuple is empty where they state none, or different ones.
    channel_names: tuple[tuple[str, ...], ...] = ()
    source_channels: tuple[str, ...] = ()  # names, where the source's file states them
    # Those that are in the file (or in memory); the names of its tensors say so, not its header.
    weights: tuple[AppliedWeights, ...] = ("last",)
    unlike: UnlikeShares | None = None  # None where it was not learnt what is usual
    made_for: MadeFor = field(default_factory=MadeFor)  # as far as the pairs state it
    origin: str = ""  # name and revision in a repository, where it was fetched from one
    # What computes it, and whether it is an ONNX file or a package, which can be applied and no
    # more; its file says neither.
    engine: EngineKind = "torch"
    is_external: bool = False

    @classmethod
    def from_header(cls, header: Mapping[str, Any], path: Path) -> ModelInfo:
        """Return the model that the header of a file describes; a `FileError` if it is damaged."""
        try:
            info = _HEADER.validate_python(checked_values(header))
            _check_parts(info)
            return info
        except FileError as error:
            raise FileError(f"Can't use {path}: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        # Of a from_dict.
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            reason = f"{type(error).__name__}: {error}"
        raise FileError(
            f"Can't use {path}: its header is incomplete or damaged ({reason}); use another copy "
            "of it."
        )

    def to_header(self) -> dict[str, Any]:
        """Return all of it as JSON values, for the header of a model file."""
        header = dict(_HEADER.dump_python(self, mode="json"))
        del header["weights"], header["engine"], header["is_external"]
        return header

    def __str__(self) -> str:
        held_out = ""
        if self.scores is not None:
            name, score = primary_metric(self.scores.prediction)
            held_out = f", held-out {name} {score:.3f}"
        return f"{self.summary}, {self.config.preset}{held_out}"

    def __repr__(self) -> str:
        return f"<ModelInfo {self}>"

    @property
    def planes(self) -> NetworkPlanes:
        """Planes that its networks take and give."""
        conditions = len(self.conditions)
        return count_planes(self.config, self.source_codec, self.target_codec, conditions)

    @property
    def channels(self) -> int:
        """Channels of a source image, without those of neighbouring planes; 0 without a source."""
        return self.source_codec.channels // (2 * self.config.z_context + 1)

    @property
    def trained_channels(self) -> tuple[TrainedChannels, TrainedChannels]:
        """How many channels sources and targets had, and their names where they are known."""
        names = set(self.channel_names)  # of the conditions
        same = names.pop() if len(names) == 1 else ()
        return (
            TrainedChannels(self.channels, self.source_channels),
            TrainedChannels(self.target_codec.channels, same),
        )

    @property
    def takes_layers(self) -> bool:
        """Whether each channel may be a layer of its own."""
        return self.channels > 1 and not self.source_codec.layout.rgb

    @property
    def outputs(self) -> int:
        """Channels of an output."""
        return self.target_codec.channels

    @property
    def splits_output(self) -> bool:
        """Whether each channel of an output is a layer of its own.

        They are where those of the training were, and where channels have names or colours of
        their own, which one layer can't show.
        """
        codec = self.target_codec
        if codec.kind != "image" or codec.layout.rgb:
            return False
        if codec.channels == 1:
            return self.made_for.target_split
        has_names = any(len(names) == codec.channels for names in self.channel_names)
        shown = (
            {(look.colour, look.colormap) for look in looks} for looks in self.made_for.target_looks
        )
        return self.made_for.target_split or has_names or any(len(each) > 1 for each in shown)

    @property
    def scores_by_side(self) -> dict[str, dict[str, float]]:
        """`scores` for tables and JSON: ``prediction`` and ``baseline``; empty without any."""
        return {} if self.scores is None else asdict(self.scores)

    @property
    def applied(self) -> AppliedWeights:
        """Which weights are applied."""
        return self.config.keep if self.config.keep in self.weights else self.weights[0]

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The last weights and the best, where it holds both and they differ; else empty."""
        return find_candidates(self.history, self.steps) if len(self.weights) > 1 else ()

    def holding(self, tensors: Iterable[str]) -> ModelInfo:
        """Return the same with the weights that are among these tensors, by their names."""
        return replace(self, weights=held_weights(tensors))

    def with_weights(self, weights: AppliedWeights) -> ModelInfo:
        """Return what is true of the model when it applies other weights that it holds."""
        if str(weights) not in get_args(AppliedWeights):  # an array has no one truth
            raise InputError(f"weights must be 'last' or 'best', got {weights!r}.")
        if weights not in self.weights:
            raise InputError(
                f"The model holds only its {self.weights[0]} weights, got weights={weights!r}: "
                "leave weights out, or take the file that it was saved in after training."
            )
        scores = self.scores
        for candidate in self.candidates:
            if candidate.weights == weights and scores is not None:
                validation = validated_epochs(self.history)[-1].validation
                scores = HeldOutScores(candidate.scores or validation or {}, scores.baseline)
        config = self.config.model_copy(update={"keep": weights})
        return replace(self, config=config, scores=scores)

    def slim(self) -> ModelInfo:
        """Return what is true of the model without discriminator and weights not applied."""
        notes = self.notes
        if self.unlike is not None and self.usual is None:  # what is usual goes with the last ones
            notes = tuple(note for note in notes if note != self.unlike.note)
        return replace(self, has_discriminator=False, unlike=self.usual, notes=notes)

    def with_texts(self, texts: Mapping[str, str | None]) -> ModelInfo:
        """Return the same with other authors, licence or intended use; None keeps what it has."""
        given = {name: text for name, text in texts.items() if text is not None}
        return replace(self, config=TrainConfig(**self.config.model_dump() | given))

    def output_names(self, condition: Hashable = None) -> tuple[str, ...]:
        """Return the names of the channels that it makes; empty where they are not known."""
        if not self.channel_names or (self.conditions and condition not in self.conditions):
            return ()
        return self.channel_names[self.conditions.index(condition) if self.conditions else 0]

    def output_looks(self, condition: Hashable = None) -> Looks:
        """Return how the channels that it makes are shown; empty where that is not known."""
        looks = self.made_for.target_looks
        if not looks or (self.conditions and condition not in self.conditions):
            return ()
        return looks[self.conditions.index(condition) if self.conditions else 0]

    def output_codec(self, source: np.dtype[Any]) -> Codec:
        """Return the codec of the output for images of a dtype."""
        return codecs_for_dtypes(self.source_codec, self.target_codec, source)[1]

    def applied_weights(self, tensors: Iterable[str]) -> str:
        """Say which generator of a file is applied: ``averaged``, ``generator`` or ``best``."""
        found = {name.partition(".")[0] for name in tensors}
        order = ["averaged", "generator", "best"]
        if self.config.keep == "best":
            order = ["best", "averaged", "generator"]
        for name in order:
            if name in found:
                return name
        raise ValueError("there are no weights of a generator")

    @property
    def usual(self) -> UnlikeShares | None:
        """How many cells are usually unlike; it is known for the last weights alone."""
        return self.unlike if self.applied == "last" else None

    def check_usual(self) -> UnlikeShares:
        """Return how many cells are usually unlike; refuse a model that does not know it."""
        if self.unlike is not None and self.usual is None:
            remedy = "take the file that it was saved in after training"
            if "last" in self.weights:
                remedy = "choose weights='last'"
            raise InputError(
                "The model knows what is usual for its last weights, and its best are applied: "
                f"{remedy} to compare an image with the training images."
            )
        if self.usual is None:
            raise InputError(
                "The model does not know what its training images looked like: it was trained "
                "without a source, by an earlier version or by another program, or it is a "
                "checkpoint or holds its best weights alone. Take a file with its last weights, "
                "train it again, or fine-tune it."
            )
        return self.usual

    def check_weights(self) -> None:
        """Refuse to do what needs the weights, where another program has them."""
        if self.is_external:
            raise InputError(
                "The model is an ONNX file or a package: it can be applied, and neither trained "
                "on, saved nor converted. Copy its file, or use the model of napari-pix2pix that "
                "it was made of."
            )

    def check_discriminator(self) -> None:
        """Refuse to use a discriminator that is not there or has learnt nothing."""
        if not self.has_discriminator:
            raise InputError(
                "The model has no discriminator: it was saved slim or by another program, or "
                "trained without an adversarial term."
            )
        has_learnt = any("D_real" in record.losses for record in self.history)
        if self.history and not (has_learnt or self.started_from):
            raise InputError(
                "The model's discriminator has learnt nothing: the training ended before "
                f"adversarial_start={self.config.adversarial_start:g} of its budget."
            )


def _check_parts(info: ModelInfo) -> None:
    """Refuse parts of a header that do not fit each other."""
    sides = info.source_codec, info.target_codec
    conditions = max(1, len(info.conditions))
    looks = info.made_for.target_looks
    scored = [record.validation for record in info.history if record.validation is not None]
    if info.scores is not None:
        scored += [info.scores.prediction, info.scores.baseline]
    wrong = {
        "conditions": len(set(info.conditions)) != len(info.conditions),
        "scores": not all(map(has_primary_metric, scored)),
        "z_context": info.source_codec.channels % (2 * info.config.z_context + 1),
        "baselines": len(info.baselines.maps) not in (0, conditions),
        "channel_names": len(info.channel_names) not in (0, 1, conditions),
        "source_channels": len(info.source_channels) not in (0, info.channels),
        "made_for": len(looks) not in (0, 1, conditions),
        "target_codec": info.target_codec.channels > 1 and sides[1].layout.channel_axis is None,
    }
    if found := next((name for name, is_wrong in wrong.items() if is_wrong), None):
        raise FileError(f"{found} in its header does not fit the rest; use another copy of it.")


_HEADER = TypeAdapter(ModelInfo)


def read_model_info(path: Path) -> ModelInfo:
    """Read what a file of ours says of its model, without its weights and without PyTorch."""
    return ModelInfo.from_header(read_header(path), path).holding(read_tensor_names(path))


def describe_weights(info: ModelInfo) -> str:
    """Say which weights are applied, and which others the model holds."""
    texts = {candidate.weights: str(candidate) for candidate in info.candidates}
    others = [texts.get(name, name) for name in info.weights if name != info.applied]
    applied = texts.get(info.applied, info.applied)
    if not others:
        return f"{applied}, the only ones"
    if not texts and info.scores is not None:
        return f"{applied}, which are those of the best validation, too"
    return f"{applied}, which are applied; {others[0]}"
