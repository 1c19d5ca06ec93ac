"""Score a translator, and the baseline, on pairs that it was not trained on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from napari_pix2pix.core.encoder import cell_sides
from napari_pix2pix.data.checks import alpha_notes
from napari_pix2pix.data.derived import with_derived_source
from napari_pix2pix.data.inputs import (
    as_model_reads,
    check_channels,
    check_input,
    dtype_note,
)
from napari_pix2pix.data.label_sets import read_as_labels
from napari_pix2pix.data.pair import OpenPair, Pair, make_pairs, open_pair
from napari_pix2pix.data.pixel_size import planes_note, size_note
from napari_pix2pix.data.truth import match_truths
from napari_pix2pix.errors import InputError, own_errors, plural
from napari_pix2pix.evaluation._report import SAMPLES, write_report
from napari_pix2pix.evaluation.result import EvaluationResult
from napari_pix2pix.evaluation.scoring import (
    Array,
    EvaluationCase,
    Features,
    Measures,
    OnPart,
    fit_baseline_to_scored,
    know_usual,
    score_images,
)
from napari_pix2pix.evaluation.volumes import PLANE_BY_PLANE, TOGETHER
from napari_pix2pix.inference.checks import sampling_options
from napari_pix2pix.inference.networks import own_generator
from napari_pix2pix.inference.options import PredictOptions, check_callable
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.inference.tiling import OnTile
from napari_pix2pix.inference.unlikeness import in_pixels
from napari_pix2pix.metrics.baselines import Baseline
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.metrics.segmentation import Segmenter
from napari_pix2pix.napari_layers import read_pairs
from napari_pix2pix.napari_layers.keep_responsive import ProgressReporter, run_responsive
from napari_pix2pix.training.model_info import describe_weights
from napari_pix2pix.translator import Translator


class Evaluation(EvaluationResult):
    """What `evaluate` returns: scores that are read like a dictionary, and write a report."""

    @own_errors()
    def report(self, path: str | os.PathLike[str], *, samples: int = SAMPLES) -> None:
        """Write a report with pictures: one HTML file that holds all it shows.

        The best, the median and the worst image are translated again for it.

        Parameters
        ----------
        path : path-like
            Usually ``*.html``; an existing file is replaced.
        samples : int
            Number of samples to draw of a model, to see whether their spread tells where the error
            is; 0 for none. They differ by its noise, else by its dropout, else by the turn in which
            it sees the image, of which there are 8.

        Raises
        ------
        InputError
            If ``samples`` is 1 or negative.
        FileError
            If the file cannot be written, or has another format's ending; an existing file
            stays intact.
        """

        def write(reporter: ProgressReporter) -> None:
            write_report(self, path, samples=samples, on_part=reporter.show)

        run_responsive(write, title="Report")


@own_errors()
def evaluate(
    translator: Translator,
    source: Any,
    target: Any,
    *,
    condition: Any = None,
    mask: Any = None,
    channel_axis: int | None = None,
    segmenter: Segmenter | None = None,
    labels: Any = None,
    features: Features | None = None,
) -> Evaluation:
    """Score a translator, and the baseline of its training, on pairs.

    Parameters
    ----------
    translator : Translator
        The model.
    source, target : array_like, napari layer, or list of them
        As in `train`. A source of None is made of the target if the model was trained so, see
        ``derive`` of `TrainConfig`.
    condition, mask, channel_axis
        As in `train`.
    segmenter : callable, optional
        For targets that are images: takes an image, laid out as a target is, and returns integer
        labels (H, W). It runs on the prediction, and the result is compared with `labels`, or else
        with what it finds in the target; so are the intensities of these objects. `segment_otsu` of
        `napari_pix2pix.metrics.segmentation` is a segmenter, and so is a translator of labels.
    labels : array_like, napari layer, or list of them, optional
        The true labels for the segmenter, one image for each target.
    features : callable, optional
        Takes a list of images and returns a table (N, D): a row for each. It adds the Fréchet
        distance of all predictions to all targets.

    Returns
    -------
    Evaluation
        Read like a dictionary: ``prediction`` and ``baseline`` hold the scores of all images
        together, ``images`` those of each image (or frame) that has a valid pixel, with its
        ``name``; with `labels` ``truth`` holds what the segmenter reaches on the true images.
        ``notes`` say what to know of the scores, such as truths whose labels were matched with the
        model's, or images that hold nothing; they are left out if there is nothing to say.
        `docs/scores.md` explains the scores. ``to_csv(path)`` writes them as a table,
        ``report(path)`` as a page with pictures, and ``to_dict()`` returns a plain dictionary.

    Raises
    ------
    InputError
        If the images do not fit each other or the model.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_pix2pix import train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> round(evaluate(model, image, 1 - image)["baseline"]["pearson"], 3)
    1.0
    """
    if not isinstance(translator, Translator):
        raise InputError(f"translator must be what train or load returns, got {translator!r:.60}.")
    check_callable("segmenter", segmenter)
    check_callable("features", features)
    pairs = read_pairs(
        make_pairs(source, target, condition=condition, mask=mask, channel_axis=channel_axis)
    )
    true_labels = None
    if labels is not None:
        true_labels = [pair.target for pair in read_pairs(make_pairs(None, labels))]

    def score_all(reporter: ProgressReporter) -> Evaluation:
        return evaluate_pairs(
            translator,
            pairs,
            on_part=reporter.show,
            labels=true_labels,
            measures=Measures(segmenter, features),
        )

    return run_responsive(score_all, title="Evaluation")


def evaluate_pairs(
    translator: Translator,
    pairs: Sequence[Pair],
    *,
    on_part: OnPart | None = None,
    labels: Sequence[Any] | None = None,
    measures: Measures | None = None,
    name: str = "",
) -> Evaluation:
    """Score a translator on a sequence of `Pair`; a report calls the model ``name``."""
    if not translator.source_codec.channels:
        raise InputError(
            "This model was trained without a source: its images need not be like a target, so "
            "there is nothing to score; look at samples."
        )
    if (kind := translator.config.derive) is not None:
        options = translator.config.derive_options
        pairs = [
            with_derived_source(pair, kind, **options) if pair.source is None else pair
            for pair in pairs
        ]
    measures = measures or Measures()
    measures.check(translator.target_codec.kind, has_labels=labels is not None)
    if labels is not None and len(labels) != len(pairs):
        raise InputError(
            f"The number of targets is {len(pairs)} and the number of label images {len(labels)}: "
            "give one for each target."
        )
    z_context, codec = translator.config.z_context, translator.source_codec
    opened_pairs = [
        as_model_reads(open_pair(pair, z_context), codec, translator.ndim) for pair in pairs
    ]
    opened_pairs, notes = match_truths_of(translator, opened_pairs)
    notes += volume_notes(translator)
    baseline = None
    if not translator.info.baselines.maps:
        baseline = fit_baseline_to_scored(opened_pairs, translator.target_codec.kind)
    cases = [
        make_case(
            translator,
            opened,
            name=pair.name or f"pair {number}",
            labels=None if labels is None else labels[number - 1],
            baseline=baseline,
        )
        for number, (pair, opened) in enumerate(zip(pairs, opened_pairs, strict=True), start=1)
    ]
    scored = [image for image in score_images(cases, measures, on_part) if image is not None]
    facts = describe_model(translator, name)
    return Evaluation.of([scores for _, scores in scored], facts, notes)


def match_truths_of(
    translator: Translator, pairs: Sequence[OpenPair]
) -> tuple[list[OpenPair], list[str]]:
    """Return pairs whose truths are what a translator makes, with notes; refuse others."""
    codec, intensities = translator.target_codec, translator.info.intensities
    for pair in pairs:
        check_channels(pair.source, translator.source_codec.channels, translator.config.z_context)
        if codec.channels != pair.target.channels:
            raise InputError(
                f"The target of {pair.name} has {plural(pair.target.channels, 'channel')}, and the "
                f"model makes {plural(codec.channels, 'channel')}: give the same channels."
            )
    matched, notes = match_truths(pairs, codec, None if intensities is None else intensities[1])
    read, size = translator.source_codec, translator.pixel_size
    of_sources = (
        note
        for pair in pairs
        for note in (
            dtype_note(read, pair.source.dtype),
            size_note(pair.source.pixel_size, size),
            planes_note(pair.source.pixel_size, size, translator.z_context, translator.ndim),
            check_input(pair.source, read, codec, intensities),
        )
    )
    first = [*alpha_notes(pairs), *dict.fromkeys(filter(None, of_sources))]
    return know_usual(matched, (read.kind, codec.kind), intensities), [*first, *notes]


def make_case(
    translator: Translator,
    opened: OpenPair,
    *,
    name: str,
    labels: Any = None,
    baseline: Baseline | None = None,
    device: str | None = None,
    copies: bool = False,
) -> EvaluationCase:
    """Let a translator predict a pair, which is opened with its z-context and checked.

    `baseline` defaults to that of the training. `copies` is for a translator that others use too.
    """
    translator = translator.for_dtypes(opened.source.dtype, opened.target.dtype)
    model = translator.detached_copy() if copies else translator
    condition = opened.condition
    options = PredictOptions(condition=condition, device=device)
    sampling = sampling_options(options, translator)
    planes = _Planes(model, opened, options, sampling)
    if baseline is None:
        index = translator.conditions.index(condition) if condition in translator.conditions else 0
        baseline = translator.info.baselines.maps[index]
    return EvaluationCase(
        name,
        opened,
        translator.target_codec,
        planes.translate,
        baseline=baseline,
        labels=None if labels is None else open_labels(labels, opened),
        draw=None if sampling is None else planes.draw,
        most_samples=sampling.samples if sampling is not None and sampling.turns > 1 else None,
        unlikeness=None if model.usual is None else planes.unlikeness,
        volumes=_scores_volumes(translator),
    )


def _scores_volumes(translator: Translator) -> bool:
    """Whether all planes of a volume are scored together: labels of a model of volumes are."""
    return translator.ndim == 3 and translator.target_codec.kind != "image"


def volume_notes(translator: Translator) -> list[str]:
    """Say how the volumes of a model are scored; nothing of images."""
    if translator.ndim == 2:
        return []
    return [TOGETHER if _scores_volumes(translator) else PLANE_BY_PLANE]


class _Planes:
    """Predicts the planes of pairs; of a model of volumes all planes come at once.

    Its methods are what a case holds, and no closures: an evaluation travels between processes.
    """

    def __init__(
        self,
        model: Predictor,
        opened: OpenPair,
        options: PredictOptions,
        sampling: PredictOptions | None,  # None if there is one answer
    ) -> None:
        self._model, self._image = model, opened.source
        self._options, self._sampling = options, sampling
        self._last: tuple[int, PredictOptions, Array] | None = None
        self._seen: tuple[int, Array] | None = None  # of a volume

    def translate(self, frame: int, on_tile: OnTile | None) -> Array:
        """Predict one plane, (C, H, W)."""
        return self._predict(frame, self._options, on_tile)

    def draw(self, frame: int, number: int) -> Array:
        """Predict a sample of one plane, (C, H, W)."""
        assert self._sampling is not None
        return self._predict(frame, self._sampling.of_sample(number))

    def unlikeness(self, frame: int) -> Array:
        """Return how unlike the training one plane is, (H, W)."""
        sides = cell_sides(own_generator(self._model.generator))
        if self._model.ndim == 2:
            [cells] = self._model.predict_cells(self._image, self._options, frames=[frame])
            return in_pixels(cells, sides, self._image.height, self._image.width)
        depth = self._image.frame_shape[-1]
        volume, plane = divmod(frame, depth)
        if self._seen is None or self._seen[0] != volume:
            [cells] = self._model.predict_cells(self._image, self._options, frames=[volume])
            self._seen = (
                volume,
                in_pixels(cells, sides, depth, self._image.height, self._image.width),
            )
        return self._seen[1][plane]

    def _predict(self, frame: int, options: PredictOptions, on_tile: OnTile | None = None) -> Array:
        if self._model.ndim == 2:
            return self._model.predict_frame(self._image, frame, options, on_tile=on_tile)
        volume, plane = divmod(frame, self._image.frame_shape[-1])
        if self._last is None or self._last[:2] != (volume, options):
            made = self._model.predict_frame(self._image, volume, options, on_tile=on_tile)
            self._last = volume, options, made
        return self._last[2][:, plane]


def describe_model(translator: Translator, name: str = "") -> dict[str, str]:
    """Return the titles and texts that a report shows of a model."""
    info, config = translator.info, translator.config
    seconds = f" in {info.seconds:.0f} s" if info.seconds else ""
    facts = {
        "Model": name or f"model {translator.digest}",
        "Digest of its weights": translator.digest,
        "Weights": describe_weights(info),
        "Trained on": info.summary,
        "Training": f"preset {config.preset}, {plural(info.steps, 'step')}{seconds}, "
        f"seed {config.seed}",
        "Notes": "\n".join(info.notes),
    }
    if info.started_from is not None:
        facts["Started from"] = info.started_from.summary
    if info.scores is not None:
        title, prediction = primary_metric(info.scores.prediction)
        _, baseline = primary_metric(info.scores.baseline)
        facts["Validation in training"] = f"{title} {prediction:.3f}; baseline {baseline:.3f}"
    if not info.baselines.maps:
        facts["Baseline"] = "fitted to the images that are scored, so harder to beat"
    return {title: text for title, text in facts.items() if text}


def open_labels(labels: Any, opened: OpenPair) -> OpenPair:
    """Open true labels, and check that they show the same field as a target."""
    truth = open_pair(Pair(None, labels, name=f"the labels of {opened.name}"))
    truth = replace(truth, target=read_as_labels([truth.target], "labels", known=True)[0][0])
    shapes = [(pair.frames, pair.height, pair.width) for pair in (truth, opened)]
    is_labels = truth.target.dtype.kind in "biu" and truth.target.channels == 1
    if shapes[0] != shapes[1] or not is_labels:
        texts = [f"{height} x {width} pixels, frames: {frames}" for frames, height, width in shapes]
        raise InputError(
            f"The labels of {opened.name} are {truth.target.dtype}, {texts[0]}; the target has "
            f"{texts[1]}: give integer labels of one channel for each frame."
        )
    return truth
