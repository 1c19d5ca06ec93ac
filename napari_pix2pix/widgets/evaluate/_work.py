"""The work of evaluating, done in a thread: scores, differences and a sample for the scatter."""

from __future__ import annotations

import os
from collections.abc import Generator, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_pix2pix.data.gray import as_taken
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import OpenPair, Pair, open_pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import Snapshot, planes_of
from napari_pix2pix.training.control import Control
from napari_pix2pix.widgets.apply.model_card import Card
from napari_pix2pix.widgets.apply.work import load_known

if TYPE_CHECKING:
    # What scores needs half a second to be imported, so the functions do that.
    from napari_pix2pix.evaluation import EvaluationCase, EvaluationResult, Frame
    from napari_pix2pix.widgets.common.known_models import ModelEntry

_POINTS = 20_000  # of the scatter: more are drawn slowly and tell nothing new


@dataclass(frozen=True, eq=False)
class EvaluationRequest:
    """What is evaluated.

    Attributes
    ----------
    truth : Snapshot
        For a model with the channel axis of its training, as the sources.
    prediction : Snapshot, optional
        Without it `model` makes one of `sources`.
    model : KnownModel, optional
    card : Card, optional
        Of the model; None beside a prediction.
    sources : list of Snapshot
        A layer, or several that are its channels. With a prediction they are there for the
        baseline, or empty.
    mask : bool array, optional
    condition : hashable, optional
    kind : {"auto", "image", "classes", "instances"}
        What the truth's values mean; a model knows it.
    segments : bool
        Whether what Otsu's threshold finds in the images is scored, too.
    record : mapping
        What the prediction's layer says of the model that made it.
    """

    truth: Snapshot
    prediction: Snapshot | None = None
    model: ModelEntry | None = None
    card: Card | None = None
    sources: list[Snapshot] = field(default_factory=list)
    mask: Any = None
    condition: Hashable = None
    kind: Literal["auto", "image", "classes", "instances"] = "auto"
    segments: bool = False
    record: Mapping[str, Any] = field(default_factory=dict)

    def copied(self) -> EvaluationRequest:
        """Return the same with data that no one else can change; in any thread."""
        return replace(
            self,
            truth=self.truth.copied(),
            prediction=None if self.prediction is None else self.prediction.copied(),
            sources=[one.copied() for one in self.sources],
        )

    def pair(self) -> OpenPair:
        """Open what is compared with the truth, and the truth; see `open_pair` for errors."""
        sides = [self.prediction] if self.prediction is not None else self.sources
        z_context = 0 if self.card is None else self.card.config.z_context
        pair = Pair(
            planes_of(sides, "prediction" if self.prediction is not None else "source"),
            planes_of([self.truth], "truth"),
            mask=self.mask,
            condition=self.condition,
            name=f"{sides[0].name} and {self.truth.name}",
        )
        opened = open_pair(pair, z_context)
        made = opened.source.channels
        if self.card is not None:
            opened = as_taken(opened, self.card.source_codec)
            made = self.card.target_codec.channels
            if opened.source.channels != self.card.source_codec.channels:
                raise InputError(
                    f"The model takes images of {self.card.channels} channels, "
                    f"{sides[0].name!r} has {opened.source.channels // (2 * z_context + 1)}: "
                    "choose layers with the same channels."
                )
        if made != opened.target.channels:
            raise InputError(
                f"The prediction has {made} channels, {self.truth.name!r} "
                f"{opened.target.channels}: choose layers with the same channels."
            )
        return opened

    def facts(self) -> dict[str, str]:
        """Return what a report says of a prediction that is a layer."""
        assert self.prediction is not None
        known = {"Model": "model", "Digest of its weights": "digest", "Trained on": "trained_on"}
        facts = {"Prediction": self.prediction.name, "Truth": self.truth.name}
        facts |= {
            title: str(self.record[key]) for title, key in known.items() if key in self.record
        }
        if self.sources:
            facts["Source"] = " + ".join(one.name for one in self.sources)
            facts["Baseline"] = "fitted to the pixels that are scored, so harder to beat"
        return facts

    def other(self) -> OpenPair | None:
        """Open the source beside a prediction; None without."""
        if self.prediction is None or not self.sources:
            return None
        sides = planes_of(self.sources, "source"), planes_of([self.truth], "truth")
        return open_pair(Pair(*sides, mask=self.mask))


