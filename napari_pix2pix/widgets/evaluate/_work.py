"""The work of an evaluation in a thread: scores, difference and a sample for the scatter plot."""

from __future__ import annotations

import os
from collections.abc import Generator, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_pix2pix.data.inputs import as_model_reads
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import OpenPair, Pair, open_pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import Snapshot, lazy_image_of_layers
from napari_pix2pix.training.events import Control
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply.work import load_known
from napari_pix2pix.widgets.evaluate._segmenters import Finder, load_segmenter

if TYPE_CHECKING:
    from napari_pix2pix.data.lazy_image import LazyImage

    # Importing these takes half a second, so the functions do it.
    from napari_pix2pix.evaluation import EvaluationCase, EvaluationResult, Frame
    from napari_pix2pix.widgets.common.known_models import ModelEntry

_POINTS = 20_000  # of the scatter plot: more are slow to draw and show nothing new


class EvaluateOptions(BaseModel):
    """What the user can choose besides layers and models."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["auto", "image", "classes", "instances"] = Field(
        "auto",
        title="Values are",
        description="What the values of the truth mean; the scores depend on it",
    )
    objects: Literal["auto", "planes", "volumes"] = Field(
        "auto",
        title="Labels of stacks",
        description="How labels of a stack are scored: plane by plane, or all planes of a volume "
        "together. By default objects are scored in volumes if they keep their numbers from plane "
        "to plane in truth and prediction",
    )
    difference: bool = Field(
        True,
        title="Add the difference as a layer",
        description="Prediction minus truth. For labels: 1 is only in the prediction, 2 only in "
        "the truth, 3 is another class",
    )


@dataclass(frozen=True, eq=False)
class EvaluationRequest:
    """What is evaluated."""

    # A layer, or several that are the channels of one image; for a model, a single layer has the
    # channel axis of its training.
    truths: list[Snapshot]
    predictions: list[Snapshot] = field(default_factory=list)  # none: `model` makes it of `sources`
    model: ModelEntry | None = None
    card: ModelInfo | None = None  # of the model; None beside a prediction
    # One layer, or several that are its channels; beside a prediction, for the baseline.
    sources: list[Snapshot] = field(default_factory=list)
    mask: Any = None
    condition: Hashable = None
    # A model knows the kind itself.
    options: EvaluateOptions = field(default_factory=EvaluateOptions)
    segmenter: Finder = None  # what finds the objects that are scored
    labels: Snapshot | None = None  # the true objects; without them, those found in the truth
    # What the metadata of the prediction's layer hold about its model.
    record: Mapping[str, Any] = field(default_factory=dict)

    def copied(self) -> EvaluationRequest:
        """Return the same with copied data; in any thread."""
        return replace(
            self,
            truths=[truth.copied() for truth in self.truths],
            predictions=[prediction.copied() for prediction in self.predictions],
            sources=[source.copied() for source in self.sources],
            labels=None if self.labels is None else self.labels.copied(),
        )

    def pair(self) -> OpenPair:
        """Open the prediction, or the model's source, and the truth; errors as of `open_pair`."""
        sides = self.predictions or self.sources
        z_context = 0 if self.card is None else self.card.config.z_context
        pair = Pair(
            lazy_image_of_layers(sides, "prediction" if self.predictions else "source"),
            lazy_image_of_layers(self.truths, "truth"),
            mask=self.mask,
            condition=self.condition,
            name=f"{sides[0].name} and {self.truth_name}",
        )
        opened = open_pair(pair, z_context)
        channels = opened.source.channels
        if self.card is not None:
            opened = as_model_reads(opened, self.card.source_codec, self.card.config.ndim)
            channels = self.card.target_codec.channels
            if opened.source.channels != self.card.source_codec.channels:
                raise InputError(
                    f"The model takes images of {self.card.channels} channels, "
                    f"{sides[0].name!r} has {opened.source.channels // (2 * z_context + 1)}: "
                    "choose layers with the same channels."
                )
        if channels != opened.target.channels:
            raise InputError(
                f"The prediction has {channels} channels, {self.truth_name!r} "
                f"{opened.target.channels}: choose layers with the same channels."
            )
        return opened

    @property
    def labels_scored(self) -> Literal["auto", "planes", "volumes"]:
        """How labels of stacks are scored; by default the planes of times are no volume."""
        names = {name.lower() for name in self.truths[0].field_transform.axis_labels}
        if self.options.objects == "auto" and names & {"t", "time"} and not names & {"z"}:
            return "planes"
        return self.options.objects

    @property
    def truth_name(self) -> str:
        """The names of the truth's layers."""
        return " + ".join(truth.name for truth in self.truths)

    @property
    def opened_labels(self) -> LazyImage | None:
        """The true objects as an image."""
        return None if self.labels is None else lazy_image_of_layers([self.labels], "labels")

    def facts(self) -> dict[str, str]:
        """Return the facts about a layer's prediction for the report."""
        titles = {"model": "Model", "digest": "Digest of its weights", "weights": "Weights"}
        titles |= {"trained_on": "Trained on"}
        made = " + ".join(prediction.name for prediction in self.predictions)
        facts = {"Prediction": made, "Truth": self.truth_name}
        facts |= {
            title: str(self.record[key]) for key, title in titles.items() if key in self.record
        }
        if self.sources:
            facts["Source"] = " + ".join(source.name for source in self.sources)
            facts["Baseline"] = "fitted to the pixels that are scored, so harder to beat"
        return facts

    def baseline_pair(self) -> OpenPair | None:
        """Open the source of a layer's prediction with the truth; None without a source."""
        if not self.predictions or not self.sources:
            return None
        sides = (
            lazy_image_of_layers(self.sources, "source"),
            lazy_image_of_layers(self.truths, "truth"),
        )
        return open_pair(Pair(*sides, mask=self.mask))


