"""Pairs in, scores out: the one place where predictions are scored for Python, shell and docks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.class_codec import leave_out_unknown
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.data.kinds import has_shared_numbers
from napari_pix2pix.data.outliers import HotPixels, sum_by_side
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.volume_blocks import read_volume
from napari_pix2pix.data.volumes import in_planes
from napari_pix2pix.errors import InputError, errors_of_caller
from napari_pix2pix.inference.tiling import OnTile
from napari_pix2pix.metrics.baselines import Baseline, Triple, fit_baseline
from napari_pix2pix.metrics.labels import LabelCounts, label_counts
from napari_pix2pix.metrics.object_errors import ObjectError, find_object_errors
from napari_pix2pix.metrics.objects import measure_objects
from napari_pix2pix.metrics.segmentation import Segmenter, run_segmenter
from napari_pix2pix.metrics.summary import Kind, ScoredImage, score_image

Array: TypeAlias = NDArray[Any]
OnPart: TypeAlias = Callable[[float], None]  # called with the part that is done, from 0 to 1
# A list of images, laid out as targets are, to a table (N, D): a row for each.
Features: TypeAlias = Callable[[list[Array]], Any]

_NO_ERRORS: tuple[ObjectError, ...] = ()
_MOST_FRAMES = 16  # that a baseline is fitted to


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a pair, or a volume, read and predicted; a volume has its planes before H."""

    source: Array | None  # (C, H, W); None if it is not known what the prediction was made of
    truth: Array  # (D, H, W), as all predictions
    prediction: Array
    baseline: Array | None
    valid: NDArray[np.bool_]  # (1 or D, H, W): the pixels that count
    labels: Array | None = None  # (1, H, W) int: what a segmenter should find
    hot: tuple[HotPixels, HotPixels] = (HotPixels(), HotPixels())  # of source and truth
    with_hot: NDArray[np.bool_] | None = None  # `valid` if hot pixels counted

    @property
    def predictions(self) -> dict[str, Array]:
        """What is scored: the prediction, and the baseline's if there is one."""
        if self.baseline is None:
            return {"prediction": self.prediction}
        return {"prediction": self.prediction, "baseline": self.baseline}

    def fullest_plane(self) -> Frame:
        """Return the plane of a volume whose truth holds most labels; an image as it is."""
        if self.truth.ndim == 3:
            return self
        z = int(np.count_nonzero(self.truth * self.valid, axis=(0, 2, 3)).argmax())
        return Frame(
            None if self.source is None else self.source[:, z],
            self.truth[:, z],
            self.prediction[:, z],
            None if self.baseline is None else self.baseline[:, z],
            self.valid[:, z],
        )


class _Plane(NamedTuple):
    """What is read of one frame before it is predicted; as in `Frame`."""

    image: Array  # what a model translates, or the prediction that is given
    source: Array | None
    truth: Array
    valid: NDArray[np.bool_]
    with_hot: NDArray[np.bool_]
    labels: Array | None
    hot: tuple[HotPixels, HotPixels]


