"""How well a model does on held-out data: scores beside the baseline's, health, a thumbnail."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec, picture
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.data.volumes import encode, flat_codec, in_planes, middle_plane
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.metrics.baselines import Baseline, Baselines, Triple, fit_baseline
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.metrics.summary import pool_scores, score_image
from napari_pix2pix.training.fine_tuning import Pretrained

Scores = dict[str, float]

_LOSS_MEMORY = 0.98  # decay of a running mean over some 50 steps
# The authors' rule of thumb: worry if the discriminator's losses stay below this.
_WINNING = 1e-2
_ADVICE = (
    "training stops, and the weights of the last epoch are kept. Lower learning_rate, set "
    "gradient_clip=1, or use precision='32-true'."
)
NOT_FINITE_WEIGHTS = f"The weights are no longer finite: {_ADVICE}"
_THUMBNAIL_SIDE = 96  # pixels


def fit_baselines(
    opened: Sequence[OpenPair],
    blocks: Sequence[SampleBlock],
    conditions: Sequence[Hashable],
    source: Codec,
    target: Codec,
    start: Pretrained | None,
) -> Baselines:
    """Fit the baseline of each condition on the training part; none without a source."""
    if not source.channels:
        return Baselines(())
    maps: list[Baseline] = []
    for index, condition in enumerate(conditions or (None,)):
        triples = _triples(opened, blocks, condition)
        if start is not None and not triples:  # its pairs are not in this training
            maps.append(start.info.baselines.maps[index])
            continue
        maps.append(
            fit_baseline(
                triples,
                kind=target.kind,
                rgb=source.layout.rgb,
                smallest=getattr(target, "smallest", 1),
            )
        )
    return Baselines(tuple(maps))


def _triples(
    opened: Sequence[OpenPair], blocks: Sequence[SampleBlock], condition: Hashable
) -> list[Triple]:
    """Return source, target and valid of a condition's blocks."""
    own = [block for block in blocks if opened[block.pair].condition == condition]
    if not own:
        return []
    triples = [(block.source, block.target, block.valid) for block in own]
    has_valid = np.any(
        [_any_of_channels(np.broadcast_to(b.valid, b.target.shape)) for b in own], axis=0
    )
    if not has_valid.all():  # channels that these blocks lack are fitted on those of all others
        missing = ~has_valid.reshape(-1, *(1,) * (own[0].target.ndim - 1))
        triples += [(block.source, block.target, block.valid & missing) for block in blocks]
    return triples


def _any_of_channels(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(valid.reshape(len(valid), -1).any(axis=1))


@dataclass(frozen=True)
class Validation:
    """Held-out blocks, the index of each block's condition, and the baseline's scores."""

    blocks: tuple[SampleBlock, ...]
    conditions: tuple[int, ...]
    baseline: Scores

    def predict(self, model: Predictor, position: int) -> np.ndarray:
        """Predict the target of one block: (C, h, w) in the target's dtype."""
        return model.predict_window(self.blocks[position].source, self.conditions[position], tile=0)

    def scores(self, model: Predictor) -> tuple[Scores, np.ndarray]:
        """Return the model's scores on all blocks, and its first prediction for a preview."""
        predictions = [self.predict(model, position) for position in range(len(self.blocks))]
        return score_blocks(predictions, self.blocks, model.target_codec), predictions[0]


def make_validation(
    opened: Sequence[OpenPair],
    blocks: Sequence[SampleBlock],
    conditions: Sequence[Hashable],
    baseline: Baselines,
    codec: Codec,
) -> Validation | None:
    """Score the baseline on held-out blocks; None if they have no valid pixel."""
    valid_blocks = tuple(block for block in blocks if block.valid.any())
    if not valid_blocks:
        return None
    indices = tuple(
        conditions.index(opened[block.pair].condition) if conditions else 0
        for block in valid_blocks
    )
    return Validation(
        valid_blocks, indices, baseline_scores(baseline, valid_blocks, indices, codec)
    )


def score_blocks(
    predictions: Sequence[np.ndarray], blocks: Sequence[SampleBlock], codec: Codec
) -> Scores:
    """Score predictions of blocks, pooled over them; images of volumes plane by plane."""
    scored = [
        score_image(made, true, kind=codec.kind, valid=valid, data_range=codec.data_range)
        for prediction, block in zip(predictions, blocks, strict=True)
        for made, true, valid in _scored_parts(prediction, block, codec.kind)
    ]
    return pool_scores(scored)


def _scored_parts(
    prediction: NDArray[Any], block: SampleBlock, kind: Kind
) -> list[tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]]:
    """Return prediction, truth and valid pixels of what is scored apart: all of it, or planes."""
    if prediction.ndim == 3 or kind != "image":
        return [(prediction, block.target, block.valid)]
    planes = range(prediction.shape[1])
    return [
        (prediction[:, z], block.target[:, z], block.valid[:, z])
        for z in planes
        if block.valid[:, z].any()
    ]


