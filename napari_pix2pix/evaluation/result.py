"""The scores of a set of images, read like a dictionary."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from napari_pix2pix.data.outliers import sum_by_side
from napari_pix2pix.errors import InputError, own_errors, plural, rounded
from napari_pix2pix.evaluation._verdict import count_objects, verdict
from napari_pix2pix.evaluation.scoring import ImageScores
from napari_pix2pix.io.csv_cells import text_cell
from napari_pix2pix.io.image_file import unit_symbol
from napari_pix2pix.io.paths import as_path, check_ending, replacing
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.metrics.spectra import SMALLEST_SPECTRUM_SIDE
from napari_pix2pix.metrics.summary import (
    ScoredImage,
    fit_micro_ssim,
    frechet_distance,
    pool_scores,
    segmented_scores,
)

_GROUP = "group"  # the second column of a CSV, if an image has one
_HOT = "hot pixels left out"  # the last column of a CSV, if there are any
TABLE_ENDINGS = (".csv",)


@dataclass(frozen=True, eq=False, repr=False)
class EvaluationResult(Mapping[str, Any]):
    """Scores of a set of images, which can be read like the dictionary of `to_dict`."""

    image_scores: tuple[ImageScores, ...]  # at least one
    # Scores of all images together: of the "prediction"; of the "baseline" if there is one; of the
    # "truth", what a segmenter reaches on the true images, if there are true labels.
    pooled: dict[str, dict[str, float]]
    facts: dict[str, str]  # of the model, for the report: titles and texts
    notes: tuple[str, ...] = ()  # what a reader of the scores must know

    @classmethod
    def of(
        cls,
        image_scores: Sequence[ImageScores],
        facts: Mapping[str, str],
        notes: Sequence[str] = (),
    ) -> Self:
        """Pool the scores of images; refuse none at all."""
        if not image_scores:
            raise InputError(
                "No pixel is left to score: no pixel is inside the mask and finite in both images."
            )
        image_scores = _with_micro_ssim(image_scores)
        pooled: dict[str, dict[str, float]] = {
            predictor: pool_scores([image.scored[predictor] for image in image_scores])
            for predictor in image_scores[0].scored
        }
        if image_scores[0].features:
            features = {
                name: np.concatenate([image.features[name] for image in image_scores])
                for name in image_scores[0].features
            }
            for predictor, scores in pooled.items():
                scores["frechet"] = frechet_distance(features[predictor], features["truth"])
        truth_counts = [
            image.truth_counts for image in image_scores if image.truth_counts is not None
        ]
        if truth_counts:
            pooled["truth"] = segmented_scores(truth_counts)
        said = (
            *notes,
            _empty_note(image_scores),
            *_hot_notes(image_scores),
            _detail_note(image_scores, pooled),
            _flat_note(image_scores),
        )
        found = [note for note in said if note]
        return cls(tuple(image_scores), pooled, dict(facts), tuple(dict.fromkeys(found)))

    @property
    def predictors(self) -> list[str]:
        """What is scored: the prediction, and the baseline if there is one."""
        return list(self.image_scores[0].scored)

    def spread(self, predictor: str, key: str) -> float:
        """Return the standard deviation of a score over the images; NaN below two images."""
        values = [image.scored[predictor].scores.get(key, np.nan) for image in self.image_scores]
        known = np.array(values)[np.isfinite(values)]
        return float(known.std(ddof=1)) if len(known) > 1 else float("nan")

    @property
    def ranked(self) -> list[ImageScores]:
        """Images from best to worst by the primary metric; those without it only if all lack it."""
        defined = [image for image in self.image_scores if not np.isnan(_rank(image)[0])]
        return sorted(defined, key=_rank, reverse=True) or list(self.image_scores)

    @property
    def verdict(self) -> str:
        """The primary metric beside the baseline's, in a sentence."""
        return verdict(self.pooled, self.image_scores)

    @property
    def objects(self) -> str:
        """How many objects were found, missed and are false; empty where none were counted."""
        return count_objects(self.image_scores)

    @own_errors()
    def to_dict(self) -> dict[str, Any]:
        """Return the pooled scores, ``images`` with name, group and scores, and any ``notes``."""
        images = [
            {"name": image.name}
            | ({} if (group := image.case.pair.group) is None else {"group": str(group)})
            | {name: scored.scores for name, scored in image.scored.items()}
            for image in self.image_scores
        ]
        notes = {"notes": list(self.notes)} if self.notes else {}
        return {**self.pooled, "images": images, **notes}

    @cached_property
    def _by_name(self) -> dict[str, Any]:
        return self.to_dict()

    def __getitem__(self, key: str) -> Any:
        return self._by_name[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return repr(self._by_name)

    @own_errors()
    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a table: a line for all images together and one for each image.

        Parameters
        ----------
        path : path-like
            Usually ``*.csv``; an existing file is replaced.

        Raises
        ------
        FileError
            If the file cannot be written, or has another format's ending; an existing file
            stays intact.
        """
        path = as_path(path)
        check_ending(path, *TABLE_ENDINGS, what="a table of scores")
        keys = list(self.pooled["prediction"])
        with (
            replacing(path) as fresh,
            fresh.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            columns = [(predictor, key) for predictor in self.predictors for key in keys]
            rows: list[list[Any]] = [["image", *(" ".join(column) for column in columns)]]
            rows.append(["all", *(self.pooled[predictor][key] for predictor, key in columns)])
            for image in self.image_scores:
                cells = (image.scored[name].scores.get(key, "") for name, key in columns)
                rows.append([text_cell(image.name), *cells])
            groups = [image.case.pair.group for image in self.image_scores]
            if any(group is not None for group in groups):
                texts = ("" if group is None else text_cell(str(group)) for group in groups)
                for row, text in zip(rows, [_GROUP, "", *texts], strict=True):
                    row.insert(1, text)
            counts = [image.hot_count for image in self.image_scores]
            if any(counts):
                for row, cell in zip(rows, [_HOT, sum(counts), *counts], strict=True):
                    row.append(cell)
            csv.writer(file).writerows(rows)


def _with_micro_ssim(images: Sequence[ImageScores]) -> list[ImageScores]:
    """Score images by MicroSSIM with what is known now that all of them were seen."""
    names = list(images[0].scored)
    fitted = [fit_micro_ssim([image.scored[name] for image in images]) for name in names]
    return [
        replace(image, scored=dict(zip(names, scored, strict=True)))
        for image, *scored in zip(images, *fitted, strict=True)
    ]


def _detail_note(images: Sequence[ImageScores], pooled: Mapping[str, Mapping[str, float]]) -> str:
    """Say how fine the shared detail is in the unit of the truth's pixels; "" if it has none."""
    sizes = {image.case.pair.target.pixel_size for image in images}
    cutoffs = {name: scores.get("frc_cutoff", np.nan) for name, scores in pooled.items()}
    known = {name: cutoff for name, cutoff in cutoffs.items() if cutoff > 0}
    size = sizes.pop()
    # One number says it for square pixels of a known unit only.
    if sizes or size is None or not (known and size.unit and math.isclose(size.x, size.y)):
        return ""
    unit = unit_symbol(size.unit)
    texts = [
        f"{rounded(1 / cutoff, 3)} px = {rounded(size.x / cutoff, 3)} {unit} ({name})"
        for name, cutoff in known.items()
    ]
    return f"Detail agrees with the truth down to {' and '.join(texts)}, by the FRC cut-off."


def _flat_note(images: Sequence[ImageScores]) -> str:
    """Count the images that have no spectrum, and say why; else ""."""
    scores = [image.scored["prediction"].scores for image in images]
    flat = sum(
        np.isnan(each.get("frc_cutoff", 0.0)) and not np.isnan(each["l1"]) for each in scores
    )
    if not flat:
        return ""
    return (
        f"{flat} of {plural(len(images), 'image')} {'has' if flat == 1 else 'have'} no FRC and no "
        f"spectrum: prediction or truth is constant, or a side is below {SMALLEST_SPECTRUM_SIDE} "
        "pixels."
    )


def _empty_note(images: Sequence[ImageScores]) -> str:
    """Count the images of labels that have no score, as there was nothing to find; else ""."""
    counts = [image.scored["prediction"].counts for image in images]
    empty = sum(count is not None and count.empty for count in counts)
    if not empty:
        return ""
    return (
        f"{empty} of {plural(len(images), 'image')} {'holds' if empty == 1 else 'hold'} nothing "
        "but background, in truth and prediction: no score, and left out of all means."
    )


def _hot_notes(images: Sequence[ImageScores]) -> list[str]:
    """Say how many hot pixels are left out, and what the primary metric would be with them."""
    found = sum_by_side(image.hot for image in images)
    notes = [hot.note(side) for side, hot in found.items() if hot.count]
    if notes:
        scores = [image.with_hot or image.scored for image in images]
        # Images with hot pixels were scored again without the slow scores.
        shared = set.intersection(*(set(image["prediction"].scores) for image in scores))
        values = {
            name: primary_metric(pool_scores([_only(shared, image[name]) for image in scores]))
            for name in images[0].scored
        }
        title = values["prediction"][0]
        texts = [f"{value:.3f} ({name})" for name, (_, value) in values.items()]
        notes.append(f"With them, {title} would be {' and '.join(texts)}.")
    return notes


def _only(names: Collection[str], image: ScoredImage) -> ScoredImage:
    return replace(image, scores={name: image.scores[name] for name in names})


def _rank(image: ImageScores) -> tuple[float, float]:
    """Sort by the primary metric, then by Dice: many images may have no object that was found."""
    scores = image.scored["prediction"].scores
    return primary_metric(scores)[1], scores.get("dice", 0.0)