@dataclass(frozen=True, eq=False)
class EvaluationCase:
    """A pair, and how it is predicted: by a model, or by an image that is given."""

    name: str  # may be empty if there are several frames
    pair: OpenPair  # source and truth; or prediction and truth, if there is no model
    codec: Codec  # of the truth
    # The model: a frame's number and on_tile to the prediction (D, H, W).
    translate: Callable[[int, OnTile | None], Array] | None = None
    source: OpenPair | None = None  # source and truth, if `pair` holds the prediction
    baseline: Baseline | None = None
    labels: OpenPair | None = None  # its targets are the true labels for a segmenter
    # The numbers of a frame and of a sample to that sample (D, H, W); None if there is one answer.
    draw: Callable[[int, int], Array] | None = None
    most_samples: int | None = None  # that differ: the turns of an image; None if any number does
    # A frame's number to how unlike the training it is (H, W); None if that is not known.
    unlikeness: Callable[[int], Array] | None = None
    volumes: bool = False  # whether all planes of a volume are scored together

    @property
    def depth(self) -> int:
        """Number of planes that are scored together."""
        return self.pair.target.frame_shape[-1] if self.volumes else 1

    @property
    def images(self) -> int:
        """Number of images, or of volumes, that are scored."""
        return self.pair.frames // self.depth

    def image_name(self, number: int) -> str:
        """Return the name of an image."""
        if self.images == 1:
            return self.name
        own = f"{'volume' if self.volumes else 'frame'} {number}"
        return f"{self.name}, {own}" if self.name else own

    def middle_frame(self, number: int) -> int:
        """Return the frame that an image is; of a volume that of its middle plane."""
        return number * self.depth + self.depth // 2

    def read(self, number: int, on_tile: OnTile | None = None) -> Frame | None:
        """Read and predict one image, or volume; None if no pixel of it counts."""
        numbers = range(number * self.depth, (number + 1) * self.depth)
        planes = [self._read_plane(frame) for frame in numbers]
        if not any(plane.valid.any() for plane in planes):
            return None
        made = [plane.image for plane in planes]
        if self.translate is not None:
            made = [self.translate(frame, on_tile) for frame in numbers]
        sources, labels = [plane.source for plane in planes], [plane.labels for plane in planes]
        source = self._join(sources)
        baseline = None
        if self.baseline is not None and source is not None:
            # Through the codec, so that it is rounded and clipped as a model's output is.
            baseline = self.codec.as_target(in_planes(self.codec, self.baseline.predict, source))
        hot = sum_by_side(plane.hot for plane in planes)
        return Frame(
            source,
            self._join([plane.truth for plane in planes]),
            self._join(made),
            baseline,
            self._join([plane.valid for plane in planes]),
            self._join(labels),
            (hot["source"], hot["target"]),
            self._join([plane.with_hot for plane in planes]),
        )

    def _join(self, planes: list[Any]) -> Any:
        """Put the planes (C, H, W) of a volume together, (C, Z, H, W); leave an image as it is."""
        if not self.volumes or planes[0] is None:
            return planes[0]
        channels = max(map(len, planes))  # a mask has one for all, or one each
        size = planes[0].shape[1:]
        return np.stack([np.broadcast_to(one, (channels, *size)) for one in planes], axis=1)

    def _read_plane(self, number: int) -> _Plane:
        image, truth, with_hot = read_frame(self.pair, number, hot=True)
        if self.translate is not None:  # a prediction that is given may lack a class of the truth
            known, _ = leave_out_unknown(truth, self.codec, with_hot, "target")
            with_hot = with_hot if known is None else known
        source, given = None, self.pair
        if self.translate is not None:
            source = image
        elif self.source is not None:
            given = self.source
            source, _, inside = read_frame(given, number, hot=True)
            with_hot = with_hot & inside
        shown = image if source is None else source
        valid = given.without_hot(shown, truth, with_hot)
        labels = None if self.labels is None else read_frame(self.labels, number)[1]
        hot = given.count_hot(shown, truth, with_hot)
        return _Plane(image, source, truth, valid, with_hot, labels, hot)


def read_frame(pair: OpenPair, number: int, *, hot: bool = False) -> Triple:
    """Read source (C, H, W), target (D, H, W) and the pixels that count (1 or D, H, W)."""
    whole = slice(0, pair.height), slice(0, pair.width)
    return pair.read_with_mask(number, *whole, hot=hot)


def sample_frames(pair: OpenPair, most: int = _MOST_FRAMES) -> Iterator[Triple]:
    """Read some frames, spread evenly; see `read_frame`."""
    for number in np.linspace(0, pair.frames - 1, min(pair.frames, most)).astype(int):
        yield read_frame(pair, int(number))


def know_usual(
    pairs: Sequence[OpenPair],
    kinds: tuple[Kind | None, Kind],
    known: tuple[Intensities, Intensities] | None = None,
) -> list[OpenPair]:
    """Tell pairs what images usually hold, to find hot pixels; it is measured if not `known`."""
    usual = known or _measure_intensities(pairs)
    return [pair.knowing(kinds, usual) for pair in pairs]


