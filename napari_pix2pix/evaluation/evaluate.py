"""How good a translator is on pairs that it was not trained on, beside the baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from napari_pix2pix.data.class_codec import MOST_CLASSES
from napari_pix2pix.data.gray import as_taken
from napari_pix2pix.data.pair import OpenPair, Pair, open_pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.evaluation import (
    Evaluation,
    EvaluationCase,
    Measures,
    fit_to_scored,
    score_images,
)
from napari_pix2pix.evaluation.cases import read_some
from napari_pix2pix.evaluation.scoring import Features
from napari_pix2pix.inference.stochastic import sample_seed
from napari_pix2pix.metrics.baselines import Baseline
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.metrics.segmentation import Segmenter
from napari_pix2pix.napari_layers import read_pairs
from napari_pix2pix.napari_layers.keep_responsive import ProgressReporter, run_responsive
from napari_pix2pix.translator import Translator


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
    """Score a translator on pairs.

    Parameters
    ----------
    translator : Translator
        The model.
    source, target : array_like, napari layer, or list of them
        As in `train`.
    condition, mask, channel_axis
        As in `train`.
    segmenter : callable, optional
        For targets that are images: given one, laid out as a target is, it returns integer labels
        (H, W). Run on the prediction and compared with `labels`, or else with what it finds in the
        target. `napari_pix2pix.metrics.segmentation.segment_otsu` is one, and a translator that
        makes labels another.
    labels : array_like, napari layer, or list of them, optional
        The true labels, one for each target.
    features : callable, optional
        Given a list of images, it returns a table (N, D): a row for each. With it the Fréchet
        distance of all predictions to all targets is scored.

    Returns
    -------
    Evaluation
        A dictionary: ``prediction`` and ``baseline`` hold the scores of all images together,
        ``images`` those of each image (or frame) that has a labelled pixel, with its ``name``; with
        `labels` ``truth`` holds what the segmenter reaches on the true images. See
        `docs/scores.md` for what they mean. ``to_csv(path)`` writes them as a table and
        ``report(path)`` with pictures. The baseline is that of the training.

    Raises
    ------
    InputError
        When the images don't fit each other or the model.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_pix2pix import train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> round(evaluate(model, image, 1 - image)["baseline"]["pearson"], 3)
    1.0
    """
    pairs = read_pairs(source, target, condition=condition, mask=mask, channel_axis=channel_axis)
    true_labels = None
    if labels is not None:
        true_labels = [pair.target for pair in read_pairs(None, labels)]

    def score_all(desk: ProgressReporter) -> Evaluation:
        return evaluate_pairs(
            translator,
            pairs,
            on_part=desk.show,
            labels=true_labels,
            measures=Measures(segmenter, features),
        )

    return run_responsive(score_all, title="Evaluation")


def evaluate_pairs(
    translator: Translator,
    pairs: Sequence[Pair],
    *,
    on_part: Callable[[float], None] | None = None,
    labels: Sequence[Any] | None = None,
    measures: Measures | None = None,
    name: str = "",
) -> Evaluation:
    """Score a translator on a sequence of `Pair`; see `evaluate`.

    ``on_part`` is called after each tile with the part of all pairs that is done, from 0 to 1;
    ``name`` is what the report calls the model.
    """
    if not translator.source_codec.channels:
        raise InputError(
            "This model was trained without a source: none of its images has to be like a target, "
            "so there is nothing to score; look at samples."
        )
    measures = measures or Measures()
    measures.check(translator.target_codec.kind, has_labels=labels is not None)
    if labels is not None and len(labels) != len(pairs):
        raise InputError(
            f"There are {len(pairs)} targets and {len(labels)} label images: give one for each."
        )
    z_context, codec = translator.config.z_context, translator.source_codec
    opened = [as_taken(open_pair(pair, z_context), codec) for pair in pairs]
    baseline = (
        None
        if translator.info.baselines.maps
        else fit_to_scored(opened, translator.target_codec.kind)
    )
    exams = [
        case_of(
            translator,
            one,
            name=pair.name or f"pair {number}",
            labels=None if labels is None else labels[number - 1],
            baseline=baseline,
        )
        for number, (pair, one) in enumerate(zip(pairs, opened, strict=True), start=1)
    ]
    marks = [made for _, made in score_images(exams, measures, on_part) if made is not None]
    return Evaluation(exams, marks, facts_of(translator, name))


def case_of(
    translator: Translator,
    opened: OpenPair,
    *,
    name: str,
    labels: Any = None,
    baseline: Baseline | None = None,
    device: str | None = None,
    copies: bool = False,
) -> EvaluationCase:
    """Let a translator predict a pair.

    Parameters
    ----------
    translator : Translator
    opened : OpenPair
        With the translator's z-context.
    name : str
        What the images are called.
    labels : array_like or Planes, optional
        For a segmenter.
    baseline : TrivialMap, optional
        In place of the one of the training.
    device : str, optional
    copies : bool
        Whether the network is copied, since others may use the translator meanwhile.

    Raises
    ------
    InputError
        When the pair does not fit the model.
    """
    _check_target(translator, opened)
    translator = translator.for_dtypes(opened.source.dtype, opened.target.dtype)
    condition, by = opened.condition, translator.detached_copy() if copies else translator

    def translate(frame: int, **how: Any) -> NDArray[Any]:
        planes = opened.source
        return by.translate_planes(planes, frame, condition, device=device, **how)

    def draw(frame: int, number: int) -> NDArray[Any]:
        drops = not translator.config.noise_channels
        return translate(frame, seed=sample_seed(0, number), dropout=drops)

    if baseline is None:
        index = translator.conditions.index(condition) if condition in translator.conditions else 0
        baseline = translator.info.baselines.maps[index]
    return EvaluationCase(
        name,
        opened,
        translator.target_codec,
        translate,
        baseline=baseline,
        labels=None if labels is None else _open_labels(labels, opened),
        draw=draw if _has_samples(translator) else None,
    )


def facts_of(translator: Translator, name: str = "") -> dict[str, str]:
    """Return what a report says of a model."""
    info, config = translator.info, translator.config
    seconds = f" in {info.seconds:.0f} s" if info.seconds else ""
    facts = {
        "Model": name or f"model {translator.digest}",
        "Digest of its weights": translator.digest,
        "Trained on": info.summary,
        "How": f"preset {config.preset}, {info.steps} steps{seconds}, seed {config.seed}",
        "Notes": "\n".join(info.notes),
    }
    if info.started_from is not None:
        facts["Started from"] = info.started_from.summary
    if info.scores is not None:
        key, score = primary_metric(info.scores.prediction)
        _, baseline = primary_metric(info.scores.baseline)
        facts["Held out in training"] = f"{key} {score:.3f}; baseline {baseline:.3f}"
    if not info.baselines.maps:
        facts["Baseline"] = "fitted to the very images that are scored, so harder to beat"
    return {title: text for title, text in facts.items() if text}


def _has_samples(translator: Translator) -> bool:
    modules = translator.generator.modules()
    return bool(translator.config.noise_channels) or any(
        isinstance(module, nn.Dropout) for module in modules
    )


def _open_labels(labels: Any, opened: OpenPair) -> OpenPair:
    """Open true labels, and check that they show the same field as a target."""
    truth = open_pair(Pair(None, labels, name=f"the labels of {opened.name}"))
    here, there = (
        (one.frames, one.height, one.width, one.target.dtype.kind in "biu" and one.target.channels)
        for one in (truth, opened)
    )
    if here[:3] != there[:3] or here[3] != 1:
        raise InputError(
            f"The labels of {opened.name} are {truth.target.dtype}, {here[1]} x {here[2]} pixels, "
            f"{here[0]} frames; the target has {there[1]} x {there[2]} pixels and {there[0]} "
            "frames: give integer labels of one channel for each."
        )
    return truth


def _check_target(translator: Translator, opened: OpenPair) -> None:
    """Refuse what can't be scored, as far as a look at the first frames tells."""
    codec = translator.target_codec
    if codec.channels != opened.target.channels:
        raise InputError(
            f"The model makes {codec.channels} channels, the target of {opened.name} has "
            f"{opened.target.channels}: give the same channels."
        )
    if codec.kind != "classes":
        return
    for _, truth, valid in read_some(opened, 1):
        count = len(np.unique(truth[np.broadcast_to(valid, truth.shape)]))
        if count > MOST_CLASSES:
            raise InputError(
                f"The model makes classes, and the target of {opened.name} holds {count} values, "
                f"more than the {MOST_CLASSES} classes that there can be: give labels."
            )