class Evaluated(NamedTuple):
    """How far an evaluation is: frames done and of all."""

    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Result:
    """What an evaluation found.

    Attributes
    ----------
    scores : EvaluationResult
        Without ``baseline`` if there is no source.
    kind : str
        What the truth's values mean.
    difference : array
        See `napari_pix2pix.evaluation.difference`.
    layout : Layout
        Where the difference has its channels.
    points : array (2, N)
        Truth and prediction at some pixels; none for labels.
    complete : bool
        False where it was stopped.
    """

    scores: EvaluationResult
    kind: str
    difference: np.ndarray
    layout: Layout
    points: np.ndarray
    complete: bool


def evaluate_subject(
    control: Control, subject: EvaluationRequest, device: str | None = None
) -> Generator[Evaluated, None, Result]:
    """Score a prediction, or a model, frame by frame; stopped, it keeps the frames that are done.

    Raises
    ------
    InputError
        When the layers don't fit each other or the model, or no pixel is left to score.
    """
    from napari_pix2pix.evaluation import EvaluationResult, Measures, difference, score_images
    from napari_pix2pix.metrics.segmentation import segment_otsu

    subject = subject.copied()
    case, facts = _make_case(subject, device)
    opened, kind = case.pair, case.codec.kind
    measures = Measures(segment_otsu if subject.segments else None)
    measures.check(kind, has_labels=False)
    image_scores, differences, points = [], [], []
    # The scatter's points are spread over all frames.
    each = max(1, _POINTS // opened.frames)
    random = np.random.default_rng(0)
    size = (opened.target.channels, opened.height, opened.width)
    blank = np.zeros(size, np.float32 if kind == "image" else np.uint8)
    for done, scored in enumerate(score_images([case], measures), start=1):
        if scored is None:
            differences.append(blank)
        else:
            frame, scores = scored
            image_scores.append(scores)
            differences.append(difference(frame.prediction, frame.truth, kind))
            if kind == "image":
                points.append(_sample(frame, each, random))
        yield Evaluated(done, opened.frames)
        if control.stopped:
            break
    complete = len(differences) == opened.frames
    differences += [blank] * (opened.frames - len(differences))
    layout = Layout() if len(blank) == 1 else Layout(channel_axis=-3)
    return Result(
        scores=EvaluationResult.of(image_scores, facts),
        kind=kind,
        difference=layout.assemble(np.stack(differences), opened.target.frame_shape),
        layout=layout,
        points=np.concatenate(points, axis=1) if points else np.empty((2, 0)),
        complete=complete,
    )


def report_result(control: Control, result: Result, path: str | os.PathLike[str]) -> str:
    """Write the report of a result, unless stopped; return what is to be said of it."""
    from napari_pix2pix.evaluation import write_report

    def look(_: float) -> None:
        if control.stopped:
            raise _StoppedError

    try:
        write_report(result.scores, path, on_part=look)
    except _StoppedError:
        return "Cancelled: there is no report."
    return f"Written to {os.fspath(path)}."


class _StoppedError(Exception):
    """Breaks a report off."""


def _make_case(
    subject: EvaluationRequest, device: str | None
) -> tuple[EvaluationCase, dict[str, str]]:
    """Say how the subject is predicted, and what a report says of the model."""
    from napari_pix2pix.evaluation import EvaluationCase, fit_baseline_to_scored, sample_frames

    opened = subject.pair()
    name = "" if opened.frames > 1 else subject.truth.name
    if subject.prediction is None:
        from napari_pix2pix.evaluation.evaluate import describe_model, make_case

        assert subject.model is not None
        translator = load_known(subject.model)
        baseline = None
        if not translator.baseline.maps:
            baseline = fit_baseline_to_scored([opened], translator.target_codec.kind)
        case = make_case(
            translator, opened, name=name, baseline=baseline, device=device, copies=True
        )
        return case, describe_model(translator, subject.model.name)
    from napari_pix2pix.data.interpret import infer_codec

    truths = [(truth, valid) for _, truth, valid in sample_frames(opened)]
    codec, _ = infer_codec(
        [truth for truth, _ in truths],
        [valid for _, valid in truths],
        kind=subject.kind,
        method="percentile",
        layout=opened.target.layout,
        what="target",
    )
    source = subject.other()
    baseline = None if source is None else fit_baseline_to_scored([source], codec.kind)
    return EvaluationCase(name, opened, codec, source=source, baseline=baseline), subject.facts()


def _sample(frame: Frame, count: int, random: np.random.Generator) -> np.ndarray:
    truth, prediction = frame.truth, frame.prediction
    inside = np.flatnonzero(np.broadcast_to(frame.valid, truth.shape))
    if len(inside) > count:
        inside = random.choice(inside, count, replace=False)
    return np.stack([truth.reshape(-1)[inside], prediction.reshape(-1)[inside]]).astype(float)