def _measure_intensities(pairs: Sequence[OpenPair]) -> tuple[Intensities, Intensities]:
    frames = list(_sample_pairs(pairs))
    masks = [valid for *_, valid in frames]
    return (
        Intensities.measure([source for source, *_ in frames]),
        Intensities.measure([target for _, target, _ in frames], masks),
    )


def _sample_pairs(pairs: Sequence[OpenPair]) -> Iterator[Triple]:
    """Read some frames of some pairs."""
    each = max(1, _MOST_FRAMES // len(pairs))
    for pair in pairs[:_MOST_FRAMES]:
        yield from sample_frames(pair, each)


def fit_baseline_to_scored(
    pairs: Sequence[OpenPair], kind: Kind, *, volumes: bool = False
) -> Baseline:
    """Fit the baseline to what is scored, where no training left one: it has seen the answers."""
    triples = [_read_first_volume(pairs[0])] if volumes else list(_sample_pairs(pairs))
    return fit_baseline(triples, kind=kind, rgb=pairs[0].source.layout.rgb)


def _read_first_volume(pair: OpenPair) -> Triple:
    """Read source (C, Z, H, W), target and valid of all planes of the first volume."""
    whole = slice(0, pair.height), slice(0, pair.width)
    source, target, valid = read_volume(pair, range(pair.target.frame_shape[-1]), *whole)
    return source, target, np.ones((1, *target.shape[1:]), bool) if valid is None else valid


def difference(prediction: Array, truth: Array, kind: Kind) -> Array:
    """Subtract the truth, as float32; of labels return uint8.

    1 is only in the prediction, 2 only in the truth, 3 in another class.
    """
    if kind == "image":
        return prediction.astype(np.float32) - truth.astype(np.float32)
    predicted, true = prediction != 0, truth != 0
    result = predicted & ~true | (true & ~predicted) * np.uint8(2)
    if kind == "classes":
        result = result | (predicted & true & (prediction != truth)) * np.uint8(3)
    return np.asarray(result.astype(np.uint8))


@dataclass(frozen=True)
class Measures:
    """What is measured on request: a segmenter's labels (H, W), and the features of images."""

    segmenter: Segmenter | None = None
    features: Features | None = None

    def check(self, kind: Kind, *, has_labels: bool) -> None:
        """Refuse to segment labels, and labels without a segmenter."""
        if self.segmenter is not None and kind != "image":
            raise InputError("The target holds labels already: leave the segmenter out.")
        if has_labels and self.segmenter is None:
            raise InputError(
                "Labels are compared with what a segmenter finds, and there is no segmenter: "
                "give one, or leave the labels out."
            )


@dataclass(frozen=True, eq=False)
class ImageScores:
    """Scores of one image: of a frame of a case, or of a volume."""

    name: str
    case: EvaluationCase
    number: int  # of the image in the case
    scored: dict[str, ScoredImage]  # "prediction", and "baseline" if there is one
    # (1, D) of both and of the "truth"; empty without a network for features.
    features: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    # What a segmenter finds in the truth, if there are true labels: the best that can be expected.
    truth_counts: LabelCounts | None = None
    hot: tuple[HotPixels, HotPixels] = (HotPixels(), HotPixels())  # of source and truth
    with_hot: dict[str, ScoredImage] | None = None  # `scored` if hot pixels counted
    object_errors: tuple[ObjectError, ...] = ()  # of instances, or of what a segmenter finds

    @property
    def hot_count(self) -> int:
        """Number of hot values in source and truth."""
        return sum(side.count for side in self.hot)


def score_images(
    cases: Sequence[EvaluationCase], measures: Measures, on_part: OnPart | None = None
) -> Iterator[tuple[Frame, ImageScores] | None]:
    """Score one image after the other; yield None for an image without a pixel that counts."""
    for number, case in enumerate(cases):
        frames = case.images
        for index in range(frames):
            before = (number + index / frames) / len(cases)
            on_tile = on_part and _tile_progress(on_part, before, 1 / (len(cases) * frames))
            frame = case.read(index, on_tile)
            yield None if frame is None else (frame, _score_frame(frame, case, index, measures))


def _tile_progress(on_part: OnPart, before: float, share: float) -> OnTile:
    """Turn the pixels done of one frame into the part done of all frames."""
    return lambda done, every: on_part(before + share * done / every)


def _score_frame(frame: Frame, case: EvaluationCase, index: int, measures: Measures) -> ImageScores:
    scored = _score_predictions(frame, case.codec, frame.valid, full=True)
    with_hot = None
    if frame.with_hot is not None and any(side.count for side in frame.hot):
        with_hot = _score_predictions(frame, case.codec, frame.with_hot, full=False)
    truth_counts, errors = None, _NO_ERRORS
    if case.codec.kind == "instances":
        errors = find_object_errors(frame.prediction[0], frame.truth[0], frame.valid[0])
    if measures.segmenter is not None:
        counts, true_labels, errors = _count_segmented(frame, case, measures.segmenter)
        labelled = frame.valid & (true_labels >= 0)
        truth_counts = counts.get("truth")
        scored = {
            name: image.with_segmented(
                counts[name],
                measure_objects(frame.predictions[name], frame.truth, true_labels, labelled),
            )
            for name, image in scored.items()
        }
    features = {} if measures.features is None else _features(frame, case, measures.features)
    name = case.image_name(index)
    return ImageScores(
        name, case, index, scored, features, truth_counts, frame.hot, with_hot, errors
    )


def _score_predictions(
    frame: Frame, codec: Codec, valid: NDArray[np.bool_], *, full: bool
) -> dict[str, ScoredImage]:
    return {
        predictor: score_image(
            image,
            frame.truth,
            kind=codec.kind,
            valid=valid,
            data_range=codec.data_range,
            full=full,
        )
        for predictor, image in frame.predictions.items()
    }


def _count_segmented(
    frame: Frame, case: EvaluationCase, segmenter: Segmenter
) -> tuple[dict[str, LabelCounts], Array, tuple[ObjectError, ...]]:
    """Compare what a segmenter finds with true labels, or with what it finds in the truth."""
    # The labels (1, H, W) are returned, too; where they are negative, nothing is known of a pixel.
    segmented = {
        name: run_segmenter(segmenter, _fill_and_lay_out(image, frame, case), image.shape[-2:])
        for name, image in {**frame.predictions, "truth": frame.truth}.items()
    }
    true_labels = segmented.pop("truth") if frame.labels is None else frame.labels
    known = true_labels >= 0  # background in both counts in no score of objects
    segmented = {name: labels * known for name, labels in segmented.items()}
    if has_shared_numbers([true_labels * known]) and not any(
        has_shared_numbers([labels]) for labels in segmented.values()
    ):
        raise InputError(
            f"The segmenter gives each object a number, and in the labels of {case.pair.name} many "
            "share one, as in a mask: number them, for example with skimage.measure.label."
        )
    valid = np.asarray(frame.valid.any(axis=0, keepdims=True))
    counts = {
        name: label_counts(labels, true_labels * known, kind="instances", valid=valid)
        for name, labels in segmented.items()
    }
    found = segmented["prediction"][0], (true_labels * known)[0]
    return counts, true_labels, find_object_errors(*found, valid[0])


def _features(
    frame: Frame, case: EvaluationCase, features: Features
) -> dict[str, NDArray[np.float64]]:
    """Return the features (1, D) of the predictions and of the truth."""
    rows = {}
    for name, image in {**frame.predictions, "truth": frame.truth}.items():
        with errors_of_caller():
            row = np.asarray(features([_fill_and_lay_out(image, frame, case)]), np.float64)
        if row.ndim != 2 or len(row) != 1:
            raise InputError(
                f"The features of one image have shape {row.shape}: they must be a table with a "
                "row for each image."
            )
        rows[name] = row
    return rows


def _fill_and_lay_out(image: Array, frame: Frame, case: EvaluationCase) -> Array:
    """Lay (D, H, W) out as a target; invalid pixels get the median of the valid ones."""
    valid = np.broadcast_to(frame.valid, image.shape)
    if not valid.all():
        image = np.where(valid, image, np.median(image[valid]).astype(image.dtype))
    return case.codec.layout.assemble(image[np.newaxis])