class Evaluated(NamedTuple):
    """Progress: frames done, and of how many."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Result:
    """Result of an evaluation."""

    scores: EvaluationResult  # without ``baseline`` if there is no source
    kind: str  # what the truth's values mean
    difference: np.ndarray  # see `napari_pix2pix.evaluation.difference`
    layout: Layout  # where the difference has its channels
    points: np.ndarray  # truth and prediction of some pixels; none for labels
    complete: bool  # false if it was stopped


def evaluate_request(
    control: Control, request: EvaluationRequest, device: str | None = None
) -> Generator[Evaluated, None, Result]:
    """Score a prediction, or a model, frame by frame; if stopped, keep the frames so far."""
    from napari_pix2pix.evaluation import EvaluationResult, Measures, difference, score_images

    request = request.copied()
    case, facts, notes = _make_case(request, device)
    opened, kind = case.pair, case.codec.kind
    measures = Measures(load_segmenter(request.segmenter))
    measures.check(kind, has_labels=case.labels is not None)
    image_scores, differences, points = [], [], []
    # The scatter plot's points are spread over all frames.
    each = max(1, _POINTS // opened.frames)
    random = np.random.default_rng(0)
    size = (opened.target.channels, opened.height, opened.width)
    blank = np.zeros(size, np.float32 if kind == "image" else np.uint8)
    for done, scored in enumerate(score_images([case], measures), start=1):
        if scored is None:
            differences += [blank] * case.depth
        else:
            frame, scores = scored
            image_scores.append(scores)
            made = difference(frame.prediction, frame.truth, kind)
            differences.extend(np.moveaxis(made, 1, 0) if case.volumes else [made])
            if kind == "image":
                points.append(_sample(frame, each, random))
        yield Evaluated(done, case.images)
        if control.stopped:
            break
    complete = len(differences) == opened.frames
    differences += [blank] * (opened.frames - len(differences))
    layout = Layout() if len(blank) == 1 else Layout(channel_axis=-3)
    return Result(
        scores=EvaluationResult.of(image_scores, facts, notes),
        kind=kind,
        difference=layout.assemble(np.stack(differences), opened.target.frame_shape),
        layout=layout,
        points=np.concatenate(points, axis=1) if points else np.empty((2, 0)),
        complete=complete,
    )


def save_report(control: Control, result: Result, path: str | os.PathLike[str]) -> str:
    """Write the report of a result; return the message about it."""
    from napari_pix2pix.evaluation import write_report

    def stop_if_asked(_: float) -> None:
        if control.stopped:
            raise _StoppedError

    try:
        write_report(result.scores, path, on_part=stop_if_asked)
    except _StoppedError:
        return "Cancelled: there is no report."
    return f"Written to {os.fspath(path)}."


class _StoppedError(Exception):
    """Ends a report early."""


def _make_case(
    request: EvaluationRequest, device: str | None
) -> tuple[EvaluationCase, dict[str, str], list[str]]:
    """Return the case to score, the facts about it for the report, and notes."""
    from napari_pix2pix.evaluation import EvaluationCase, fit_baseline_to_scored, know_usual
    from napari_pix2pix.evaluation.evaluate import open_labels

    opened = request.pair()
    name = "" if opened.frames > 1 else request.truth_name
    if not request.predictions:
        from napari_pix2pix.evaluation.evaluate import (
            describe_model,
            make_case,
            match_truths_of,
            volume_notes,
        )

        assert request.model is not None
        translator = request.model.with_its_weights(load_known(request.model))
        (opened,), notes = match_truths_of(translator, [opened])
        baseline = None
        if not translator.info.baselines.maps:
            baseline = fit_baseline_to_scored([opened], translator.target_codec.kind)
        notes = [*notes, *volume_notes(translator)]
        case = make_case(
            translator,
            opened,
            name=name,
            labels=request.opened_labels,
            baseline=baseline,
            device=device,
            copies=True,
        )
        return case, describe_model(translator, request.model.name), notes
    from napari_pix2pix.data.truth import match_layers
    from napari_pix2pix.evaluation.volumes import choose_volumes

    opened, codec, notes = match_layers(opened, request.options.kind)
    # Not the prediction's: whatever it holds is its own work.
    (opened,) = know_usual([opened], (None, codec.kind))
    volumes, note = choose_volumes(opened, codec.kind, request.labels_scored)
    source, baseline = request.baseline_pair(), None
    if source is not None:
        (source,) = know_usual([replace(source, target=opened.target)], ("image", codec.kind))
        baseline = fit_baseline_to_scored([source], codec.kind, volumes=volumes)
    given = request.opened_labels
    labels = None if given is None else open_labels(given, opened)
    case = EvaluationCase(
        name, opened, codec, source=source, baseline=baseline, volumes=volumes, labels=labels
    )
    return case, request.facts(), [*notes, *note]


def _sample(frame: Frame, count: int, random: np.random.Generator) -> np.ndarray:
    truth, prediction = frame.truth, frame.prediction
    inside = np.flatnonzero(np.broadcast_to(frame.valid, truth.shape))
    if len(inside) > count:
        inside = random.choice(inside, count, replace=False)
    return np.stack([truth.reshape(-1)[inside], prediction.reshape(-1)[inside]]).astype(float)
