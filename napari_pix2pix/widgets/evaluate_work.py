"""The work of evaluating, done in a thread: scores, differences and a sample for the scatter."""

from __future__ import annotations

import csv
import os
from collections.abc import Generator, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.formats.paths import as_path
from napari_pix2pix.layers import Snapshot, as_trained, planes_of
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.layouts import Layout
from napari_pix2pix.pairs.pair import OpenPair, Pair, open_pair
from napari_pix2pix.training.control import Control
from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.apply_work import load_known

if TYPE_CHECKING:
    # What scores needs half a second to be imported, so the functions do that.
    from napari_pix2pix.metrics.maps import TrivialMap
    from napari_pix2pix.metrics.sets import Scored
    from napari_pix2pix.translator import Translator
    from napari_pix2pix.widgets.models import KnownModel

_POINTS = 20_000  # of the scatter: more are drawn slowly and tell nothing new
_SAMPLE = 16  # frames at most from which ranges and the trivial map are taken


@dataclass(frozen=True, eq=False)
class Subject:
    """What is evaluated.

    Attributes
    ----------
    truth : Snapshot
    prediction : Snapshot, optional
        Without it `model` makes one of `sources`.
    model : KnownModel, optional
    card : Card, optional
        Of the model.
    sources : list of Snapshot
        A layer, or several that are its channels. With a prediction they are there for the
        trivial map, or empty.
    mask : bool array, optional
    condition : hashable, optional
    kind : {"auto", "image", "classes", "instances"}
        What the truth's values mean; a model knows it.
    """

    truth: Snapshot
    prediction: Snapshot | None = None
    model: KnownModel | None = None
    card: Card | None = None
    sources: list[Snapshot] = field(default_factory=list)
    mask: Any = None
    condition: Hashable = None
    kind: Literal["auto", "image", "classes", "instances"] = "auto"

    def copied(self) -> Subject:
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
        truth, z_context = [self.truth], 0
        if self.card is not None and self.prediction is None:
            sides = as_trained(sides, self.card.source_codec.layout)
            truth = as_trained(truth, self.card.target_codec.layout)
            z_context = self.card.config.z_context
        pair = Pair(
            planes_of(sides, "prediction" if self.prediction is not None else "source"),
            planes_of(truth, "truth"),
            mask=self.mask,
            condition=self.condition,
            name=f"{sides[0].name} and {self.truth.name}",
        )
        opened = open_pair(pair, z_context)
        made = opened.source.channels
        if self.prediction is None and self.card is not None:
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
class Evaluation:
    """What an evaluation found.

    Attributes
    ----------
    scores : dict
        As `napari_pix2pix.evaluate` returns it; without ``trivial`` where there is no source.
    kind : str
        What the truth's values mean.
    difference : array
        Prediction minus truth, float32; of labels 1 where only the prediction has something, 2
        where only the truth has, 3 where their classes differ.
    layout : Layout
        Where the difference has its channels.
    points : array (2, N)
        Truth and prediction at some pixels; none for labels.
    complete : bool
        False where it was stopped.
    """

    scores: dict[str, Any]
    kind: str
    difference: np.ndarray
    layout: Layout
    points: np.ndarray
    complete: bool