def baseline_scores(
    baseline: Baselines, blocks: Sequence[SampleBlock], conditions: Sequence[int], codec: Codec
) -> Scores:
    """Score the baseline on blocks, as a model would be scored."""
    # Through the codec, so that it is rounded and clipped as a model's output is.
    predictions = [
        codec.as_target(
            in_planes(codec, partial(baseline.predict, condition=condition), block.source)
        )
        for block, condition in zip(blocks, conditions, strict=True)
    ]
    return score_blocks(predictions, blocks, codec)


class HealthWatch:
    """Watches losses and validations for trouble; each message is given once until it is over."""

    def __init__(self) -> None:
        self._running: dict[str, float] = {}
        self._reported: set[str] = set()

    def after_step(self, losses: Mapping[str, float]) -> str | None:
        """Return a message if the discriminator wins."""
        for name in ("D_real", "D_fake"):
            if name in losses:
                before = self._running.get(name, losses[name])
                self._running[name] = _LOSS_MEMORY * before + (1 - _LOSS_MEMORY) * losses[name]
        winning = bool(self._running) and all(v < _WINNING for v in self._running.values())
        return self._report(
            "discriminator",
            winning,
            f"The discriminator wins: its losses stay below {_WINNING}, so the generator learns "
            "little from it. Lower discriminator_learning_rate or adversarial_weight, or set r1=1.",
        )

    def after_validation(
        self,
        prediction: np.ndarray,
        target: np.ndarray,
        scores: Mapping[str, float],
        baseline: Mapping[str, float],
        progress: float,
    ) -> list[str]:
        """Return messages about the first block's prediction, (C, h, w), and the scores of all."""
        # A constant target asks for a constant output.
        constant = _is_constant(prediction) and not _is_constant(target)
        messages = [
            self._report(
                "constant",
                constant,
                "The output is constant: the generator has not found the target in the source. "
                "Check that source and target show the same field, or train for longer.",
            ),
            self._report(
                "baseline",
                progress >= 0.5
                and not constant
                and primary_metric(scores)[1] < primary_metric(baseline)[1],
                "Past half of the budget the network is still below the baseline: train "
                "for longer, or lower adversarial_weight where it is not 0.",
            ),
        ]
        return [message for message in messages if message]

    def _report(self, topic: str, holds: bool, message: str) -> str | None:
        if not holds:
            self._reported.discard(topic)
        elif topic not in self._reported:
            self._reported.add(topic)
            return message
        return None


def _is_constant(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return finite.size == 0 or bool(finite.min() == finite.max())


def not_finite(losses: Mapping[str, float]) -> str | None:
    """Return a message that names the first loss that is NaN or infinite, if any."""
    for name, value in losses.items():
        if not math.isfinite(value):
            return f"The loss {name} is {value}: {_ADVICE}"
    return None


def make_thumbnail(
    model: Predictor, validation: Validation | None, z_context: int
) -> NDArray[np.uint8] | None:
    """Picture a held-out source, its prediction and the truth, (h, 3 w, 3), h up to 96."""
    if validation is None:
        return None
    block = validation.blocks[0]
    rows, columns = _liveliest(middle_plane(block.target))
    source = block.source[..., rows, columns]
    planes = model.predict_window(source, validation.conditions[0], tile=0, decoded=False)
    encoded = encode(model.source_codec, source)
    truth = encode(model.target_codec, block.target[..., rows, columns])
    planes, encoded, truth = map(middle_plane, (planes, encoded, truth))
    # Of the neighbouring planes the one in the middle is shown.
    middle = encoded[len(encoded) // (2 * z_context + 1) * z_context :]
    given, wanted = flat_codec(model.source_codec), flat_codec(model.target_codec)
    made, true = (picture(shown[: wanted.planes], wanted) for shown in (planes, truth))
    return np.concatenate((picture(middle[: given.planes], given), made, true), axis=1)


def _liveliest(target: NDArray[Any]) -> tuple[slice, slice]:
    """Return the window of (C, H, W) in which the target varies most."""
    windows = [
        (slice(top, top + _THUMBNAIL_SIDE), slice(left, left + _THUMBNAIL_SIDE))
        for top in _starts(target.shape[1])
        for left in _starts(target.shape[2])
    ]
    finite = np.nan_to_num(target[0].astype(float), posinf=0.0, neginf=0.0)
    return max(windows, key=lambda window: np.std(finite[window]))


def _starts(length: int) -> range:
    return range(0, max(length - _THUMBNAIL_SIDE, 0) + 1, _THUMBNAIL_SIDE // 2)
