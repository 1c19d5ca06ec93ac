"""A pair whose prediction is judged by its truth.

Where a prediction differs from the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.metrics.baselines import Baseline, Triple, fit_baseline

Array = NDArray[Any]

_SAMPLE = 16  # frames at most that the baseline is fitted to


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a pair.

    Attributes
    ----------
    source : array (C, H, W) or None
        None where it is not known what the prediction was made of.
    truth, prediction : array (D, H, W)
    baseline : array (D, H, W) or None
        What the baseline makes of the source.
    valid : bool array (1 or D, H, W)
        The pixels that count.
    labels : int array (1, H, W) or None
        What a segmenter should find in the prediction.
    """

    source: Array | None
    truth: Array
    prediction: Array
    baseline: Array | None
    valid: NDArray[np.bool_]
    labels: Array | None = None


@dataclass(frozen=True, eq=False)
class EvaluationCase:
    """A pair, and how it is predicted.

    Attributes
    ----------
    name : str
        What its images are called; may be empty where it has several frames.
    pair : OpenPair
        Source and truth; or prediction and truth, where there is no model.
    codec : Codec
        Of the truth.
    translate : callable, optional
        The model: given the number of a frame, and ``on_tile`` as `Predictor.predict_frame`
        takes it, it returns the prediction (D, H, W).
    source : OpenPair, optional
        Source and truth, where `pair` holds the prediction.
    baseline : TrivialMap, optional
    labels : OpenPair, optional
        As target the true labels for a segmenter.
    draw : callable, optional
        Given the numbers of a frame and of a sample, it returns that sample (D, H, W); None where
        a model has one answer only.
    """

    name: str
    pair: OpenPair
    codec: Codec
    translate: Callable[..., Array] | None = None
    source: OpenPair | None = None
    baseline: Baseline | None = None
    labels: OpenPair | None = None
    draw: Callable[[int, int], Array] | None = None

    @property
    def frames(self) -> int:
        """Number of images."""
        return self.pair.frames

    def frame_name(self, number: int) -> str:
        """Return what an image is called."""
        if self.frames == 1:
            return self.name
        return f"{self.name}, frame {number}" if self.name else f"frame {number}"

    def read(self, number: int, on_tile: Callable[[int, int], None] | None = None) -> Frame | None:
        """Read and predict one image; None where no pixel of it counts."""
        given, truth, valid = read_whole(self.pair, number)
        if not valid.any():
            return None
        prediction, source = given, None
        if self.translate is not None:
            prediction, source = self.translate(number, on_tile=on_tile), given
        elif self.source is not None:
            source = read_whole(self.source, number)[0]
        baseline = None
        if self.baseline is not None and source is not None:
            # Through the codec, so that it is rounded and clipped as a model's output is.
            baseline = self.codec.as_target(self.baseline.predict(source))
        labels = None if self.labels is None else read_whole(self.labels, number)[1]
        return Frame(source, truth, prediction, baseline, valid, labels)


def read_whole(pair: OpenPair, number: int) -> Triple:
    """Read a frame: source, target and the pixels that count."""
    source, target, valid = pair.read(number, slice(0, pair.height), slice(0, pair.width))
    return source, target, np.ones((1, *target.shape[1:]), bool) if valid is None else valid


def read_some(pair: OpenPair, most: int = _SAMPLE) -> Iterator[Triple]:
    """Read some frames, spread evenly."""
    for number in np.linspace(0, pair.frames - 1, min(pair.frames, most)).astype(int):
        yield read_whole(pair, int(number))


def fit_to_scored(pairs: Sequence[OpenPair], kind: Any) -> Baseline:
    """Fit the baseline to what is scored, where no training left one.

    It has then seen the answers, so it is harder to beat.
    """
    each = max(1, _SAMPLE // len(pairs))
    triples = [triple for pair in pairs[:_SAMPLE] for triple in read_some(pair, each)]
    return fit_baseline(triples, kind=kind, rgb=pairs[0].source.layout.rgb)


def difference(prediction: Array, truth: Array, kind: str) -> Array:
    """Return where a prediction differs.

    Parameters
    ----------
    prediction, truth : arrays of the same shape
    kind : {"image", "classes", "instances"}

    Returns
    -------
    array
        Prediction minus truth, float32; of labels, uint8, 1 where only the prediction has
        something, 2 where only the truth has, 3 where their classes differ.
    """
    if kind == "image":
        return prediction.astype(np.float32) - truth.astype(np.float32)
    found, there = prediction != 0, truth != 0
    result = found & ~there | (there & ~found) * np.uint8(2)
    if kind == "classes":
        result = result | (found & there & (prediction != truth)) * np.uint8(3)
    return np.asarray(result.astype(np.uint8))