def evaluate_subject(
    control: Control, subject: Subject, device: str | None = None
) -> Generator[Evaluated, None, Evaluation]:
    """Score a prediction, or a model, frame by frame; stopped, it keeps the frames that are done.

    Raises
    ------
    InputError
        When the layers don't fit each other or the model, or no pixel is left to score.
    """
    from napari_pix2pix.metrics.sets import summarise

    subject = subject.copied()
    opened = subject.pair()
    judge = _Judge.of(subject, opened)
    scored: list[tuple[str, dict[str, Scored]]] = []
    differences, points = [], []
    # The scatter's points are spread over all frames.
    each = max(1, _POINTS // opened.frames)
    random = np.random.default_rng(0)
    for frame in range(opened.frames):
        prediction, truth, valid, sides = judge.frame(frame, device)
        if sides:
            name = f"frame {frame}" if opened.frames > 1 else subject.truth.name
            scored.append((name, sides))
        differences.append(_difference(prediction, truth, judge.codec.kind))
        if judge.codec.kind == "image":
            points.append(_sample(prediction, truth, valid, each, random))
        yield Evaluated(frame + 1, opened.frames)
        if control.stopped:
            break
    complete = len(differences) == opened.frames
    blank = np.zeros_like(differences[0])
    differences += [blank] * (opened.frames - len(differences))
    channels = len(blank)
    layout = Layout() if channels == 1 else Layout(channel_axis=-3)
    return Evaluation(
        scores=summarise(scored),
        kind=judge.codec.kind,
        difference=layout.assemble(np.stack(differences), opened.target.frame_shape),
        layout=layout,
        points=np.concatenate(points, axis=1) if points else np.empty((2, 0)),
        complete=complete,
    )


def write_csv(scores: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write scores as a table: a line for all images together and one for each.

    Raises
    ------
    FileError
        When it can't be written.
    """
    path = as_path(path)
    sides = [side for side in ("prediction", "trivial") if side in scores]
    names = list(scores["prediction"])
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", *(f"{side} {name}" for side in sides for name in names)])
            for label, one in [("all", scores), *((i["name"], i) for i in scores["images"])]:
                writer.writerow([label, *(one[s].get(name, "") for s in sides for name in names)])
    except OSError as error:
        raise FileError(
            f"Can't write {path}: {error.strerror or error}; choose another place."
        ) from error


@dataclass(frozen=True, eq=False)
class _Judge:
    """What frames are scored with."""

    opened: OpenPair
    codec: Codec
    trivial: TrivialMap | None = None
    source: OpenPair | None = None
    translator: Translator | None = None
    condition: Hashable = None

    @classmethod
    def of(cls, subject: Subject, opened: OpenPair) -> _Judge:
        if subject.prediction is None:
            assert subject.model is not None
            translator = load_known(subject.model)
            conditions = translator.conditions
            index = conditions.index(subject.condition) if conditions else 0
            codec, trivial = translator.target_codec, translator.trivial.maps[index]
            return cls(opened, codec, trivial, opened, translator, subject.condition)
        from napari_pix2pix.metrics.maps import fit_trivial
        from napari_pix2pix.pairs.interpret import interpret

        truths = [(truth, valid) for _, truth, valid in _frames(opened)]
        codec, _ = interpret(
            [truth for truth, _ in truths],
            [valid for _, valid in truths],
            kind=subject.kind,
            method="percentile",
            layout=opened.target.layout,
            what="target",
        )
        source = subject.other()
        if source is None:
            return cls(opened, codec)
        rgb = source.source.layout.rgb
        return cls(
            opened, codec, fit_trivial(list(_frames(source)), kind=codec.kind, rgb=rgb), source
        )

    def frame(
        self, frame: int, device: str | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Scored]]:
        """Return prediction, truth, the pixels that count, and the scores; none without any."""
        from napari_pix2pix.metrics.sets import score

        prediction, truth, valid = _read(self.opened, frame)
        if self.translator is not None:
            source, planes = prediction, self.opened.source
            prediction = self.translator.translate_planes(
                planes, frame, self.condition, device=device
            )
        elif self.source is not None:
            source = _read(self.source, frame)[0]
        if not valid.any():
            return prediction, truth, valid, {}
        sides = {"prediction": prediction}
        if self.trivial is not None:
            sides["trivial"] = self.codec.as_target(self.trivial.predict(source))
        how: dict[str, Any] = {
            "kind": self.codec.kind,
            "valid": valid,
            "data_range": self.codec.data_range,
        }
        return (
            prediction,
            truth,
            valid,
            {side: score(made, truth, **how) for side, made in sides.items()},
        )


def _read(opened: OpenPair, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source, truth, valid = opened.read(frame, slice(0, opened.height), slice(0, opened.width))
    return source, truth, np.ones((1, *truth.shape[1:]), bool) if valid is None else valid


def _frames(opened: OpenPair) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Read some frames, spread evenly."""
    count = min(opened.frames, _SAMPLE)
    for frame in np.linspace(0, opened.frames - 1, count).astype(int):
        yield _read(opened, int(frame))


def _difference(prediction: np.ndarray, truth: np.ndarray, kind: str) -> np.ndarray:
    if kind == "image":
        return prediction.astype(np.float32) - truth.astype(np.float32)
    found, there = prediction != 0, truth != 0
    result = found & ~there | (there & ~found) * np.uint8(2)
    if kind == "classes":
        result = result | (found & there & (prediction != truth)) * np.uint8(3)
    return result.astype(np.uint8)


def _sample(
    prediction: np.ndarray,
    truth: np.ndarray,
    valid: np.ndarray,
    count: int,
    random: np.random.Generator,
) -> np.ndarray:
    inside = np.flatnonzero(np.broadcast_to(valid, truth.shape))
    if len(inside) > count:
        inside = random.choice(inside, count, replace=False)
    return np.stack([truth.reshape(-1)[inside], prediction.reshape(-1)[inside]]).astype(float)
