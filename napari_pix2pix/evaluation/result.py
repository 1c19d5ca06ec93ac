"""What an evaluation found: a dictionary of scores that can write itself down."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from napari_pix2pix.errors import InputError
from napari_pix2pix.evaluation.cases import EvaluationCase
from napari_pix2pix.evaluation.scoring import ImageScores
from napari_pix2pix.io.paths import as_path, replacing
from napari_pix2pix.metrics.frechet import frechet_distance
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.metrics.summary import segmented_scores, summarise
from napari_pix2pix.napari_layers.keep_responsive import ProgressReporter, run_responsive

SIDES = ("prediction", "baseline")
SAMPLES = 8  # that a report draws when not told otherwise


class Evaluation(dict[str, Any]):
    """Scores of a set of images, as a dictionary that JSON can hold.

    ``prediction`` and ``baseline`` hold the scores of all images together (``baseline`` where there
    is such a map), ``images`` a dictionary for each with ``name`` and the same. Where a segmenter
    is compared with true labels, ``truth`` holds what it reaches on the true images.

    Parameters
    ----------
    exams : sequence of Exam
        What was evaluated; it is read again for the report.
    marks : sequence of Mark
        At least one.
    facts : mapping of str to str
        What the report says of the model.

    Raises
    ------
    InputError
        When there is no mark, since no pixel counted.
    """

    def __init__(
        self,
        exams: Sequence[EvaluationCase],
        marks: Sequence[ImageScores],
        facts: Mapping[str, str],
    ) -> None:
        super().__init__(summarise([(one.name, one.sides) for one in marks]))
        self.exams, self.marks, self.facts = tuple(exams), tuple(marks), dict(facts)
        if marks[0].features:
            rows = {
                side: np.concatenate([one.features[side] for one in marks])
                for side in marks[0].features
            }
            for side in self.sides:
                self[side]["frechet"] = frechet_distance(rows[side], rows["truth"])

        found = [one.found for one in marks if one.found is not None]
        if found:
            self["truth"] = segmented_scores(found)

    @property
    def sides(self) -> list[str]:
        """Whose scores there are: of the prediction, and of the baseline if there is one."""
        return [side for side in SIDES if side in self]

    @property
    def ranked(self) -> list[ImageScores]:
        """Images from the best to the worst, by the score that a set is judged by."""
        known = [one for one in self.marks if not np.isnan(_rank(one)[0])]
        return sorted(known, key=_rank, reverse=True) or list(self.marks)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the scores as a table: a line for all images together and one for each.

        Raises
        ------
        FileError
            When it can't be written; what was there is intact.
        """
        names = list(self["prediction"])
        with (
            replacing(as_path(path)) as fresh,
            fresh.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["image", *(f"{side} {name}" for side in self.sides for name in names)])
            for label, one in [("all", self), *((each["name"], each) for each in self["images"])]:
                scores = [one[side].get(name, "") for side in self.sides for name in names]
                writer.writerow([label, *scores])

    def report(self, path: str | os.PathLike[str], *, samples: int = SAMPLES) -> None:
        """Write a report with pictures: one HTML file that holds all it shows.

        The best, the median and the worst image are translated again for it.

        Parameters
        ----------
        path : path-like
            Usually ``*.html``.
        samples : int
            How many are drawn of a model with noise or dropout, to see whether their spread tells
            where the error is; 0 for none. Other models have no samples to draw.

        Raises
        ------
        InputError
            When ``samples`` is 1 or negative.
        FileError
            When it can't be written; what was there is intact.
        """

        def write(desk: ProgressReporter) -> None:
            self.write_report(path, samples=samples, on_part=desk.show)

        run_responsive(write, title="Report")

    def write_report(
        self,
        path: str | os.PathLike[str],
        *,
        samples: int = SAMPLES,
        on_part: Callable[[float], None] | None = None,
    ) -> None:
        """Write the report in this thread; ``on_part`` is told the part that is done."""
        # matplotlib is imported with the first report.
        from napari_pix2pix.evaluation._report import report_html

        check_samples(samples)
        with replacing(as_path(path)) as fresh:
            fresh.write_text(report_html(self, samples, on_part), encoding="utf-8")


def check_samples(samples: int) -> None:
    """Refuse a number of samples that has no spread.

    Raises
    ------
    InputError
        When it is 1 or negative.
    """
    if samples < 0 or samples == 1:
        raise InputError(f"Spread needs 2 samples or more, or 0 for none; got {samples}.")


def _rank(mark: ImageScores) -> tuple[float, float]:
    """Judge an image: where no object is found, by its pixels."""
    scores = mark.sides["prediction"].scores
    return primary_metric(scores)[1], scores.get("dice", 0.0)
